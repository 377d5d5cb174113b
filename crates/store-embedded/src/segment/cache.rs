//! Opened segments, kept within a bound.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use super::SegmentMeta;
use super::index::Index;
use super::messages::Dictionary;

/// A segment whose index and footer were read.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) meta: Arc<SegmentMeta>,
    pub(super) arrow: ArrowReaderMetadata,
    pub(super) index: Index,
    /// Read when it is first asked for.
    pub(super) dictionary: OnceLock<Arc<Dictionary>>,
    /// What it takes in memory, the dictionary included.
    pub(super) size: usize,
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

    pub(super) fn get(&self, id: u64) -> Option<Arc<Opened>> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        self.opened.lock().get_mut(&id).map(|(opened, used)| {
            *used = now;
            opened.clone()
        })
    }

    /// Makes room by the least recently used; what was put last always stays.
    pub(super) fn put(&self, id: u64, new: Arc<Opened>) {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut opened = self.opened.lock();
        opened.insert(id, (new, now));
        let mut bytes: usize = opened.values().map(|(opened, _)| opened.size).sum();
        while opened.len() > 1 && (bytes > self.bytes_max || opened.len() > OPEN_MAX) {
            let Some((&oldest, _)) = opened.iter().min_by_key(|(_, (_, used))| *used) else { break };
            bytes -= opened.remove(&oldest).map_or(0, |(opened, _)| opened.size);
        }
    }

    pub(super) fn remove(&self, id: u64) {
        self.opened.lock().remove(&id);
    }
}
