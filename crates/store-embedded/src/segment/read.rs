//! Reading a segment: only the column chunks asked for, each held against its checksum.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::{Buf, Bytes};
use model::crash::crash_point;
use parking_lot::Mutex;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use store::StoreError;

use super::index::{FILTER_PAGE, Index};
use super::{SegmentEntry, SegmentMeta};
use crate::columns::{self, FieldColumn};
use crate::filter::Needs;

/// One file of records, opened when it is first asked for more than its entry.
#[derive(Debug)]
pub struct Segment {
    entry: SegmentEntry,
    path: PathBuf,
    cache: Arc<SegmentCache>,
    /// Removed from the manifest: the file goes with the last user.
    doomed: AtomicBool,
}

/// Rows of a block.
#[derive(Debug)]
pub struct Block {
    pub batch: RecordBatch,
    /// Bytes that were read from the file.
    pub bytes: u64,
}

impl Segment {
    pub(crate) fn new(dir: &Path, entry: SegmentEntry, cache: Arc<SegmentCache>) -> Self {
        Self { path: dir.join(entry.file_name()), entry, cache, doomed: AtomicBool::new(false) }
    }

    /// Rows, times and size; no I/O.
    pub fn entry(&self) -> &SegmentEntry {
        &self.entry
    }

    /// Schema and blocks, in rising order. Reads the index and footer unless they are cached.
    ///
    /// # Errors
    /// Corrupt, with the file's name, when it is damaged or gone.
    pub fn meta(&self) -> Result<Arc<SegmentMeta>, StoreError> {
        Ok(self.opened()?.meta.clone())
    }

    /// The blocks that may hold what is needed, rising.
    ///
    /// # Errors
    /// As [`Segment::meta`].
    pub fn filter_blocks(&self, needs: &Needs) -> Result<Vec<usize>, StoreError> {
        let opened = self.opened()?;
        let mut blocks = Vec::new();
        for block in 0..opened.index.blocks.len() {
            if self.passes(&opened, block, needs)? {
                blocks.push(block);
            }
        }
        Ok(blocks)
    }

