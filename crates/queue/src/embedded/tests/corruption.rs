//! Every byte of a small segment cut off or changed: no stored message may be lost in silence or come back wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::position::{Incarnation, Partition};
use tokio::sync::{Semaphore, oneshot};

use super::super::frame;
use super::super::gate::Gate;
use super::super::partition::PartitionLog;
use super::super::segment::file_name;
use super::super::vfs::Vfs;
use super::super::writer::{Inbox, Pending, Writer};
use super::fault::FaultFs;
use super::{config, message, open, read_from, temp_dir};
use crate::metrics::Metrics;
use crate::{Delivery, Message, Queue, QueueError};

const PARTITION: Partition = Partition(3);
const INCARNATION: Incarnation = Incarnation(77);
/// The groups of the segment under test: each is one fsync.
const GROUPS: [&[usize]; 3] = [&[20, 300], &[0], &[40, 500, 9]];
const LAST_GROUP: u64 = 3;
const MESSAGES: u64 = 6;
const SEGMENT_BYTES: u64 = 4096;

fn expected(number: u64) -> Message {
    let bytes = GROUPS.concat()[number as usize];
    let mut message = message(number, bytes);
    message.payload.truncate(bytes);
    message
}

fn fast() -> Arc<dyn Vfs> {
    let fs = FaultFs::default();
    fs.0.skip_fsync.store(true, Ordering::Relaxed);
    Arc::new(fs)
}

fn open_log(dir: &Path) -> (Arc<PartitionLog>, bool) {
    let (log, damages) = PartitionLog::open(fast(), dir.to_owned(), PARTITION, INCARNATION, 0).expect("open");
    (Arc::new(log), !damages.is_empty())
}

/// Writes messages as one group in a process of their own, so to say.
fn write_groups(log: &Arc<PartitionLog>, groups: &[Vec<Message>], seal: bool) {
    let gate = Arc::new(Gate::new(u64::MAX));
    let mut writer = Writer::new(Arc::clone(log), gate, Metrics::default(), SEGMENT_BYTES);
    for group in groups {
        let buffer = Arc::new(Semaphore::new(group.len()));
        let mut pending = Vec::new();
        for message in group {
            let room = Arc::clone(&buffer).try_acquire_owned().expect("room");
            let (message, frame) = (message.clone(), frame::encode(message).expect("encode"));
            pending.push(Pending { message, frame, done: oneshot::channel().0, room });
        }
        writer.write_all(pending);
    }
    let inbox = Inbox::default();
    inbox.close();
    writer.run(&inbox, || seal);
}

/// A segment with all groups in it, and its bytes.
fn build(dir: &Path, seal: bool) -> (PathBuf, Vec<u8>) {
    let (log, _) = open_log(dir);
    let mut numbers = 0..MESSAGES;
    let groups: Vec<Vec<Message>> =
        GROUPS.iter().map(|group| numbers.by_ref().take(group.len()).map(expected).collect()).collect();
    write_groups(&log, &groups, seal);
    let path = dir.join(file_name(0));
    let bytes = std::fs::read(&path).expect("read the segment");
    (path, bytes)
}

/// Reads from each position of the log: what comes must be right. Returns which messages came, and whether damage was
/// told for each that did not.
fn check(log: &PartitionLog, case: &str) -> (Vec<u64>, bool) {
    let (mut came, mut told) = (Vec::new(), true);
    for position in 0..log.next().min(MESSAGES) {
        match log.read(position, 1) {
            Ok(deliveries) => {
                let Some(Delivery { position: at, message }) = deliveries.first() else {
                    panic!("{case}: nothing at {position} and no error");
                };
                assert_eq!((at.0, message), (position, &expected(position)), "{case}");
                came.push(position);
            }
            Err(QueueError::Damaged { from, to, .. }) => {
                assert!(from.0 == position && to.0 > position, "{case}: {position} is told as {from} to {to}");
            }
            Err(error) => panic!("{case}: {error}"),
        }
    }
    if log.next() < MESSAGES {
        told = false;
    }
    (came, told)
}

/// Runs `check_case` with a bit of each byte flipped and with the file cut at each byte; of the reserved space at the
/// end only some bytes.
fn each_damage(bytes: &[u8], mut check_case: impl FnMut(&str, &[u8])) {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 50).min(bytes.len());
    for at in (0..used).chain((used..bytes.len()).step_by(101)) {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        check_case(&format!("bit {} of byte {at} flipped", at % 8), &damaged);
        check_case(&format!("cut at byte {at}"), &bytes[..at]);
    }
}

#[test]
fn damage_after_a_crash_costs_at_most_the_last_group() {
    let dir = quick_dir();
    let (path, bytes) = build(dir.path(), false);
    assert_eq!(bytes.len() as u64, SEGMENT_BYTES);
    let (mut torn, mut damaged_cases) = (0, 0);
    each_damage(&bytes, |case, damaged| {
        std::fs::write(&path, damaged).expect("write");
        let (log, damaged) = open_log(dir.path());
        let (came, _) = check(&log, case);
        if damaged {
            damaged_cases += 1;
        } else {
            assert!(came.iter().copied().eq(0..log.next().min(MESSAGES)), "{case}: {came:?} without damage");
            assert!(log.next() >= LAST_GROUP, "{case}: durable messages were taken for a torn write");
            torn += usize::from(log.next() < MESSAGES);
        }
        // New messages never take a position that was given, unless it was never acknowledged.
        let next = log.next();
        write_groups(&log, &[vec![message(1_000, 10)]], true);
        drop(log);
        let (log, _) = open_log(dir.path());
        let read = log.read(next, 1).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(read[0].message, message(1_000, 10), "{case}");
        clear(dir.path());
    });
    assert!(torn > 100 && damaged_cases > 500, "{torn} torn, {damaged_cases} damaged");
}

