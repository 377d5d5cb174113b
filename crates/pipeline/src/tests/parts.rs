//! Requests in parts: stored once, under ids that go through all parts, however copies of them lie in the partition.

use model::position::Partition;
use proptest::prelude::*;
use queue::Message;

use super::rig::{Rig, Sent};
use crate::verify::verify;

const RECORDS: usize = 12;

fn keyed() -> Sent {
    Sent { key: Some(7), ..Sent::records(RECORDS) }
}

/// Stored once, in order, under one origin; and verification agrees.
async fn is_stored_once(rig: &Rig) {
    rig.assert_all_accounted().await;
    let mut stored = rig.stored().await;
    stored.sort_by_key(|record| record.id);
    assert_eq!(stored.len(), RECORDS);
    for (index, record) in stored.iter().enumerate() {
        assert_eq!((record.id.origin, record.id.index), (stored[0].id.origin, index as u32));
        assert_eq!(record.message, format!("fine {index}"));
    }
    let report = verify(&rig.subject().await).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.records, report.stored), (RECORDS as u64, RECORDS as u64), "{report:?}");
}

async fn append_all(rig: &Rig, messages: &[&Message]) {
    for message in messages {
        rig.append(0, message).await;
    }
}

#[tokio::test]
async fn parts_without_a_key_have_the_ids_of_one_request() {
    let rig = Rig::new();
    let parts = rig.parts(&Sent::records(RECORDS), 99, &[5, 9]);
    append_all(&rig, &parts.iter().collect::<Vec<_>>()).await;
    rig.process().await;
    is_stored_once(&rig).await;
    assert_eq!(rig.stored().await[0].id.origin, 99);
}

#[tokio::test]
async fn a_copy_that_was_stored_whole_makes_parts_repetitions() {
    let rig = Rig::new();
    rig.send(0, keyed()).await;
    let parts = rig.parts(&keyed(), 1, &[4]);
    rig.process().await;
    append_all(&rig, &parts.iter().collect::<Vec<_>>()).await;
    rig.process().await;
    is_stored_once(&rig).await;
}

#[tokio::test]
async fn parts_that_were_stored_make_a_whole_copy_a_repetition() {
    let rig = Rig::new();
    let parts = rig.parts(&keyed(), 1, &[4]);
    append_all(&rig, &parts.iter().collect::<Vec<_>>()).await;
    rig.send(0, keyed()).await;
    rig.process().await;
    is_stored_once(&rig).await;
}

#[tokio::test]
async fn what_is_missing_of_a_part_is_found_by_replay() {
    let rig = Rig::new();
    let parts = rig.parts(&Sent::records(RECORDS), 99, &[5, 9]);
    append_all(&rig, &parts.iter().collect::<Vec<_>>()).await;
    // The store's position is behind the first part, whose records it does not have.
    let subject = rig.subject().await;
    let end = subject.queue.state(Partition(0)).await.unwrap();
    let skipped = store::WriteBatch {
        incarnation: subject.queue.incarnation(),
        partition: Partition(0),
        from: end.oldest,
        next: end.oldest.next(),
        batches: Vec::new(),
        keys: Vec::new(),
        counts: Vec::new(),
    };
    subject.store.write(skipped).await.unwrap();
    rig.process().await;
    assert_eq!(rig.stored().await.len(), RECORDS - 5);
    let report = crate::replay::replay(&subject, 0..i64::MAX, false).await.unwrap();
    assert_eq!((report.records, report.stored), (RECORDS as u64, 5));
    let again = crate::replay::replay(&subject, 0..i64::MAX, false).await.unwrap();
    assert_eq!((again.records, again.stored), (RECORDS as u64, 0));
    let mut stored = rig.stored().await;
    stored.sort_by_key(|record| record.id);
    assert!(stored.iter().map(|record| record.id.index).eq(0..RECORDS as u32));
}

/// How the next message of two copies is chosen, and whether the processor works before it.
#[derive(Debug, Clone)]
struct Step {
    second: bool,
    process: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (any::<bool>(), any::<bool>()).prop_map(|(second, process)| Step { second, process })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Copies of a request that were cut in different places lie in the partition in each other, and the processor
    /// stops and begins between any two of their parts.
    #[test]
    fn of_copies_in_each_other_one_is_stored(
        steps in proptest::collection::vec(step(), 10),
        first in proptest::collection::btree_set(1..RECORDS, 0..4),
        second in proptest::collection::btree_set(1..RECORDS, 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new();
            let cuts = |cuts: &std::collections::BTreeSet<usize>| cuts.iter().copied().collect::<Vec<_>>();
            let mut copies = [rig.parts(&keyed(), 1, &cuts(&first)), rig.parts(&keyed(), 2, &cuts(&second))];
            copies.iter_mut().for_each(|parts| parts.reverse());
            for Step { second, process } in steps {
                if process {
                    rig.process().await;
                }
                if let Some(part) = copies[usize::from(second)].pop() {
                    rig.append(0, &part).await;
                }
            }
            for part in copies.into_iter().flat_map(|parts| parts.into_iter().rev()) {
                rig.append(0, &part).await;
            }
            rig.process().await;
            is_stored_once(&rig).await;
        });
    }
}
