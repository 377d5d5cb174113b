//! Column chunks that Parquet wrote as a dictionary and codes into it, decoded here.
//!
//! Most columns of fields are such chunks, and most of their rows are null. Parquet's own reader sets up a Zstandard
//! context for each chunk and takes every row through buffers of levels and padded values; this one takes the bits of
//! the definition levels as the validity bitmap that they are, and looks codes up. The format is Parquet's
//! ("Encodings": dictionary encoding and the RLE / bit-packing hybrid; data pages of version 1); pages are found by the
//! crate's page reader. What is written in another way is left to its column reader.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBufferBuilder, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray,
    UInt8Array, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::take;
use arrow::datatypes::DataType;
use bytes::{Buf, Bytes};
use parquet::basic::{Compression, Encoding, EncodingMask};
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::read::unpack;
use super::stored::Chunks;

/// Codes have at most so many bits: dictionaries are smaller than a block.
const CODE_BITS_MAX: u8 = 16;

/// The values of a column of a block, and which row has which.
#[derive(Debug)]
pub(crate) struct Coded {
    /// Each once; text is Utf8.
    pub(crate) values: ArrayRef,
    /// Which rows have a value; None: all.
    pub(crate) valid: Option<BooleanBuffer>,
    /// The place among `values` of each row that has one.
    pub(crate) codes: Vec<i32>,
}

impl Coded {
    /// Calls `each` with every row that has a value, in their order, and the place of that value.
    pub(crate) fn for_each(&self, mut each: impl FnMut(usize, usize)) {
        match &self.valid {
            Some(valid) => valid.set_indices().zip(&self.codes).for_each(|(row, code)| each(row, *code as usize)),
            None => self.codes.iter().enumerate().for_each(|(row, code)| each(row, *code as usize)),
        }
    }

    /// The rows that have one of these values.
    pub(crate) fn rows_with(&self, values: &BooleanBuffer) -> BooleanBuffer {
        let holds: Vec<bool> = values.iter().collect();
        let len = self.valid.as_ref().map_or(self.codes.len(), BooleanBuffer::len);
        let mut rows = BooleanBufferBuilder::new(len);
        rows.append_n(len, false);
        self.for_each(|row, value| {
            if holds[value] {
                rows.set_bit(row, true);
            }
        });
        rows.finish()
    }

    /// The column as an array of `data_type`, for which it was read: of all rows, or of those `picked` (rising).
    ///
    /// # Errors
    /// None that is known: Arrow's own checks.
    pub(crate) fn array(&self, data_type: &DataType, picked: Option<&[u32]>) -> Result<ArrayRef> {
        array(&self.values, keys(self.valid.as_ref(), &self.codes, picked), data_type)
    }
}

/// Whether a chunk may be one of those that are decoded here.
pub(super) fn is_coded(column: &ColumnChunkMetaData) -> bool {
    // A dictionary that grew too large is given up in the middle.
    let all_coded = |pages: &EncodingMask| pages.is_only(Encoding::RLE_DICTIONARY);
    column.dictionary_page_offset().is_some()
        && column.page_encoding_stats_mask().is_none_or(all_coded)
        && matches!(column.compression(), Compression::ZSTD(_))
}

/// The values and codes of the chunk of `column`, which is among `chunks` and [is coded](is_coded), in a block of so many
/// rows. None: its values do not all stand in its dictionary, or are of another type.
///
/// # Errors
/// When the chunk is not what its encoding says.
pub(super) fn read_codes(
    chunks: &Arc<Chunks>,
    column: &ColumnChunkMetaData,
    data_type: &DataType,
    rows: usize,
) -> Result<Option<Coded>> {
    let Some(chunk) = Chunk::read(chunks, column, rows)? else { return Ok(None) };
    let Some(values) = chunk.values(column, data_type)? else { return Ok(None) };
    Ok(Some(Coded { values, valid: chunk.valid, codes: chunk.codes }))
}

/// The same as an array of `data_type`: of all rows, or of those `picked` (rising).
///
/// # Errors
/// As [`read_codes`].
pub(super) fn read_array(
    chunks: &Arc<Chunks>,
    column: &ColumnChunkMetaData,
    data_type: &DataType,
    rows: usize,
    picked: Option<&[u32]>,
) -> Result<Option<ArrayRef>> {
    let Some(chunk) = Chunk::read(chunks, column, rows)? else { return Ok(None) };
    let keys = keys(chunk.valid.as_ref(), &chunk.codes, picked);
    if keys.null_count() == keys.len() {
        return Ok(Some(new_null_array(data_type, keys.len())));
    }
    let Some(values) = chunk.values(column, data_type)? else { return Ok(None) };
    array(&values, keys, data_type).map(Some)
}

