//! What every queue must do, as one suite that each backend's tests run.
//!
//! Each check gets a new, empty queue with at least two partitions. It panics where the backend breaks the contract of
//! [`Queue`], with a text that says which part.

mod large;
pub mod measure;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use model::RecordId;
use model::position::{Partition, Position};

pub use large::request;

use crate::{Delivery, Headers, IdempotencyKey, Message, Part, Queue, QueueError};

/// Where a queue's data is, so that a check can open it again.
#[async_trait]
pub trait Site: Send + Sync {
    /// Opens the queue: an empty one with at least two partitions at first, later what is there. It is not called
    /// while a queue that was opened before is not closed.
    async fn open(&self) -> Arc<dyn Queue>;

    /// Payload bytes of a request that takes three messages; where no request does, of one that others would cut.
    fn large_bytes(&self) -> usize;

    /// Makes the queue drop some of the oldest messages of a partition of which every one was committed, by whatever
    /// means the backend has. False if it has none.
    async fn expire(&self, queue: &dyn Queue, partition: Partition) -> bool;
}

/// Runs every check, each on a new site.
pub async fn run(make: impl Fn() -> Box<dyn Site>) {
    type Check = fn(Box<dyn Site>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
    let checks: [(&str, Check); 14] = [
        ("order", |site| Box::pin(order(site))),
        ("headers", |site| Box::pin(headers(site))),
        ("payloads", |site| Box::pin(payloads(site))),
        ("large requests", |site| Box::pin(large::at_once(site))),
        ("all or nothing", |site| Box::pin(large::all_or_nothing(site))),
        ("durability", |site| Box::pin(durability(site))),
        ("concurrent appenders", |site| Box::pin(concurrent_appenders(site))),
        ("read limits", |site| Box::pin(read_limits(site))),
        ("waiting", |site| Box::pin(waiting(site))),
        ("wake-up", |site| Box::pin(wake_up(site))),
        ("dropped futures", |site| Box::pin(dropped_futures(site))),
        ("groups", |site| Box::pin(groups(site))),
        ("expiry", |site| Box::pin(expiry(site))),
        ("closing", |site| Box::pin(closing(site))),
    ];
    for (name, check) in checks {
        tracing::info!(name, "checking the queue");
        check(make()).await;
    }
}

const ZERO: Partition = Partition(0);
const ONE: Partition = Partition(1);
const GROUP: &str = "processor";
/// Far longer than any backend takes.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

/// A message that a test can tell from others.
pub fn message(number: u64, payload_bytes: usize) -> Message {
    let mut payload = format!("message {number} ").into_bytes();
    // Half of it repeats, half does not, so that compression has something to do and cannot do everything.
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while payload.len() < payload_bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        payload.extend_from_slice(b"the words that repeat");
        payload.extend_from_slice(&state.to_le_bytes());
    }
    let headers = Headers {
        project: Arc::from("shop"),
        received: number as i64,
        records: 1,
        key: None,
        retry_of: None,
        part: None,
    };
    Message::new(headers, Bytes::from(payload))
}

async fn append(queue: &dyn Queue, partition: Partition, message: Message) -> Position {
    match queue.append(partition, message).await {
        Ok(position) => position,
        Err(error) => panic!("append: {error}"),
    }
}

async fn read(queue: &dyn Queue, partition: Partition, from: Position, wait: Duration) -> Vec<Delivery> {
    match queue.read(partition, from, 1 << 20, wait).await {
        Ok(deliveries) => deliveries,
        Err(error) => panic!("read from {from}: {error}"),
    }
}

/// Reads until `count` messages came.
async fn read_all(queue: &dyn Queue, partition: Partition, from: Position, count: usize) -> Vec<Delivery> {
    let (mut all, mut next) = (Vec::new(), from);
    let start = Instant::now();
    while all.len() < count {
        assert!(start.elapsed() < LONG, "only {} of {count} messages came", all.len());
        let deliveries = read(queue, partition, next, LONG).await;
        if let Some(last) = deliveries.last() {
            next = last.position.next();
        }
        all.extend(deliveries);
    }
    all
}

async fn oldest(queue: &dyn Queue, partition: Partition) -> Position {
    queue.state(partition).await.unwrap_or_else(|error| panic!("state: {error}")).oldest
}

