//! Merging sorted batches into one sorted run, block by block, in bounded memory.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use arrow::array::{Array, AsArray, RecordBatch, new_null_array};
use arrow::compute::{cast, interleave_record_batch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, UInt32Type};
use model::{Batch, RecordId};
use store::StoreError;

use crate::columns::{self, FieldColumn, RecordReader};

/// The columns that merged batches get.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) schema: SchemaRef,
    fields: BTreeSet<FieldColumn>,
    overflow: bool,
}

/// Counts how many rows have each field, to choose which get columns.
#[derive(Debug, Default)]
pub(crate) struct Coverage(BTreeMap<FieldColumn, u64>);

impl Coverage {
    pub(crate) fn add(&mut self, field: FieldColumn, rows: u64) {
        if rows > 0 {
            *self.0.entry(field).or_default() += rows;
        }
    }

    /// Counts the field columns of a batch and what stands in `overflow`.
    pub(crate) fn add_batch(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        for (index, field) in columns::fields_of(batch.schema_ref()) {
            let column = batch.column(index);
            self.add(field, (column.len() - column.null_count()) as u64);
        }
        self.add_overflow(batch)
    }

    /// Counts what stands in `overflow`, if the batch has it.
    pub(crate) fn add_overflow(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        let Some(overflow) = columns::overflow_of(batch.schema_ref()) else { return Ok(()) };
        for text in batch.column(overflow).as_string::<i32>().iter().flatten() {
            let rest = columns::overflow_fields(text)?;
            for (scope, fields) in
                [(columns::Scope::Attribute, rest.attributes), (columns::Scope::Resource, rest.resource)]
            {
                for (name, value) in fields {
                    let kind = columns::Kind::of(&value);
                    self.add(FieldColumn { scope, kind, name: (*name).into() }, 1);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn target(self) -> Target {
        let (fields, overflow) = columns::choose_fields(self.0.into_iter().map(|(f, rows)| (rows, f)).collect());
        Target { schema: columns::schema(&fields, overflow), fields, overflow }
    }
}

impl Target {
    /// The same with messages as views, which merging does not copy: for segments, which take messages apart.
    pub(crate) fn with_message_views(self) -> Self {
        Self { schema: columns::with_messages_as(&self.schema, DataType::Utf8View), ..self }
    }

    /// The batch with these columns; its rows stay in order.
    fn conform(&self, batch: RecordBatch) -> Result<RecordBatch, StoreError> {
        if batch.schema_ref() == &self.schema {
            return Ok(batch);
        }
        let known = columns::fields_of(batch.schema_ref()).all(|(_, field)| self.fields.contains(&field));
        let batch =
            if known && columns::overflow_of(batch.schema_ref()).is_none() { batch } else { self.rebuild(&batch)? };
        let arrays = self.schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
            // Text, plain in one and a dictionary or views in the other.
            Some(column) => cast(column, field.data_type()).map_err(internal),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        });
        let arrays = arrays.collect::<Result<_, StoreError>>()?;
        RecordBatch::try_new(self.schema.clone(), arrays).map_err(internal)
    }

    /// Moves fields between their columns and `overflow`: rare, so it goes through records.
    fn rebuild(&self, batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
        let reader = RecordReader::new(batch)?;
        let mut rows = Batch::new("".into());
        for row in 0..batch.num_rows() {
            rows.push(&reader.record(row, "")?);
        }
        columns::encode(&rows, &self.fields, self.overflow).map_err(internal)
    }
}

/// A sorted run of batches, each sorted by (time, id), in order.
pub(crate) type Source<'s> = Box<dyn Iterator<Item = Result<RecordBatch, StoreError>> + 's>;

/// A block of messages as views ends with so many bytes of them: Arrow's text columns end at 2 GiB.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// Merges sorted runs. Holds one batch of each run and one block of output.
pub(crate) struct Merge<'s> {
    target: Target,
    block_rows: usize,
    sources: Vec<Source<'s>>,
    heap: BinaryHeap<Cursor>,
    /// The batches that cursors and `picked` point into.
    batches: Vec<RecordBatch>,
    picked: Vec<(usize, usize)>,
}

impl<'s> Merge<'s> {
    pub(crate) fn new(target: Target, block_rows: usize, sources: Vec<Source<'s>>) -> Result<Self, StoreError> {
        let heap = BinaryHeap::with_capacity(sources.len());
        let picked = Vec::with_capacity(block_rows);
        let mut merge = Self { target, block_rows, sources, heap, batches: Vec::new(), picked };
        for source in 0..merge.sources.len() {
            merge.advance(source)?;
        }
        Ok(merge)
    }

