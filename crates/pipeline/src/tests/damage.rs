//! Messages that the queue held and can't give any more.

use std::path::Path;
use std::time::Duration;

use model::position::{Partition, Position};

use super::faults::Faults;
use super::rig::{Rig, Sent};
use crate::damage::{SkipError, find, skip};
use crate::replay::{ReplayError, replay};
use crate::verify::verify;

const ZERO: Partition = Partition(0);

fn line(text: &str) -> Sent {
    Sent { messages: vec![text.to_owned()], key: None, body: 0 }
}

/// The segments of a partition, oldest first.
fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Flips a bit of a stored text.
fn flip(dir: &Path, text: &str) {
    for path in segments(dir) {
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
            bytes[at] ^= 1;
            return std::fs::write(&path, bytes).unwrap();
        }
    }
    panic!("no segment holds {text}");
}

async fn wait_for(mut is_so: impl FnMut() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waited).await.expect("it comes to be so");
}

#[tokio::test]
async fn damage_stops_its_partition_until_the_operator_goes_on_behind_it() {
    const METRIC: &str = "devlogs_processor_damaged_position{partition=\"0\"} 2";
    let mut rig = Rig::new();
    for number in 0..6 {
        rig.send(0, line(&format!("line-{number}"))).await;
    }
    rig.reopen_queue(0, |dir| {
        flip(dir, "line-2");
        flip(dir, "line-3");
    })
    .await;
    rig.send(1, line("elsewhere")).await;
    let running = rig.start();
    wait_for(|| rig.metrics_text().contains(METRIC)).await;
    let subject = rig.subject().await;
    let damage = find(&subject, ZERO).await.unwrap().expect("there is damage");
    assert_eq!((damage.from, damage.to), (Position(2), Some(Position(4))));
    assert!(damage.reason.contains("partition 0: positions from 2"), "{}", damage.reason);
    assert_eq!(find(&subject, Partition(1)).await.unwrap(), None);

    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(rig.metrics_text().contains(METRIC), "it is never passed over without a word");
    let stored: Vec<_> = rig.stored().await.into_iter().map(|record| record.message.into_owned()).collect();
    assert_eq!(stored.len(), 3, "what stands before, and the other partition: {stored:?}");

    for wrong in [0, 2, 3, 5, 6, 7] {
        let refused = skip(&subject, ZERO, Position(wrong)).await;
        assert!(matches!(&refused, Err(SkipError::Refused(text)) if text.contains("say 4")), "{wrong}: {refused:?}");
    }
    skip(&subject, ZERO, Position(4)).await.unwrap();
    rig.wait_until_done().await;
    wait_for(|| !rig.metrics_text().contains("devlogs_processor_damaged_position{")).await;
    assert_eq!(rig.stored().await.len(), 5);
    let sums = rig.sums().await;
    assert_eq!((sums.received, sums.stored, sums.lost), (5, 5, 2), "{sums:?}");
    let again = skip(&subject, ZERO, Position(4)).await;
    assert!(matches!(&again, Err(SkipError::Refused(text)) if text.contains("reads")), "{again:?}");
    running.stop().await;

    let report = verify(&subject).await.unwrap();
    assert_eq!((report.records, report.stored, report.lost, report.doubled), (5, 5, 0, 0), "{report:?}");
    assert!(report.problems.iter().any(|problem| problem.contains("from 2")), "{report:?}");
    let report = replay(&subject, 0..i64::MAX, false).await.unwrap();
    assert_eq!((report.messages, report.stored, report.damaged), (5, 0, 2), "{report:?}");
    rig.close().await;
}

/// A letter that is sent again is one record of a message with others, wherever in the queue it stands then.
#[tokio::test]
async fn letters_sent_again_are_verified_and_replayed_as_what_they_were() {
    let mut rig = Rig::new();
    rig.store.set(Faults { names_rows: true, ..Faults::default() });
    rig.send(0, Sent::with_poison(3, &[1])).await;
    rig.process().await;
    let letter = rig.letters.all().remove(0);
    rig.store.set(Faults { takes_poison: true, ..Faults::default() });
    rig.send_again(1, &letter).await;
    rig.process().await;
    let subject = rig.subject().await;
    let report = verify(&subject).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.messages, report.records, report.stored, report.doubled), (2, 3, 3, 0), "{report:?}");
    let report = replay(&subject, 0..i64::MAX, false).await.unwrap();
    assert_eq!(report.stored, 0, "{report:?}");

    // The first message is gone from the queue: the letter is looked up by itself.
    rig.reopen_queue(0, |_| {}).await;
    rig.send(0, Sent::records(1)).await;
    rig.process().await;
    rig.reopen_queue(0, |dir| std::fs::remove_file(segments(dir).remove(0)).unwrap()).await;
    let report = verify(&rig.subject().await).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.records, report.stored, report.doubled), (2, 2, 0), "{report:?}");
    rig.close().await;
}

#[tokio::test]
async fn messages_that_the_queue_dropped_unread_are_entered_as_lost() {
    let mut rig = Rig::new();
    rig.send(0, Sent::records(3)).await;
    rig.send(0, Sent::records(3)).await;
    rig.reopen_queue(0, |_| {}).await;
    rig.send(0, Sent::records(4)).await;
    rig.reopen_queue(0, |dir| std::fs::remove_file(segments(dir).remove(0)).unwrap()).await;
    rig.process().await;
    let sums = rig.sums().await;
    assert_eq!((sums.received, sums.stored, sums.lost), (4, 4, 2), "messages are counted: {sums:?}");
    assert!(rig.metrics_text().contains("devlogs_processor_lost_messages_total 2"), "{}", rig.metrics_text());

    let subject = rig.subject().await;
    let refused = replay(&subject, 0..i64::MAX, false).await;
    assert!(matches!(&refused, Err(ReplayError::NotHeld(text)) if text.contains("since 20")), "{refused:?}");
    let partial = replay(&subject, 0..i64::MAX, true).await.unwrap();
    assert_eq!((partial.messages, partial.records, partial.stored), (1, 4, 0), "{partial:?}");
    rig.close().await;
}