async fn order(site: Box<dyn Site>) {
    let queue = site.open().await;
    assert!(queue.partitions() >= 2, "the suite needs two partitions");
    let start = oldest(&*queue, ZERO).await;
    let mut sent = Vec::new();
    for number in 0..50 {
        let message = message(number, 100);
        let position = append(&*queue, ZERO, message.clone()).await;
        sent.push(Delivery { position, message });
    }
    assert!(sent.windows(2).all(|pair| pair[0].position < pair[1].position), "positions must rise");
    assert_eq!(read_all(&*queue, ZERO, start, 50).await, sent, "what is read must be what was appended, in order");
    let middle = sent[20].position;
    assert_eq!(read_all(&*queue, ZERO, middle, 30).await, sent[20..], "reading must start at the position asked for");
    let other = oldest(&*queue, ONE).await;
    assert!(read(&*queue, ONE, other, SHORT).await.is_empty(), "partitions must not mix");
    let state = queue.state(ZERO).await.unwrap_or_else(|error| panic!("state: {error}"));
    assert!(state.next > sent[49].position && state.bytes > 0, "the state must count the messages");
    let missing = Partition(queue.partitions());
    let refused = queue.append(missing, message(0, 10)).await;
    assert!(matches!(refused, Err(QueueError::NoPartition(_))), "an unknown partition must be refused: {refused:?}");
}

async fn headers(site: Box<dyn Site>) {
    let queue = site.open().await;
    let start = oldest(&*queue, ZERO).await;
    let key = IdempotencyKey { key: u128::MAX - 7, body: 1 << 100 };
    let id = RecordId { origin: u128::MAX / 3, index: u32::MAX };
    let mut sent = Vec::new();
    let part = Part { request: u128::MAX - 1, first: 7, of: u32::MAX };
    for (project, key, retry_of, part) in [
        ("a", None, None, None),
        ("", Some(key), None, Some(part)),
        ("ümläut-プロジェクト", None, Some(id), None),
        ("b", Some(key), Some(id), Some(part)),
    ] {
        let (received, records) = (i64::MIN + sent.len() as i64, u32::MAX);
        let headers = Headers { project: Arc::from(project), received, records, key, retry_of, part };
        let message = Message::new(headers, Bytes::from_static(b"\x00\xff payload"));
        append(&*queue, ZERO, message.clone()).await;
        sent.push(message);
    }
    let read = read_all(&*queue, ZERO, start, sent.len()).await;
    let read: Vec<Message> = read.into_iter().map(|delivery| delivery.message).collect();
    assert_eq!(read, sent, "headers and payload must come back as they were");
}

async fn payloads(site: Box<dyn Site>) {
    let queue = site.open().await;
    let start = oldest(&*queue, ZERO).await;
    let mut sent = Vec::new();
    for bytes in [0, 1, 255, 256, 65_535, 1 << 20, (4 << 20) + 3] {
        let mut message = message(bytes as u64, bytes);
        message.payload.truncate(bytes);
        append(&*queue, ZERO, message.clone()).await;
        sent.push(message);
    }
    let read = read_all(&*queue, ZERO, start, sent.len()).await;
    assert!(read.into_iter().map(|delivery| delivery.message).eq(sent), "payloads must come back as they were");
}

async fn durability(site: Box<dyn Site>) {
    let queue = site.open().await;
    let (incarnation, start) = (queue.incarnation(), oldest(&*queue, ZERO).await);
    let mut sent = Vec::new();
    for round in 0..3 {
        let queue = if round == 0 { Arc::clone(&queue) } else { site.open().await };
        assert_eq!(queue.incarnation(), incarnation, "the incarnation must stay");
        let held = read_all(&*queue, ZERO, start, sent.len()).await;
        assert_eq!(held, sent, "what was acknowledged must be there after opening again");
        for number in 0..20 {
            let message = message(round * 100 + number, 2_000);
            let position = append(&*queue, ZERO, message.clone()).await;
            assert!(sent.last().is_none_or(|last: &Delivery| last.position < position), "positions must rise");
            sent.push(Delivery { position, message });
        }
        close(&*queue).await;
    }
}

async fn close(queue: &dyn Queue) {
    queue.close().await.unwrap_or_else(|error| panic!("close: {error}"));
}

