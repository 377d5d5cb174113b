//! Requests that are too large for one message: all of them or nothing, under stable ids.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::limits::Limits;
use model::otlp::{self, DecodeContext, Encoder};
use model::position::Position;
use model::record::Record;

use super::{LONG, Site, ZERO, append, close, message, oldest, read};
use crate::{Delivery, Headers, IdempotencyKey, Message, Queue};

/// A request of about so many bytes, which a test can tell from others by its key.
pub fn request(number: u64, bytes: usize) -> Message {
    let mut encoder = Encoder::new();
    let mut state = number | 1;
    loop {
        let mut text = format!("record {} of request {number}", encoder.len());
        // Words that repeat and numbers that do not, as in logs.
        while text.len() < 900 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text += &format!(" took {} ms for user {:x} by connection reset", state >> 54, state >> 32);
        }
        encoder.push(&Record { timestamp: 1, observed: 1, message: text.into(), ..Record::default() });
        if encoder.bytes() >= bytes {
            break;
        }
    }
    let key = Some(IdempotencyKey { key: u128::from(number), body: 7 });
    let headers =
        Headers { project: Arc::from("shop"), received: 5, records: encoder.len(), key, retry_of: None, part: None };
    Message::new(headers, Bytes::from(encoder.finish()))
}

/// The records as the queue's readers make them, and their indexes in the request.
fn records(delivery: &Delivery) -> Vec<(u32, String)> {
    let limits = Limits::default();
    let context = DecodeContext { project: "shop", received: 5, origin: 0, limits: &limits };
    let mut all = Vec::new();
    let decoded = otlp::decode(&delivery.message.payload, &context, &mut |index, record| {
        let record = record.unwrap_or_else(|error| panic!("a record does not read: {error}"));
        all.push((delivery.first_index() + index, record.message.into_owned()));
    });
    let decoded = decoded.unwrap_or_else(|error| panic!("each message must be a whole OTLP request: {error}"));
    assert_eq!(decoded, delivery.message.headers.records, "each message must say how many records it has");
    all
}

fn whole(message: &Message) -> Vec<(u32, String)> {
    records(&Delivery { position: Position(0), message: message.clone() })
}

async fn read_to(queue: &dyn Queue, from: Position, last: Position) -> Vec<Delivery> {
    let (mut all, mut next, start) = (Vec::new(), from, Instant::now());
    while next <= last {
        assert!(start.elapsed() < LONG, "reading does not come to {last}");
        let deliveries = read(queue, ZERO, next, LONG).await;
        next = deliveries.last().map_or(next, |last| last.position.next());
        all.extend(deliveries);
    }
    all
}

/// The records of each copy of each request, in the order of the partition.
fn by_copy(deliveries: &[Delivery]) -> BTreeMap<(u128, u128), Vec<(u32, String)>> {
    let mut copies: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for delivery in deliveries {
        let headers = &delivery.message.headers;
        let Some(key) = headers.key else { continue };
        assert_eq!((&*headers.project, headers.received), ("shop", 5), "each part must have the request's headers");
        let copy = headers.part.map_or(u128::from(delivery.position.0), |part| part.request);
        copies.entry((key.key, copy)).or_default().extend(records(delivery));
    }
    copies
}

pub(super) async fn at_once(site: Box<dyn Site>) {
    let queue = site.open().await;
    let start = oldest(&*queue, ZERO).await;
    let (before, large, after) = (message(1, 100), request(2, site.large_bytes()), message(3, 100));
    append(&*queue, ZERO, before.clone()).await;
    let stored = append(&*queue, ZERO, large.clone()).await;
    let last = append(&*queue, ZERO, after.clone()).await;
    let read = read_to(&*queue, start, last).await;
    assert_eq!(read.first().map(|delivery| &delivery.message), Some(&before));
    assert_eq!(read.last().map(|delivery| &delivery.message), Some(&after));
    let parts = &read[1..read.len() - 1];
    assert_eq!(parts.last().map(|delivery| delivery.position), Some(stored), "the position must be the last part's");
    let origins: HashSet<u128> = parts.iter().map(|part| part.origin(queue.incarnation(), ZERO)).collect();
    assert_eq!(origins.len(), 1, "all records of a request must have one origin");
    let found: Vec<_> = parts.iter().flat_map(records).collect();
    assert!(found == whole(&large), "records, their order and their indexes must stay");
    assert_eq!(queue.passed(ZERO, start).await.ok(), Some(start), "a message must not be passed over");
    close(&*queue).await;
    drop(queue);

    let queue = site.open().await;
    assert_eq!(read_to(&*queue, start, last).await, read, "it must be there after opening again");
    close(&*queue).await;
}

/// With others in the same partition, and some that nobody waits for.
pub(super) async fn all_or_nothing(site: Box<dyn Site>) {
    let queue = site.open().await;
    let start = oldest(&*queue, ZERO).await;
    let bytes = site.large_bytes();
    let small = async {
        for number in 0..50 {
            append(&*queue, ZERO, message(number, 100)).await;
        }
    };
    let [one, other, given_up] = [1, 2, 3].map(|number| request(number, bytes));
    let hasty = async {
        for milliseconds in [0, 5, 20] {
            let append = queue.append(ZERO, given_up.clone());
            let _ = tokio::time::timeout(Duration::from_millis(milliseconds), append).await;
        }
    };
    let (first, second, (), ()) =
        futures::join!(append(&*queue, ZERO, one.clone()), append(&*queue, ZERO, other.clone()), small, hasty);
    close(&*queue).await;
    drop(queue);

    let queue = site.open().await;
    let last = append(&*queue, ZERO, message(99, 100)).await;
    assert!(first < last && second < last);
    let read = read_to(&*queue, start, last).await;
    assert!(read.windows(2).all(|pair| pair[0].position < pair[1].position), "positions must rise");
    let mut acknowledged = HashSet::new();
    for ((number, _), found) in by_copy(&read) {
        let sent = [&one, &other, &given_up][number as usize - 1];
        assert!(found == whole(sent), "request {number} is there in part");
        acknowledged.insert(number);
    }
    assert!(acknowledged.contains(&1) && acknowledged.contains(&2), "what was acknowledged must be there");
    assert_eq!(read.iter().filter(|delivery| delivery.message.headers.key.is_none()).count(), 51);
    close(&*queue).await;
}
