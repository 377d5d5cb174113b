//! Redis is killed, frozen, and loses the end of its file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::position::{Partition, Position};
use queue::conformance::message;
use queue::{Queue, QueueError};
use test_backends::redis::{Options, Redis};
use tokio::task::JoinSet;

use super::{LONG, ONE, ZERO, config, eventually, numbers, open, read_all};
use crate::scripts::RUN_BITS;
use crate::{Durability, RedisConfig, RedisQueue};

/// What appenders were told of their messages, by number.
#[derive(Debug, Default)]
struct Told {
    acknowledged: BTreeMap<u64, (Partition, Position)>,
    refused: BTreeSet<u64>,
    unknown: BTreeSet<u64>,
}

/// Appends until it is told to stop; every try is a new message.
async fn load(queue: Arc<RedisQueue>, count: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::default();
    while !stop.load(Ordering::Relaxed) {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let partition = Partition((number % 2) as u32);
        match queue.append(partition, message(number, 400)).await {
            Ok(position) => drop(told.acknowledged.insert(number, (partition, position))),
            Err(QueueError::Unavailable { retry_after, .. }) => {
                assert!(!retry_after.is_zero());
                told.refused.insert(number);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(QueueError::Unknown(_)) => drop(told.unknown.insert(number)),
            Err(error) => panic!("append: {error}"),
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_under_load_lose_and_double_nothing() {
    let mut redis = Redis::start(Options::default());
    let queue = open(config(&redis)).await;
    let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut loads = JoinSet::new();
    for _ in 0..8 {
        loads.spawn(load(Arc::clone(&queue), Arc::clone(&count), Arc::clone(&stop)));
    }
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        redis.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        redis.restart();
        let at = Instant::now();
        eventually("appends go on by themselves", async || queue.append(ZERO, message(u64::MAX >> 2, 1)).await.is_ok())
            .await;
        assert!(at.elapsed() < Duration::from_secs(5), "recovery took {:?}", at.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    let told = loads.join_all().await;
    let mut held: BTreeMap<u64, Vec<(Partition, Position)>> = BTreeMap::new();
    for partition in [ZERO, ONE] {
        for delivery in read_all(&queue, partition, Position(0)).await {
            let number = delivery.message.headers.received as u64;
            assert_eq!(delivery.message, message(number, if number == u64::MAX >> 2 { 1 } else { 400 }));
            held.entry(number).or_default().push((partition, delivery.position));
        }
    }
    let (mut acknowledged, mut refused) = (0, 0);
    for told in &told {
        for (number, place) in &told.acknowledged {
            assert_eq!(held.get(number).map(Vec::as_slice), Some(&[*place][..]), "message {number} was acknowledged");
            acknowledged += 1;
        }
        for number in &told.refused {
            assert!(!held.contains_key(number), "message {number} was refused and is there");
            refused += 1;
        }
        for number in &told.unknown {
            assert!(held.get(number).is_none_or(|places| places.len() == 1), "message {number} is there twice");
        }
    }
    assert!(acknowledged > 500 && refused > 0, "{acknowledged} acknowledged, {refused} refused");
    eprintln!("{acknowledged} acknowledged, {refused} refused, 3 kills, none lost, none doubled");
    assert!(queue.check().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_waits_goes_on_after_a_restart() {
    let mut redis = Redis::start(Options::default());
    let queue = open(config(&redis)).await;
    let first = queue.append(ZERO, message(1, 100)).await.unwrap();
    let waiting = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { queue.read(ZERO, first.next(), 1 << 20, LONG).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    redis.restart();
    let woken = waiting.await.unwrap();
    assert!(matches!(woken, Err(QueueError::Unavailable { .. })), "a lost connection must be told: {woken:?}");
    let mut second = first;
    eventually("appends go on", async || match queue.append(ZERO, message(2, 100)).await {
        Ok(position) => {
            second = position;
            true
        }
        Err(_) => false,
    })
    .await;
    assert!(second.0 >> RUN_BITS > first.0 >> RUN_BITS, "a new run of Redis has positions of its own");
    let read = queue.read(ZERO, first.next(), 1 << 20, LONG).await.unwrap();
    assert_eq!((read[0].position, numbers(&read)), (second, vec![2]), "the gap between two runs is no loss");
    let state = queue.state(ZERO).await.unwrap();
    assert_eq!((state.oldest, state.next), (first, second.next()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_end_of_the_file_gives_no_position_twice() {
    let mut redis = Redis::start(Options { appendfsync: "everysec", ..Options::default() });
    let queue = open(RedisConfig { durability: Durability::Everysec, ..config(&redis) }).await;
    for number in 0..50 {
        queue.append(ZERO, message(number, 2_000)).await.unwrap();
    }
    let file = redis.dir().join("appendonlydir/appendonly.aof.1.incr.aof");
    let kept = fs::metadata(&file).unwrap().len() - 9_000;
    let mut told = Position(49);
    // The second crash also loses what the first restart wrote about itself.
    for number in [98, 99] {
        redis.kill();
        File::options().write(true).open(&file).unwrap().set_len(kept).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        redis.restart();
        let mut position = told;
        eventually("appends go on", async || match queue.append(ZERO, message(number, 100)).await {
            Ok(told) => {
                position = told;
                true
            }
            Err(_) => false,
        })
        .await;
        assert!(position > told, "a position that was told for another message was given again");
        told = position;
    }
    let held = numbers(&read_all(&queue, ZERO, Position(0)).await);
    assert!(held.len() < 51 && held.last() == Some(&99), "the test must lose something: {held:?}");
    assert!(held[..held.len() - 1].iter().copied().eq(0..held.len() as i64 - 1), "what is kept is in order: {held:?}");
    // A store that had read them all goes on behind the loss.
    assert_eq!(numbers(&read_all(&queue, ZERO, Position(50)).await), [99]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_leaves_the_outcome_open_and_recovers() {
    let redis = Redis::start(Options::default());
    let queue = open(RedisConfig { response_timeout: Duration::from_millis(500), ..config(&redis) }).await;
    queue.append(ZERO, message(1, 100)).await.unwrap();
    redis.freeze();
    let since = Instant::now();
    let outcome = queue.append(ZERO, message(2, 100)).await;
    assert!(matches!(outcome, Err(QueueError::Unknown(_))), "no answer is no refusal: {outcome:?}");
    assert!(since.elapsed() < Duration::from_secs(3), "it took {:?}", since.elapsed());
    redis.thaw();
    eventually("appends go on", async || queue.append(ZERO, message(3, 100)).await.is_ok()).await;
    let held = numbers(&read_all(&queue, ZERO, Position(0)).await);
    assert!([&[1, 3][..], &[1, 2, 3]].contains(&held.as_slice()), "{held:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_appends_fail_fast_and_opening_says_so() {
    let mut redis = Redis::start(Options::default());
    let settings = config(&redis);
    let queue = open(settings.clone()).await;
    redis.kill();
    let _ = queue.append(ZERO, message(1, 100)).await;
    let since = Instant::now();
    for _ in 0..20 {
        let outcome = queue.append(ZERO, message(1, 100)).await;
        assert!(matches!(outcome, Err(QueueError::Unavailable { .. })), "{outcome:?}");
    }
    assert!(since.elapsed() < Duration::from_secs(2), "twenty refusals took {:?}", since.elapsed());
    let opened = RedisQueue::open(settings, crate::Metrics::default()).await;
    assert!(matches!(opened, Err(QueueError::Unavailable { .. })), "a start without Redis can be tried again");
    let since = Instant::now();
    queue.close().await.unwrap();
    assert!(since.elapsed() < LONG / 2, "closing without Redis took {:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_that_a_restart_leaves_out_are_no_lag() {
    let mut redis = Redis::start(Options::default());
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = crate::Metrics::default();
    metrics.register(&mut registry);
    let queue = RedisQueue::open(config(&redis), metrics).await.expect("a queue");
    let lag = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        let line = r#"devlogs_queue_lag_messages{group="processor",partition="0"} "#;
        text.lines().find_map(|found| found.strip_prefix(line)).and_then(|number| number.parse::<u64>().ok())
    };
    let mut positions = Vec::new();
    for number in 0..5 {
        positions.push(queue.append(ZERO, message(number, 100)).await.expect("stored"));
    }
    queue.commit("processor", ZERO, positions[2]).await.expect("committed");
    eventually("three messages wait", async || lag() == Some(3)).await;
    redis.restart();
    eventually("appends go on", async || match queue.append(ZERO, message(9, 100)).await {
        Ok(position) => {
            positions.push(position);
            true
        }
        Err(_) => false,
    })
    .await;
    let last = positions[positions.len() - 1];
    assert_ne!(last.0 >> RUN_BITS, positions[4].0 >> RUN_BITS, "a restart leaves positions out");
    let state = queue.state(ZERO).await.expect("a state");
    let waiting = |from: Position| state.waiting(from);
    let sent = positions.len() as u64;
    assert_eq!(
        [waiting(positions[0]), waiting(positions[2]), waiting(positions[4].next())],
        [sent, sent - 2, sent - 5]
    );
    assert_eq!([waiting(last), waiting(last.next())], [1, 0]);
    eventually("the lag counts messages", async || lag() == Some(sent - 2)).await;
    queue.commit("processor", ZERO, last.next()).await.expect("committed");
    eventually("nothing waits", async || lag() == Some(0)).await;
    queue.close().await.expect("closed");
}
