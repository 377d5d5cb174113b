//! A segment: one immutable Parquet file of one project and one day, cut into blocks.
//!
//! Blocks are row groups of at most [`BLOCK_ROWS`] rows, sorted by (time, id). They stand about in the order of time; a
//! block may overlap others. Between the last block and the Parquet footer stands our
//! index: what each block holds, a checksum for each column of each block, and the token filters. The file stays
//! valid Parquet for every other reader, who finds all columns but most of the messages: these stand split into
//! templates and words outside of the row groups ([`messages`]), and times in the unit that the index has for the block:
//! what most programs send is whole milliseconds or microseconds, and takes half the room so.
//!
//! Opening is lazy: a query that only asks [`Segment::entry`] reads nothing. Every read is checked by checksum, so a
//! damaged file is [`store::StoreError::Corrupt`] with its name, never a wrong answer. All calls block on the disk.

mod block_templates;
mod cache;
mod coded_chunk;
mod filters;
mod index;
mod marks;
mod messages;
mod read;
mod read_columns;
mod read_messages;
mod stored;
mod value_counts;
mod write;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

pub(crate) use block_templates::{BlockTemplates, Words};
pub(crate) use cache::SegmentCache;
pub(crate) use coded_chunk::Coded;
pub(crate) use messages::Dictionary;
pub use read::Segment;
pub use read_columns::Block;
pub(crate) use value_counts::ValueCounts;
pub(crate) use write::{Place, SegmentWriter};

/// Rows of a block. Smaller blocks make needles and newest-first pages cheaper, larger ones compress better.
pub const BLOCK_ROWS: usize = 16_384;

/// The columns of times, in the order of their units in the index.
const TIMES: [usize; 2] = [crate::columns::TS, crate::columns::OBSERVED];

/// The part of a project's time that a segment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Day {
    /// Days since the Unix epoch, of the timestamp.
    Of(i32),
    /// Records whose time is too far from when they came: in no day of their own, so that no client can make
    /// thousands of files.
    Overflow,
}

/// What the manifest knows of a segment, without a look at the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Names the file; never used again.
    pub id: u64,
    pub project: Arc<str>,
    pub day: Day,
    pub rows: u64,
    /// Lowest and highest timestamp, nanoseconds since the Unix epoch.
    pub ts_min: i64,
    pub ts_max: i64,
    /// When its newest rows were written, nanoseconds since the Unix epoch.
    pub written: i64,
    /// Of the file.
    pub bytes: u64,
    /// Where index and footer begin, and the checksum from there to the end.
    pub tail: u64,
    pub tail_crc: u32,
    /// How often its rows were merged.
    pub level: u8,
}

impl SegmentEntry {
    pub fn file_name(&self) -> String {
        file_name(self.id)
    }
}

pub(crate) fn file_name(id: u64) -> String {
    format!("{id:016x}.parquet")
}

/// The inside of a segment.
#[derive(Debug)]
pub struct SegmentMeta {
    /// The columns of [`crate::columns`]; projections are indexes into it.
    pub schema: SchemaRef,
    pub blocks: Vec<BlockMeta>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockMeta {
    pub rows: usize,
    pub ts_min: i64,
    pub ts_max: i64,
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(day) => day.fmt(f),
            Self::Overflow => f.write_str("overflow"),
        }
    }
}
