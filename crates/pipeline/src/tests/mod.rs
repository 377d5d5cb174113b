//! The processor on the real embedded queue, with a store that fails in every way that stores do.

mod damage;
mod faults;
mod handed_over;
mod parts;
mod rig;

use std::time::Duration;

use proptest::prelude::*;
use queue::QueueError;

use self::faults::Faults;
use self::rig::{Rig, Sent};

#[tokio::test]
async fn messages_are_stored_once_and_counted() {
    let rig = Rig::new();
    rig.send(0, Sent::records(3)).await;
    rig.send(1, Sent::records(1)).await;
    rig.process().await;
    rig.assert_all_accounted().await;
    assert_eq!(rig.stored().await.len(), 4);
    assert_eq!(rig.committed(0).await, rig.end(0).await, "the queue may forget what is durable");
}

#[tokio::test]
async fn a_record_is_transformed_on_its_way() {
    let rig = Rig::new();
    rig.send(0, Sent { messages: vec!["ERROR: refused".to_owned()], ..Sent::records(0) }).await;
    rig.process().await;
    assert_eq!(rig.stored().await[0].severity.map(model::Severity::number), Some(17));
}

#[tokio::test]
async fn a_repeated_request_is_stored_once() {
    let rig = Rig::new();
    for _ in 0..3 {
        rig.send(0, Sent { key: Some(7), ..Sent::records(2) }).await;
    }
    rig.process().await;
    rig.send(0, Sent { key: Some(7), ..Sent::records(2) }).await;
    rig.process().await;
    rig.assert_all_accounted().await;
    assert_eq!(rig.stored().await.len(), 2);
    assert_eq!(rig.sums().await.deduplicated, 6);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_not_lost() {
    let rig = Rig::new();
    rig.send(0, Sent { key: Some(7), body: 1, ..Sent::records(1) }).await;
    rig.send(0, Sent { key: Some(7), body: 2, ..Sent::records(1) }).await;
    rig.send(0, Sent { key: Some(7), body: 2, ..Sent::records(1) }).await;
    rig.process().await;
    rig.assert_all_accounted().await;
    assert_eq!(rig.stored().await.len(), 2);
}

#[tokio::test]
async fn a_named_record_is_buried_alone() {
    let rig = Rig::new();
    rig.store.set(Faults { names_rows: true, ..Faults::default() });
    rig.send(0, Sent::with_poison(5, &[1, 3])).await;
    rig.send(0, Sent::records(2)).await;
    rig.process().await;
    rig.assert_all_accounted().await;
    assert_eq!((rig.stored().await.len(), rig.letters.len()), (5, 2));
    assert!(rig.letters.all().iter().all(|letter| letter.reason.contains("poison")));
    assert!(rig.letters.all().iter().all(|letter| model::otlp::count(&letter.payload) == Ok(1)));
}

#[tokio::test]
async fn a_named_record_of_a_large_request_that_was_handed_over_is_buried_alone() {
    let rig = Rig::new();
    rig.store.set(Faults { names_rows: true, ..Faults::default() });
    // Every other request is handed over: the first and the last.
    rig.send(0, Sent::records(2)).await;
    rig.send(0, Sent::records(2)).await;
    rig.send(0, Sent::with_poison(1_200, &[700])).await;
    rig.process().await;
    rig.assert_all_accounted().await;
    assert_eq!((rig.stored().await.len(), rig.letters.len()), (1_203, 1));
    assert_eq!(rig.letters.all()[0].index, 700);
}

#[tokio::test]
async fn an_unnamed_message_is_found_by_halving() {
    let rig = Rig::new();
    for poison in [false, false, true, false, true, false, false] {
        rig.send(0, Sent::with_poison(1, if poison { &[0] } else { &[] })).await;
    }
    rig.process().await;
    rig.assert_all_accounted().await;
    assert_eq!((rig.stored().await.len(), rig.letters.len()), (5, 2));
}

#[tokio::test]
async fn many_named_records_do_not_stop_the_partition() {
    let rig = Rig::new();
    rig.store.set(Faults { names_rows: true, ..Faults::default() });
    rig.send(0, Sent::with_poison(100, &(0..100).collect::<Vec<_>>())).await;
    rig.send(0, Sent::records(1)).await;
    rig.process().await;
    rig.assert_all_accounted().await;
    assert_eq!((rig.stored().await.len(), rig.letters.len()), (1, 100));
}

#[tokio::test]
async fn what_can_not_be_decoded_is_buried_whole() {
    let rig = Rig::new();
    rig.send_raw(0, b"\xff\xff not protobuf", 3).await;
    rig.send(0, Sent::records(1)).await;
    rig.process().await;
    let letters = rig.letters.all();
    assert_eq!((rig.stored().await.len(), letters.len()), (1, 1));
    assert_eq!(letters[0].payload, b"\xff\xff not protobuf");
    let sums = rig.sums().await;
    assert_eq!((sums.received, sums.stored, sums.dead_lettered), (4, 1, 3));
}

#[tokio::test]
async fn a_record_past_the_limits_is_buried_alone() {
    let rig = Rig::new();
    let messages = vec!["fine".to_owned(), "x".repeat(2 << 20)];
    rig.send(0, Sent { messages, ..Sent::records(0) }).await;
    rig.process().await;
    rig.assert_all_accounted().await;
    let letters = rig.letters.all();
    assert_eq!((rig.stored().await.len(), letters.len()), (1, 1));
    assert_eq!((letters[0].index, model::otlp::count(&letters[0].payload)), (1, Ok(1)));
}

#[tokio::test]
async fn a_letter_sent_again_keeps_its_id() {
    let rig = Rig::new();
    rig.store.set(Faults { names_rows: true, ..Faults::default() });
    rig.send(0, Sent::with_poison(1, &[0])).await;
    rig.process().await;
    let letter = rig.letters.all().remove(0);
    rig.store.set(Faults { takes_poison: true, ..Faults::default() });
    rig.send_again(0, &letter).await;
    rig.process().await;
    assert_eq!(rig.stored().await.iter().map(|record| record.id).collect::<Vec<_>>(), [letter.id]);
}

#[tokio::test]
async fn failures_are_tried_again() {
    let rig = Rig::new();
    rig.store.set(Faults { fail_writes: 3, lose_replies: 2, fail_keys: 2, ..Faults::default() });
    rig.letters.fail(2);
    rig.send(0, Sent { key: Some(1), ..Sent::records(2) }).await;
    rig.send_raw(0, b"\xff", 1).await;
    rig.process().await;
    assert_eq!((rig.stored().await.len(), rig.letters.len()), (2, 1));
    let text = rig.metrics_text();
    for line in ["operation=\"write\"} ", "operation=\"bury\"} 2", "operation=\"look_up_key\"} 2"] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn a_stop_ends_a_store_that_never_answers_well() {
    let rig = Rig::new();
    rig.store.set(Faults { fail_writes: u32::MAX, ..Faults::default() });
    rig.send(0, Sent::records(1)).await;
    let running = rig.start();
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::timeout(Duration::from_secs(2), running.stop()).await.unwrap();
    assert_eq!(rig.stored().await.len(), 0);
    rig.store.set(Faults::default());
    rig.process().await;
    assert_eq!(rig.stored().await.len(), 1, "it is still in the queue");
}

#[tokio::test]
async fn a_record_is_visible_at_once_when_idle() {
    let rig = Rig::new();
    let running = rig.start();
    rig.send(0, Sent::records(1)).await;
    rig.wait_until_done().await;
    let mut times = Vec::new();
    for _ in 0..20 {
        let begun = std::time::Instant::now();
        rig.send(0, Sent::records(1)).await;
        rig.wait_until_done().await;
        times.push(begun.elapsed());
    }
    times.sort();
    assert!(times[10] < Duration::from_millis(200), "{times:?}");
    running.stop().await;
}

#[tokio::test]
async fn two_processors_on_one_partition_store_everything_once() {
    let rig = Rig::new();
    let (one, other) = (rig.start(), rig.start());
    for _ in 0..30 {
        rig.send(0, Sent::records(2)).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    rig.wait_until_done().await;
    one.stop().await;
    other.stop().await;
    rig.assert_all_accounted().await;
    assert_eq!(rig.stored().await.len(), 60);
}

#[tokio::test]
async fn nothing_is_read_from_a_closed_queue() {
    let rig = Rig::new();
    rig.close().await;
    let refused = rig.try_send(0, Sent::records(1)).await;
    assert!(matches!(refused, Err(QueueError::Closed)));
    tokio::time::timeout(Duration::from_secs(2), rig.start().stop()).await.unwrap();
}

#[derive(Debug, Clone)]
enum Step {
    Send(u32, Sent),
    Garbage,
    Faults(Faults),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sent = (0..4_usize, proptest::collection::vec(any::<bool>(), 4), proptest::option::of(0..4_u128)).prop_map(
        |(records, poison, key)| {
            let poison: Vec<usize> = (0..records).filter(|&at| poison[at] && at % 2 == 0).collect();
            // The body is a function of what is sent, as it is for a client that repeats a request.
            let body = key.map_or(0, |key| key * 100 + records as u128 * 16 + poison.len() as u128);
            Sent { key, body, ..Sent::with_poison(records, &poison) }
        },
    );
    let faults = (0..3_u32, 0..3_u32, 0..2_u32, any::<bool>()).prop_map(|(fail, lose, keys, names_rows)| Faults {
        fail_writes: fail,
        lose_replies: lose,
        fail_keys: keys,
        names_rows,
        ..Faults::default()
    });
    let step = prop_oneof![
        6 => (0..2_u32, sent).prop_map(|(partition, sent)| Step::Send(if sent.key.is_some() { 0 } else { partition }, sent)),
        1 => Just(Step::Garbage),
        2 => faults.prop_map(Step::Faults),
        2 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_122),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever fails and whenever it is started again: each acknowledged record is stored once or buried once.
    #[test]
    fn everything_acknowledged_is_stored_once_or_buried(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new();
            let mut running = rig.start();
            for step in steps {
                match step {
                    Step::Send(partition, sent) => rig.send(partition, sent).await,
                    Step::Garbage => rig.send_raw(1, b"\xff\xff", 1).await,
                    Step::Faults(faults) => rig.store.set(faults),
                    Step::Restart => {
                        running.stop().await;
                        running = rig.start();
                    }
                }
            }
            rig.wait_until_done().await;
            running.stop().await;
            rig.assert_all_accounted().await;
        });
    }
}
