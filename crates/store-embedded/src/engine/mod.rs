//! The engine: takes batches, keeps them visible, makes them durable, compacts and expires them.
//!
//! One lock guards what queries see ([`state`]); it is held for pointer swaps only. The manifest has a lock of its own,
//! always taken first. Two threads work in the background: [`flush`] writes memory to segments, [`compact`] merges
//! segments and applies retention.

mod compact;
mod flush;
mod retention;
mod state;
mod write;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use model::position::{Incarnation, Partition};
use parking_lot::{Condvar, Mutex};
use rustix::fs::{FlockOperation, flock};
use store::{LedgerRow, Progress, StoreError, StoreStatus};

use crate::chunk::Snapshot;
use crate::keys::KeyFile;
use crate::manifest::{Lane, Manifest};
use crate::metrics::Metrics;
use crate::segment::{Segment, SegmentCache, SegmentEntry};
use state::State;

/// How a store keeps its data.
#[derive(Debug, Clone)]
pub struct EmbeddedStoreConfig {
    /// Made when absent; one process at a time.
    pub dir: PathBuf,
    /// Records in memory; writes wait beyond it.
    pub memory_bytes: usize,
    /// Records in memory that start a flush.
    pub flush_bytes: usize,
    /// The longest that a record waits for a flush.
    pub flush_age: Duration,
    /// Zstandard's level. Higher ones save less than a hundredth of log data.
    pub zstd_level: i32,
    /// Segments of about one size that are merged into one.
    pub compaction_fan_in: usize,
    /// Segments past this are left as they are.
    pub segment_rows_max: u64,
    /// Removes what is older, by the record's time; None: never.
    pub retention_age: Option<Duration>,
    /// Removes the oldest beyond this size on disk; None: never.
    pub retention_bytes: Option<u64>,
    /// Indexes, footers and templates of segments in memory.
    pub cache_bytes: usize,
}

impl EmbeddedStoreConfig {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            memory_bytes: 96 << 20,
            flush_bytes: 40 << 20,
            flush_age: Duration::from_secs(60),
            zstd_level: 1,
            compaction_fan_in: 8,
            segment_rows_max: 2_000_000,
            retention_age: None,
            retention_bytes: None,
            cache_bytes: 128 << 20,
        }
    }
}

/// The write side of the store, and what queries start from.
#[derive(Debug)]
pub struct Engine {
    config: EmbeddedStoreConfig,
    metrics: Arc<Metrics>,
    cache: Arc<SegmentCache>,
    state: Mutex<State>,
    manifest: Mutex<Manifest>,
    next_id: AtomicU64,
    /// One flush at a time.
    flushing: Mutex<()>,
    /// One merge or expiry at a time: both take segments away.
    compacting: Mutex<()>,
    /// A flush ended; writers that wait for room look again.
    room: tokio::sync::Notify,
    flush_wake: Arc<Wake>,
    compact_wake: Arc<Wake>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held locked while the store is open.
    lock: File,
}

/// Wakes a background thread, or ends it.
#[derive(Debug, Default)]
struct Wake {
    due: Mutex<bool>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Wake {
    fn wake(&self) {
        *self.due.lock() = true;
        self.changed.notify_one();
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits until woken or until the time is over.
    fn wait(&self, time: Duration) {
        let mut due = self.due.lock();
        if !*due {
            self.changed.wait_for(&mut due, time);
        }
        *due = false;
    }
}

impl Engine {
    /// Opens or makes a store: reads the manifest and the keys, removes what a crash left.
    ///
    /// # Errors
    /// Unavailable when another process has the directory open or it can't be used; corrupt when the manifest or
    /// a key file is damaged.
    pub fn open(config: EmbeddedStoreConfig) -> Result<Arc<Self>, StoreError> {
        let unavailable = |error: io::Error| StoreError::Unavailable(format!("{}: {error}", config.dir.display()));
        std::fs::create_dir_all(&config.dir).map_err(unavailable)?;
        let lock = File::create(config.dir.join("LOCK")).map_err(unavailable)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            StoreError::Unavailable(format!("{}: another process has this store open", config.dir.display()))
        })?;
        let manifest = match Manifest::read(&config.dir)? {
            Some(manifest) => manifest,
            None => {
                let first = Manifest { version: 1, ..Manifest::default() };
                first.publish(&config.dir).map_err(unavailable)?;
                first
            }
        };
        manifest.remove_orphans(&config.dir).map_err(unavailable)?;
        let cache = Arc::new(SegmentCache::new(config.cache_bytes));
        let mut state = State::new(&manifest);
        for entry in &manifest.segments {
            state.add_segment(Arc::new(Segment::new(&config.dir, entry.clone(), cache.clone())));
        }
        let now = now();
        for file in &manifest.key_files {
            for key in &file.read(&config.dir)? {
                state.keys.insert(key, now);
            }
        }
        let engine = Arc::new(Self {
            metrics: Arc::default(),
            cache,
            state: Mutex::new(state),
            next_id: AtomicU64::new(manifest.next_id),
            manifest: Mutex::new(manifest),
            flushing: Mutex::new(()),
            compacting: Mutex::new(()),
            room: tokio::sync::Notify::new(),
            flush_wake: Arc::default(),
            compact_wake: Arc::default(),
            threads: Mutex::default(),
            lock,
            config,
        });
        engine.start().map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(engine)
    }