fn array(values: &ArrayRef, keys: Int32Array, data_type: &DataType) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Dictionary(..) => Arc::new(DictionaryArray::try_new(keys, values.clone())?),
        _ => take(values, &keys, None)?,
    })
}

/// A chunk, its dictionary still packed.
struct Chunk {
    dictionary: Bytes,
    /// Of the dictionary.
    values: usize,
    /// As [`Coded`].
    valid: Option<BooleanBuffer>,
    codes: Vec<i32>,
}

impl Chunk {
    fn read(chunks: &Arc<Chunks>, column: &ColumnChunkMetaData, rows: usize) -> Result<Option<Self>> {
        // Pages come packed, so that one context unpacks those of all chunks.
        let packed = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
        let mut pages = SerializedPageReader::new(chunks.clone(), &packed, rows, None)?;
        let Some(Page::DictionaryPage { buf: dictionary, num_values: values, encoding: Encoding::PLAIN, .. }) =
            pages.get_next_page()?
        else {
            return Ok(None);
        };
        let values = values as usize;
        if values > rows {
            return Err(cut_off());
        }
        let is_optional = column.column_descr().max_def_level() == 1;
        let mut valid = is_optional.then(|| BooleanBufferBuilder::new(rows));
        let mut codes = Vec::with_capacity(rows);
        let mut left = rows;
        while let Some(page) = pages.get_next_page()? {
            let Page::DataPage { buf, num_values, encoding: Encoding::RLE_DICTIONARY, .. } = page else {
                return Ok(None);
            };
            let page = unpack_page(&buf, column)?;
            let mut rest = &page[..];
            let rows_of_page = num_values as usize;
            left = left.checked_sub(rows_of_page).ok_or_else(cut_off)?;
            let with_value = match &mut valid {
                Some(valid) => {
                    let levels = take_levels(&mut rest, rows_of_page).ok_or_else(cut_off)?;
                    valid.append_buffer(&levels);
                    levels.count_set_bits()
                }
                None => rows_of_page,
            };
            take_codes(rest, with_value, &mut codes).ok_or_else(cut_off)?;
        }
        if left > 0 {
            return Err(cut_off());
        }
        let valid = valid.map(|mut valid| valid.finish());
        if codes.iter().max().is_some_and(|highest| *highest as usize >= values) {
            return Err(ParquetError::General("a code has no value".to_owned()));
        }
        let valid = valid.filter(|_| codes.len() < rows);
        Ok(Some(Self { dictionary, values, valid, codes }))
    }

    /// The dictionary, if it is of this type.
    fn values(&self, column: &ColumnChunkMetaData, data_type: &DataType) -> Result<Option<ArrayRef>> {
        let dictionary = unpack_page(&self.dictionary, column)?;
        let whole = |size: usize| dictionary.get(..self.values.checked_mul(size)?);
        let whole = |size: usize| whole(size).ok_or_else(cut_off);
        Ok(Some(match data_type {
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(words(whole(8)?).map(i64::from_le_bytes))),
            DataType::Float64 => Arc::new(Float64Array::from_iter_values(words(whole(8)?).map(f64::from_le_bytes))),
            // Parquet has no smaller number than one of four bytes.
            DataType::UInt8 => {
                Arc::new(UInt8Array::from_iter_values(words(whole(4)?).map(|[lowest, ..]: [u8; 4]| lowest)))
            }
            DataType::Utf8 | DataType::Dictionary(..) => Arc::new(texts(&dictionary, self.values)?),
            _ => return Ok(None),
        }))
    }
}

/// The places among the values of all rows, or of those picked.
fn keys(valid: Option<&BooleanBuffer>, codes: &[i32], picked: Option<&[u32]>) -> Int32Array {
    match (picked, valid) {
        (None, None) => Int32Array::new(codes.to_vec().into(), None),
        (None, Some(valid)) => {
            let mut keys = vec![0; valid.len()];
            valid.set_indices().zip(codes).for_each(|(row, code)| keys[row] = *code);
            Int32Array::new(keys.into(), Some(NullBuffer::new(valid.clone())))
        }
        (Some(picked), None) => picked.iter().map(|row| codes[*row as usize]).collect(),
        (Some(picked), Some(valid)) => {
            let (mut at, mut rank) = (0, 0);
            let key = |row: &u32| {
                let row = *row as usize;
                rank += valid.slice(at, row - at).count_set_bits();
                at = row;
                valid.value(row).then(|| codes[rank])
            };
            picked.iter().map(key).collect()
        }
    }
}

fn cut_off() -> ParquetError {
    ParquetError::EOF("a page is cut off".to_owned())
}

fn unpack_page(packed: &[u8], column: &ColumnChunkMetaData) -> Result<Vec<u8>> {
    // No page is larger than all of them.
    Ok(unpack(packed, usize::try_from(column.uncompressed_size())?)?)
}

