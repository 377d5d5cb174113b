//! Topics that others made, that grow, and that are made anew.

use std::time::{Duration, Instant};

use model::position::Partition;
use queue::conformance::message;
use queue::{Queue, QueueError};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig as _;

use super::{LONG, ZERO, config, numbers, open, read_all};
use crate::{KafkaConfig, KafkaQueue, Metrics};

fn admin(config: &KafkaConfig) -> AdminClient<DefaultClientContext> {
    AdminClient::from_config(&config.client()).expect("an admin client")
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(LONG))
}

async fn create(config: &KafkaConfig, settings: &[(&str, &str)]) {
    let mut topic = NewTopic::new(&config.topic, 2, TopicReplication::Fixed(1));
    for (name, value) in settings {
        topic = topic.set(name, value);
    }
    for outcome in admin(config).create_topics([&topic], &options()).await.expect("an answer") {
        outcome.expect("a topic");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_loses_messages_is_refused() {
    for (name, value) in [("cleanup.policy", "compact"), ("retention.ms", "60000"), ("retention.bytes", "1000000")] {
        let config = config();
        create(&config, &[(name, value)]).await;
        let refused = KafkaQueue::open(config.clone(), Metrics::default()).await.expect_err(name);
        assert!(matches!(refused, QueueError::Io(_)) && refused.to_string().contains(name), "{refused}");
        let bold = KafkaConfig { accept_topic_settings: true, ..config };
        let opened = KafkaQueue::open(bold, Metrics::default()).await;
        assert_eq!(opened.is_ok(), name != "cleanup.policy", "{opened:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_for_small_messages_bounds_ours() {
    let config = config();
    create(&config, &[("retention.ms", "-1"), ("max.message.bytes", "200000")]).await;
    let queue = open(&config).await;
    let most = queue.message_bytes_max();
    let mut largest = message(1, most);
    largest.payload.truncate(most);
    let mut appends = Vec::new();
    for _ in 0..5 {
        appends.push(queue.append(ZERO, largest.clone()));
    }
    for outcome in futures::future::join_all(appends).await {
        outcome.expect("as large as was promised");
    }
    let refused = queue.append(ZERO, message(2, most + 100)).await;
    assert!(matches!(refused, Err(QueueError::TooLarge { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_race_agree() {
    let config = config();
    let opened = futures::future::join_all((0..3).map(|_| open(&config))).await;
    let first = opened[0].incarnation();
    assert_ne!(first.0, 0);
    assert!(opened.iter().all(|queue| queue.incarnation() == first && queue.partitions() == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_partitions_are_followed() {
    let config = config();
    let queue = open(&config).await;
    let mut assigned = queue.join("processor").await.expect("a member");
    for outcome in
        admin(&config).create_partitions([&NewPartitions::new(&config.topic, 4)], &options()).await.expect("an answer")
    {
        outcome.expect("more partitions");
    }
    let begin = Instant::now();
    while queue.partitions() != 4 {
        assert!(begin.elapsed() < LONG, "still {} partitions", queue.partitions());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let last = Partition(3);
    let begin = Instant::now();
    let position = loop {
        match queue.append(last, message(1, 10)).await {
            Ok(position) => break position,
            // The producer learns of it a moment later.
            Err(error) => assert!(begin.elapsed() < LONG, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(numbers(&read_all(&queue, last).await).get(&position), Some(&1));
    let all = assigned.wait_for(|partitions| partitions.len() == 4);
    tokio::time::timeout(LONG * 2, all).await.expect("in time").expect("all partitions");
    queue.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_another_queue() {
    let config = config();
    let queue = open(&config).await;
    queue.append(ZERO, message(1, 10)).await.expect("stored");
    admin(&config).delete_topics(&[&config.topic], &options()).await.expect("deleted");
    let begin = Instant::now();
    let anew = loop {
        // The brokers need a moment to forget the old one.
        match KafkaQueue::open(config.clone(), Metrics::default()).await {
            Ok(anew) if anew.incarnation() != queue.incarnation() => break anew,
            Ok(_) | Err(_) => assert!(begin.elapsed() < LONG, "the topic is not made anew"),
        }
    };
    let begin = Instant::now();
    loop {
        match queue.state(ZERO).await {
            Err(QueueError::Corrupt(reason)) => break assert!(reason.contains("deleted"), "{reason}"),
            other => assert!(begin.elapsed() < LONG, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let refused = queue.append(ZERO, message(2, 10)).await;
    assert!(matches!(refused, Err(QueueError::Corrupt(_))), "{refused:?}");
    anew.append(ZERO, message(3, 10)).await.expect("stored");
}
