//! What a query reads at once: a chunk in memory or a block of a segment.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, Int64Array, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{take, take_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef, UInt32Type};
use model::RecordId;
use model::cursor::SortKey;
use store::StoreError;

use super::control::{self, Control};
use super::templates::Message;
use crate::chunk::{Chunk, Snapshot};
use crate::columns;
use crate::filter::Needs;
use crate::segment::{BlockTemplates, Coded, Dictionary, Segment, SegmentMeta, ValueCounts, Words};

/// Rows that are sorted by (time, id).
#[derive(Debug, Clone)]
pub(super) enum Unit {
    Chunk(Arc<Chunk>),
    Block { segment: Arc<Segment>, meta: Arc<SegmentMeta>, block: usize },
}

impl Unit {
    /// The blocks of a segment that overlap the range and may hold what is needed.
    pub(super) fn of_segment(
        segment: &Arc<Segment>,
        range: &Range<i64>,
        needs: &Needs,
    ) -> Result<Vec<Unit>, StoreError> {
        let meta = segment.meta()?;
        let overlaps = |block: &usize| {
            let block = &meta.blocks[*block];
            block.ts_max >= range.start && block.ts_min < range.end
        };
        let within: Vec<usize> = (0..meta.blocks.len()).filter(overlaps).collect();
        let unit = |block| Unit::Block { segment: segment.clone(), meta: meta.clone(), block };
        Ok(segment.filter_blocks(needs, &within)?.into_iter().map(unit).collect())
    }

    /// Every unit of a snapshot that overlaps the range and may hold what is needed.
    pub(super) fn of_snapshot(
        control: &Control,
        snapshot: &Snapshot,
        range: &Range<i64>,
        needs: &Needs,
    ) -> Result<Vec<Unit>, StoreError> {
        let chunks = snapshot.chunks.iter().filter(|chunk| chunk.ts_max >= range.start && chunk.ts_min < range.end);
        let mut units: Vec<_> = chunks.map(|chunk| Unit::Chunk(chunk.clone())).collect();
        let overlaps =
            |segment: &&Arc<Segment>| segment.entry().ts_max >= range.start && segment.entry().ts_min < range.end;
        let segments: Vec<_> = snapshot.segments.iter().filter(overlaps).collect();
        let of_segments = control::map(control, &segments, |segment| Self::of_segment(segment, range, needs))?;
        units.extend(of_segments.into_iter().flatten());
        Ok(units)
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Chunk(chunk) => chunk.rows(),
            Self::Block { meta, block, .. } => meta.blocks[*block].rows,
        }
    }

    /// Lowest and highest timestamp.
    pub(super) fn times(&self) -> (i64, i64) {
        match self {
            Self::Chunk(chunk) => (chunk.ts_min, chunk.ts_max),
            Self::Block { meta, block, .. } => (meta.blocks[*block].ts_min, meta.blocks[*block].ts_max),
        }
    }

    /// How many rows have each value of a column, if that is known without a look at them.
    pub(super) fn value_counts(&self, column: usize) -> Result<Option<ValueCounts>, StoreError> {
        match self {
            Self::Chunk(_) => Ok(None),
            Self::Block { segment, block, .. } => segment.value_counts(*block, column),
        }
    }

    /// Whether all its times lie in a range.
    pub(super) fn is_within(&self, range: &Range<i64>) -> bool {
        let (min, max) = self.times();
        range.start <= min && max < range.end
    }

    /// Whether some row has a value in a column.
    pub(super) fn has_values(&self, column: usize) -> Result<bool, StoreError> {
        match self {
            Self::Chunk(chunk) => Ok(chunk.batch.column(column).null_count() < chunk.rows()),
            Self::Block { segment, block, .. } => segment.has_values(*block, column),
        }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        match self {
            Self::Chunk(chunk) => chunk.batch.schema_ref(),
            Self::Block { meta, .. } => &meta.schema,
        }
    }

    /// Reads columns of all rows, or of the given ones (rising), and says how many bytes that took.
    pub(super) fn read(&self, columns: &[usize], rows: Option<&[u32]>) -> Result<(RecordBatch, u64), StoreError> {
        match self {
            Self::Chunk(chunk) => {
                let batch = chunk.batch.project(columns).map_err(internal)?;
                let batch = match rows {
                    Some(rows) => take_record_batch(&batch, &UInt32Array::from(rows.to_vec())).map_err(internal)?,
                    None => batch,
                };
                Ok((batch, 0))
            }
            Self::Block { segment, block, .. } => {
                let read = segment.read(*block, columns, rows)?;
                Ok((read.batch, read.bytes))
            }
        }
    }
}

fn internal(error: impl std::fmt::Display) -> StoreError {
    StoreError::Internal(error.to_string())
}

/// The templates of a block's messages.
#[derive(Debug, Clone)]
pub(super) struct Templates {
    pub(super) segment: Arc<Segment>,
    /// Which block of the segment.
    at: usize,
    pub(super) dictionary: Arc<Dictionary>,
    pub(super) block: Arc<BlockTemplates>,
}

