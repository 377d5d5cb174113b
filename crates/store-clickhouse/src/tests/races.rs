//! Two writers of one partition.

use std::time::Duration;

use model::position::{Incarnation, Partition};
use store::{Store, WriteError};
use test_backends::clickhouse::ClickHouse;

use super::rig::{Dice, Tally, counts, node, open, range};

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_written_once_and_its_rows_are_there() {
    let (store, config) = open().await;
    store.write(range(0, 0, 100)).await.expect("a first write");
    store.write(range(0, 100, 150)).await.expect("a second write");
    let late = store.write(range(0, 100, 150)).await;
    assert!(matches!(late, Err(WriteError::Moved { at }) if at.0 == 150), "{late:?}");
    assert_eq!(counts(ClickHouse::shared(), &config.database), [150; 3]);
    assert!(store.check().await.expect("a check").is_empty());
    let status = store.status().await.expect("the status");
    assert_eq!((status.rows, status.backend), (150, "clickhouse"));
}

/// Several nodes write the same partition, each in the belief that it owns it; whoever has written too late goes on where
/// the partition stands. With little patience they take it from each other in the middle of writes.
#[tokio::test(flavor = "multi_thread")]
async fn racing_writers_neither_lose_nor_double() {
    let (_, config) = open().await;
    const END: u64 = 400;
    let writers = (0..3).map(|number| {
        let config = config.clone();
        tokio::spawn(async move {
            let store = node(&config, Duration::from_millis(100 * (number + 1))).await;
            let mut dice = Dice::new(number);
            let (mut at, mut tally) = (0, Tally::new());
            while at < END {
                let next = (at + 1 + dice.below(60)).min(END);
                match store.write(range(0, at, next)).await {
                    Ok(()) => {
                        at = next;
                        *tally.entry("written").or_default() += 1;
                    }
                    Err(WriteError::Moved { at: moved }) => {
                        at = moved.0;
                        *tally.entry("moved").or_default() += 1;
                    }
                    Err(WriteError::Unavailable(_)) => *tally.entry("gave up").or_default() += 1,
                    Err(error) => panic!("{error}"),
                }
                tokio::time::sleep(dice.micros(20_000)).await;
            }
            tally.insert("overtaken", store.metrics.overtaken.get());
            tally.insert("recovered", store.metrics.recovered_rows.get());
            tally
        })
    });
    let mut sums = Tally::new();
    for writer in futures::future::join_all(writers).await {
        for (what, count) in writer.expect("a writer") {
            *sums.entry(what).or_default() += count;
        }
    }
    assert_eq!(counts(ClickHouse::shared(), &config.database), [END; 3], "{sums:?}");
    assert!(sums["overtaken"] > 0 && sums["recovered"] > 0, "the race was none: {sums:?}");
    let store = node(&config, Duration::ZERO).await;
    let progress = store.progress(Incarnation(7), Partition(0)).await.expect("progress");
    assert_eq!(progress.written.0, END);
}