async fn concurrent_appenders(site: Box<dyn Site>) {
    const APPENDERS: u64 = 16;
    const EACH: u64 = 25;
    let queue = site.open().await;
    let start = oldest(&*queue, ONE).await;
    let mut tasks = Vec::new();
    for appender in 0..APPENDERS {
        let queue = Arc::clone(&queue);
        tasks.push(tokio::spawn(async move {
            let mut positions = Vec::new();
            for number in 0..EACH {
                let message = message(appender * EACH + number, 300);
                positions.push((append(&*queue, ONE, message.clone()).await, message));
            }
            positions
        }));
    }
    let mut sent = Vec::new();
    for task in tasks {
        let positions = task.await.unwrap_or_else(|error| panic!("{error}"));
        assert!(positions.windows(2).all(|pair| pair[0].0 < pair[1].0), "one appender's positions must rise");
        sent.extend(positions.into_iter().map(|(position, message)| Delivery { position, message }));
    }
    sent.sort_by_key(|delivery| delivery.position);
    let read = read_all(&*queue, ONE, start, sent.len()).await;
    assert_eq!(read, sent, "every message must be there once, at the position that its appender was told");
}

async fn read_limits(site: Box<dyn Site>) {
    let queue = site.open().await;
    let start = oldest(&*queue, ZERO).await;
    for number in 0..20 {
        append(&*queue, ZERO, message(number, 10_000)).await;
    }
    let one = queue.read(ZERO, start, 1, LONG).await.unwrap_or_else(|error| panic!("read: {error}"));
    assert_eq!(one.len(), 1, "one message must come however small the limit is");
    let some = queue.read(ZERO, start, 50_000, LONG).await.unwrap_or_else(|error| panic!("read: {error}"));
    assert!((1..=8).contains(&some.len()), "about 50 kB were asked for, {} messages of 10 kB came", some.len());
}

async fn waiting(site: Box<dyn Site>) {
    let queue = site.open().await;
    let start = oldest(&*queue, ZERO).await;
    let begin = Instant::now();
    assert!(read(&*queue, ZERO, start, Duration::ZERO).await.is_empty(), "nothing can come from an empty partition");
    assert!(read(&*queue, ZERO, start, Duration::from_millis(200)).await.is_empty());
    assert!(begin.elapsed() >= Duration::from_millis(190), "an empty read must wait as long as it was told");
    append(&*queue, ZERO, message(1, 10)).await;
    let begin = Instant::now();
    assert_eq!(read(&*queue, ZERO, start, LONG).await.len(), 1);
    assert!(begin.elapsed() < LONG / 2, "a read must not wait when there are messages");
}

async fn wake_up(site: Box<dyn Site>) {
    let queue = site.open().await;
    let mut next = oldest(&*queue, ZERO).await;
    for number in 0..20 {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move { (read(&*queue, ZERO, next, LONG).await, Instant::now()) })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let position = append(&*queue, ZERO, message(number, 100)).await;
        let appended = Instant::now();
        for reader in readers {
            let (deliveries, at) = reader.await.unwrap_or_else(|error| panic!("{error}"));
            let positions: Vec<_> = deliveries.iter().map(|delivery| delivery.position).collect();
            assert_eq!(positions, [position], "every waiting reader must get the message");
            let late = at.saturating_duration_since(appended);
            assert!(late < Duration::from_secs(2), "a waiting reader was woken only after {late:?}");
        }
        next = position.next();
    }
}

async fn dropped_futures(site: Box<dyn Site>) {
    let queue = site.open().await;
    let start = oldest(&*queue, ZERO).await;
    for number in 0..20 {
        // Whether the message is stored is open; the queue must stay in order.
        let append = queue.append(ZERO, message(number, 100));
        let _ = tokio::time::timeout(Duration::from_micros(number * 20), append).await;
    }
    let last = append(&*queue, ZERO, message(99, 100)).await;
    let mut numbers = BTreeSet::new();
    let mut next = start;
    while next <= last {
        for delivery in read(&*queue, ZERO, next, LONG).await {
            assert!(numbers.insert(delivery.message.headers.received), "a message is there twice");
            next = delivery.position.next();
        }
    }
    assert!(numbers.contains(&99));
}

