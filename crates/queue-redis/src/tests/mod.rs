//! The queue against a real Redis.

mod crash;
mod groups;
mod limits;
mod refused;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::position::{Partition, Position};
use queue::conformance::{self, Site, message};
use queue::{Delivery, Queue, QueueError};
use test_backends::redis::{Options, Redis};

use crate::{Metrics, RedisConfig, RedisQueue};

const ZERO: Partition = Partition(0);
const ONE: Partition = Partition(1);
/// Far longer than anything takes.
const LONG: Duration = Duration::from_secs(20);
/// More than the suite's largest message, so that its large requests go in parts.
const MESSAGE_BYTES_MAX: usize = 5 << 20;

fn config(redis: &Redis) -> RedisConfig {
    RedisConfig {
        url: redis.url(),
        partitions: 2,
        lease: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(3),
        ..RedisConfig::default()
    }
}

async fn open(config: RedisConfig) -> Arc<RedisQueue> {
    let opened = RedisQueue::open(config, Metrics::default()).await;
    Arc::new(opened.unwrap_or_else(|error| panic!("open: {error}")))
}

/// The error of an opening that must fail, as text.
async fn refused(config: RedisConfig) -> String {
    match RedisQueue::open(config, Metrics::default()).await {
        Ok(_) => panic!("the queue opened"),
        Err(error) => error.to_string(),
    }
}

