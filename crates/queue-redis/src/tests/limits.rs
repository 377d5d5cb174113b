//! Retention, full queues and full memory.

use std::time::Duration;

use model::position::Position;
use queue::conformance::message;
use queue::{Queue, QueueError};
use test_backends::redis::{Options, Redis};

use super::{ONE, ZERO, config, eventually, numbers, open, read_all};
use crate::RedisConfig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_never_passes_the_slowest_group() {
    let redis = Redis::start(Options::default());
    let queue = open(RedisConfig { retention_age: Some(Duration::from_millis(1)), ..config(&redis) }).await;
    for number in 0..100 {
        queue.append(ZERO, message(number, 3_000)).await.unwrap();
        queue.append(ONE, message(number, 3_000)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(queue.state(ZERO).await.unwrap().oldest, Position(0), "without groups nothing counts as consumed");
    queue.commit("fast", ZERO, Position(100)).await.unwrap();
    queue.commit("slow", ZERO, Position(20)).await.unwrap();
    queue.commit("fast", ONE, Position(100)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let state = queue.state(ZERO).await.unwrap();
    assert!(state.oldest <= Position(20), "messages that a group has not committed are gone: {state:?}");
    assert!(numbers(&read_all(&queue, ZERO, Position(20)).await).into_iter().eq(20..100));
    assert_eq!(queue.state(ONE).await.unwrap().oldest, Position(0), "a group that committed nothing holds everything");
    queue.commit("slow", ZERO, Position(100)).await.unwrap();
    eventually("what all have passed goes", async || queue.state(ZERO).await.unwrap().oldest == Position(100)).await;
    assert_eq!(queue.state(ZERO).await.unwrap().bytes, 0);
    assert_eq!(queue.append(ZERO, message(100, 10)).await.unwrap(), Position(100), "positions go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_by_size_keeps_about_its_share_for_replay() {
    let redis = Redis::start(Options::default());
    let retention_bytes = 1 << 20;
    let queue = open(RedisConfig { retention_bytes, retention_age: None, ..config(&redis) }).await;
    for number in 0..300 {
        let position = queue.append(ZERO, message(number, 10_000)).await.unwrap();
        queue.commit("processor", ZERO, position.next()).await.unwrap();
    }
    eventually("old messages go", async || queue.state(ZERO).await.unwrap().bytes <= retention_bytes / 2).await;
    let state = queue.state(ZERO).await.unwrap();
    assert!(state.bytes > retention_bytes / 4, "more than needed was deleted: {state:?}");
    let kept = read_all(&queue, ZERO, state.oldest).await;
    assert!(numbers(&kept).into_iter().eq(state.oldest.0 as i64..300), "what is kept has no holes");
    let gone = queue.read(ZERO, Position(0), 1, Duration::ZERO).await;
    assert!(matches!(gone, Err(QueueError::Expired { oldest, .. }) if oldest == state.oldest), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_full_of_unconsumed_messages_refuses_until_they_are_consumed() {
    let redis = Redis::start(Options::default());
    let queue = open(RedisConfig { retention_bytes: 500_000, ..config(&redis) }).await;
    let mut next = Position(0);
    let reason = loop {
        match queue.append(ZERO, message(next.0, 10_000)).await {
            Ok(position) => next = position.next(),
            Err(QueueError::Unavailable { reason, retry_after }) => {
                assert!(!retry_after.is_zero());
                break reason;
            }
            Err(error) => panic!("append: {error}"),
        }
        assert!(next < Position(100), "a full queue takes messages");
    };
    assert!(reason.contains("wait to be processed"), "{reason}");
    queue.commit("processor", ZERO, next).await.unwrap();
    eventually("room is made", async || queue.append(ZERO, message(1, 10)).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_out_of_memory_refuses_and_recovers() {
    let more = vec![("maxmemory", "16mb".to_owned())];
    let redis = Redis::start(Options { more, ..Options::default() });
    let queue = open(RedisConfig { retention_age: Some(Duration::from_millis(1)), ..config(&redis) }).await;
    let mut acknowledged = Vec::new();
    let reason = loop {
        let number = acknowledged.len() as u64;
        match queue.append(ZERO, message(number, 200_000)).await {
            Ok(position) => acknowledged.push(position),
            Err(QueueError::Unavailable { reason, .. }) => break reason,
            Err(error) => panic!("append: {error}"),
        }
        assert!(acknowledged.len() < 200, "Redis was never full");
    };
    assert!(reason.contains("out of memory"), "{reason}");
    let assigned = queue.join("processor").await.unwrap();
    assert_eq!(assigned.borrow().len(), 2, "leases go on without memory");
    let held = read_all(&queue, ZERO, Position(0)).await;
    assert!(held.iter().map(|delivery| delivery.position).eq(acknowledged.iter().copied()), "nothing is lost");
    queue.commit("processor", ZERO, Position(acknowledged.len() as u64)).await.unwrap();
    eventually("memory is freed", async || queue.append(ZERO, message(1, 200_000)).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_have_a_largest_size() {
    let redis = Redis::start(Options::default());
    let queue = open(RedisConfig { message_bytes_max: 1_000, buffer_bytes_max: 100, ..config(&redis) }).await;
    let mut large = message(1, 1_000);
    large.payload.truncate(1_000);
    assert!(queue.append(ZERO, large).await.is_ok(), "a message larger than the buffer goes alone");
    let refused = queue.append(ZERO, message(1, 1_100)).await;
    assert!(matches!(refused, Err(QueueError::TooLarge { bytes_max: 1_000, .. })), "{refused:?}");
}
