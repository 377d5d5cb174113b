//! The index of a segment: what each block holds, checksums, filters.
//!
//! Layout, little-endian: magic (8 bytes), version u32, blocks u32, columns u32, offset of the filters u64, their
//! length u64, the dictionary of templates (a frame); for each block: rows u32, ts_min i64, ts_max i64, the units of
//! `ts` and `observed` in nanoseconds u32 each, of its messages the templates and the rows (two frames), the parts of
//! the words u32 and their frames, for each of [`COUNTED`] how many values it has u8 ([`NOT_COUNTED`] when it is not
//! counted) and for each its number u32 and its rows u32, then for each column the CRC32C of its chunk u32 and the rows
//! that have a value u32; the texts that values are numbers of u32, for each its length u32 and its bytes; for each
//! column: dictionary u8; the groups of filters u32, for each its shape (seed u64, segment u32, segments u32), its
//! offset in the filters u64, its blocks u32 and the number of each u32; for each [`FILTER_PAGE`] bytes of the filters
//! their CRC32C u32. A frame is: offset in the file u64, length u32, length unpacked u32, CRC32C u32. The manifest has
//! the checksum of the index and all that follows it.

use std::sync::Arc;

use bytes::{Buf, BufMut};

use super::BlockMeta;
use super::value_counts::{self, COUNTED, Counts, VALUES_MAX};
use crate::filter::Filter;

const MAGIC: &[u8; 8] = b"devlogsx";
const VERSION: u32 = 5;
/// Bytes of filters under one checksum, so that a lookup need not read a whole filter to trust it.
pub(super) const FILTER_PAGE: usize = 4096;

const NOT_COUNTED: u8 = u8::MAX;

#[derive(Debug, Default, PartialEq)]
pub(super) struct Index {
    /// Where the filters begin in the file, and their length.
    pub(super) filters: u64,
    pub(super) filters_len: u64,
    pub(super) dictionary: FramePlace,
    pub(super) blocks: Vec<IndexBlock>,
    pub(super) columns: Vec<IndexColumn>,
    /// That [`IndexBlock::counts`] have.
    pub(super) texts: Arc<[Arc<str>]>,
    pub(super) filter_groups: Vec<FilterGroup>,
    pub(super) filter_crcs: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct IndexBlock {
    pub(super) meta: BlockMeta,
    /// Nanoseconds in one of what the columns `ts` and `observed` count.
    pub(super) units: [u32; 2],
    pub(super) templates: FramePlace,
    pub(super) rows: FramePlace,
    pub(super) words: Vec<FramePlace>,
    /// Of each of [`COUNTED`].
    pub(super) counts: [Counts; 3],
    pub(super) chunks: Vec<IndexChunk>,
}

/// Filters of one shape, as [`super::filters`] lays them out. Blocks in no group pass every filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FilterGroup {
    pub(super) filter: Filter,
    /// Rising.
    pub(super) blocks: Vec<u32>,
    /// From the beginning of the filters.
    pub(super) offset: u64,
}

/// Where a Zstandard frame stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FramePlace {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) plain: u32,
    pub(super) crc: u32,
}

impl FramePlace {
    fn encode(self, out: &mut Vec<u8>) {
        out.put_u64_le(self.offset);
        out.put_u32_le(self.len);
        out.put_u32_le(self.plain);
        out.put_u32_le(self.crc);
    }

    fn decode(input: &mut &[u8]) -> Option<Self> {
        Some(Self {
            offset: input.try_get_u64_le().ok()?,
            len: input.try_get_u32_le().ok()?,
            plain: input.try_get_u32_le().ok()?,
            crc: input.try_get_u32_le().ok()?,
        })
    }
}

impl FilterGroup {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.filter.seed);
        out.put_u32_le(self.filter.segment);
        out.put_u32_le(self.filter.segments);
        out.put_u64_le(self.offset);
        out.put_u32_le(self.blocks.len() as u32);
        self.blocks.iter().for_each(|block| out.put_u32_le(*block));
    }

    /// None also when it has a block that the segment does not have, or ends behind the filters.
    fn decode(input: &mut &[u8], blocks: u32, filters_len: u64) -> Option<Self> {
        let seed = input.try_get_u64_le().ok()?;
        let (segment, segments) = (input.try_get_u32_le().ok()?, input.try_get_u32_le().ok()?);
        let offset = input.try_get_u64_le().ok()?;
        let members = input.try_get_u32_le().ok()?;
        let member = |_| input.try_get_u32_le().ok().filter(|block| *block < blocks);
        let blocks = (0..members).map(member).collect::<Option<_>>()?;
        let filter = Filter { seed, segment, segments };
        let len = (filter.len() as u64).checked_mul(members.into())?;
        let fits = segment.is_power_of_two() && offset.checked_add(len)? <= filters_len;
        fits.then_some(Self { filter, blocks, offset })
    }
}

/// A column of a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct IndexChunk {
    pub(super) crc: u32,
    /// Rows that have a value.
    pub(super) rows: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct IndexColumn {
    /// Text with few distinct values, to be read as a dictionary.
    pub(super) dictionary: bool,
}

