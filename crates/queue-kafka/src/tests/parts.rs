//! Requests in parts: transactions that end in every way.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;
use queue::conformance::{message, request};
use queue::{Delivery, Message, Queue, QueueError};
use rdkafka::config::FromClientConfig as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::{LONG, ZERO, config, open};
use crate::{KafkaConfig, KafkaQueue, codec};

const SMALL: usize = 20_000;

fn small() -> KafkaConfig {
    KafkaConfig { message_bytes_max: SMALL, ..config() }
}

/// A process that dies before its transaction is committed: all parts are with the broker.
async fn die_in_the_middle(config: &KafkaConfig, parts: &[Message]) {
    let mut client = config.transactional(SMALL, "dead");
    client.set("transaction.timeout.ms", "1000").set("socket.timeout.ms", "1000").set("message.timeout.ms", "1000");
    let producer: FutureProducer = FutureProducer::from_config(&client).expect("a producer");
    let topic = config.topic.clone();
    let parts = parts.to_vec();
    let sent = tokio::task::spawn_blocking(move || {
        producer.init_transactions(LONG).expect("a transactional producer");
        producer.begin_transaction().expect("a transaction");
        let deliveries: Vec<_> = parts
            .iter()
            .map(|part| {
                let record = FutureRecord::<(), [u8]>::to(&topic).partition(0).payload(&part.payload[..]);
                producer.send_result(record.headers(codec::headers(&part.headers))).expect("room")
            })
            .collect();
        producer.flush(LONG).expect("delivered");
        assert_eq!(deliveries.len(), parts.len());
    });
    sent.await.expect("sent");
}

