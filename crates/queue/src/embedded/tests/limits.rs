//! Retention and what happens when the queue is full.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use model::position::{Partition, Position};

use super::{ZERO, config, message, numbers, open, read_all, temp_dir};
use crate::embedded::{EmbeddedConfig, EmbeddedQueue};
use crate::metrics::Metrics;
use crate::{Queue, QueueError};

const GROUP: &str = "processor";

fn small(dir: &Path) -> EmbeddedConfig {
    EmbeddedConfig { retention_bytes: 100 << 10, retention_age: None, ..config(dir) }
}

/// Appends until the queue refuses, and returns how many messages it took.
async fn fill(queue: &EmbeddedQueue, first: u64) -> u64 {
    for number in first..first + 10_000 {
        match queue.append(ZERO, message(number, 2_000)).await {
            Ok(_) => {}
            Err(QueueError::Unavailable { reason, retry_after }) => {
                assert!(reason.contains("wait to be processed") && retry_after > Duration::ZERO, "{reason}");
                return number - first;
            }
            Err(error) => panic!("append: {error}"),
        }
    }
    panic!("the queue never refuses");
}

#[tokio::test]
async fn what_is_not_consumed_is_kept_and_the_queue_refuses_more() {
    let dir = temp_dir();
    let queue = open(small(dir.path()));
    queue.join(GROUP).await.expect("join");
    let count = fill(&queue, 0).await;
    let bytes = queue.state(ZERO).await.expect("state").bytes;
    assert!((100 << 10..110 << 10).contains(&bytes), "{bytes}");
    assert!(queue.append(Partition(1), message(0, 10)).await.is_err(), "the bound is over all partitions");
    queue.keeper.look();
    assert_eq!(numbers(&read_all(&queue, ZERO).await.0), (0..count).collect::<Vec<_>>(), "nothing was dropped");
    // A group that is nearly at its beginning keeps the gate closed: it opens below a lower mark.
    queue.commit(GROUP, ZERO, Position(2)).await.expect("commit");
    queue.keeper.look();
    assert!(queue.append(ZERO, message(0, 10)).await.is_err());
    queue.commit(GROUP, ZERO, Position(count)).await.expect("commit");
    queue.keeper.look();
    let position = queue.append(ZERO, message(count, 2_000)).await.expect("append");
    assert_eq!(position, Position(count), "positions go on");
}

#[tokio::test]
async fn every_group_counts_and_what_all_have_passed_is_kept_up_to_the_bound() {
    let dir = temp_dir();
    let queue = open(small(dir.path()));
    queue.join("slow").await.expect("join");
    let mut next = 0;
    for _ in 0..8 {
        for _ in 0..20 {
            queue.append(ZERO, message(next, 500)).await.expect("append");
            next += 1;
        }
        queue.commit(GROUP, ZERO, Position(next)).await.expect("commit");
    }
    queue.keeper.look();
    assert_eq!(queue.state(ZERO).await.expect("state").oldest, Position(0), "the slow group still needs them");
    while queue.append(ZERO, message(next, 2_000)).await.is_ok() {
        next += 1;
    }
    queue.commit(GROUP, ZERO, Position(next)).await.expect("commit");
    queue.commit("slow", ZERO, Position(next)).await.expect("commit");
    queue.keeper.look();
    let state = queue.state(ZERO).await.expect("state");
    assert!(state.oldest > Position(0) && state.bytes <= 100 << 10, "{state:?}");
    assert!(state.bytes > 50 << 10, "no more is deleted than the bound asks for: {state:?}");
}

#[tokio::test]
async fn old_messages_are_deleted_and_their_positions_never_given_again() {
    let dir = temp_dir();
    let aged = || EmbeddedConfig { retention_age: Some(Duration::ZERO), ..config(dir.path()) };
    let queue = open(aged());
    for number in 0..100 {
        queue.append(ZERO, message(number, 2_000)).await.expect("append");
    }
    queue.commit(GROUP, ZERO, Position(100)).await.expect("commit");
    queue.keeper.look();
    queue.close().await.expect("close");
    drop(queue);
    for next in 100..103 {
        let queue = open(aged());
        assert_eq!(queue.state(ZERO).await.expect("state").next, Position(next));
        assert_eq!(queue.append(ZERO, message(next, 10)).await.expect("append"), Position(next));
        queue.commit(GROUP, ZERO, Position(next + 1)).await.expect("commit");
        queue.keeper.look();
        let (read, error) = read_all(&queue, ZERO).await;
        assert_eq!((numbers(&read), error.is_none()), (vec![next], true), "only the segment being written is left");
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_and_one_beyond_the_segment_is_not() {
    let dir = temp_dir();
    let queue = open(EmbeddedConfig { message_bytes_max: 200 << 10, buffer_bytes_max: 1, ..config(dir.path()) });
    let mut large = message(1, 200 << 10);
    large.payload.truncate(200 << 10);
    let position = queue.append(ZERO, large.clone()).await.expect("append");
    let (read, _) = read_all(&queue, ZERO).await;
    assert_eq!((position, &read[0].message), (Position(0), &large));
    let refused = queue.append(ZERO, message(1, (200 << 10) + 1)).await;
    assert!(matches!(refused, Err(QueueError::TooLarge { bytes_max: 204_800, .. })), "{refused:?}");
}

/// A small file system of its own, unmounted at the end.
struct Mount(tempfile::TempDir);

impl Mount {
    /// None where this process may not mount.
    fn make(options: &str) -> Option<Self> {
        let dir = temp_dir();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(dir))
    }

    fn remount(&self, options: &str) {
        let mounted = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.0.path()).status();
        assert!(mounted.is_ok_and(|status| status.success()), "remount");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_real_disk_that_is_full_and_one_that_is_read_only() {
    // The same is tested with injected faults, which need no rights.
    let Some(mount) = Mount::make("size=1m") else { return };
    let dir = mount.0.path().join("queue");
    let unbound = || EmbeddedConfig { segment_bytes: 64 << 10, ..config(&dir) };
    let queue = open(unbound());
    let mut stored = 0;
    let refused = loop {
        match queue.append(ZERO, message(stored, 10_000)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10_000, "the disk is never full");
    };
    assert!(matches!(&refused, QueueError::Unavailable { reason, .. } if reason.contains("full")), "{refused:?}");
    let expected: Vec<_> = (0..stored).collect();
    assert_eq!(numbers(&read_all(&queue, ZERO).await.0), expected);
    queue.close().await.expect("close");
    drop(queue);
    mount.remount("size=2m");
    let queue = open(unbound());
    assert_eq!(numbers(&read_all(&queue, ZERO).await.0), expected);
    queue.append(ZERO, message(stored, 10_000)).await.expect("there is room again");
    queue.close().await.expect("close");
    drop(queue);
    mount.remount("ro");
    let refused = EmbeddedQueue::open(unbound(), Metrics::default()).expect_err("read-only").to_string();
    assert!(refused.contains("LOCK") && refused.contains("Read-only"), "{refused}");
    let report = crate::embedded::verify(&dir).expect("a read-only queue can be verified");
    assert_eq!((report.is_sound(), report.partitions[0].messages), (true, stored + 1));
}
