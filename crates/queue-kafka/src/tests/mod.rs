//! Against the real broker. Most tests share one, each with a topic of its own; those that kill it have their own.

mod failures;
mod groups;
mod interop;
mod letters;
mod parts;
mod secure;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::position::{Partition, Position};
use queue::conformance::{self, message};
use queue::{Delivery, Queue, QueueError};
use rdkafka::admin::AdminOptions;
use rdkafka::config::FromClientConfig as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use test_backends::kafka::Kafka;

use crate::{KafkaConfig, KafkaQueue, Metrics};

const ZERO: Partition = Partition(0);
const LONG: Duration = Duration::from_secs(20);
/// More than the suite's largest message, so that its large requests go in parts.
const MESSAGE_BYTES_MAX: usize = 5 << 20;

/// A topic that nobody else has, with two partitions, on the shared broker.
fn config() -> KafkaConfig {
    config_at(&Kafka::shared().brokers())
}

fn config_at(brokers: &str) -> KafkaConfig {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    KafkaConfig {
        brokers: brokers.to_owned(),
        topic: format!("logs-{number}"),
        letters_topic: Some(format!("letters-{number}")),
        partitions: 2,
        group_prefix: format!("test-{number}-"),
        session_timeout: Duration::from_secs(6),
        ..KafkaConfig::default()
    }
}

async fn open(config: &KafkaConfig) -> Arc<KafkaQueue> {
    let opened = KafkaQueue::open(config.clone(), Metrics::default()).await;
    Arc::new(opened.unwrap_or_else(|error| panic!("open: {error}")))
}

/// Reads everything from the oldest message up to where the partition ends now.
async fn read_all(queue: &KafkaQueue, partition: Partition) -> Vec<Delivery> {
    let state = queue.state(partition).await.expect("the partition's state");
    let (mut all, mut next) = (Vec::new(), state.oldest);
    while next < state.next {
        let deliveries = queue.read(partition, next, 1 << 20, Duration::from_secs(1)).await.expect("messages");
        let Some(last) = deliveries.last() else {
            let passed = queue.passed(partition, next).await.expect("an end");
            if passed == next {
                break;
            }
            next = passed;
            continue;
        };
        next = last.position.next();
        all.extend(deliveries);
    }
    all
}

/// Numbers of messages by their positions.
fn numbers(deliveries: &[Delivery]) -> BTreeMap<Position, i64> {
    deliveries.iter().map(|delivery| (delivery.position, delivery.message.headers.received)).collect()
}

#[derive(Debug)]
struct Site {
    config: KafkaConfig,
}

#[async_trait]
impl conformance::Site for Site {
    async fn open(&self) -> Arc<dyn Queue> {
        open(&self.config).await
    }

    fn large_bytes(&self) -> usize {
        MESSAGE_BYTES_MAX / 2 * 5
    }

