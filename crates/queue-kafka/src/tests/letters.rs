//! Dead letters in their topic.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::RecordId;
use model::position::{Incarnation, Partition, Position};
use queue::letter::{Letter, LetterBody};
use queue::{Queue, QueueError};
use rdkafka::config::FromClientConfig as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::{LONG, ZERO, config, open};
use crate::KafkaConfig;

fn letter(index: u32, reason: &str) -> Letter {
    let body = LetterBody {
        project: "shop".to_owned(),
        reason: reason.to_owned(),
        at: 11,
        received: 7,
        incarnation: Incarnation(3),
        partition: Partition(1),
        position: Position(42),
        payload: Bytes::from(format!("payload {index}")),
    };
    Letter { id: id(index), body: Some(body) }
}

fn id(index: u32) -> RecordId {
    RecordId { origin: 9, index }
}

fn gone(index: u32) -> Letter {
    Letter { id: id(index), body: None }
}

/// What somebody who watches the topic knows in the end: letters by their keys, headers by their names.
async fn watched(config: &KafkaConfig, count: usize) -> BTreeMap<String, (Vec<u8>, BTreeMap<String, String>)> {
    let reader = BaseConsumer::from_config(config.client().set("group.id", "watcher")).expect("a consumer");
    let mut list = TopicPartitionList::new();
    let topic = config.letters_topic.clone().expect("a topic");
    list.add_partition_offset(&topic, 0, Offset::Beginning).expect("an offset");
    reader.assign(&list).expect("assigned");
    let watch = tokio::task::spawn_blocking(move || {
        let mut letters = BTreeMap::new();
        for _ in 0..count {
            let record = reader.poll(LONG).expect("a record").expect("no error");
            let key = String::from_utf8(record.key().expect("a key").to_vec()).expect("text");
            let Some(value) = record.payload() else {
                letters.remove(&key);
                continue;
            };
            let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.expect("a value")).into_owned();
            let headers = record.headers().expect("headers").iter();
            let headers = headers.map(|header| (header.key.to_owned(), text(header.value))).collect();
            letters.insert(key, (value.to_vec(), headers));
        }
        letters
    });
    watch.await.expect("the letters")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_tells_what_is_a_dead_letter_now() {
    let config = config();
    let queue = open(&config).await;
    queue.show_letters(&[letter(1, "too wide"), letter(2, "too long")]).await.expect("shown");
    // After a crash the same once more, and another outcome of the same record.
    queue.show_letters(&[letter(1, "too wide")]).await.expect("shown");
    queue.show_letters(&[gone(2), letter(3, "no OTLP")]).await.expect("shown");
    let letters = watched(&config, 5).await;
    assert_eq!(letters.keys().cloned().collect::<Vec<_>>(), [id(1).to_string(), id(3).to_string()]);
    let (value, headers) = &letters[&id(1).to_string()];
    assert_eq!(value, b"payload 1");
    let expected = [
        ("devlogs-at", "11"),
        ("devlogs-incarnation", &*Incarnation(3).to_string()),
        ("devlogs-partition", "1"),
        ("devlogs-position", "42"),
        ("devlogs-project", "shop"),
        ("devlogs-reason", "too wide"),
        ("devlogs-received", "7"),
    ];
    assert!(headers.iter().map(|(name, value)| (&**name, &**value)).eq(expected), "{headers:?}");
    queue.close().await.expect("closed");
    let closed = queue.show_letters(&[letter(4, "late")]).await;
    assert!(matches!(closed, Err(QueueError::Closed)), "{closed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_topic_nothing_is_shown() {
    let config = KafkaConfig { letters_topic: None, ..config() };
    let queue = open(&config).await;
    queue.show_letters(&[letter(1, "too wide")]).await.expect("nothing to do");
    let end = queue.state(ZERO).await.expect("a state");
    assert_eq!(end.next, Position(0), "letters are no messages");
    queue.close().await.expect("closed");
}