    fn start(self: &Arc<Self>) -> io::Result<()> {
        let mut threads = self.threads.lock();
        let builder = || std::thread::Builder::new();
        // A thread must not keep the engine alive that it serves, or dropping a store would never end it.
        let (engine, wake) = (Arc::downgrade(self), self.flush_wake.clone());
        threads.push(builder().name("store-flush".into()).spawn(move || flush::run(&engine, &wake))?);
        let (engine, wake) = (Arc::downgrade(self), self.compact_wake.clone());
        threads.push(builder().name("store-compact".into()).spawn(move || compact::run(&engine, &wake))?);
        Ok(())
    }

    /// All records of a project at this moment; empty for a project without any.
    pub fn snapshot(&self, project: &str) -> Snapshot {
        self.state.lock().snapshot(project)
    }

    /// Every segment of every project.
    pub fn segments(&self) -> Vec<Arc<Segment>> {
        self.state.lock().segments().cloned().collect()
    }

    #[cfg(test)]
    pub(crate) fn state_bytes(&self) -> usize {
        self.state.lock().buffered_bytes
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub fn dir(&self) -> &Path {
        &self.config.dir
    }

    pub fn progress(&self, incarnation: Incarnation, partition: Partition) -> Progress {
        let lane = Lane(incarnation, partition);
        let durable = self.manifest.lock().position(lane);
        Progress { written: self.state.lock().position(lane), durable }
    }

    pub fn seen_key(&self, project: &str, key: u128) -> Option<u128> {
        self.state.lock().keys.get(project, key, now())
    }

    pub fn ledger(&self) -> Vec<LedgerRow> {
        let expired = self.manifest.lock().expired.clone();
        let state = self.state.lock();
        let sums = state.ledger.iter().map(|((lane, _), sums)| LedgerRow {
            project: sums.project.clone(),
            incarnation: lane.0,
            partition: lane.1,
            received: sums.received,
            stored: sums.stored,
            dead_lettered: sums.dead_lettered,
            deduplicated: sums.deduplicated,
            dropped: sums.dropped,
            lost: sums.lost,
            expired: 0,
        });
        let expired = expired
            .into_iter()
            .map(|(project, expired)| LedgerRow { expired, ..LedgerRow::new(project, Incarnation(0), Partition(0)) });
        sums.chain(expired).collect()
    }

    pub fn status(&self) -> StoreStatus {
        let state = self.state.lock();
        let segments = || state.segments().map(|segment| segment.entry());
        let chunks = || state.chunks();
        let stored: u64 = segments().map(|entry| entry.rows).sum();
        StoreStatus {
            backend: "embedded",
            rows: stored + state.buffered_rows,
            bytes: segments().map(|entry| entry.bytes).sum(),
            segments: segments().count() as u64,
            buffered_rows: state.buffered_rows,
            oldest: segments().map(|e| e.ts_min).chain(chunks().map(|chunk| chunk.ts_min)).min(),
            newest: segments().map(|e| e.ts_max).chain(chunks().map(|chunk| chunk.ts_max)).max(),
        }
    }

    /// Flushes and ends the background threads; blocks until they have.
    pub fn close(&self) -> Result<(), StoreError> {
        let flushed = self.flush();
        self.stop();
        flushed
    }

    /// Ends the background threads without a flush; blocks until they have ended.
    pub(crate) fn stop(&self) {
        self.flush_wake.stop();
        self.compact_wake.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // The last user of the engine may be one of its threads, which can't wait for itself.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the store ended by a panic");
            }
        }
    }

    /// Changes the manifest in one step; `then` changes what queries see before the next change can begin.
    fn commit(&self, edit: impl FnOnce(&mut Manifest), then: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut manifest = self.manifest.lock();
        let mut next = manifest.clone();
        edit(&mut next);
        next.version += 1;
        next.next_id = self.next_id.load(Ordering::Relaxed);
        next.publish(&self.config.dir)?;
        *manifest = next;
        then(&mut self.state.lock());
        Ok(())
    }

    fn new_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn open_segment(&self, entry: &SegmentEntry) -> Arc<Segment> {
        Arc::new(Segment::new(&self.config.dir, entry.clone(), self.cache.clone()))
    }

    /// Removes files of a step that failed; what can't be removed goes at the next start.
    fn discard(&self, segments: &[SegmentEntry], keys: Option<&KeyFile>) {
        let names = segments.iter().map(|entry| entry.file_name()).chain(keys.map(KeyFile::file_name));
        for name in names {
            let _ = std::fs::remove_file(self.config.dir.join(name));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
        // To close the file is not enough while a process that is being started still has it from us.
        if let Err(error) = flock(&self.lock, FlockOperation::Unlock) {
            tracing::warn!(%error, "the store's lock could not be given back");
        }
    }
}

/// The day since the Unix epoch that a time in nanoseconds since then is in.
fn day_of(time: i64) -> i64 {
    time.div_euclid(24 * 3600 * 1_000_000_000)
}

/// Nanoseconds since the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
