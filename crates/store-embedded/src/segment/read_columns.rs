//! Reading the columns of a block: only the chunks asked for, each held against its checksum.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::Int64Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use store::StoreError;

use super::cache::Opened;
use super::coded_chunk::{self, Coded};
use super::read::Segment;
use super::stored::Chunks;
use crate::columns;

/// Chunks that are no further apart are read at once: what lies between costs less than another read.
const GAP_BYTES_MAX: u64 = 16 << 10;

/// Rows of a block.
#[derive(Debug)]
pub struct Block {
    pub batch: RecordBatch,
    /// Bytes of the chunks and frames that were read.
    pub bytes: u64,
}

impl Segment {
    /// Reads the columns of one block in the order of `columns` (indexes into the schema, each once; may be empty), of
    /// all rows or of those `picked` (rising).
    ///
    /// # Errors
    /// As [`Segment::meta`]; internal, when block, column or row is not in the file.
    pub fn read(&self, block: usize, columns: &[usize], picked: Option<&[u32]>) -> Result<Block, StoreError> {
        let opened = self.opened()?;
        let schema = &opened.meta.schema;
        let stored = self.index_block(&opened, block)?;
        let all = stored.meta.rows;
        if !columns.iter().all(|column| *column < schema.fields().len())
            || picked.and_then(<[u32]>::last).is_some_and(|row| *row as usize >= all)
        {
            return Err(StoreError::Internal(format!("{} has no such column or row", self.entry().file_name())));
        }
        let rows = picked.map_or(all, <[u32]>::len);
        let with_values = |column: &usize| rows > 0 && stored.chunks[*column].rows > 0;
        let read: Vec<usize> = columns.iter().copied().filter(with_values).collect();
        let chunks = Arc::new(self.chunks(&opened, block, &read)?);
        let mut bytes = chunks.bytes();
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; columns.len()];
        for (column, array) in columns.iter().zip(&mut arrays) {
            let data_type = schema.field(*column).data_type();
            *array = if with_values(column) {
                let chunk = opened.arrow.metadata().row_group(block).column(*column);
                let coded = coded_chunk::is_coded(chunk)
                    .then(|| coded_chunk::read_array(&chunks, chunk, data_type, all, picked))
                    .transpose();
                coded.map_err(|e| self.corrupt(e))?.flatten()
            } else {
                Some(new_null_array(data_type, rows))
            };
        }
        let others = columns.iter().zip(&arrays).filter(|(_, array)| array.is_none());
        let others: Vec<usize> = others.map(|(column, _)| *column).collect();
        let mut read = self.read_others(&opened, block, chunks, &others, picked)?.into_iter();
        arrays.iter_mut().filter(|array| array.is_none()).for_each(|array| *array = read.next());
        let arrays = arrays.into_iter().flatten().collect();
        let projected = Arc::new(schema.project(columns).map_err(|e| self.corrupt(e))?);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let mut batch = RecordBatch::try_new_with_options(projected, arrays, &options).map_err(|e| self.corrupt(e))?;
        if let Some(at) = columns.iter().position(|column| *column == columns::MESSAGE && rows > 0) {
            let (with_messages, more) = match picked {
                Some(picked) => self.with_messages(&opened, block, batch, at, picked)?,
                None => self.with_messages(&opened, block, batch, at, &(0..all as u32).collect::<Vec<_>>())?,
            };
            batch = with_messages;
            bytes += more;
        }
        for (column, unit) in super::TIMES.into_iter().zip(stored.units) {
            if let Some(at) = columns.iter().position(|other| *other == column) {
                batch = self.in_nanoseconds(batch, at, unit)?;
            }
        }
        Ok(Block { batch, bytes })
    }

    /// Whether some row of a block has a value in a column.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub(crate) fn has_values(&self, block: usize, column: usize) -> Result<bool, StoreError> {
        let opened = self.opened()?;
        Ok(self.index_block(&opened, block)?.chunks.get(column).is_some_and(|chunk| chunk.rows > 0))
    }

    /// The values of one column of a block and which row has which, if it is written so; and the bytes that were read.
    /// Not for times.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub(crate) fn codes(&self, block: usize, column: usize) -> Result<Option<(Coded, u64)>, StoreError> {
        if !self.has_values(block, column)? || super::TIMES.contains(&column) {
            return Ok(None);
        }
        let opened = self.opened()?;
        let chunk = opened.arrow.metadata().row_group(block).column(column);
        if !coded_chunk::is_coded(chunk) {
            return Ok(None);
        }
        let chunks = Arc::new(self.chunks(&opened, block, &[column])?);
        let (data_type, rows) = (opened.meta.schema.field(column).data_type(), opened.meta.blocks[block].rows);
        let coded = coded_chunk::read_codes(&chunks, chunk, data_type, rows).map_err(|e| self.corrupt(e))?;
        Ok(coded.map(|coded| (coded, chunks.bytes())))
    }

    /// Columns that Parquet's own reader reads, in their order.
    fn read_others(
        &self,
        opened: &Opened,
        block: usize,
        chunks: Arc<Chunks>,
        columns: &[usize],
        picked: Option<&[u32]>,
    ) -> Result<Vec<ArrayRef>, StoreError> {
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let all = opened.index.blocks[block].meta.rows;
        let rows = picked.map_or(all, <[u32]>::len);
        let mask = ProjectionMask::leaves(opened.arrow.parquet_schema(), columns.iter().copied());
        let chunks = Arc::unwrap_or_clone(chunks);
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, opened.arrow.clone())
            .with_row_groups(vec![block])
            .with_batch_size(rows)
            .with_projection(mask);
        if let Some(picked) = picked {
            builder = builder.with_row_selection(selection(picked, all));
        }
        let read = builder.build().map_err(|e| self.corrupt(e))?.next().transpose().map_err(|e| self.corrupt(e))?;
        let batch = read.filter(|batch| batch.num_rows() == rows).ok_or_else(|| self.corrupt("rows are missing"))?;
        // The reader gives columns in the file's order.
        let place = |column: &usize| columns.iter().filter(|other| *other < column).count();
        Ok(columns.iter().map(|column| batch.column(place(column)).clone()).collect())
    }

    fn in_nanoseconds(&self, batch: RecordBatch, at: usize, unit: u32) -> Result<RecordBatch, StoreError> {
        if unit == 1 {
            return Ok(batch);
        }
        let (schema, mut arrays, _) = batch.into_parts();
        let times =
            arrays[at].as_primitive_opt::<Int64Type>().ok_or_else(|| self.corrupt("its times are no numbers"))?;
        arrays[at] = Arc::new(times.unary::<_, Int64Type>(|time| time.wrapping_mul(i64::from(unit))));
        RecordBatch::try_new(schema, arrays).map_err(|e| self.corrupt(e))
    }

    /// Reads whole column chunks.
    pub(super) fn chunks(&self, opened: &Opened, block: usize, columns: &[usize]) -> Result<Chunks, StoreError> {
        let group = opened.arrow.metadata().row_group(block);
        let place = |column: &usize| {
            let (start, len) = group.column(*column).byte_range();
            (start, start.saturating_add(len), *column)
        };
        let mut places: Vec<(u64, u64, usize)> = columns.iter().map(place).collect();
        places.sort_unstable();
        let mut parts = Vec::with_capacity(columns.len());
        for near in places.chunk_by(|a, b| b.0.saturating_sub(a.1) <= GAP_BYTES_MAX) {
            let first = near[0].0;
            let last = near.iter().map(|(_, end, _)| *end).max().unwrap_or(first);
            let read = self.pread(&opened.file, first, (last - first) as usize)?;
            for (start, end, column) in near {
                let chunk = read.slice((start - first) as usize..(end - first) as usize);
                let crc = opened.index.blocks[block].chunks.get(*column).map(|chunk| chunk.crc);
                if crc != Some(crc32c::crc32c(&chunk)) {
                    return Err(self.corrupt(format!("the checksum of column {column} of block {block} is wrong")));
                }
                parts.push((*start, chunk));
            }
        }
        Ok(Chunks { len: self.entry().bytes, parts })
    }
}

/// Rising rows as runs to skip and to read.
fn selection(rows: &[u32], total: usize) -> RowSelection {
    let mut selectors = Vec::new();
    let mut at = 0;
    let mut runs = rows.chunk_by(|a, b| a + 1 == *b).map(|run| (run[0] as usize, run.len()));
    for (start, length) in &mut runs {
        if start > at {
            selectors.push(RowSelector::skip(start - at));
        }
        selectors.push(RowSelector::select(length));
        at = start + length;
    }
    if at < total {
        selectors.push(RowSelector::skip(total - at));
    }
    selectors.into()
}