/// Takes the definition levels of so many rows from the front of a page: which of them have a value.
fn take_levels(page: &mut &[u8], rows: usize) -> Option<BooleanBuffer> {
    let len = page.try_get_u32_le().ok()? as usize;
    let mut levels;
    (levels, *page) = page.split_at_checked(len)?;
    let mut valid = BooleanBufferBuilder::new(rows);
    while valid.len() < rows {
        match Run::take(&mut levels, 1, rows - valid.len())? {
            Run::Same { count, code } => valid.append_n(count, code == 1),
            Run::Packed { count, bits } => valid.append_packed_range(0..count, bits),
        }
    }
    Some(valid.finish())
}

/// The codes of so many rows.
fn take_codes(page: &[u8], rows: usize, codes: &mut Vec<i32>) -> Option<()> {
    let end = codes.len() + rows;
    let (&width, mut page) = page.split_first()?;
    if width > CODE_BITS_MAX {
        return None;
    }
    while codes.len() < end {
        match Run::take(&mut page, width, end - codes.len())? {
            Run::Same { count, code } => codes.extend(std::iter::repeat_n(code as i32, count)),
            Run::Packed { count, bits } => unpack_bits(bits, width, count, codes),
        }
    }
    Some(())
}

/// A run of Parquet's RLE / bit-packing hybrid.
enum Run<'p> {
    Same {
        count: usize,
        code: u32,
    },
    /// One after the other, lowest bits first.
    Packed {
        count: usize,
        bits: &'p [u8],
    },
}

impl<'p> Run<'p> {
    /// Takes a run from the front: at most so many codes, as the last one is filled up. None: it is cut off or empty.
    fn take(page: &mut &'p [u8], width: u8, at_most: usize) -> Option<Self> {
        let header = take_varint(page)?;
        let count = (header >> 1) as usize;
        if count == 0 {
            return None;
        }
        let bits;
        if header & 1 == 1 {
            (bits, *page) = page.split_at_checked(count.checked_mul(width.into())?)?;
            return Some(Self::Packed { count: count.checked_mul(8)?.min(at_most), bits });
        }
        (bits, *page) = page.split_at_checked(usize::from(width).div_ceil(8))?;
        let code = bits.iter().rev().fold(0, |code, byte| (code << 8) | u32::from(*byte));
        Some(Self::Same { count: count.min(at_most), code })
    }
}

