//! What was read of a file: column chunks, and whole blocks for the next file.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::block_templates::BlockTemplates;
use super::index::IndexBlock;
use super::messages::{Dictionary, Frame};
use crate::filter::Filter;

/// A block as it stands in a file.
pub(crate) struct StoredBlock {
    pub(super) parquet: Arc<ParquetMetaData>,
    pub(super) block: usize,
    pub(super) chunks: Chunks,
    pub(super) filter: (Filter, Vec<u8>),
    pub(super) dictionary: Arc<Dictionary>,
    pub(super) templates: BlockTemplates,
    pub(super) rows: Frame,
    pub(super) words: Vec<Frame>,
    pub(super) index: IndexBlock,
    /// Of its segment's index.
    pub(super) texts: Arc<[Arc<str>]>,
}

impl StoredBlock {
    /// What Parquet has to know of each column.
    pub(super) fn columns(&self) -> impl Iterator<Item = ColumnCloseResult> {
        let pages = self.parquet.offset_index().map(|index| &index[self.block]);
        let columns = self.parquet.row_group(self.block).columns().iter().enumerate();
        columns.map(move |(at, column)| ColumnCloseResult {
            bytes_written: column.compressed_size() as u64,
            rows_written: self.index.meta.rows as u64,
            metadata: column.clone(),
            bloom_filter: None,
            column_index: None,
            offset_index: pages.map(|pages| pages[at].clone()),
        })
    }
}

/// The parts of a file that were read.
#[derive(Clone)]
pub(super) struct Chunks {
    pub(super) len: u64,
    pub(super) parts: Vec<(u64, Bytes)>,
}

impl Chunks {
    pub(super) fn bytes(&self) -> u64 {
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
