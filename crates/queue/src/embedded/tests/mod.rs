//! The embedded queue against its specification.

mod corruption;
mod crash;
mod fault;
mod limits;
mod model_based;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::position::{Partition, Position};

use super::{EmbeddedConfig, EmbeddedQueue};
use crate::conformance::{self, Site, message};
use crate::metrics::Metrics;
use crate::{Delivery, Queue, QueueError};

pub(super) const ZERO: Partition = Partition(0);

/// Small enough that a test fills segments, without a mark for free disk space.
pub(super) fn config(dir: &Path) -> EmbeddedConfig {
    EmbeddedConfig {
        dir: dir.to_owned(),
        partitions: 2,
        segment_bytes: 32 << 10,
        disk_free_min_bytes: 0,
        ..EmbeddedConfig::default()
    }
}

pub(super) fn open(config: EmbeddedConfig) -> EmbeddedQueue {
    EmbeddedQueue::open(config, Metrics::default()).expect("the queue opens")
}

pub(super) fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for the test")
}

/// Every message of the partition from the oldest on, up to the first error.
pub(super) async fn read_all(queue: &dyn Queue, partition: Partition) -> (Vec<Delivery>, Option<QueueError>) {
    let state = queue.state(partition).await.expect("state");
    read_from(queue, partition, state.oldest).await
}

pub(super) async fn read_from(
    queue: &dyn Queue,
    partition: Partition,
    mut from: Position,
) -> (Vec<Delivery>, Option<QueueError>) {
    let end = queue.state(partition).await.expect("state").next;
    let mut all = Vec::new();
    while from < end {
        match queue.read(partition, from, 1 << 20, Duration::ZERO).await {
            Ok(deliveries) => {
                from = deliveries.last().expect("there are messages before the end").position.next();
                all.extend(deliveries);
            }
            Err(error) => return (all, Some(error)),
        }
    }
    (all, None)
}

pub(super) fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.message.headers.received as u64).collect()
}

pub(super) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("make a directory");
    for entry in std::fs::read_dir(from).expect("read a directory") {
        let entry = entry.expect("read a directory");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("file type").is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copy a file");
        }
    }
}

struct TempSite {
    dir: tempfile::TempDir,
    recent_bytes_max: usize,
}

#[async_trait]
impl Site for TempSite {
    async fn open(&self) -> Arc<dyn Queue> {
        let (retention_age, recent_bytes_max) = (Some(Duration::ZERO), self.recent_bytes_max);
        Arc::new(open(EmbeddedConfig { retention_age, recent_bytes_max, ..config(self.dir.path()) }))
    }

    fn large_bytes(&self) -> usize {
        20 << 20
    }

