//! What happens when the file system fails.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use model::position::Position;
use parking_lot::Mutex;

use super::super::vfs::{Disk, Mode, Vfs, VfsFile};
use super::{ZERO, config, message, numbers, open, read_all, temp_dir};
use crate::embedded::{EmbeddedConfig, EmbeddedQueue, verify};
use crate::metrics::Metrics;
use crate::{Queue, QueueError};

/// What fails in files of partitions.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// A write takes at most this much, then goes on.
    pub(super) write_bytes_max: Mutex<Option<usize>>,
    /// A write takes this much, then fails, as all after it.
    pub(super) write_fails_after: Mutex<Option<usize>>,
    pub(super) fsync_fails: AtomicBool,
    pub(super) no_space: AtomicBool,
    pub(super) free_bytes: Mutex<Option<u64>>,
    /// Nothing is made durable, so that tests of many cases are quick.
    pub(super) skip_fsync: AtomicBool,
    pub(super) fsyncs: AtomicU64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct FaultFs(pub(super) Arc<Faults>);

#[derive(Debug)]
struct FaultFile {
    file: Arc<dyn VfsFile>,
    faults: Arc<Faults>,
}

const EIO: i32 = 5;

impl Vfs for FaultFs {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn VfsFile>> {
        let file = Disk.open(path, mode)?;
        if path.components().any(|part| part.as_os_str() == "partitions") {
            return Ok(Arc::new(FaultFile { file, faults: Arc::clone(&self.0) }));
        }
        Ok(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.0.skip_fsync.load(Ordering::Relaxed) { Ok(()) } else { Disk.sync_dir(dir) }
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.0.free_bytes.lock().map_or_else(|| Disk.free_bytes(dir), Ok)
    }
}

impl VfsFile for FaultFile {
    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(into, offset)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let mut limit = bytes.len();
        if let Some(most) = *self.faults.write_bytes_max.lock() {
            limit = limit.min(most);
        }
        if let Some(left) = &mut *self.faults.write_fails_after.lock() {
            if *left == 0 {
                return Err(io::Error::from_raw_os_error(EIO));
            }
            limit = limit.min(*left);
            *left -= limit;
        }
        self.file.write_at(&[IoSlice::new(&bytes[..limit])], offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        if self.faults.no_space.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.allocate(bytes)
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.file.set_bytes(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.fsyncs.fetch_add(1, Ordering::Relaxed);
        if self.faults.fsync_fails.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if self.faults.skip_fsync.load(Ordering::Relaxed) { Ok(()) } else { self.file.sync() }
    }

    fn forget_cached(&self) -> io::Result<()> {
        self.file.forget_cached()
    }
}

fn open_on(fs: &FaultFs, config: EmbeddedConfig) -> EmbeddedQueue {
    EmbeddedQueue::open_on(Arc::new(fs.clone()), config, Metrics::default()).expect("the queue opens")
}

/// Appends messages with these numbers, each of which must be stored.
async fn append(queue: &EmbeddedQueue, numbers: std::ops::Range<u64>) {
    for number in numbers {
        queue.append(ZERO, message(number, 500)).await.expect("append");
    }
}

#[tokio::test]
async fn short_writes_are_carried_on() {
    let (dir, fs) = (temp_dir(), FaultFs::default());
    let queue = open_on(&fs, config(dir.path()));
    *fs.0.write_bytes_max.lock() = Some(37);
    append(&queue, 0..100).await;
    assert_eq!(numbers(&read_all(&queue, ZERO).await.0), (0..100).collect::<Vec<_>>());
    drop(queue);
    assert_eq!(numbers(&read_all(&open(config(dir.path())), ZERO).await.0), (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_failed_fsync_is_never_tried_again_on_the_same_file() {
    let (dir, fs) = (temp_dir(), FaultFs::default());
    let queue = open_on(&fs, config(dir.path()));
    append(&queue, 0..5).await;
    fs.0.fsync_fails.store(true, Ordering::Relaxed);
    let fsyncs = fs.0.fsyncs.load(Ordering::Relaxed);
    let failed = queue.append(ZERO, message(99, 500)).await;
    assert!(matches!(failed, Err(QueueError::Unknown(_))), "{failed:?}");
    assert_eq!(fs.0.fsyncs.load(Ordering::Relaxed), fsyncs + 1, "one fsync, then none on this file");
    assert_eq!(numbers(&read_all(&queue, ZERO).await.0), [0, 1, 2, 3, 4], "what is not durable must not be seen");
    fs.0.fsync_fails.store(false, Ordering::Relaxed);
    append(&queue, 5..10).await;
    let expected: Vec<_> = (0..10).collect();
    assert_eq!(numbers(&read_all(&queue, ZERO).await.0), expected);
    assert_eq!(queue.keeper.logs[0].segments().len(), 2, "the writer went on in a new segment");
    drop(queue);
    let queue = open(config(dir.path()));
    assert_eq!(numbers(&read_all(&queue, ZERO).await.0), expected, "the unacknowledged message must not come between");
}

#[tokio::test]
async fn a_torn_write_that_failed_does_not_come_back() {
    // From nothing of the frame to nearly all of it.
    for written in [0, 3, 40, 100, 150] {
        let (dir, fs) = (temp_dir(), FaultFs::default());
        let queue = open_on(&fs, config(dir.path()));
        append(&queue, 0..3).await;
        *fs.0.write_fails_after.lock() = Some(written);
        let failed = queue.append(ZERO, message(99, 700)).await;
        // The trailer cannot be written either.
        assert!(matches!(failed, Err(QueueError::Unknown(_))), "{failed:?}");
        drop(queue);
        let report = verify(dir.path()).expect("verify");
        assert!(report.is_sound(), "{report:?}");
        let queue = open(config(dir.path()));
        assert_eq!(numbers(&read_all(&queue, ZERO).await.0), [0, 1, 2], "after {written} bytes");
        append(&queue, 3..5).await;
        assert_eq!(numbers(&read_all(&queue, ZERO).await.0), [0, 1, 2, 3, 4]);
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_passes() {
    let (dir, fs) = (temp_dir(), FaultFs::default());
    let queue = open_on(&fs, config(dir.path()));
    append(&queue, 0..3).await;
    fs.0.no_space.store(true, Ordering::Relaxed);
    let mut stored = 3;
    let refused = loop {
        match queue.append(ZERO, message(stored, 500)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1_000, "the segment never ends");
    };
    assert!(
        matches!(&refused, QueueError::Unavailable { reason, retry_after }
            if reason.contains("disk is full") && *retry_after > Duration::ZERO),
        "{refused:?}"
    );
    assert_eq!(numbers(&read_all(&queue, ZERO).await.0), (0..stored).collect::<Vec<_>>(), "reading goes on");
    fs.0.no_space.store(false, Ordering::Relaxed);
    append(&queue, stored..stored + 3).await;
    drop(queue);
    let queue = open(config(dir.path()));
    assert_eq!(numbers(&read_all(&queue, ZERO).await.0), (0..stored + 3).collect::<Vec<_>>());
}

#[tokio::test]
async fn little_free_space_closes_the_gate() {
    let (dir, fs) = (temp_dir(), FaultFs::default());
    *fs.0.free_bytes.lock() = Some(999);
    let queue = open_on(&fs, EmbeddedConfig { disk_free_min_bytes: 1_000, ..config(dir.path()) });
    let refused = queue.append(ZERO, message(0, 10)).await;
    assert!(matches!(&refused, Err(QueueError::Unavailable { reason, .. }) if reason.contains("999")), "{refused:?}");
    // Above the mark, but not by a tenth.
    *fs.0.free_bytes.lock() = Some(1_050);
    queue.keeper.look();
    assert!(queue.append(ZERO, message(0, 10)).await.is_err());
    *fs.0.free_bytes.lock() = Some(1_100);
    queue.keeper.look();
    assert_eq!(queue.append(ZERO, message(0, 10)).await.expect("append"), Position(0));
}
