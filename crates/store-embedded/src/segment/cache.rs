//! Opened segments, kept within a bound.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Read when it is asked for, and given up when there is no room.
    pub(super) dictionary: Mutex<Option<Arc<Dictionary>>>,
    /// What it takes in memory without the dictionary.
    pub(super) size: usize,
}

impl Opened {
    fn dictionary_bytes(&self) -> usize {
        self.dictionary.lock().as_ref().map_or(0, |dictionary| dictionary.bytes())
    }
}

/// Indexes, footers, templates and handles of the segments used last.
#[derive(Debug)]
pub(crate) struct SegmentCache {
    bytes_max: usize,
    clock: AtomicU64,
    opened: Mutex<HashMap<u64, (Arc<Opened>, u64)>>,
}

/// Files held open.
const OPEN_MAX: usize = 256;

/// Segments that questions look at by turns: a block of one, then one of another.
const IN_USE: usize = 8;

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

    pub(super) fn put(&self, id: u64, new: Arc<Opened>) {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        self.opened.lock().insert(id, (new, now));
        self.make_room();
    }

    /// Gives up the least recently used: first templates, which take most of the room and are needed less often, then whole
    /// segments. What is in use stays: the templates of [`IN_USE`] segments, and the segment that was used last.
    pub(super) fn make_room(&self) {
        let mut opened = self.opened.lock();
        let mut by_use: Vec<(u64, u64)> = opened.iter().map(|(id, (_, used))| (*used, *id)).collect();
        by_use.sort_unstable();
        let (idle, others) = (by_use.len().saturating_sub(IN_USE), by_use.len().saturating_sub(1));
        let mut bytes: usize = opened.values().map(|(opened, _)| opened.size + opened.dictionary_bytes()).sum();
        for (_, id) in &by_use[..idle] {
            if bytes <= self.bytes_max {
                break;
            }
            let dictionary = opened.get(id).and_then(|(opened, _)| opened.dictionary.lock().take());
            // One may have been read since the sum was taken.
            bytes = bytes.saturating_sub(dictionary.map_or(0, |dictionary| dictionary.bytes()));
        }
        for (_, id) in &by_use[..others] {
            if bytes <= self.bytes_max && opened.len() <= OPEN_MAX {
                break;
            }
            let size = opened.remove(id).map_or(0, |(opened, _)| opened.size + opened.dictionary_bytes());
            bytes = bytes.saturating_sub(size);
        }
    }

    pub(super) fn remove(&self, id: u64) {
        self.opened.lock().remove(&id);
    }
}
