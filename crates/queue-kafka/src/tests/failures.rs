//! Brokers that are killed and frozen, under load.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::position::{Partition, Position};
use queue::conformance::message;
use queue::{Queue, QueueError};
use test_backends::kafka::{Kafka, KafkaOptions};
use tokio::task::JoinHandle;

use super::{LONG, ZERO, config_at, numbers, open, read_all};
use crate::topic::ASK_TIME_MAX;
use crate::{KafkaConfig, KafkaQueue};

/// The number of messages that a test appends beside the load.
const PROBE: u64 = 1 << 40;

/// What appenders were told.
#[derive(Debug, Default)]
struct Told {
    acknowledged: BTreeMap<(Partition, Position), i64>,
    /// The answer said that these are not stored.
    refused: BTreeSet<i64>,
    unknown: BTreeSet<i64>,
    /// Times of acknowledgements by partition.
    times: BTreeMap<Partition, Vec<Instant>>,
}

struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<Told>>,
}

impl Load {
    /// Eight tasks append numbered messages to two partitions, each number once, until they are stopped.
    fn start(queue: &Arc<KafkaQueue>) -> Self {
        let (stop, numbers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let task = |_| {
            let (queue, stop, numbers) = (Arc::clone(queue), Arc::clone(&stop), Arc::clone(&numbers));
            let acknowledged = Arc::clone(&acknowledged);
            tokio::spawn(async move {
                let mut told = Told::default();
                while !stop.load(Ordering::Acquire) {
                    let number = numbers.fetch_add(1, Ordering::AcqRel);
                    let partition = Partition((number % 2) as u32);
                    match queue.append(partition, message(number, 300)).await {
                        Ok(position) => {
                            acknowledged.fetch_add(1, Ordering::AcqRel);
                            told.times.entry(partition).or_default().push(Instant::now());
                            told.acknowledged.insert((partition, position), number as i64);
                        }
                        Err(QueueError::Unavailable { .. }) => drop(told.refused.insert(number as i64)),
                        Err(QueueError::Unknown(_)) => drop(told.unknown.insert(number as i64)),
                        Err(error) => panic!("append: {error}"),
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                told
            })
        };
        Self { tasks: (0..8).map(task).collect(), stop, acknowledged }
    }

    /// Waits until some more messages were acknowledged.
    async fn progress(&self) {
        let (begin, enough) = (Instant::now(), self.acknowledged.load(Ordering::Acquire) + 300);
        while self.acknowledged.load(Ordering::Acquire) < enough {
            assert!(begin.elapsed() < LONG * 2, "appends do not go on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn end(self) -> Told {
        self.stop.store(true, Ordering::Release);
        let mut all = Told::default();
        for task in self.tasks {
            let told = task.await.expect("an appender");
            all.acknowledged.extend(told.acknowledged);
            all.refused.extend(told.refused);
            all.unknown.extend(told.unknown);
            for (partition, times) in told.times {
                all.times.entry(partition).or_default().extend(times);
            }
        }
        all.times.values_mut().for_each(|times| times.sort());
        all
    }
}

impl Told {
    /// Every acknowledged message is at its position, and no message is there twice or in spite of a refusal.
    async fn hold_against(&self, queue: &KafkaQueue) {
        let mut seen = BTreeMap::new();
        for partition in [Partition(0), Partition(1)] {
            for (position, number) in numbers(&read_all(queue, partition).await) {
                if number >= PROBE as i64 {
                    continue;
                }
                let twice = seen.insert(number, (partition, position));
                assert_eq!(twice, None, "message {number} is there twice, also at {position} of {partition}");
            }
        }
        for (place, number) in &self.acknowledged {
            assert_eq!(seen.get(number), Some(place), "message {number} was acknowledged");
        }
        let in_spite: Vec<_> = self.refused.iter().filter(|number| seen.contains_key(*number)).collect();
        assert!(in_spite.is_empty(), "stored although the answer said otherwise: {in_spite:?}");
        let known: BTreeSet<i64> = self.acknowledged.values().chain(&self.unknown).copied().collect();
        assert!(seen.keys().all(|number| known.contains(number)), "a message that nobody sent");
    }

    fn longest_gap(&self, partition: Partition) -> Duration {
        let times = self.times.get(&partition).map(Vec::as_slice).unwrap_or_default();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

async fn append_until_it_works(queue: &KafkaQueue) {
    let begin = Instant::now();
    while let Err(error) = queue.append(ZERO, message(PROBE, 10)).await {
        assert!(begin.elapsed() < LONG * 2, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_broker_is_killed_and_frozen() {
    let mut kafka = Kafka::start(&KafkaOptions::default());
    let config = KafkaConfig { delivery_timeout: Duration::from_secs(3), ..config_at(&kafka.brokers()) };
    let queue = open(&config).await;
    let load = Load::start(&queue);
    for _ in 0..2 {
        load.progress().await;
        kafka.kill(1);
        tokio::time::sleep(Duration::from_secs(4)).await;
        let begin = Instant::now();
        let refused = queue.append(ZERO, message(PROBE, 10)).await;
        assert!(matches!(refused, Err(QueueError::Unavailable { .. })), "{refused:?}");
        assert!(begin.elapsed() < Duration::from_secs(1), "a broker known to be away is told at once");
        kafka = tokio::task::spawn_blocking(move || {
            kafka.restart(1);
            kafka
        })
        .await
        .expect("a broker");
        append_until_it_works(&queue).await;
    }
    load.progress().await;
    let told = load.end().await;
    let (acknowledged, refused, unknown) = (told.acknowledged.len(), told.refused.len(), told.unknown.len());
    assert!(acknowledged > 100 && refused > 10, "{acknowledged} acknowledged, {refused} refused");
    eprintln!("one broker, killed twice: {acknowledged} acknowledged, {refused} refused, {unknown} unknown");

    kafka.freeze(1);
    let begin = Instant::now();
    let late = queue.append(ZERO, message(PROBE, 10)).await;
    assert!(matches!(late, Err(QueueError::Unavailable { .. } | QueueError::Unknown(_))), "{late:?}");
    assert!(begin.elapsed() < config.delivery_timeout * 3, "{:?}", begin.elapsed());
    kafka.thaw(1);
    append_until_it_works(&queue).await;

    told.hold_against(&queue).await;
    queue.close().await.expect("closed");
}

/// The broker that leads a partition.
async fn leader(queue: &KafkaQueue, partition: i32) -> u32 {
    let (admin, topic) = (queue.shared.admin(), queue.shared.config.topic.clone());
    let asked = tokio::task::spawn_blocking(move || {
        let metadata = admin.inner().fetch_metadata(Some(&topic), ASK_TIME_MAX).expect("metadata");
        let partitions = metadata.topics()[0].partitions();
        partitions.iter().find(|found| found.id() == partition).expect("the partition").leader()
    });
    u32::try_from(asked.await.expect("an answer")).expect("a leader")
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_go_on_when_the_leader_is_killed() {
    let kafka = tokio::task::spawn_blocking(|| Kafka::start(&KafkaOptions { nodes: 3, ..KafkaOptions::default() }));
    let mut kafka = kafka.await.expect("three brokers");
    let config = KafkaConfig { delivery_timeout: LONG, ..config_at(&kafka.brokers()) };
    let queue = open(&config).await;
    let load = Load::start(&queue);
    load.progress().await;
    let killed = leader(&queue, 0).await;
    kafka.kill(killed);
    tokio::time::sleep(Duration::from_secs(6)).await;
    load.progress().await;
    let told = load.end().await;
    assert!(told.refused.is_empty() && told.unknown.is_empty(), "{told:?}");
    let gap = told.longest_gap(ZERO);
    assert!(gap < Duration::from_secs(10), "no acknowledgement for {gap:?}");
    told.hold_against(&queue).await;
    assert_ne!(leader(&queue, 0).await, killed);
    eprintln!("three brokers, leader {killed} killed: {} acknowledged, longest gap {gap:?}", told.acknowledged.len());
    queue.close().await.expect("closed");
}
