//! The token filter of a block: which words, ids and text fields it may hold.

mod block;
mod fuse;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::UInt8Type;
use model::{RecordId, TraceId, Value};
use store::StoreError;
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use block::BlockFilter;
pub(crate) use fuse::Filter;

use crate::columns::{self, Strings};

/// What a block must hold to have a match, as far as a filter can tell. It only narrows: a block that passes may
/// hold no match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Needs {
    /// Nothing that a filter could know: every block passes.
    #[default]
    Nothing,
    /// This token.
    Token(u64),
    All(Vec<Needs>),
    /// At least one; none passes when it is empty.
    Any(Vec<Needs>),
}

/// Of a word in the hole of a template so much of both ends is in the filter, if it has no digit.
pub(crate) const EDGE_BYTES: usize = 3;

/// Longest text of a field that is in the filter.
const VALUE_BYTES_MAX: usize = 128;

impl Needs {
    /// A whole folded word of the message, as `model::query::words` cuts it.
    pub fn word(folded: &[u8]) -> Self {
        Self::Token(token(Kind::Word, &[folded]))
    }

    /// A word in the hole of a template that begins with these three bytes.
    pub(crate) fn head(folded: [u8; EDGE_BYTES]) -> Self {
        Self::Token(token(Kind::Head, &[&folded]))
    }

    /// A word in the hole of a template that ends with these three bytes.
    pub(crate) fn tail(folded: [u8; EDGE_BYTES]) -> Self {
        Self::Token(token(Kind::Tail, &[&folded]))
    }

    pub fn trace_id(id: TraceId) -> Self {
        Self::Token(token(Kind::TraceId, &[&id.0]))
    }

    /// Some record of the request that `id` came with.
    pub fn id(id: RecordId) -> Self {
        Self::Token(token(Kind::Origin, &[&id.origin.to_be_bytes()]))
    }

    pub fn service(value: &str) -> Self {
        Self::Token(token(Kind::Service, &[value.as_bytes()]))
    }

    pub fn host(value: &str) -> Self {
        Self::field_token(Kind::Host, &[], value)
    }

    /// An attribute or resource value `name` that is this string, or an array with this string in it. Numbers and
    /// booleans are not in the filter: ask only when the text can't be one ([`model::query::Literal`] has neither
    /// number nor boolean).
    pub fn field(name: &str, value: &str) -> Self {
        Self::field_token(Kind::Field, name.as_bytes(), value)
    }

    pub fn severity(number: u8) -> Self {
        Self::Token(token(Kind::Severity, &[&[number]]))
    }

    fn field_token(kind: Kind, name: &[u8], value: &str) -> Self {
        if value.len() > VALUE_BYTES_MAX {
            return Self::Nothing;
        }
        Self::Token(token(kind, &[name, value.as_bytes()]))
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Word = 1,
    TraceId,
    Origin,
    Service,
    Host,
    Field,
    Severity,
    Head,
    Tail,
}

/// The hash that stands for a token, never 0. It is part of the file format.
fn token(kind: Kind, parts: &[&[u8]]) -> u64 {
    parts.iter().fold(kind as u64, |seed, part| xxh3_64_with_seed(part, seed)).max(1)
}

/// The distinct tokens of a block: a set of hashes in one array, kept and cleared from block to block.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// 0 is free; its length is a power of two.
    slots: Vec<u64>,
    len: usize,
    /// Some of those that came last, by their lowest bits: most tokens come again soon, and this stays in the
    /// processor's cache, which the slots do not.
    recent: Box<[u64; RECENT]>,
}

/// A power of two.
const RECENT: usize = 2048;

impl Default for Tokens {
    fn default() -> Self {
        Self { slots: Vec::new(), len: 0, recent: Box::new([0; RECENT]) }
    }
}

impl Tokens {
    #[inline]
    fn insert(&mut self, hash: u64) {
        let recent = &mut self.recent[hash as usize % RECENT];
        if *recent != hash {
            *recent = hash;
            self.insert_in_slots(hash);
        }
    }

    fn insert_in_slots(&mut self, hash: u64) {
        if self.len * 2 >= self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != 0 {
            if self.slots[at] == hash {
                return;
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = hash;
        self.len += 1;
    }

    fn grow(&mut self) {
        let larger = (self.slots.len() * 2).max(1024);
        let old = std::mem::replace(&mut self.slots, vec![0; larger]);
        self.len = 0;
        old.into_iter().filter(|hash| *hash != 0).for_each(|hash| self.insert_in_slots(hash));
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
        let hashes: Vec<u64> = self.slots.iter().copied().filter(|hash| *hash != 0).collect();
        self.slots.fill(0);
        self.recent.fill(0);
        self.len = 0;
        fuse::build(&hashes)
    }
}