    /// The next block: full, but for the last and where messages are very long; None after it.
    pub(crate) fn next_block(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        self.picked.clear();
        let mut bytes = 0;
        while self.picked.len() < self.block_rows && bytes < MESSAGE_BYTES_MAX {
            let Some(mut cursor) = self.heap.pop() else { break };
            let bound = self.heap.peek().map(|next| next.key);
            let views = self.batches[cursor.batch].column(columns::MESSAGE).as_string_view_opt();
            // Runs of one source are taken without going through the heap for each row.
            loop {
                self.picked.push((cursor.batch, cursor.row));
                // The lowest half of a view is its length.
                bytes += views.map_or(0, |messages| messages.views()[cursor.row] as u32 as usize);
                let more = cursor.step(&self.batches[cursor.batch]);
                let full = self.picked.len() == self.block_rows || bytes >= MESSAGE_BYTES_MAX;
                if !more || full || bound.is_some_and(|bound| cursor.key > bound) {
                    if more {
                        self.heap.push(cursor);
                    } else {
                        self.advance(cursor.source)?;
                    }
                    break;
                }
            }
        }
        if self.picked.is_empty() {
            return Ok(None);
        }
        let block = self.gather()?;
        self.forget_read_batches();
        Ok(Some(block))
    }

    fn advance(&mut self, source: usize) -> Result<(), StoreError> {
        for batch in self.sources[source].by_ref() {
            let batch = self.target.conform(batch?)?;
            if batch.num_rows() > 0 {
                self.heap.push(Cursor { key: Key::at(&batch, 0), batch: self.batches.len(), row: 0, source });
                self.batches.push(batch);
                break;
            }
        }
        Ok(())
    }

    fn gather(&self) -> Result<RecordBatch, StoreError> {
        let (first, start) = self.picked[0];
        let in_a_row = self.picked.iter().enumerate().all(|(at, picked)| *picked == (first, start + at));
        if in_a_row {
            return Ok(self.batches[first].slice(start, self.picked.len()));
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        interleave_record_batch(&batches, &self.picked).map_err(internal)
    }

    fn forget_read_batches(&mut self) {
        let mut kept = Vec::with_capacity(self.heap.len());
        let cursors = std::mem::take(&mut self.heap).into_vec();
        let cursors = cursors.into_iter().map(|mut cursor| {
            kept.push(self.batches[cursor.batch].clone());
            cursor.batch = kept.len() - 1;
            cursor
        });
        self.heap = cursors.collect();
        self.batches = kept;
    }
}

/// What records are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) ts: i64,
    origin: u128,
    idx: u32,
}

impl Key {
    pub(crate) fn at(batch: &RecordBatch, row: usize) -> Self {
        let origin = batch.column(columns::ORIGIN).as_fixed_size_binary().value(row);
        Self {
            ts: batch.column(columns::TS).as_primitive::<Int64Type>().value(row),
            origin: origin.try_into().map_or(0, u128::from_be_bytes),
            idx: batch.column(columns::IDX).as_primitive::<UInt32Type>().value(row),
        }
    }

    pub(crate) fn id(self) -> RecordId {
        RecordId { origin: self.origin, index: self.idx }
    }
}

/// The next row of a source.
#[derive(Debug, PartialEq, Eq)]
struct Cursor {
    key: Key,
    batch: usize,
    row: usize,
    source: usize,
}

impl Cursor {
    fn step(&mut self, batch: &RecordBatch) -> bool {
        self.row += 1;
        let more = self.row < batch.num_rows();
        if more {
            self.key = Key::at(batch, self.row);
        }
        more
    }
}

/// The lowest key is the greatest, since the heap gives the greatest first.
impl Ord for Cursor {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key).then_with(|| other.source.cmp(&self.source))
    }
}

impl PartialOrd for Cursor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// All rows of these batches as one.
pub(crate) fn merge_all(batches: Vec<RecordBatch>) -> Result<RecordBatch, StoreError> {
    let mut coverage = Coverage::default();
    let mut rows = 0;
    for batch in &batches {
        coverage.add_batch(batch)?;
        rows += batch.num_rows();
    }
    let target = coverage.target();
    let schema = target.schema.clone();
    let sources = batches.into_iter().map(|batch| Box::new(std::iter::once(Ok(batch))) as Source<'_>).collect();
    let merged = Merge::new(target, rows.max(1), sources)?.next_block()?;
    Ok(merged.unwrap_or_else(|| RecordBatch::new_empty(schema)))
}

pub(crate) fn internal(error: impl std::fmt::Display) -> StoreError {
    StoreError::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use arrow::array::UInt32Array;
    use arrow::compute::take_record_batch;
    use model::Record;

    use super::*;

    #[test]
    fn a_block_of_long_messages_ends_early() {
        let mut rows = Batch::new("p".into());
        rows.push(&Record { message: "x".repeat(1 << 20).into(), ..Record::default() });
        let batch = columns::batch_to_columns(&rows).expect("columns");
        let mut coverage = Coverage::default();
        coverage.add_batch(&batch).expect("counted");
        let target = coverage.target().with_message_views();
        let batch = target.conform(batch).expect("views");
        // Views of one text, so that it takes no room.
        let many = take_record_batch(&batch, &UInt32Array::from(vec![0; 300])).expect("views");
        let source = Box::new(std::iter::once(Ok(many))) as Source<'_>;
        let mut merge = Merge::new(target, 1_000, vec![source]).expect("a merge");
        let lengths = std::iter::from_fn(|| merge.next_block().expect("a block")).map(|block| block.num_rows());
        assert_eq!(lengths.collect::<Vec<_>>(), [256, 44]);
    }
}
