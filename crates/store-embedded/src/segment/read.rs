//! A segment and its file: opened when it is first asked for more than its entry, every read held against its checksum.
//! Columns are read in [`read_columns`](super::read_columns), messages in [`read_messages`](super::read_messages).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use model::crash::crash_point;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use store::StoreError;

use super::cache::{Opened, SegmentCache};
use super::index::{FramePlace, Index, IndexBlock};
use super::messages::Frame;
use super::stored::{Chunks, StoredBlock};
use super::value_counts::{self, ValueCounts};
use super::{SegmentEntry, SegmentMeta};
use crate::columns::{self, FieldColumn};

/// One file of records, opened when it is first asked for more than its entry.
#[derive(Debug)]
pub struct Segment {
    entry: SegmentEntry,
    path: PathBuf,
    pub(super) cache: Arc<SegmentCache>,
    /// Removed from the manifest: the file goes with the last user.
    doomed: AtomicBool,
}

impl Segment {
    pub(crate) fn new(dir: &Path, entry: SegmentEntry, cache: Arc<SegmentCache>) -> Self {
        Self { path: dir.join(entry.file_name()), entry, cache, doomed: AtomicBool::new(false) }
    }

    /// Rows, times and size; no I/O.
    pub fn entry(&self) -> &SegmentEntry {
        &self.entry
    }

    /// Schema and blocks, in the order of the file. Reads the index and footer unless they are cached.
    ///
    /// # Errors
    /// Corrupt, with the file's name, when it is damaged or gone.
    pub fn meta(&self) -> Result<Arc<SegmentMeta>, StoreError> {
        Ok(self.opened()?.meta.clone())
    }