async fn groups(site: Box<dyn Site>) {
    let queue = site.open().await;
    let assigned = queue.join(GROUP).await.unwrap_or_else(|error| panic!("join: {error}"));
    let wait = async {
        let mut assigned = assigned.clone();
        let all: BTreeSet<_> = (0..queue.partitions()).map(Partition).collect();
        assigned.wait_for(|partitions| *partitions == all).await.map(|_| ()).is_ok()
    };
    let came = tokio::time::timeout(LONG, wait).await;
    assert!(matches!(came, Ok(true)), "the only member of a group must be given all partitions");
    assert_eq!(committed(&*queue, GROUP).await, None, "a new group has committed nothing");
    let mut positions = Vec::new();
    for number in 0..10 {
        positions.push(append(&*queue, ZERO, message(number, 100)).await);
    }
    let commit = async |queue: &dyn Queue, group: &str, next: Position| {
        queue.commit(group, ZERO, next).await.unwrap_or_else(|error| panic!("commit: {error}"));
    };
    commit(&*queue, GROUP, positions[5]).await;
    assert_eq!(committed(&*queue, GROUP).await, Some(positions[5]));
    commit(&*queue, GROUP, positions[3]).await;
    assert_eq!(committed(&*queue, GROUP).await, Some(positions[5]), "a commit must not move back");
    let other = queue.join("other").await;
    assert!(other.is_ok(), "a second group must be able to join: {other:?}");
    commit(&*queue, "other", positions[1]).await;
    close(&*queue).await;
    drop((queue, assigned, other));
    let queue = site.open().await;
    assert_eq!(committed(&*queue, GROUP).await, Some(positions[5]), "commits must be there after opening again");
    assert_eq!(committed(&*queue, "other").await, Some(positions[1]), "groups must not mix");
    let all = read_all(&*queue, ZERO, positions[0], 10).await;
    assert_eq!(all.len(), 10, "commits must not hide messages");
}

async fn committed(queue: &dyn Queue, group: &str) -> Option<Position> {
    queue.committed(group, ZERO).await.unwrap_or_else(|error| panic!("committed: {error}"))
}

async fn expiry(site: Box<dyn Site>) {
    let queue = site.open().await;
    let joined = queue.join(GROUP).await;
    assert!(joined.is_ok(), "join: {joined:?}");
    let start = oldest(&*queue, ZERO).await;
    let mut last = start;
    for number in 0..200 {
        last = append(&*queue, ZERO, message(number, 1_000)).await;
    }
    queue.commit(GROUP, ZERO, last.next()).await.unwrap_or_else(|error| panic!("commit: {error}"));
    if !site.expire(&*queue, ZERO).await {
        return;
    }
    let kept = oldest(&*queue, ZERO).await;
    assert!(kept > start, "the oldest position kept must have moved");
    match queue.read(ZERO, start, 1 << 20, SHORT).await {
        Err(QueueError::Expired { from, oldest }) => assert_eq!((from, oldest), (start, kept)),
        other => panic!("reading what is gone must fail as expired, not {other:?}"),
    }
    let next = append(&*queue, ZERO, message(1_000, 10)).await;
    assert!(next > last, "positions must not be given twice");
    let read = read_all(&*queue, ZERO, next, 1).await;
    assert_eq!(read[0].message, message(1_000, 10));
}

async fn closing(site: Box<dyn Site>) {
    let queue = site.open().await;
    let start = oldest(&*queue, ZERO).await;
    let waiting = {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { queue.read(ZERO, start, 1, LONG * 10).await })
    };
    let appends: Vec<_> = (0..50)
        .map(|number| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.append(ONE, message(number, 5_000)).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(2)).await;
    close(&*queue).await;
    close(&*queue).await;
    let refused = queue.append(ZERO, message(1, 10)).await;
    assert!(matches!(refused, Err(QueueError::Closed)), "a closed queue must take nothing: {refused:?}");
    let woken = tokio::time::timeout(LONG, waiting).await;
    assert!(woken.is_ok(), "closing must wake those who wait for messages");
    let mut acknowledged = BTreeSet::new();
    for append in appends {
        match append.await.unwrap_or_else(|error| panic!("{error}")) {
            Ok(position) => drop(acknowledged.insert(position)),
            Err(QueueError::Closed | QueueError::Unknown(_)) => {}
            Err(error) => panic!("append: {error}"),
        }
    }
    drop(queue);
    let queue = site.open().await;
    let start = oldest(&*queue, ONE).await;
    let mut next = start;
    let end = queue.state(ONE).await.unwrap_or_else(|error| panic!("state: {error}")).next;
    while next < end {
        for delivery in read(&*queue, ONE, next, LONG).await {
            acknowledged.remove(&delivery.position);
            next = delivery.position.next();
        }
    }
    assert!(acknowledged.is_empty(), "acknowledged before closing and gone after: {acknowledged:?}");
    close(&*queue).await;
}