    async fn expire(&self, queue: &dyn Queue, partition: Partition) -> bool {
        for _ in 0..100 {
            if queue.state(partition).await.expect("state").oldest > Position(0) {
                // Deletion has begun; it ends within one look of the keeper.
                tokio::time::sleep(Duration::from_millis(300)).await;
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("retention deletes nothing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_of_a_queue() {
    for recent_bytes_max in [0, 16 << 20] {
        conformance::run(|| Box::new(TempSite { dir: temp_dir(), recent_bytes_max })).await;
    }
}

#[tokio::test]
async fn memory_and_disk_give_the_same_messages() {
    let dir = temp_dir();
    let recent_bytes_max = 2 * (20 << 10);
    let queue = open(EmbeddedConfig { recent_bytes_max, ..config(dir.path()) });
    let log = &queue.keeper.logs[0];
    for number in 0..200 {
        queue.append(ZERO, message(number, 300)).await.expect("append");
        for bytes_max in [0, 1_000, 1 << 20] {
            let from = number.saturating_sub(7);
            let recent = log.read_recent(from, bytes_max).expect("the last messages are in memory");
            let stored = log.read(from, bytes_max).expect("read");
            assert_eq!(recent, stored[..recent.len()], "from {from}, {bytes_max} bytes");
            assert_eq!(recent.len(), stored.len(), "from {from}, {bytes_max} bytes");
        }
    }
    let oldest = (0..200).find(|&from| log.read_recent(from, 0).is_some()).expect("some are in memory");
    assert!((120..180).contains(&oldest), "memory is bounded: {oldest}");
    assert!(log.read_recent(200, 1 << 20).is_none(), "nothing is made up behind the end");
    let (read, error) = read_from(&queue, ZERO, Position(0)).await;
    assert_eq!((numbers(&read), error.is_none()), ((0..200).collect(), true), "over both");
}

#[ignore = "measures; run it alone: cargo test --release -p devlogs-queue measured -- --ignored --nocapture"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measured() {
    let dir = temp_dir();
    let config = EmbeddedConfig { segment_bytes: 64 << 20, ..config(dir.path()) };
    conformance::measure::measure(Arc::new(open(config))).await;
}

#[tokio::test]
async fn one_process_at_a_time() {
    let dir = temp_dir();
    let queue = open(config(dir.path()));
    let second = EmbeddedQueue::open(config(dir.path()), Metrics::default());
    let error = second.expect_err("the directory is in use").to_string();
    assert!(error.contains("in use by another process"), "{error}");
    queue.close().await.expect("close");
    open(config(dir.path()));
}

#[tokio::test]
async fn partitions_are_raised_and_never_lowered() {
    let dir = temp_dir();
    let queue = open(config(dir.path()));
    let incarnation = queue.incarnation();
    queue.append(Partition(1), message(7, 10)).await.expect("append");
    drop(queue);
    let queue = open(EmbeddedConfig { partitions: 5, ..config(dir.path()) });
    assert_eq!((queue.partitions(), queue.incarnation()), (5, incarnation));
    queue.append(Partition(4), message(8, 10)).await.expect("append");
    drop(queue);
    let queue = open(EmbeddedConfig { partitions: 1, ..config(dir.path()) });
    assert_eq!(queue.partitions(), 5);
    assert_eq!(numbers(&read_all(&queue, Partition(1)).await.0), [7]);
    assert_eq!(numbers(&read_all(&queue, Partition(4)).await.0), [8]);
}

#[tokio::test]
async fn reading_past_the_end_is_told() {
    let dir = temp_dir();
    let queue = open(config(dir.path()));
    queue.append(ZERO, message(0, 10)).await.expect("append");
    let read = queue.read(ZERO, Position(2), 1, Duration::ZERO).await;
    assert!(matches!(read, Err(QueueError::Corrupt(_))), "{read:?}");
    let commit = queue.commit("processor", ZERO, Position(2)).await;
    assert!(matches!(commit, Err(QueueError::Corrupt(_))), "{commit:?}");
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let dir = temp_dir();
    for (wrong, name) in [
        (EmbeddedConfig { partitions: 0, ..config(dir.path()) }, "partitions"),
        (EmbeddedConfig { segment_bytes: 1, ..config(dir.path()) }, "segment_bytes"),
        (EmbeddedConfig { retention_bytes: 1, ..config(dir.path()) }, "retention_bytes"),
        (EmbeddedConfig { message_bytes_max: usize::MAX, ..config(dir.path()) }, "message_bytes_max"),
        (EmbeddedConfig { buffer_bytes_max: 0, ..config(dir.path()) }, "buffer_bytes_max"),
    ] {
        let error = EmbeddedQueue::open(wrong, Metrics::default()).expect_err("wrong").to_string();
        assert!(error.contains(name), "{error}");
    }
    let queue = open(config(dir.path()));
    for name in ["", "Upper", "../up", "dot."] {
        assert!(queue.join(name).await.is_err(), "{name:?} is no name for a group");
    }
}

#[tokio::test]
async fn a_waiting_reader_wakes_at_once() {
    let dir = temp_dir();
    let queue = Arc::new(open(config(dir.path())));
    let mut delays = Vec::new();
    for number in 0..100 {
        let reader = {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move {
                let read = queue.read(ZERO, Position(number), 1 << 20, Duration::from_secs(10)).await;
                (read.expect("read").len(), std::time::Instant::now())
            })
        };
        tokio::time::sleep(Duration::from_millis(1)).await;
        queue.append(ZERO, message(number, 200)).await.expect("append");
        let appended = std::time::Instant::now();
        let (count, at) = reader.await.expect("reader");
        assert_eq!(count, 1);
        delays.push(at.saturating_duration_since(appended));
    }
    delays.sort();
    // A tenth of a millisecond on an idle machine; the bound leaves a busy one room and still finds out polling.
    assert!(delays[50] < Duration::from_millis(5), "{:?}", delays[50]);
}

#[tokio::test]
async fn verify_counts_everything() {
    let dir = temp_dir();
    let queue = open(config(dir.path()));
    for number in 0..100 {
        queue.append(ZERO, message(number, 2_000)).await.expect("append");
    }
    queue.commit("processor", ZERO, Position(40)).await.expect("commit");
    let running = queue.verify().await.expect("verify");
    assert!(running.is_sound() && running.partitions[0].messages == 100, "{running:?}");
    assert!(super::verify(dir.path()).is_err(), "the directory is in use");
    queue.close().await.expect("close");
    let stopped = super::verify(dir.path()).expect("verify");
    assert!(stopped.is_sound() && stopped.notes.is_empty(), "{stopped:?}");
    let first = stopped.partitions[0];
    assert_eq!((first.messages, first.oldest, first.next), (100, Position(0), Position(100)));
    assert!(first.segments > 2);
    assert_eq!(stopped.groups["processor"][&0], 40);
    assert!(super::verify(&dir.path().join("none")).is_err());
}