impl Index {
    /// The version of an index that this program does not read.
    pub(super) fn other_version(bytes: &[u8]) -> Option<u32> {
        let version = bytes.strip_prefix(MAGIC)?.first_chunk()?;
        Some(u32::from_le_bytes(*version)).filter(|version| *version != VERSION)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_slice(MAGIC);
        out.put_u32_le(VERSION);
        out.put_u32_le(self.blocks.len() as u32);
        out.put_u32_le(self.columns.len() as u32);
        out.put_u64_le(self.filters);
        out.put_u64_le(self.filters_len);
        self.dictionary.encode(&mut out);
        for block in &self.blocks {
            out.put_u32_le(block.meta.rows as u32);
            out.put_i64_le(block.meta.ts_min);
            out.put_i64_le(block.meta.ts_max);
            block.units.iter().for_each(|unit| out.put_u32_le(*unit));
            block.templates.encode(&mut out);
            block.rows.encode(&mut out);
            out.put_u32_le(block.words.len() as u32);
            block.words.iter().for_each(|part| part.encode(&mut out));
            block.counts.iter().for_each(|counts| encode_counts(counts, &mut out));
            for chunk in &block.chunks {
                out.put_u32_le(chunk.crc);
                out.put_u32_le(chunk.rows);
            }
        }
        out.put_u32_le(self.texts.len() as u32);
        for text in self.texts.iter() {
            out.put_u32_le(text.len() as u32);
            out.put_slice(text.as_bytes());
        }
        self.columns.iter().for_each(|column| out.put_u8(u8::from(column.dictionary)));
        out.put_u32_le(self.filter_groups.len() as u32);
        self.filter_groups.iter().for_each(|group| group.encode(&mut out));
        self.filter_crcs.iter().for_each(|crc| out.put_u32_le(*crc));
        out
    }

    /// Reads an index from the beginning of `bytes`; None when it is not one.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let input = &mut bytes;
        if input.get(..8)? != MAGIC {
            return None;
        }
        input.advance(8);
        if input.try_get_u32_le().ok()? != VERSION {
            return None;
        }
        let blocks = input.try_get_u32_le().ok()?;
        let column_count = input.try_get_u32_le().ok()?;
        let filters = input.try_get_u64_le().ok()?;
        let filters_len = input.try_get_u64_le().ok()?;
        let dictionary = FramePlace::decode(input)?;
        let decoded: Vec<_> = (0..blocks).map(|_| decode_block(input, column_count)).collect::<Option<_>>()?;
        let texts: Arc<[Arc<str>]> = decode_texts(input)?;
        if !decoded.iter().all(|block| value_counts::are_known(&block.counts, &texts)) {
            return None;
        }
        Some(Self {
            filters,
            filters_len,
            dictionary,
            blocks: decoded,
            texts,
            columns: (0..column_count)
                .map(|_| Some(IndexColumn { dictionary: input.try_get_u8().ok()? != 0 }))
                .collect::<Option<_>>()?,
            filter_groups: {
                let groups = input.try_get_u32_le().ok()?;
                (0..groups).map(|_| FilterGroup::decode(input, blocks, filters_len)).collect::<Option<_>>()?
            },
            filter_crcs: (0..filters_len.div_ceil(FILTER_PAGE as u64))
                .map(|_| input.try_get_u32_le().ok())
                .collect::<Option<_>>()?,
        })
    }
}

fn decode_block(input: &mut &[u8], columns: u32) -> Option<IndexBlock> {
    let rows = input.try_get_u32_le().ok()? as usize;
    let (ts_min, ts_max) = (input.try_get_i64_le().ok()?, input.try_get_i64_le().ok()?);
    let units = [input.try_get_u32_le().ok()?, input.try_get_u32_le().ok()?];
    Some(IndexBlock {
        meta: BlockMeta { rows, ts_min, ts_max },
        units,
        templates: FramePlace::decode(input)?,
        rows: FramePlace::decode(input)?,
        words: {
            let parts = input.try_get_u32_le().ok()?;
            (0..parts).map(|_| FramePlace::decode(input)).collect::<Option<_>>()?
        },
        counts: {
            let mut counts = COUNTED.map(|_| None);
            for counts in &mut counts {
                *counts = decode_counts(input)?;
            }
            counts
        },
        chunks: (0..columns)
            .map(|_| Some(IndexChunk { crc: input.try_get_u32_le().ok()?, rows: input.try_get_u32_le().ok()? }))
            .collect::<Option<_>>()?,
    })
}

fn encode_counts(counts: &Counts, out: &mut Vec<u8>) {
    let Some(counts) = counts else { return out.put_u8(NOT_COUNTED) };
    out.put_u8(counts.len() as u8);
    for (value, rows) in counts {
        out.put_u32_le(*value);
        out.put_u32_le(*rows);
    }
}

/// The outer None: they can't be read.
fn decode_counts(input: &mut &[u8]) -> Option<Counts> {
    let values = input.try_get_u8().ok()?;
    if values == NOT_COUNTED {
        return Some(None);
    }
    let count = |_| Some((input.try_get_u32_le().ok()?, input.try_get_u32_le().ok()?));
    let counts = (0..values).map(count).collect::<Option<Vec<_>>>()?;
    (counts.len() <= VALUES_MAX).then_some(Some(counts))
}

fn decode_texts(input: &mut &[u8]) -> Option<Arc<[Arc<str>]>> {
    let count = input.try_get_u32_le().ok()?;
    let text = |_| {
        let len = input.try_get_u32_le().ok()? as usize;
        let (text, rest) = input.split_at_checked(len)?;
        *input = rest;
        Some(std::str::from_utf8(text).ok()?.into())
    };
    (0..count).map(text).collect()
}