    /// How many rows of a block have each value of a column, if the index tells.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub(crate) fn value_counts(&self, block: usize, column: usize) -> Result<Option<ValueCounts>, StoreError> {
        let opened = self.opened()?;
        let counts = &self.index_block(&opened, block)?.counts;
        Ok(value_counts::of_column(column, counts, &opened.index.texts))
    }

    /// A block as it stands in the file.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub(crate) fn stored(&self, block: usize) -> Result<StoredBlock, StoreError> {
        let opened = self.opened()?;
        let index = self.index_block(&opened, block)?.clone();
        let dictionary = self.dictionary(&opened)?;
        let columns: Vec<usize> = (0..opened.index.columns.len()).collect();
        let stored = |place: FramePlace| Ok(Frame { packed: self.packed(&opened, place)?, plain: place.plain });
        Ok(StoredBlock {
            chunks: self.chunks(&opened, block, &columns)?,
            filter: self.filter_of(&opened, block)?,
            texts: opened.index.texts.clone(),
            templates: self.block_templates(&opened, &index, &dictionary)?,
            dictionary,
            rows: stored(index.rows)?,
            words: index.words.iter().map(|part| stored(*part)).collect::<Result<_, StoreError>>()?,
            parquet: opened.arrow.metadata().clone(),
            block,
            index,
        })
    }

    pub(super) fn index_block<'o>(&self, opened: &'o Opened, block: usize) -> Result<&'o IndexBlock, StoreError> {
        opened.index.blocks.get(block).ok_or_else(|| self.no_such_block())
    }

    pub(super) fn no_such_block(&self) -> StoreError {
        StoreError::Internal(format!("{} has no such block", self.entry.file_name()))
    }

    /// A frame of ours, unpacked.
    pub(super) fn frame(&self, opened: &Opened, place: FramePlace) -> Result<Vec<u8>, StoreError> {
        let packed = self.packed(opened, place)?;
        let plain = unpack(&packed, place.plain as usize).map_err(|e| self.corrupt(e))?;
        if plain.len() == place.plain as usize { Ok(plain) } else { Err(self.corrupt("a frame is cut off")) }
    }

    pub(super) fn packed(&self, opened: &Opened, place: FramePlace) -> Result<Bytes, StoreError> {
        let packed = self.pread(&opened.file, place.offset, place.len as usize)?;
        if crc32c::crc32c(&packed) != place.crc {
            return Err(self.corrupt("the checksum of messages is wrong"));
        }
        Ok(packed)
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
            let index = self.index_block(&opened, block)?;
            for place in [index.templates, index.rows].into_iter().chain(index.words.iter().copied()) {
                self.packed(&opened, place)?;
            }
        }
        self.packed(&opened, opened.index.dictionary)?;
        self.filter_part(&opened, 0, opened.index.filters_len as usize)?;
        Ok(())
    }

    /// The parts of the file: name, bytes, bytes unpacked.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> Result<Vec<(String, u64, u64)>, StoreError> {
        let opened = self.opened()?;
        let mut sizes = vec![
            ("(index and footer)".to_owned(), self.entry.bytes - self.entry.tail, 0),
            ("(filters)".to_owned(), opened.index.filters_len, 0),
        ];
        let mut frame = |name: &str, place: FramePlace| {
            sizes.push((name.to_owned(), u64::from(place.len), u64::from(place.plain)));
        };
        frame("(templates)", opened.index.dictionary);
        for block in &opened.index.blocks {
            frame("(templates of a block)", block.templates);
            frame("(templates of rows)", block.rows);
            block.words.iter().for_each(|part| frame("(words)", *part));
        }
        for group in opened.arrow.metadata().row_groups() {
            for (column, field) in group.columns().iter().zip(opened.meta.schema.fields()) {
                let bytes = [column.compressed_size(), column.uncompressed_size()].map(|size| size as u64);
                let encodings: Vec<_> = column.encodings().map(|encoding| encoding.to_string()).collect();
                sizes.push((format!("{} {}", field.name(), encodings.join(",")), bytes[0], bytes[1]));
            }
        }
        Ok(sizes)
    }

    /// Rows that have each field in a column of its own.
    pub(crate) fn field_rows(&self) -> Result<Vec<(FieldColumn, u64)>, StoreError> {
        let opened = self.opened()?;
        let fields = columns::fields_of(&opened.meta.schema);
        let rows =
            |column: usize| opened.index.blocks.iter().map(|block| u64::from(block.chunks[column].rows)).sum::<u64>();
        Ok(fields.map(|(column, field)| (field, rows(column))).collect())
    }

    /// The file is removed once nobody reads it.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::Relaxed);
    }

    pub(super) fn opened(&self) -> Result<Arc<Opened>, StoreError> {
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
        if let Some(version) = Index::other_version(&tail) {
            return Err(self.corrupt(format!("it has version {version}, which this program does not read")));
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
        let size = parquet.memory_size() + index.blocks.len() * (index.columns.len() * 4 + 1024);
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        let arrow = ArrowReaderMetadata::try_new(Arc::new(parquet), options).map_err(|e| self.corrupt(e))?;
        if arrow.metadata().num_row_groups() != index.blocks.len() {
            return Err(self.corrupt("its index and footer differ"));
        }
        let blocks = index.blocks.iter().map(|block| block.meta).collect();
        let meta = Arc::new(SegmentMeta { schema: arrow.schema().clone(), blocks });
        Ok(Opened { file, meta, arrow, index, dictionary: Mutex::new(None), size })
    }

    pub(super) fn pread(&self, file: &File, start: u64, len: usize) -> Result<Bytes, StoreError> {
        if start.checked_add(len as u64).is_none_or(|end| end > self.entry.bytes) {
            return Err(self.corrupt("it points past its own end"));
        }
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, start).map_err(|e| self.corrupt(e))?;
        Ok(bytes.into())
    }

    pub(crate) fn corrupt(&self, reason: impl std::fmt::Display) -> StoreError {
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

/// A Zstandard frame of at most `plain` bytes.
pub(super) fn unpack(packed: &[u8], plain: usize) -> io::Result<Vec<u8>> {
    // Its context is 160 KB, to be set up for each frame otherwise.
    thread_local!(static ZSTD: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) });
    ZSTD.with_borrow_mut(|zstd| match zstd {
        Some(zstd) => zstd.decompress(packed, plain),
        None => zstd.insert(zstd::bulk::Decompressor::new()?).decompress(packed, plain),
    })
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
