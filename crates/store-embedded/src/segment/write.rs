//! Writing a segment: blocks as they come, then their templates, filters, index and footer; visible only when it is whole
//! and synced.

use std::collections::HashSet;
use std::fs::File;
use std::hash::BuildHasherDefault;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef};
use model::crash::crash_point;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::filters;
use super::index::{FILTER_PAGE, FramePlace, Index, IndexBlock, IndexChunk, IndexColumn};
use super::messages::{Encoder, Frame};
use super::stored::StoredBlock;
use super::value_counts::Texts;
use super::{BLOCK_ROWS, BlockMeta, Day, SegmentEntry};
use crate::columns::{self, FIXED, Strings};
use crate::filter::{Filter, Tokens};
use crate::merge::Key;

/// Text columns with at most this many distinct values in their first block are read as dictionaries.
const DICTIONARY_VALUES_MAX: usize = 4096;

/// Writes one segment. Dropped before [`SegmentWriter::finish`], it leaves a file that the next start removes.
pub(crate) struct SegmentWriter {
    dir: PathBuf,
    id: u64,
    zstd_level: i32,
    open: Option<Open>,
    index: Index,
    texts: Texts,
    /// Of each block, as are the filters.
    templates: Vec<Frame>,
    filters: Vec<(Filter, Vec<u8>)>,
    tokens: Tokens,
}

struct Open {
    file: SerializedFileWriter<Sink>,
    columns: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    messages: Encoder,
}

/// What became of the rows of a [`SegmentWriter`], for the manifest.
pub(crate) struct Place {
    pub(crate) project: Arc<str>,
    pub(crate) day: Day,
    /// When the newest rows were written, nanoseconds since the Unix epoch.
    pub(crate) written: i64,
    pub(crate) level: u8,
}

/// The file, with what was not written to it yet, so that checksums are taken without reading back.
struct Sink {
    file: File,
    pending: Vec<u8>,
    /// Offset of `pending` in the file.
    start: u64,
    /// Of everything since [`Sink::drain`] was told to sum.
    crc: u32,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn crc_of(&self, start: u64, len: u64) -> io::Result<u32> {
        let from = start.checked_sub(self.start).map(|from| from as usize);
        let bytes = from.and_then(|from| self.pending.get(from..from + len as usize));
        bytes.map(crc32c::crc32c).ok_or_else(|| io::Error::other("a column chunk is not where it was written"))
    }

    fn drain(&mut self) -> io::Result<()> {
        self.file.write_all(&self.pending)?;
        self.crc = crc32c::crc32c_append(self.crc, &self.pending);
        self.start += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

impl SegmentWriter {
    pub(crate) fn new(dir: &Path, id: u64, zstd_level: i32) -> Self {
        Self {
            dir: dir.to_owned(),
            id,
            zstd_level,
            open: None,
            index: Index::default(),
            texts: Texts::default(),
            templates: Vec::new(),
            filters: Vec::new(),
            tokens: Tokens::default(),
        }
    }

    /// Gives the segment up and removes what was written.
    pub(crate) fn discard(self) {
        if self.open.is_some() {
            // What can't be removed now goes at the next start.
            let _ = std::fs::remove_file(self.dir.join(temp_name(self.id)));
        }
    }

    /// Appends a block: sorted rows, at most [`BLOCK_ROWS`], in all blocks of one schema. Messages may be views.
    pub(crate) fn write_block(&mut self, block: &RecordBatch) -> io::Result<()> {
        debug_assert!(block.num_rows() > 0 && block.num_rows() <= BLOCK_ROWS);
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let (open, columns) = Open::new(&self.dir.join(temp_name(self.id)), block, self.zstd_level)?;
                self.index.columns = columns;
                none.insert(open)
            }
        };
        let mut arrays = block.columns().to_vec();
        let tokens = &mut self.tokens;
        let messages = cast(block.column(columns::MESSAGE), &DataType::Utf8View).map_err(io::Error::other)?;
        let split = open.messages.encode(messages.as_string_view(), |word, in_hole| tokens.add_word(word, in_hole))?;
        arrays[columns::MESSAGE] = Arc::new(split.rest);
        let units = super::TIMES.map(|column| {
            let (unit, times) = in_largest_unit(&arrays[column]);
            arrays[column] = times;
            unit
        });
        let crcs = open.write(&arrays)?;
        let in_rows = open.write_frame(&split.rows)?;
        let words = open.write_frames(&split.words)?;
        let rows = block.columns().iter().map(|array| (array.len() - array.null_count()) as u32);
        let chunks = crcs.into_iter().zip(rows).map(|(crc, rows)| IndexChunk { crc, rows }).collect();
        self.tokens.add_batch(block).map_err(io::Error::other)?;
        let meta = BlockMeta {
            rows: block.num_rows(),
            ts_min: Key::at(block, 0).ts,
            ts_max: Key::at(block, block.num_rows() - 1).ts,
        };
        let counts = self.texts.count(block);
        let templates = FramePlace::default();
        self.index.blocks.push(IndexBlock { meta, units, templates, rows: in_rows, words, counts, chunks });
        self.templates.push(split.templates);
        self.filters.push(self.tokens.take_filter());
        Ok(())
    }