/// Little-endian base 128.
fn take_varint(page: &mut &[u8]) -> Option<u32> {
    let mut number = 0;
    for shift in [0, 7, 14, 21] {
        let byte = page.try_get_u8().ok()?;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Eight codes of so many bits stand in so many bytes: four from the first byte on, four from half of them on.
fn unpack_bits(bits: &[u8], width: u8, count: usize, codes: &mut Vec<i32>) {
    let end = codes.len() + count;
    let (bytes, mask) = (usize::from(width), (1_u64 << width) - 1);
    for eight in bits.chunks(bytes.max(1)) {
        let mut word = [0; 24];
        word[..eight.len()].copy_from_slice(eight);
        let from = |start: usize| word[start..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        let (low, high) = (from(0), from(bytes / 2) >> (4 * (width % 2)));
        let code = |four: u64, at: u8| ((four >> (at * width)) & mask) as i32;
        codes.extend([0, 1, 2, 3].map(|at| code(low, at)));
        codes.extend([0, 1, 2, 3].map(|at| code(high, at)));
    }
    // Of no bits, or filled up.
    codes.resize(end, 0);
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}

/// Texts, each with its length u32 before it.
fn texts(mut dictionary: &[u8], values: usize) -> Result<StringArray> {
    let mut offsets = Vec::with_capacity(values + 1);
    let mut text = Vec::with_capacity(dictionary.len());
    offsets.push(0);
    for _ in 0..values {
        let len = dictionary.try_get_u32_le().map_err(|_| cut_off())? as usize;
        let value;
        (value, dictionary) = dictionary.split_at_checked(len).ok_or_else(cut_off)?;
        text.extend_from_slice(value);
        offsets.push(i32::try_from(text.len())?);
    }
    Ok(StringArray::try_new(OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(text), None)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, RecordBatch};
    use arrow::compute::cast;
    use arrow::datatypes::{Field, Schema};
    use arrow::util::display::array_value_to_string;
    use parquet::arrow::ArrowWriter;
    use parquet::basic::ZstdLevel;
    use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
    use parquet::file::properties::WriterProperties;
    use proptest::prelude::*;

    use super::*;

    /// A file with one column, and where its chunk stands.
    fn write(array: &ArrayRef, nullable: bool, page_rows: usize) -> (Arc<Chunks>, ParquetMetaData) {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_data_page_row_count_limit(page_rows)
            .set_write_batch_size(page_rows)
            .set_dictionary_enabled(true)
            .build();
        let schema = Arc::new(Schema::new(vec![Field::new("a", array.data_type().clone(), nullable)]));
        let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).expect("a writer");
        writer.write(&RecordBatch::try_new(schema, vec![array.clone()]).expect("a batch")).expect("written");
        let file = Bytes::from(writer.into_inner().expect("written"));
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).expect("a footer");
        (Arc::new(Chunks { len: file.len() as u64, parts: vec![(0, file)] }), metadata)
    }

    fn texts_of(array: &ArrayRef) -> Vec<Option<String>> {
        let text = |row| array.is_valid(row).then(|| array_value_to_string(array, row).expect("text"));
        (0..array.len()).map(text).collect()
    }

    fn types() -> [DataType; 5] {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        [DataType::Int64, DataType::Float64, DataType::UInt8, DataType::Utf8, dictionary]
    }

    fn array(data_type: &DataType, numbers: &[Option<u8>]) -> ArrayRef {
        let numbers: UInt8Array = numbers.iter().copied().collect();
        cast(&numbers, data_type).expect("a cast")
    }

    proptest! {
        #[test]
        fn a_chunk_reads_as_it_was_written(
            kind in 0..5_usize,
            runs in prop::collection::vec((prop::option::weighted(0.6, any::<u8>()), 1..40_usize), 1..40),
            nullable in any::<bool>(),
            page_rows in 1..200_usize,
            step in 1..30_usize,
        ) {
            let spread = |(value, rows): &(Option<u8>, usize)| {
                let value = if nullable { *value } else { Some(value.unwrap_or_default()) };
                (0..*rows).map(move |row| value.map(|value| value.wrapping_add((row / 7) as u8)))
            };
            let numbers: Vec<Option<u8>> = runs.iter().flat_map(spread).collect();
            let data_type = &types()[kind];
            let array = array(data_type, &numbers);
            let (chunks, metadata) = write(&array, nullable, page_rows);
            let chunk = metadata.row_group(0).column(0);
            let all = read_array(&chunks, chunk, data_type, array.len(), None).expect("readable").expect("codes");
            prop_assert_eq!(all.data_type(), data_type);
            prop_assert_eq!(texts_of(&all), texts_of(&array));
            let rows: Vec<u32> = (0..array.len() as u32).step_by(step).collect();
            let some = read_array(&chunks, chunk, data_type, array.len(), Some(&rows)).expect("readable").expect("codes");
            let expected: Vec<_> = texts_of(&array).into_iter().step_by(step).collect();
            prop_assert_eq!(texts_of(&some), expected);
            let coded = read_codes(&chunks, chunk, data_type, array.len()).expect("readable").expect("codes");
            let odd = BooleanBuffer::collect_bool(coded.values.len(), |at| at % 2 == 1);
            let wanted: Vec<_> = texts_of(&coded.values).into_iter().skip(1).step_by(2).collect();
            let expected: Vec<bool> =
                texts_of(&array).iter().map(|text| text.is_some() && wanted.contains(text)).collect();
            prop_assert_eq!(texts_of(&coded.array(data_type, None).expect("an array")), texts_of(&array));
            prop_assert_eq!(coded.rows_with(&odd).iter().collect::<Vec<_>>(), expected);
        }

        #[test]
        fn damage_is_an_error_or_another_value(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            rows in 0..100_usize,
        ) {
            let mut codes = Vec::new();
            if take_codes(&bytes, rows, &mut codes).is_some() {
                prop_assert_eq!(codes.len(), rows);
            }
            let mut page = &bytes[..];
            if let Some(levels) = take_levels(&mut page, rows) {
                prop_assert_eq!(levels.len(), rows);
            }
            let _ = texts(&bytes, rows);
        }
    }

    #[test]
    fn what_is_written_in_another_way_is_left_to_others() {
        let numbers: Vec<Option<u8>> = (0..=u8::MAX).map(Some).collect();
        let array = array(&DataType::Int64, &numbers);
        let (chunks, metadata) = write(&array, true, 1_000);
        let chunk = metadata.row_group(0).column(0);
        assert!(read_array(&chunks, chunk, &DataType::UInt32, array.len(), None).expect("readable").is_none());
        let plain = chunk.clone().into_builder().set_dictionary_page_offset(None).build().expect("a chunk");
        assert!(is_coded(chunk) && !is_coded(&plain));
        let read = read_array(&chunks, chunk, &DataType::Int64, array.len(), Some(&[3, 200])).expect("readable");
        assert_eq!(read.expect("codes").as_primitive::<arrow::datatypes::Int64Type>().values(), &[3, 200]);
    }
}