    async fn expire(&self, queue: &dyn Queue, partition: Partition) -> bool {
        let next = queue.state(partition).await.expect("the partition's state").next;
        let queue = open(&self.config).await;
        let mut list = TopicPartitionList::new();
        let offset = Offset::Offset(next.0 as i64 - 50);
        list.add_partition_offset(&self.config.topic, partition.0 as i32, offset).expect("an offset");
        let options = AdminOptions::new().operation_timeout(Some(LONG));
        queue.shared.admin().delete_records(&list, &options).await.expect("deleted records");
        queue.close().await.expect("closed");
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance() {
    conformance::run(|| Box::new(Site { config: KafkaConfig { message_bytes_max: MESSAGE_BYTES_MAX, ..config() } }))
        .await;
}

#[ignore = "measures; run it alone: cargo test --release -p devlogs-queue-kafka measured -- --ignored --nocapture"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measured() {
    let config = config();
    conformance::measure::measure(open(&config).await).await;
    bare(&config);
}

/// What librdkafka alone takes to send the same, with the same settings.
fn bare(config: &KafkaConfig) {
    for (bytes, count) in [(1, 40_000_u64), (95_000, 3_000), (950_000, 300)] {
        let sent = conformance::request(1, bytes);
        let producer: ThreadedProducer<DefaultProducerContext> =
            ThreadedProducer::from_config(&config.producer(config.message_bytes_max)).expect("a producer");
        let meter = conformance::measure::Meter::start(format!("librdkafka alone, {} bytes", sent.payload.len()));
        for number in 0..count {
            let record = BaseRecord::<(), [u8]>::to(&config.topic).partition((number % 2) as i32);
            producer.send(record.payload(&sent.payload[..])).map_err(|(error, _)| error).expect("room");
        }
        producer.flush(LONG * 3).expect("delivered");
        meter.stop(count, count * u64::from(sent.headers.records));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_position_can_be_read_at_any_time() {
    let queue = open(&config()).await;
    let mut sent = Vec::new();
    for number in 0..300 {
        let message = message(number, 50 + number as usize * 7);
        let position = queue.append(ZERO, message.clone()).await.expect("a position");
        sent.push(Delivery { position, message });
    }
    let mut state = 0x9e37_79b9_u64;
    let mut tasks = Vec::new();
    // Fewer than there are lanes, so that each must find a place to read, also while others change theirs.
    for _ in 0..12 {
        let places: Vec<usize> = (0..10)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as usize % sent.len()
            })
            .collect();
        let (queue, sent) = (Arc::clone(&queue), sent.clone());
        tasks.push(tokio::spawn(async move {
            for place in places {
                // Some read on from where they are, some are given up in the middle.
                let mut at = place;
                for bytes_max in [1, 5_000, 100_000] {
                    let hasty = queue.read(ZERO, sent[at].position, bytes_max, LONG);
                    let _ = tokio::time::timeout(Duration::from_micros(place as u64 * 10), hasty).await;
                    let read = queue.read(ZERO, sent[at].position, bytes_max, LONG).await.expect("messages");
                    assert_eq!(read, sent[at..at + read.len()], "what is read must stand at its position");
                    assert!(!read.is_empty());
                    at = (at + read.len()).min(sent.len() - 1);
                }
            }
        }));
    }
    for task in tasks {
        task.await.expect("a reader that is content");
    }
    assert!(queue.check().await.expect("a check").is_empty());
    queue.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_are_all_there_in_their_order() {
    const EACH: u64 = 500;
    let queue = open(&config()).await;
    let begin = Instant::now();
    let tasks: Vec<_> = (0..32_u64)
        .map(|appender| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0..EACH {
                    let number = appender * EACH + number;
                    let partition = Partition((number % 2) as u32);
                    let position = queue.append(partition, message(number, 1_000)).await.expect("a position");
                    acknowledged.push((partition, position, number as i64));
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.expect("an appender"));
    }
    let took = begin.elapsed();
    for partition in [Partition(0), Partition(1)] {
        let here = acknowledged.iter().filter(|(at, _, _)| *at == partition);
        let expected: BTreeMap<Position, i64> = here.map(|(_, position, number)| (*position, *number)).collect();
        assert_eq!(numbers(&read_all(&queue, partition).await), expected);
    }
    eprintln!("{} appends of 1 kB by 32 tasks in {took:?}", acknowledged.len());
    queue.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_named() {
    let queue = open(&KafkaConfig { message_bytes_max: 10_000, ..config() }).await;
    let refused = queue.append(ZERO, message(1, 20_000)).await;
    assert!(matches!(refused, Err(QueueError::TooLarge { bytes_max: 10_000, .. })), "{refused:?}");
    let mut fits = message(2, 10_000);
    fits.payload.truncate(10_000);
    queue.append(ZERO, fits).await.expect("it fits");
    assert_eq!(queue.message_bytes_max(), 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_the_address_is_unavailable_in_time() {
    let port = test_backends::free_port();
    let away = KafkaConfig {
        brokers: format!("127.0.0.1:{port}"),
        open_timeout: Duration::from_secs(1),
        ..KafkaConfig::default()
    };
    let begin = Instant::now();
    let refused = KafkaQueue::open(away, Metrics::default()).await.expect_err("nobody is there");
    assert!(begin.elapsed() < LONG, "{:?}", begin.elapsed());
    assert!(matches!(refused, QueueError::Unavailable { .. }), "{refused:?}");
    assert!(refused.to_string().contains(&port.to_string()), "{refused}");
}