    /// Appends a block of another segment as it is packed there. False, and nothing is written: it has to be unpacked
    /// and given to [`SegmentWriter::write_block`], as the first block of a segment has.
    pub(crate) fn copy_block(&mut self, block: StoredBlock) -> io::Result<bool> {
        let Some(open) = &mut self.open else { return Ok(false) };
        let Some(templates) = open.messages.adopt(&block.dictionary, &block.templates)? else { return Ok(false) };
        let mut group = open.file.next_row_group().map_err(storage)?;
        for close in block.columns() {
            group.append_column(&block.chunks, close).map_err(storage)?;
        }
        group.close().map_err(storage)?;
        open.sync_sink()?.drain()?;
        let rows = open.write_frame(&block.rows)?;
        let words = open.write_frames(&block.words)?;
        let counts = self.texts.adopt(&block.index.counts, &block.texts);
        self.index.blocks.push(IndexBlock { rows, words, counts, ..block.index });
        self.templates.push(templates);
        self.filters.push(block.filter);
        Ok(true)
    }

    /// Completes the file, syncs it and gives it its name; the caller syncs the directory. None when there was no
    /// block.
    pub(crate) fn finish(mut self, place: Place) -> io::Result<Option<SegmentEntry>> {
        let Some(mut open) = self.open.take() else { return Ok(None) };
        for (block, templates) in self.index.blocks.iter_mut().zip(&self.templates) {
            block.templates = open.write_frame(templates)?;
        }
        let dictionary = std::mem::replace(&mut open.messages, Encoder::new(self.zstd_level)?).finish()?;
        self.index.dictionary = open.write_frame(&dictionary)?;
        self.index.filters = open.file.bytes_written() as u64;
        self.index.texts = self.texts.texts.into();
        let (groups, filters) = filters::transpose(self.filters);
        self.index.filter_groups = groups;
        self.index.filters_len = filters.len() as u64;
        self.index.filter_crcs = filters.chunks(FILTER_PAGE).map(crc32c::crc32c).collect();
        open.file.write_all(&filters)?;
        let tail = open.file.bytes_written() as u64;
        open.sync_sink()?.drain()?;
        open.file.inner_mut().crc = 0;
        open.file.write_all(&self.index.encode())?;
        let mut sink = open.file.into_inner().map_err(storage)?;
        sink.drain()?;
        sink.file.sync_all()?;
        crash_point("store.before_segment_rename");
        let rows = self.index.blocks.iter().map(|block| block.meta.rows as u64).sum();
        let times = || self.index.blocks.iter().map(|block| block.meta);
        let entry = SegmentEntry {
            id: self.id,
            project: place.project,
            day: place.day,
            rows,
            ts_min: times().map(|meta| meta.ts_min).min().unwrap_or_default(),
            ts_max: times().map(|meta| meta.ts_max).max().unwrap_or_default(),
            written: place.written,
            bytes: sink.start,
            tail,
            tail_crc: sink.crc,
            level: place.level,
        };
        std::fs::rename(self.dir.join(temp_name(self.id)), self.dir.join(entry.file_name()))?;
        crash_point("store.after_segment_rename");
        Ok(Some(entry))
    }
}

fn temp_name(id: u64) -> String {
    format!("{id:016x}.tmp")
}

/// A full disk must be told from a mistake of ours, so the cause is kept where there is one.
fn storage(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(cause) => *cause,
            Err(cause) => io::Error::other(cause),
        },
        error => io::Error::other(error),
    }
}

impl Open {
    fn new(path: &Path, first: &RecordBatch, zstd_level: i32) -> io::Result<(Self, Vec<IndexColumn>)> {
        let schema = columns::with_messages_as(first.schema_ref(), DataType::Utf8);
        let (properties, columns) = properties(&schema, first, zstd_level)?;
        let parquet = ArrowSchemaConverter::new().convert(&schema).map_err(storage)?;
        let sink = Sink { file: File::create(path)?, pending: Vec::new(), start: 0, crc: 0 };
        let file = SerializedFileWriter::new(sink, parquet.root_schema_ptr(), Arc::new(properties)).map_err(storage)?;
        let factory = ArrowRowGroupWriterFactory::new(&file, schema.clone());
        Ok((Self { file, columns: factory, schema, messages: Encoder::new(zstd_level)? }, columns))
    }

    /// Writes a row group and gives the checksums of its column chunks.
    fn write(&mut self, columns: &[ArrayRef]) -> io::Result<Vec<u32>> {
        let number = self.file.flushed_row_groups().len();
        let writers = self.columns.create_column_writers(number).map_err(storage)?;
        let mut group = self.file.next_row_group().map_err(storage)?;
        for ((mut writer, field), array) in writers.into_iter().zip(self.schema.fields()).zip(columns) {
            for leaf in compute_leaves(field, array).map_err(storage)? {
                writer.write(&leaf).map_err(storage)?;
            }
            writer.close().and_then(|chunk| chunk.append_to_row_group(&mut group)).map_err(storage)?;
        }
        group.close().map_err(storage)?;
        let ranges: Vec<(u64, u64)> =
            self.file.flushed_row_groups()[number].columns().iter().map(|column| column.byte_range()).collect();
        let sink = self.sync_sink()?;
        let crcs = ranges.into_iter().map(|(start, len)| sink.crc_of(start, len)).collect::<io::Result<_>>()?;
        sink.drain()?;
        Ok(crcs)
    }