    /// Reads the columns of one block in the order of `columns` (indexes into the schema, each once; may be empty);
    /// with a selection (over the block's rows) only its rows.
    ///
    /// # Errors
    /// As [`Segment::meta`]; internal, when block or column is not in the file.
    pub fn read(&self, block: usize, columns: &[usize], selection: Option<RowSelection>) -> Result<Block, StoreError> {
        let opened = self.opened()?;
        let meta = &opened.meta;
        let (Some(stored), true) =
            (opened.index.blocks.get(block), columns.iter().all(|column| *column < meta.schema.fields().len()))
        else {
            return Err(StoreError::Internal(format!("{} has no such block or column", self.entry.file_name())));
        };
        let rows = selection.as_ref().map_or(stored.meta.rows, RowSelection::row_count);
        let schema = Arc::new(meta.schema.project(columns).map_err(|e| self.corrupt(e))?);
        if columns.is_empty() || rows == 0 {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let arrays = schema.fields().iter().map(|field| arrow::array::new_empty_array(field.data_type())).collect();
            let batch = RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|e| self.corrupt(e))?;
            return Ok(Block { batch, bytes: 0 });
        }
        let chunks = self.chunks(&opened, block, columns)?;
        let bytes = chunks.bytes();
        let mask = ProjectionMask::leaves(opened.arrow.parquet_schema(), columns.iter().copied());
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, opened.arrow.clone())
            .with_row_groups(vec![block])
            .with_batch_size(rows)
            .with_projection(mask);
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        let read = builder.build().map_err(|e| self.corrupt(e))?.next().transpose().map_err(|e| self.corrupt(e))?;
        let batch = read.filter(|batch| batch.num_rows() == rows).ok_or_else(|| self.corrupt("rows are missing"))?;
        // The reader gives columns in the file's order.
        let order = columns.iter().map(|column| columns.iter().filter(|other| *other < column).count());
        let batch = batch.project(&order.collect::<Vec<_>>()).map_err(|e| self.corrupt(e))?;
        Ok(Block { batch, bytes })
    }

    /// Holds every byte of the file against its checksums.
    ///
    /// # Errors
    /// As [`Segment::meta`].
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let opened = self.opened()?;
        let size = opened.file.metadata().map_err(|e| self.corrupt(e))?.len();
        if size != self.entry.bytes {
            return Err(self.corrupt(format!("it has {size} bytes, not {}", self.entry.bytes)));
        }
        let rows: u64 = opened.index.blocks.iter().map(|block| block.meta.rows as u64).sum();
        if rows != self.entry.rows {
            return Err(self.corrupt(format!("it has {rows} rows, not {}", self.entry.rows)));
        }
        let columns: Vec<usize> = (0..opened.index.columns.len()).collect();
        for block in 0..opened.index.blocks.len() {
            self.chunks(&opened, block, &columns)?;
        }
        self.filter_part(&opened, 0, opened.index.filters_len as usize)?;
        Ok(())
    }

    /// Rows that have each field in a column of its own.
    pub(crate) fn field_rows(&self) -> Result<Vec<(FieldColumn, u64)>, StoreError> {
        let opened = self.opened()?;
        let fields = columns::fields_of(&opened.meta.schema);
        Ok(fields.map(|(index, field)| (field, opened.index.columns[index].rows)).collect())
    }

    /// The file is removed once nobody reads it.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::Relaxed);
    }

    fn opened(&self) -> Result<Arc<Opened>, StoreError> {
        if let Some(opened) = self.cache.get(self.entry.id) {
            return Ok(opened);
        }
        let opened = Arc::new(self.open()?);
        self.cache.put(self.entry.id, opened.clone());
        Ok(opened)
    }

    fn open(&self) -> Result<Opened, StoreError> {
        let file = File::open(&self.path).map_err(|e| self.corrupt(e))?;
        let len = self.entry.bytes.checked_sub(self.entry.tail).ok_or_else(|| self.corrupt("its entry is wrong"))?;
        let tail = self.pread(&file, self.entry.tail, len as usize)?;
        if crc32c::crc32c(&tail) != self.entry.tail_crc {
            return Err(self.corrupt("the checksum of its index is wrong"));
        }
        let index = Index::decode(&tail).ok_or_else(|| self.corrupt("its index can't be read"))?;
        let source = Chunks { len: self.entry.bytes, parts: vec![(self.entry.tail, tail)] };
        let parquet = ParquetMetaDataReader::new()
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Required)
            .parse_and_finish(&source)
            .map_err(|e| self.corrupt(e))?;
        let names = parquet.file_metadata().schema_descr().columns().iter().map(|column| column.name().to_owned());
        let names: Vec<String> = names.collect();
        let schema = schema(&names, &index).ok_or_else(|| self.corrupt("it has a column of no known name"))?;
        let size = parquet.memory_size() + index.blocks.len() * (index.columns.len() * 4 + 128);
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        let arrow = ArrowReaderMetadata::try_new(Arc::new(parquet), options).map_err(|e| self.corrupt(e))?;
        if arrow.metadata().num_row_groups() != index.blocks.len() {
            return Err(self.corrupt("its index and footer differ"));
        }
        let blocks = index.blocks.iter().map(|block| block.meta).collect();
        let meta = Arc::new(SegmentMeta { schema: arrow.schema().clone(), blocks });
        Ok(Opened { file, meta, arrow, index, size })
    }

    /// Reads whole column chunks.
    fn chunks(&self, opened: &Opened, block: usize, columns: &[usize]) -> Result<Chunks, StoreError> {
        let group = opened.arrow.metadata().row_group(block);
        let mut parts = Vec::with_capacity(columns.len());
        for &column in columns {
            let (start, len) = group.column(column).byte_range();
            let chunk = self.pread(&opened.file, start, len as usize)?;
            if opened.index.blocks[block].crcs.get(column) != Some(&crc32c::crc32c(&chunk)) {
                return Err(self.corrupt(format!("the checksum of column {column} of block {block} is wrong")));
            }
            parts.push((start, chunk));
        }
        Ok(Chunks { len: self.entry.bytes, parts })
    }

    fn passes(&self, opened: &Opened, block: usize, needs: &Needs) -> Result<bool, StoreError> {
        match needs {
            Needs::Nothing => Ok(true),
            Needs::Token(token) => {
                let block = &opened.index.blocks[block];
                let range = block.filter.range(*token);
                if range.is_empty() {
                    return Ok(true);
                }
                let part = self.filter_part(opened, block.fingerprints as usize + range.start, range.len())?;
                Ok(block.filter.holds(*token, &part))
            }
            Needs::All(all) => {
                for needs in all {
                    if !self.passes(opened, block, needs)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Needs::Any(any) => {
                for needs in any {
                    if self.passes(opened, block, needs)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Reads a part of the filters, in whole pages to hold them against their checksums.
    fn filter_part(&self, opened: &Opened, start: usize, len: usize) -> Result<Bytes, StoreError> {
        let index = &opened.index;
        let first = start / FILTER_PAGE;
        let end = (start + len).next_multiple_of(FILTER_PAGE).min(index.filters_len as usize);
        let from = first * FILTER_PAGE;
        let pages = self.pread(&opened.file, index.filters + from as u64, end.saturating_sub(from))?;
        for (page, crc) in pages.chunks(FILTER_PAGE).zip(&index.filter_crcs[first..]) {
            if crc32c::crc32c(page) != *crc {
                return Err(self.corrupt("the checksum of a filter is wrong"));
            }
        }
        if start - from + len > pages.len() {
            return Err(self.corrupt("a filter is cut off"));
        }
        Ok(pages.slice(start - from..start - from + len))
    }

    fn pread(&self, file: &File, start: u64, len: usize) -> Result<Bytes, StoreError> {
        if start.checked_add(len as u64).is_none_or(|end| end > self.entry.bytes) {
            return Err(self.corrupt("it points past its own end"));
        }
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, start).map_err(|e| self.corrupt(e))?;
        Ok(bytes.into())
    }

    fn corrupt(&self, reason: impl std::fmt::Display) -> StoreError {
        StoreError::Corrupt(format!("{}: {reason}", self.path.display()))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if *self.doomed.get_mut() {
            self.cache.remove(self.entry.id);
            crash_point("store.before_segment_delete");
            if let Err(error) = std::fs::remove_file(&self.path) {
                tracing::warn!(file = %self.path.display(), %error, "an old segment could not be removed");
            }
        }
    }
}

/// The schema of a file: the names say the types, the index which text is read as dictionaries.
fn schema(names: &[String], index: &Index) -> Option<Schema> {
    let fields: BTreeSet<_> = names.iter().filter_map(|name| FieldColumn::parse(name)).collect();
    let overflow = names.last().is_some_and(|name| name == columns::OVERFLOW);
    let plain = columns::schema(&fields, overflow);
    let same = plain.fields().iter().map(|field| field.name()).eq(names.iter()) && names.len() == index.columns.len();
    let text = |field: &Field| matches!(field.data_type(), DataType::Utf8 | DataType::Dictionary(..));
    let typed = plain.fields().iter().zip(&index.columns).map(|(field, column)| match text(field) {
        true if column.dictionary => field.as_ref().clone().with_data_type(columns::dictionary()),
        true => field.as_ref().clone().with_data_type(DataType::Utf8),
        false => field.as_ref().clone(),
    });
    same.then(|| Schema::new(typed.collect::<Vec<_>>()))
}

/// A segment whose index and footer were read.
#[derive(Debug)]
struct Opened {
    file: File,
    meta: Arc<SegmentMeta>,
    arrow: ArrowReaderMetadata,
    index: Index,
    /// What it takes in memory.
    size: usize,
}

/// The parts of a file that were read.
struct Chunks {
    len: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Chunks {
    fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    fn rest(&self, start: u64) -> parquet::errors::Result<Bytes> {
        let part = self.parts.iter().find_map(|(at, bytes)| {
            let from = start.checked_sub(*at).filter(|from| *from <= bytes.len() as u64)?;
            (from < bytes.len() as u64).then(|| bytes.slice(from as usize..))
        });
        part.ok_or_else(|| ParquetError::EOF(format!("byte {start} was not read")))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Chunks {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.rest(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self.rest(start)?;
        (bytes.len() >= length).then(|| bytes.slice(..length)).ok_or_else(|| ParquetError::EOF("cut off".into()))
    }
}

/// Indexes, footers and handles of the segments used last.
#[derive(Debug)]
pub(crate) struct SegmentCache {
    bytes_max: usize,
    clock: AtomicU64,
    opened: Mutex<HashMap<u64, (Arc<Opened>, u64)>>,
}

/// Files held open.
const OPEN_MAX: usize = 256;

impl SegmentCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, clock: AtomicU64::new(0), opened: Mutex::default() }
    }

    fn get(&self, id: u64) -> Option<Arc<Opened>> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        self.opened.lock().get_mut(&id).map(|(opened, used)| {
            *used = now;
            opened.clone()
        })
    }

    /// Makes room by the least recently used; what was put last always stays.
    fn put(&self, id: u64, new: Arc<Opened>) {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut opened = self.opened.lock();
        opened.insert(id, (new, now));
        let mut bytes: usize = opened.values().map(|(opened, _)| opened.size).sum();
        while opened.len() > 1 && (bytes > self.bytes_max || opened.len() > OPEN_MAX) {
            let Some((&oldest, _)) = opened.iter().min_by_key(|(_, (_, used))| *used) else { break };
            bytes -= opened.remove(&oldest).map_or(0, |(opened, _)| opened.size);
        }
    }

    fn remove(&self, id: u64) {
        self.opened.lock().remove(&id);
    }
}
