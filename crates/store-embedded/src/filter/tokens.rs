//! The tokens of a block, from its words, ids and fields.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::UInt8Type;
use model::Value;
use store::StoreError;

use super::distinct::distinct;
use super::{EDGE_BYTES, Filter, Kind, VALUE_BYTES_MAX, fuse, token};
use crate::columns::{self, Strings};

/// The tokens of a block as they come; kept and cleared from block to block.
#[derive(Debug)]
pub(crate) struct Tokens {
    hashes: Vec<u64>,
    /// At how many the repeats among them are taken out.
    full: usize,
    /// Some of those that came last, by their lowest bits: most tokens come again soon.
    recent: Box<[u64; RECENT]>,
}

/// A power of two.
const RECENT: usize = 2048;

/// Many times the tokens of a block of usual logs (some 40,000), so that its repeats are taken out once, at its end.
const FULL_MIN: usize = 1 << 19;

impl Default for Tokens {
    fn default() -> Self {
        Self { hashes: Vec::new(), full: FULL_MIN, recent: Box::new([0; RECENT]) }
    }
}

impl Tokens {
    #[inline]
    fn insert(&mut self, hash: u64) {
        let recent = &mut self.recent[hash as usize % RECENT];
        if *recent != hash {
            *recent = hash;
            if self.hashes.len() == self.full {
                self.hashes = distinct(&self.hashes);
                self.full = FULL_MIN.max(self.hashes.len() * 2);
            }
            self.hashes.push(hash);
        }
    }

    /// Adds a folded word of a message; of one in the hole of a template the ends too, for searches for parts of words.
    pub(crate) fn add_word(&mut self, word: &[u8], in_hole: bool) {
        self.insert(token(Kind::Word, &[word]));
        if !in_hole {
            return;
        }
        let ends: [Option<&[u8; EDGE_BYTES]>; 2] = [word.first_chunk(), word.last_chunk()];
        for (end, kind) in ends.into_iter().zip([Kind::Head, Kind::Tail]) {
            if let Some(end) = end.filter(|end| !end.iter().any(u8::is_ascii_digit)) {
                self.insert(token(kind, &[end]));
            }
        }
    }

    /// Adds every token of a block but the words of its messages.
    pub(crate) fn add_batch(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        for (column, kind) in [(columns::TRACE_ID, Kind::TraceId), (columns::ORIGIN, Kind::Origin)] {
            let mut last: &[u8] = &[];
            for id in batch.column(column).as_fixed_size_binary().iter().flatten() {
                if id != last {
                    self.insert(token(kind, &[id]));
                    last = id;
                }
            }
        }
        for severity in batch.column(columns::SEVERITY).as_primitive::<UInt8Type>().iter().flatten() {
            self.insert(token(Kind::Severity, &[&[severity]]));
        }
        for (column, kind) in [(columns::SERVICE, Kind::Service), (columns::HOST, Kind::Host)] {
            self.add_text(batch.column(column), kind, &[]);
        }
        for (index, field) in columns::fields_of(batch.schema_ref()) {
            match field.kind {
                columns::Kind::String => self.add_text(batch.column(index), Kind::Field, field.name.as_bytes()),
                columns::Kind::Json => {
                    for text in batch.column(index).as_string::<i32>().iter().flatten() {
                        self.add_value(&field.name, &columns::from_json(text)?);
                    }
                }
                columns::Kind::Bool | columns::Kind::Double | columns::Kind::Int => {}
            }
        }
        if let Some(overflow) = columns::overflow_of(batch.schema_ref()) {
            for text in batch.column(overflow).as_string::<i32>().iter().flatten() {
                let rest = columns::overflow_fields(text)?;
                rest.attributes.iter().chain(&rest.resource).for_each(|(name, value)| self.add_value(name, value));
            }
        }
        Ok(())
    }

    fn add_text(&mut self, column: &ArrayRef, kind: Kind, name: &[u8]) {
        let bound = if matches!(kind, Kind::Service) { usize::MAX } else { VALUE_BYTES_MAX };
        let mut add = |text: &str| {
            if text.len() <= bound {
                match kind {
                    Kind::Service => self.insert(token(kind, &[text.as_bytes()])),
                    _ => self.insert(token(kind, &[name, text.as_bytes()])),
                }
            }
        };
        match Strings::new(column) {
            Some(Strings::Plain(texts)) => {
                let mut last = None;
                for text in texts.iter().flatten() {
                    if last.replace(text) != Some(text) {
                        add(text);
                    }
                }
            }
            // A dictionary may have values that no row of the block has.
            Some(Strings::Dictionary { keys, values }) => {
                let mut used = vec![false; values.len()];
                keys.iter().flatten().for_each(|key| used[key as usize] = true);
                values.iter().zip(used).filter(|(_, used)| *used).filter_map(|(value, _)| value).for_each(add);
            }
            None => {}
        }
    }

    /// Strings at any depth: an array equals what one of its elements does.
    fn add_value(&mut self, name: &str, value: &Value<'_>) {
        match value {
            Value::String(text) if text.len() <= VALUE_BYTES_MAX => {
                self.insert(token(Kind::Field, &[name.as_bytes(), text.as_bytes()]));
            }
            Value::Array(items) => items.iter().for_each(|item| self.add_value(name, item)),
            Value::Map(fields) => fields.iter().for_each(|(_, value)| self.add_value(name, value)),
            _ => {}
        }
    }

    /// The filter of the tokens, and none left.
    pub(crate) fn take_filter(&mut self) -> (Filter, Vec<u8>) {
        let hashes = distinct(&self.hashes);
        self.hashes.clear();
        self.full = FULL_MIN;
        self.recent.fill(0);
        fuse::build(&hashes)
    }
}