/// The columns of a unit, read when they are first asked for.
#[derive(Debug)]
pub(super) struct Rows<'u> {
    pub(super) unit: &'u Unit,
    /// Which rows of the unit these are, rising; None: all.
    picked: Option<Vec<u32>>,
    columns: Vec<Option<ArrayRef>>,
    /// Columns that were read as codes.
    codes: HashMap<usize, Arc<Coded>>,
    templates: Option<Templates>,
    /// Read so far.
    pub(super) bytes: u64,
}

impl<'u> Rows<'u> {
    pub(super) fn new(unit: &'u Unit) -> Self {
        let columns = vec![None; unit.schema().fields().len()];
        Self { unit, picked: None, columns, codes: HashMap::new(), templates: None, bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.picked.as_ref().map_or(self.unit.rows(), Vec::len)
    }

    /// Goes on with the rows of a mask when these are few: of a column that was not read yet only they are. Gives the
    /// mask for the rows that it goes on with.
    pub(super) fn narrow(&mut self, mask: BooleanBuffer) -> Result<BooleanBuffer, StoreError> {
        let matched = mask.count_set_bits();
        if !self.are_few(matched) {
            return Ok(mask);
        }
        let picked: Vec<u32> = mask.set_indices_u32().collect();
        let indexes = UInt32Array::from(picked.clone());
        for column in self.columns.iter_mut().flatten() {
            *column = take(column, &indexes, None).map_err(internal)?;
        }
        self.picked = Some(picked);
        Ok(BooleanBuffer::new_set(matched))
    }

    /// Whether so many rows are better read by themselves than with all others.
    fn are_few(&self, rows: usize) -> bool {
        self.picked.is_none() && rows * 8 < self.len() && matches!(self.unit, Unit::Block { .. })
    }

    /// Reads those of these columns that were not read yet, at once.
    pub(super) fn load(&mut self, columns: &[usize]) -> Result<(), StoreError> {
        for column in columns {
            if self.columns[*column].is_none()
                && let Some(coded) = self.codes.get(column)
            {
                let data_type = self.unit.schema().field(*column).data_type();
                self.columns[*column] = Some(coded.array(data_type, self.picked.as_deref()).map_err(internal)?);
            }
        }
        let mut missing: Vec<usize> =
            columns.iter().copied().filter(|column| self.columns[*column].is_none()).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let (batch, bytes) = self.unit.read(&missing, self.picked.as_deref())?;
        self.bytes += bytes;
        for (column, array) in missing.into_iter().zip(batch.columns()) {
            self.columns[column] = Some(array.clone());
        }
        Ok(())
    }

    pub(super) fn column(&mut self, column: usize) -> Result<ArrayRef, StoreError> {
        self.load(&[column])?;
        self.columns[column].clone().ok_or_else(|| internal("a column is missing"))
    }

    /// The values of a column and which row has which, if it is written so and was not read as an array.
    pub(super) fn codes(&mut self, column: usize) -> Result<Option<Arc<Coded>>, StoreError> {
        let Unit::Block { segment, block, .. } = self.unit else { return Ok(None) };
        if self.picked.is_some() || self.columns[column].is_some() {
            return Ok(None);
        }
        if !self.codes.contains_key(&column)
            && let Some((coded, bytes)) = segment.codes(*block, column)?
        {
            self.bytes += bytes;
            self.codes.insert(column, Arc::new(coded));
        }
        Ok(self.codes.get(&column).cloned())
    }

    /// A column of some rows only, unless it was read whole before.
    pub(super) fn column_at(&mut self, column: usize, rows: &[u32]) -> Result<Sparse, StoreError> {
        if self.columns[column].is_some() || !self.are_few(rows.len()) {
            return Ok(Sparse::Whole(self.column(column)?));
        }
        let (batch, bytes) = self.unit.read(&[column], Some(rows))?;
        self.bytes += bytes;
        Ok(Sparse::Picked(batch.column(0).clone()))
    }

    /// The templates of the messages, when these are stored so and were not read yet.
    pub(super) fn templates(&mut self) -> Result<Option<Templates>, StoreError> {
        let Unit::Block { segment, block: at, .. } = self.unit else { return Ok(None) };
        // They are of all rows.
        if self.picked.is_some() {
            return Ok(None);
        }
        if self.templates.is_none() && self.columns[columns::MESSAGE].is_none() {
            let (dictionary, block, bytes) = segment.templates(*at)?;
            self.bytes += bytes;
            self.templates = Some(Templates { segment: segment.clone(), at: *at, dictionary, block: Arc::new(block) });
        }
        Ok(self.templates.clone())
    }

    /// Whether the unit may hold what is needed.
    pub(super) fn may_hold(&self, needs: &Needs) -> Result<bool, StoreError> {
        match self.unit {
            Unit::Chunk(_) => Ok(true),
            Unit::Block { segment, block, .. } => Ok(!segment.filter_blocks(needs, &[*block])?.is_empty()),
        }
    }

    /// For each row the place of its template among those of the block.
    pub(super) fn template_rows(&mut self, templates: &Templates) -> Result<Vec<u16>, StoreError> {
        let (rows, bytes) = templates.segment.template_rows(templates.at, &templates.block)?;
        self.bytes += bytes;
        Ok(rows)
    }

    /// Which messages of the templates at these places match: row by row of each. A template that has no match may have
    /// none of its rows there. `words`: theirs, if they were read.
    pub(super) fn matches_of(
        &mut self,
        templates: &Templates,
        places: &[usize],
        words: Option<Words>,
        message: &Message,
    ) -> Result<Vec<Vec<bool>>, StoreError> {
        let Some(automaton) = message.automaton() else { return Ok(vec![Vec::new(); places.len()]) };
        let Templates { segment, at, .. } = templates;
        let words = match words {
            Some(words) => words,
            None => {
                let mut wanted = vec![false; templates.block.len()];
                places.iter().for_each(|place| wanted[*place] = true);
                let (words, bytes) = segment.words_of(*at, &templates.block, wanted)?;
                self.bytes += bytes;
                words
            }
        };
        let step = |state, bytes: &[u8]| automaton.step(state, bytes);
        let over = |state| automaton.over(state);
        let matches = places.iter().map(|&place| {
            if words.bytes(place).is_some_and(|words| !message.can_be_of_words(words)) {
                return Ok(Vec::new());
            }
            let states = templates.block.fold(&templates.dictionary, place, &words, automaton.start(), step, over);
            let states = states.ok_or_else(|| segment.corrupt(format!("the words of block {at} can't be read")))?;
            Ok(states.into_iter().map(|state| automaton.matches(state)).collect())
        });
        matches.collect()
    }

    /// By place, whether messages of a template can match by the words in its holes, or have no template; and those
    /// words.
    pub(super) fn places_of_words(
        &mut self,
        templates: &Templates,
        message: &Message,
    ) -> Result<(Vec<bool>, Words), StoreError> {
        let numbers = templates.block.numbers();
        let with_holes = numbers.iter().map(|number| templates.dictionary.holes(*number) > 0).collect();
        let (words, bytes) = templates.segment.words_of(templates.at, &templates.block, with_holes)?;
        self.bytes += bytes;
        let possible = |(place, number): (usize, &u16)| {
            *number == 0 || words.bytes(place).is_some_and(|words| message.can_be_of_words(words))
        };
        Ok((numbers.iter().enumerate().map(possible).collect(), words))
    }

    /// The words that stand in holes of templates, as [`Segment::words`] gives them.
    pub(super) fn words(&mut self) -> Result<Vec<Vec<u8>>, StoreError> {
        let Unit::Block { segment, block, .. } = self.unit else { return Ok(Vec::new()) };
        let (words, bytes) = segment.words(*block)?;
        self.bytes += bytes;
        Ok(words)
    }

    pub(super) fn timestamps(&mut self) -> Result<Int64Array, StoreError> {
        Ok(self.column(columns::TS)?.as_primitive::<Int64Type>().clone())
    }

    /// The rows within a range of times. They are a run, as rows are sorted by time.
    pub(super) fn within(&mut self, range: &Range<i64>) -> Result<Range<usize>, StoreError> {
        if self.unit.is_within(range) {
            return Ok(0..self.len());
        }
        let times = self.timestamps()?;
        let start = times.values().partition_point(|time| *time < range.start);
        let end = times.values().partition_point(|time| *time < range.end);
        Ok(start..end.max(start))
    }
}

/// A column of some rows.
#[derive(Debug)]
pub(super) enum Sparse {
    /// Of all rows.
    Whole(ArrayRef),
    /// Of the rows that were asked for, in their order.
    Picked(ArrayRef),
}

/// The sort keys of rows.
#[derive(Debug)]
pub(super) struct Keys {
    timestamps: Int64Array,
    origins: FixedSizeBinaryArray,
    indexes: UInt32Array,
}

impl Keys {
    pub(super) const COLUMNS: [usize; 3] = [columns::TS, columns::ORIGIN, columns::IDX];

    /// Takes a batch of [`Keys::COLUMNS`].
    pub(super) fn new(batch: &RecordBatch) -> Self {
        Self {
            timestamps: batch.column(0).as_primitive::<Int64Type>().clone(),
            origins: batch.column(1).as_fixed_size_binary().clone(),
            indexes: batch.column(2).as_primitive::<UInt32Type>().clone(),
        }
    }

    pub(super) fn get(&self, row: usize) -> SortKey {
        let origin = self.origins.value(row).try_into().map_or(0, u128::from_be_bytes);
        SortKey { timestamp: self.timestamps.value(row), id: RecordId { origin, index: self.indexes.value(row) } }
    }
}

/// A mask of `len` rows that holds a run of them.
pub(super) fn run_mask(run: &Range<usize>, len: usize) -> BooleanBuffer {
    if run.len() == len {
        return BooleanBuffer::new_set(len);
    }
    let mut mask = arrow::array::BooleanBufferBuilder::new(len);
    mask.append_n(run.start, false);
    mask.append_n(run.len(), true);
    mask.append_n(len - run.end, false);
    mask.finish()
}
