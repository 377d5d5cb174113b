//! With programs that are not ours, by an independent OTLP library and a plain Kafka client.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use model::otlp::Encoder;
use model::record::Record;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message as _;
use queue::{Headers, Message, Queue};
use rdkafka::config::FromClientConfig as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::{LONG, ZERO, config, open, read_all};
use crate::{KafkaConfig, KafkaQueue, Metrics};

fn request(records: usize) -> ExportLogsServiceRequest {
    let text = |text: String| AnyValue { value: Some(any_value::Value::StringValue(text)) };
    let record = |number| LogRecord { body: Some(text(format!("order {number} paid"))), ..LogRecord::default() };
    let scope = ScopeLogs { log_records: (0..records).map(record).collect(), ..ScopeLogs::default() };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() }],
    }
}

fn producer(config: &KafkaConfig) -> FutureProducer {
    FutureProducer::from_config(&config.client()).expect("a producer")
}

async fn send(producer: &FutureProducer, config: &KafkaConfig, payload: &[u8], headers: Option<OwnedHeaders>) {
    let mut record = FutureRecord::<(), [u8]>::to(&config.topic).partition(0).payload(payload);
    if let Some(headers) = headers {
        record = record.headers(headers);
    }
    producer.send(record, LONG).await.expect("delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_of_opentelemetry_writes_is_read() {
    let config = KafkaConfig { foreign_project: Some("shop".to_owned()), ..config() };
    let queue = open(&config).await;
    let producer = producer(&config);
    let payload = request(3).encode_to_vec();
    send(&producer, &config, &payload, None).await;
    // Headers that are not ours, one of them with a name that is not text, change nothing.
    let header = OwnedHeaders::new().insert(Header { key: "traceparent", value: Some("00-1") });
    send(&producer, &config, &payload, Some(header)).await;
    send(&producer, &config, b"\xff\xff no protobuf", None).await;
    let read = read_all(&queue, ZERO).await;
    assert_eq!(read.len(), 3);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos() as i64;
    for delivery in &read {
        let headers = &delivery.message.headers;
        assert_eq!((&*headers.project, headers.key, headers.retry_of), ("shop", None, None));
        assert!((0..60_000_000_000).contains(&(now - headers.received)), "the receive time is Kafka's");
    }
    assert_eq!(read.iter().map(|delivery| delivery.message.headers.records).collect::<Vec<_>>(), [3, 3, 1]);
    let back = ExportLogsServiceRequest::decode(&*read[0].message.payload).expect("the request");
    assert_eq!(back, request(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_write_is_read_by_others() {
    let config = config();
    let queue = open(&config).await;
    let mut encoder = Encoder::new();
    for number in 0..5 {
        encoder.push(&Record { message: format!("line {number}").into(), service: "shop".into(), ..Record::default() });
    }
    let headers = Headers { project: Arc::from("p"), received: 7, records: 5, key: None, retry_of: None, part: None };
    let position = queue.append(ZERO, Message::new(headers, Bytes::from(encoder.finish()))).await.expect("stored");

    let reader = BaseConsumer::from_config(config.client().set("group.id", "others")).expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&config.topic, 0, Offset::Beginning).expect("an offset");
    reader.assign(&list).expect("assigned");
    let record = tokio::task::spawn_blocking(move || {
        let record = reader.poll(LONG).expect("a record").expect("no error");
        record.detach()
    });
    let record = record.await.expect("the record");
    assert_eq!(record.offset() as u64, position.0);
    assert_eq!(record.key(), None);
    let names: Vec<_> = record.headers().expect("headers").iter().map(|header| header.key.to_owned()).collect();
    assert_eq!(names, ["devlogs-project", "devlogs-received", "devlogs-records"]);
    let request = ExportLogsServiceRequest::decode(record.payload().expect("a value")).expect("OTLP");
    let records = &request.resource_logs[0].scope_logs[0].log_records;
    let text = |record: &LogRecord| record.body.clone().and_then(|body| body.value);
    let expected: Vec<_> = (0..5).map(|number| Some(any_value::Value::StringValue(format!("line {number}")))).collect();
    assert_eq!(records.iter().map(text).collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_project_others_are_counted_and_left_out() {
    let config = config();
    let metrics = Metrics::default();
    let queue = KafkaQueue::open(config.clone(), metrics.clone()).await.expect("a queue");
    let producer = producer(&config);
    let payload = request(1).encode_to_vec();
    for number in 0..20 {
        send(&producer, &config, &payload, None).await;
        queue.append(ZERO, queue::conformance::message(number, 10)).await.expect("stored");
    }
    send(&producer, &config, &payload, None).await;
    let read = read_all(&queue, ZERO).await;
    let numbers: Vec<_> = read.iter().map(|delivery| delivery.message.headers.received).collect();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    let next = read[19].position.next();
    let end = queue.read(ZERO, next, 1 << 20, Duration::from_millis(300)).await.expect("nothing");
    assert!(end.is_empty());
    assert_eq!(metrics.foreign_skips(), 21);
}