/// Everything up to where the partition ends, which is known to come.
async fn read_to_end(queue: &KafkaQueue) -> Vec<Delivery> {
    let (mut all, mut next, since) = (Vec::new(), queue.state(ZERO).await.expect("a state").oldest, Instant::now());
    loop {
        assert!(since.elapsed() < LONG * 2, "reading does not end");
        let deliveries = queue.read(ZERO, next, 1 << 20, Duration::ZERO).await.expect("messages");
        next = deliveries.last().map_or(next, |last| last.position.next());
        if deliveries.is_empty() {
            let passed = queue.passed(ZERO, next).await.expect("an end");
            if passed == queue.state(ZERO).await.expect("a state").next {
                return all;
            }
            next = passed;
        }
        all.extend(deliveries);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_in_the_middle_leaves_nothing() {
    let config = small();
    let queue = open(&config).await;
    let first = queue.append(ZERO, message(1, 100)).await.expect("stored");
    let parts = request(7, 3 * SMALL).split(SMALL).expect("parts");
    assert!(parts.len() >= 3, "{}", parts.len());
    die_in_the_middle(&config, &parts).await;
    let second = queue.append(ZERO, message(2, 100)).await.expect("stored");
    assert!(second.0 > first.0 + parts.len() as u64, "the parts must stand between: {first}, {second}");
    let since = Instant::now();
    let read = loop {
        match queue.read(ZERO, first.next(), 1 << 20, LONG).await {
            Ok(read) if !read.is_empty() => break read,
            Ok(_) | Err(QueueError::Unavailable { .. }) => assert!(since.elapsed() < LONG * 2),
            Err(error) => panic!("read: {error}"),
        }
    };
    eprintln!("a dead transaction held its partition up for {:?}", since.elapsed());
    assert_eq!(read.iter().map(|delivery| delivery.position).collect::<Vec<_>>(), [second], "nobody may see the parts");
    assert!(queue.check().await.expect("a check").is_empty());
    queue.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_transaction_is_no_message() {
    let queue = open(&small()).await;
    for number in 0..3 {
        queue.append(ZERO, request(number, 3 * SMALL)).await.expect("stored");
    }
    let last = queue.append(ZERO, request(3, 3 * SMALL)).await.expect("stored");
    let since = Instant::now();
    let state = loop {
        let state = queue.state(ZERO).await.expect("a state");
        // The decision is durable when it is acknowledged; a moment later the partition has it too.
        if state.next > last.next() {
            break state;
        }
        assert!(since.elapsed() < LONG, "Kafka gives the end of a transaction a position: {state:?}");
    };
    assert_eq!(queue.passed(ZERO, last.next()).await.expect("passed"), state.next);
    assert_eq!(queue.passed(ZERO, last).await.expect("passed"), last, "a message is not passed over");
    assert!(queue.check().await.expect("a check").is_empty());
    let next = queue.append(ZERO, message(9, 10)).await.expect("stored");
    assert_eq!(next, state.next);
    assert_eq!(read_to_end(&queue).await.last().map(|delivery| delivery.position), Some(next));
    queue.close().await.expect("closed");
}

/// Frozen for longer than its transaction may take, a producer is fenced, and another takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_was_fenced_is_replaced() {
    let config = small();
    let queue = open(&config).await;
    queue.append(ZERO, request(1, 3 * SMALL)).await.expect("stored");
    // Another with its transactional id: as the brokers fence one whose time is over.
    let taken = queue.shared.transactions.id().to_owned();
    let settings = config.producer(SMALL).set("transactional.id", taken).clone();
    let other: FutureProducer = FutureProducer::from_config(&settings).expect("a producer");
    tokio::task::spawn_blocking(move || other.init_transactions(LONG)).await.expect("a task").expect("fenced");
    let fenced = queue.append(ZERO, request(2, 3 * SMALL)).await;
    assert!(matches!(fenced, Err(QueueError::Unavailable { .. } | QueueError::Unknown(_))), "{fenced:?}");
    queue.append(ZERO, request(3, 3 * SMALL)).await.expect("stored by another producer");
    let read = read_to_end(&queue).await;
    let keys: Vec<_> = read.iter().filter_map(|delivery| delivery.message.headers.key).map(|key| key.key).collect();
    assert!(keys.contains(&1) && keys.contains(&3) && !keys.contains(&2), "{keys:?}");
    queue.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn others_see_requests_of_otlp() {
    let config = small();
    let queue = open(&config).await;
    let sent = request(1, 3 * SMALL);
    let last = queue.append(ZERO, sent.clone()).await.expect("stored");
    let reader = BaseConsumer::from_config(config.client().set("group.id", "others")).expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&config.topic, 0, Offset::Beginning).expect("an offset");
    reader.assign(&list).expect("assigned");
    let values = tokio::task::spawn_blocking(move || {
        let mut values = Vec::new();
        loop {
            let record = reader.poll(LONG).expect("a record").expect("no error");
            values.push(record.payload().expect("a value").to_vec());
            if record.offset() as u64 == last.0 {
                return values;
            }
        }
    });
    let values = values.await.expect("the values");
    assert!(values.len() >= 3);
    let records = |value: &[u8]| {
        let request = ExportLogsServiceRequest::decode(value).expect("OTLP");
        request.resource_logs.into_iter().flat_map(|group| group.scope_logs).flat_map(|scope| scope.log_records)
    };
    let parts: Vec<_> = values.iter().flat_map(|value| records(value)).collect();
    assert_eq!(parts, records(&sent.payload).collect::<Vec<_>>());
    queue.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fits_no_message_is_named() {
    let queue = open(&KafkaConfig { message_bytes_max: 1_200, ..config() }).await;
    queue.append(ZERO, request(1, 5_000)).await.expect("records of 900 bytes fit");
    let mut large = request(2, 2_000);
    let mut encoder = model::otlp::Encoder::new();
    encoder.push(&model::Record { message: "x".repeat(1_500).into(), ..model::Record::default() });
    large.payload = encoder.finish().into();
    for refused in [message(1, 2_000), large] {
        let refused = queue.append(ZERO, refused).await;
        assert!(matches!(refused, Err(QueueError::TooLarge { bytes_max: 1_200, .. })), "{refused:?}");
    }
    queue.close().await.expect("closed");
}
