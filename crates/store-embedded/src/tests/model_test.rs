//! Any order of writes, flushes, merges and restarts against a list of records.

use model::position::Position;
use proptest::prelude::*;
use store::WriteError;

use super::{INCARNATION, LANE, SECOND, all, batch, halt, now, record, sorted};
use crate::verify::verify;
use crate::{EmbeddedStoreConfig, Engine};

#[derive(Debug, Clone)]
enum Step {
    /// Records, and how far apart in seconds (more than a day: several segments).
    Write(u8, u32),
    /// A batch that does not begin where the partition stands.
    WriteWrong(u64),
    Flush,
    Compact,
    Reopen,
    /// Without a flush: what is not durable is written again by the queue.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u8.., prop_oneof![Just(0_u32), Just(1), Just(4_000)]).prop_map(|(count, gap)| Step::Write(count, gap)),
        1 => (1_u64..5).prop_map(Step::WriteWrong),
        3 => Just(Step::Flush),
        2 => Just(Step::Compact),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_store_holds_what_was_written(steps in proptest::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().expect("a temp dir");
        let config = EmbeddedStoreConfig { compaction_fan_in: 2, ..super::quiet(dir.path()) };
        let mut engine = Engine::open(config.clone()).expect("opens");
        let mut batches: Vec<Vec<_>> = Vec::new();
        let (mut written, base, mut n) = (0_u64, now() - 3 * 24 * 3600 * SECOND, 0_u64);
        for step in steps {
            match step {
                Step::Write(count, gap) => {
                    let records: Vec<_> = (n..n + u64::from(count))
                        .map(|n| record(n, base + (n as i64 * 7_919 % 97) * i64::from(gap) * SECOND))
                        .collect();
                    n += u64::from(count);
                    engine.write(&batch(written, written + 1, &records)).expect("written");
                    written += 1;
                    batches.push(records);
                }
                Step::WriteWrong(ahead) => {
                    let wrong = batch(written + ahead, written + ahead + 1, &[record(9, 9)]);
                    let moved = |error: &WriteError| matches!(error, WriteError::Moved { at } if *at == Position(written));
                    prop_assert!(engine.write(&wrong).is_err_and(|error| moved(&error)));
                }
                Step::Flush => engine.flush().expect("flushed"),
                Step::Compact => {
                    engine.compact_once().expect("merges");
                }
                Step::Reopen => {
                    engine.close().expect("closes");
                    halt(engine);
                    engine = Engine::open(config.clone()).expect("opens again");
                }
                Step::Crash => {
                    let durable = engine.progress(INCARNATION, LANE).durable.0;
                    halt(engine);
                    engine = Engine::open(config.clone()).expect("opens after a crash");
                    prop_assert_eq!(engine.progress(INCARNATION, LANE).written.0, durable);
                    batches.truncate(durable as usize);
                    written = durable;
                }
            }
            let expected = sorted(batches.concat());
            prop_assert_eq!(all(&engine.snapshot("p")), expected.clone());
            prop_assert_eq!(engine.progress(INCARNATION, LANE).written.0, written);
            prop_assert_eq!(engine.status().rows, expected.len() as u64);
            let stored: u64 = engine.ledger().iter().map(|row| row.stored).sum();
            prop_assert_eq!(stored, expected.len() as u64);
            for position in 0..written {
                prop_assert_eq!(engine.seen_key("p", u128::from(position + 1)), Some(u128::from(position)));
            }
            prop_assert_eq!(engine.seen_key("p", u128::from(written + 1)), None);
        }
        engine.close().expect("closes");
        let report = verify(dir.path()).expect("the manifest is sound");
        prop_assert_eq!((report.rows, report.problems), (batches.concat().len() as u64, vec![]));
    }
}