/// In memory where there is such a place: thousands of files are made.
fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| temp_dir())
}

fn clear(dir: &Path) {
    for entry in std::fs::read_dir(dir).expect("read") {
        std::fs::remove_file(entry.expect("read").path()).expect("remove");
    }
}

#[test]
fn damage_in_a_sealed_segment_is_always_told() {
    for following in [false, true] {
        let dir = quick_dir();
        let (path, bytes) = build(dir.path(), true);
        let (log, _) = open_log(dir.path());
        let after = dir.path().join(file_name(MESSAGES));
        let mut after_bytes = Vec::new();
        if following {
            write_groups(&log, &[vec![message(MESSAGES, 100)]], true);
            after_bytes = std::fs::read(&after).expect("read");
        }
        drop(log);
        each_damage(&bytes, |case, damaged| {
            clear(dir.path());
            std::fs::write(&path, damaged).expect("write");
            if following {
                std::fs::write(&after, &after_bytes).expect("write");
            }
            let (log, _) = open_log(dir.path());
            let (came, told) = check(&log, case);
            assert!(told, "{case}: messages from {} on are gone in silence, {came:?} came", log.next());
            if following {
                let read = log.read(MESSAGES, 1).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!(read[0].message, message(MESSAGES, 100), "{case}");
            }
        });
    }
}

#[test]
fn a_missing_segment_is_told() {
    let dir = temp_dir();
    build(dir.path(), true);
    let (log, _) = open_log(dir.path());
    write_groups(&log, &[vec![message(6, 100)]], true);
    let (log, _) = open_log(dir.path());
    write_groups(&log, &[vec![message(7, 100)]], true);
    std::fs::remove_file(dir.path().join(file_name(6))).expect("remove");
    let (log, damaged) = open_log(dir.path());
    assert!(damaged);
    assert!(matches!(log.read(6, 1), Err(QueueError::Damaged { to: model::position::Position(7), .. })));
    assert_eq!(log.read(7, 1).expect("read")[0].message, message(7, 100));
}

#[test]
fn a_torn_group_with_whole_frames_behind_the_tear_is_no_damage() {
    let dir = temp_dir();
    let (path, mut bytes) = build(dir.path(), false);
    // The first frame of the last group: its body did not reach the disk, the frames behind it did.
    let body = b"message 3 ";
    let at = bytes.windows(body.len()).position(|window| window == body).expect("the frame");
    bytes[at] ^= 0xff;
    std::fs::write(&path, &bytes).expect("write");
    let (log, damaged) = open_log(dir.path());
    assert!(!damaged);
    assert_eq!(log.next(), LAST_GROUP);
    // The same at the first frame of an earlier group, which was durable.
    let dir = temp_dir();
    let (path, mut bytes) = build(dir.path(), false);
    let body = b"message 0 ";
    let at = bytes.windows(body.len()).position(|window| window == body).expect("the frame");
    bytes[at] ^= 0xff;
    std::fs::write(&path, &bytes).expect("write");
    let (log, damaged) = open_log(dir.path());
    assert!(damaged);
    assert_eq!(check(&log, "message 0").0, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn reads_tell_damage_and_go_on_behind_it() {
    let dir = temp_dir();
    let queue = open(config(dir.path()));
    for number in 0..30 {
        queue.append(Partition(0), message(number, 200)).await.expect("append");
    }
    queue.close().await.expect("close");
    drop(queue);
    let path = dir.path().join("partitions/0000").join(file_name(0));
    let mut bytes = std::fs::read(&path).expect("read");
    let body = b"message 17 ";
    let at = bytes.windows(body.len()).position(|window| window == body).expect("the frame");
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("write");
    let report = super::super::verify(dir.path()).expect("verify");
    assert_eq!((report.damages.len(), report.damages[0].from, report.damages[0].to), (1, 17, 18));
    let queue = open(config(dir.path()));
    let (read, error) = super::read_all(&queue, Partition(0)).await;
    assert_eq!(read.len(), 17, "what stands before the damage is read");
    let error = error.expect("damage").to_string();
    assert!(error.contains("partition 0: positions from 17 to before 18"), "{error}");
    let (read, error) = read_from(&queue, Partition(0), model::position::Position(18)).await;
    assert_eq!((read.len(), error.is_none()), (12, true));
}

#[tokio::test]
async fn damaged_group_files_and_identity_are_told() {
    let dir = temp_dir();
    let queue = open(config(dir.path()));
    queue.append(Partition(0), message(0, 10)).await.expect("append");
    queue.commit("processor", Partition(0), model::position::Position(1)).await.expect("commit");
    queue.close().await.expect("close");
    drop(queue);
    let group = dir.path().join("groups/processor.pos");
    let mut bytes = std::fs::read(&group).expect("read");
    bytes[20] ^= 1;
    std::fs::write(&group, bytes).expect("write");
    let queue = open(config(dir.path()));
    assert_eq!(queue.committed("processor", Partition(0)).await.expect("committed"), None);
    assert!(group.with_extension("damaged").exists());
    drop(queue);
    let meta = dir.path().join("queue.meta");
    let mut bytes = std::fs::read(&meta).expect("read");
    bytes[15] ^= 1;
    std::fs::write(&meta, bytes).expect("write");
    let refused = super::EmbeddedQueue::open(config(dir.path()), Metrics::default());
    assert!(matches!(refused, Err(QueueError::Corrupt(_))), "{refused:?}");
    std::fs::remove_file(&meta).expect("remove");
    let refused = super::EmbeddedQueue::open(config(dir.path()), Metrics::default());
    assert!(matches!(&refused, Err(QueueError::Corrupt(text)) if text.contains("missing")), "{refused:?}");
}