    fn write_frame(&mut self, frame: &Frame) -> io::Result<FramePlace> {
        let offset = self.file.bytes_written() as u64;
        self.file.write_all(&frame.packed)?;
        self.sync_sink()?.drain()?;
        let crc = crc32c::crc32c(&frame.packed);
        Ok(FramePlace { offset, len: frame.packed.len() as u32, plain: frame.plain, crc })
    }

    fn write_frames(&mut self, frames: &[Frame]) -> io::Result<Vec<FramePlace>> {
        frames.iter().map(|frame| self.write_frame(frame)).collect()
    }

    /// The sink, with all that was written in it.
    fn sync_sink(&mut self) -> io::Result<&mut Sink> {
        self.file.flush()?;
        Ok(self.file.inner_mut())
    }
}

/// How each column is encoded, by what its first block holds. No statistics: blocks have their times in the index,
/// and nothing else is sorted.
fn properties(
    schema: &SchemaRef,
    first: &RecordBatch,
    zstd_level: i32,
) -> io::Result<(WriterProperties, Vec<IndexColumn>)> {
    let zstd = ZstdLevel::try_new(zstd_level).map_err(storage)?;
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("devlogs ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(zstd))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(BLOCK_ROWS));
    let mut columns = Vec::with_capacity(first.num_columns());
    for (field, array) in schema.fields().iter().zip(first.columns()) {
        let message = field.name() == FIXED[columns::MESSAGE];
        let distinct = if message { array.len() } else { distinct(array) };
        let repeats = distinct * 2 <= array.len() - array.null_count();
        let text = matches!(field.data_type(), DataType::Utf8 | DataType::Dictionary(..));
        let wanted = text && field.name() != columns::OVERFLOW;
        let dictionary = wanted && repeats && distinct <= DICTIONARY_VALUES_MAX && !is_json(field.name());
        columns.push(IndexColumn { dictionary });
        builder = encode_column(builder, field.name(), field.data_type(), repeats);
    }
    Ok((builder.build(), columns))
}

fn encode_column(
    builder: WriterPropertiesBuilder,
    name: &str,
    data_type: &DataType,
    repeats: bool,
) -> WriterPropertiesBuilder {
    let builder = builder.set_column_dictionary_enabled(path(name), repeats);
    if repeats {
        return builder;
    }
    match data_type {
        DataType::Int64 | DataType::UInt32 => builder.set_column_encoding(path(name), Encoding::DELTA_BINARY_PACKED),
        DataType::Utf8 | DataType::Dictionary(..) => {
            builder.set_column_encoding(path(name), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        }
        _ => builder,
    }
}

fn is_json(column: &str) -> bool {
    columns::FieldColumn::parse(column).is_some_and(|field| field.kind == columns::Kind::Json)
}

/// Times in the largest unit in which all are whole, and its nanoseconds.
fn in_largest_unit(times: &ArrayRef) -> (u32, ArrayRef) {
    let nanoseconds = times.as_primitive::<Int64Type>();
    let whole = |unit: &u32| nanoseconds.values().iter().all(|time| time % i64::from(*unit) == 0);
    match [1_000_000_000, 1_000_000, 1_000].into_iter().find(whole) {
        Some(unit) => (unit, Arc::new(nanoseconds.unary::<_, Int64Type>(|time| time / i64::from(unit)))),
        None => (1, times.clone()),
    }
}

/// A column's name is one part of its path, dots and all.
fn path(name: &str) -> ColumnPath {
    ColumnPath::new(vec![name.to_owned()])
}

/// Distinct values, roughly (by hash).
fn distinct(array: &ArrayRef) -> usize {
    type Seen = HashSet<u64, BuildHasherDefault<Xxh3Default>>;
    let mut seen = Seen::default();
    match array.data_type() {
        DataType::Int64 => {
            seen.extend(array.as_primitive::<Int64Type>().iter().flatten().map(|value| value as u64));
        }
        DataType::Float64 => {
            seen.extend(array.as_primitive::<Float64Type>().iter().flatten().map(f64::to_bits));
        }
        DataType::FixedSizeBinary(_) => {
            seen.extend(array.as_fixed_size_binary().iter().flatten().map(xxh3_64));
        }
        DataType::Utf8 | DataType::Dictionary(..) => {
            if let Some(strings) = Strings::new(array) {
                seen.extend((0..array.len()).filter_map(|row| strings.get(row)).map(|text| xxh3_64(text.as_bytes())));
            }
        }
        DataType::UInt8 | DataType::Boolean => return 0,
        _ => return array.len(),
    }
    seen.len()
}