/// Waits until it holds.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < LONG, "not after {LONG:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Everything from a position to the end, through errors that pass.
async fn read_all(queue: &RedisQueue, partition: Partition, mut from: Position) -> Vec<Delivery> {
    let mut all = Vec::new();
    let since = Instant::now();
    loop {
        assert!(since.elapsed() < LONG, "reading does not end");
        match queue.read(partition, from, 1 << 20, Duration::ZERO).await {
            Ok(deliveries) => {
                let Some(last) = deliveries.last() else { return all };
                from = last.position.next();
                all.extend(deliveries);
            }
            Err(QueueError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("read: {error}"),
        }
    }
}

fn numbers(deliveries: &[Delivery]) -> Vec<i64> {
    deliveries.iter().map(|delivery| delivery.message.headers.received).collect()
}

/// A queue of its own in a server that all checks share.
struct Place {
    redis: Arc<Redis>,
    prefix: String,
}

impl Place {
    fn config(&self) -> RedisConfig {
        RedisConfig { prefix: self.prefix.clone(), message_bytes_max: MESSAGE_BYTES_MAX, ..config(&self.redis) }
    }
}

#[async_trait]
impl Site for Place {
    async fn open(&self) -> Arc<dyn Queue> {
        open(self.config()).await
    }

    fn large_bytes(&self) -> usize {
        MESSAGE_BYTES_MAX / 2 * 5
    }

    /// By a node that keeps nothing for long.
    async fn expire(&self, queue: &dyn Queue, partition: Partition) -> bool {
        let before = queue.state(partition).await.unwrap().oldest;
        let other = open(RedisConfig { retention_age: Some(Duration::from_millis(1)), ..self.config() }).await;
        let since = Instant::now();
        while queue.state(partition).await.unwrap().oldest == before {
            assert!(since.elapsed() < LONG, "nothing expired");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        other.close().await.unwrap();
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_keeps_the_contract() {
    let redis = Arc::new(Redis::start(Options::default()));
    let count = AtomicU32::new(0);
    conformance::run(|| {
        let prefix = format!("queue{}", count.fetch_add(1, Ordering::Relaxed));
        Box::new(Place { redis: Arc::clone(&redis), prefix })
    })
    .await;
}

#[ignore = "measures; run it alone: cargo test --release -p devlogs-queue-redis measured -- --ignored --nocapture"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measured() {
    let redis = Redis::start(Options::default());
    conformance::measure::measure(open(config(&redis)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_append_and_read_the_same_partitions() {
    let redis = Redis::start(Options::default());
    let nodes = [open(config(&redis)).await, open(config(&redis)).await];
    assert_eq!(nodes[0].incarnation(), nodes[1].incarnation());
    let appends = (0..400_u64).map(|number| {
        let node = Arc::clone(&nodes[number as usize % 2]);
        tokio::spawn(async move { node.append(ONE, message(number, 500)).await.map(|position| (position, number)) })
    });
    let mut told = BTreeSet::new();
    for append in appends.collect::<Vec<_>>() {
        told.insert(append.await.unwrap().unwrap());
    }
    let read = read_all(&nodes[0], ONE, Position(0)).await;
    assert_eq!(read, read_all(&nodes[1], ONE, Position(0)).await);
    let read = read.iter().map(|delivery| (delivery.position, delivery.message.headers.received as u64));
    assert!(read.eq(told), "each message stands where its appender was told, and positions have no gaps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_partitions_rises_for_all_and_never_falls() {
    let redis = Redis::start(Options::default());
    let two = open(config(&redis)).await;
    let assigned = two.join("processor").await.unwrap();
    assert_eq!((two.partitions(), assigned.borrow().len()), (2, 2));
    let four = open(RedisConfig { partitions: 4, ..config(&redis) }).await;
    assert_eq!(four.partitions(), 4);
    eventually("the other node sees it", async || two.partitions() == 4 && assigned.borrow().len() == 4).await;
    two.append(Partition(3), message(1, 10)).await.unwrap();
    assert_eq!(open(config(&redis)).await.partitions(), 4, "a lower number has no effect");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_told_and_never_skipped_in_silence() {
    let redis = Redis::start(Options::default());
    let queue = open(config(&redis)).await;
    for number in 0..10 {
        queue.append(ZERO, message(number, 100)).await.unwrap();
    }
    assert!(queue.check().await.unwrap().is_empty());
    redis.cli(&["XDEL", "devlogs:0", "4-1", "5-1"]);
    assert_eq!(numbers(&queue.read(ZERO, Position(0), 1 << 20, Duration::ZERO).await.unwrap()), [0, 1, 2, 3]);
    let missing = queue.read(ZERO, Position(4), 1 << 20, Duration::ZERO).await;
    assert!(
        matches!(missing, Err(QueueError::Expired { from: Position(4), oldest: Position(6) })),
        "deleted messages must be missed: {missing:?}"
    );
    let said = queue.check().await.unwrap();
    assert!(said.len() == 1 && said[0].contains("from 4 to 6 are missing"), "{said:?}");
    redis.cli(&["XADD", "devlogs:0", "11-1", "hello", "world"]);
    let foreign = queue.read(ZERO, Position(11), 1 << 20, Duration::ZERO).await;
    assert!(matches!(foreign, Err(QueueError::Corrupt(_))), "what others wrote must be told: {foreign:?}");
    redis.cli(&["DEL", "devlogs:0"]);
    let gone = queue.read(ZERO, Position(2), 1 << 20, Duration::ZERO).await;
    assert!(matches!(gone, Err(QueueError::Expired { oldest: Position(10), .. })), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_redis_is_a_new_queue() {
    let redis = Redis::start(Options::default());
    let queue = open(config(&redis)).await;
    let before = queue.incarnation();
    let mut assigned = queue.join("processor").await.unwrap();
    for number in 0..5 {
        queue.append(ZERO, message(number, 100)).await.unwrap();
    }
    assigned.borrow_and_update();
    redis.cli(&["FLUSHALL"]);
    eventually("appends go on", async || queue.append(ZERO, message(7, 100)).await.is_ok()).await;
    assert_ne!(queue.incarnation(), before, "positions of two queues must not be taken for each other");
    let early = queue.read(ZERO, Position(0), 1, Duration::ZERO).await;
    assert!(
        matches!(early, Err(QueueError::Unavailable { .. })),
        "readers of the old queue must stop first: {early:?}"
    );
    assigned.changed().await.unwrap();
    assert!(assigned.borrow_and_update().is_empty(), "partitions must be withdrawn before they are given again");
    eventually("the partitions come back", async || assigned.borrow().len() == 2).await;
    assert_eq!(numbers(&read_all(&queue, ZERO, Position(0)).await), [7]);
}
