//! A queue, a store, and processors between them.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use metadata::{DeadLetter, Metadata};
use model::cursor::Order;
use model::limits::Limits;
use model::otlp::Encoder;
use model::position::{Partition, Position};
use model::query::Query;
use model::{Batch, Record, RecordId};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use queue::embedded::{EmbeddedConfig, EmbeddedQueue};
use queue::{Headers, IdempotencyKey, Message, Part, Queue, QueueError, Records};
use store::{Counts, QueryLimits, Scan, Search, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use transform::Transforms;

use super::faults::{FaultyStore, Letters, POISON};
use crate::verify::Subject;
use crate::{Config, Context, Metrics, Processor};

const PARTITIONS: u32 = 2;

/// A request of a client.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) messages: Vec<String>,
    pub(super) key: Option<u128>,
    pub(super) body: u128,
}

impl Sent {
    pub(super) fn records(count: usize) -> Self {
        Self::with_poison(count, &[])
    }

    pub(super) fn with_poison(count: usize, poison: &[usize]) -> Self {
        let word = |at| if poison.contains(&at) { POISON } else { "fine" };
        Self { messages: (0..count).map(|at| format!("{} {at}", word(at))).collect(), key: None, body: 0 }
    }
}

#[derive(Debug)]
pub(super) struct Rig {
    queue: Arc<EmbeddedQueue>,
    pub(super) store: Arc<FaultyStore>,
    pub(super) letters: Arc<Letters>,
    registry: Registry,
    metrics: Metrics,
    /// Records that were acknowledged, and how many of them repeat a request.
    acknowledged: Mutex<(u64, u64)>,
    keys: Mutex<HashSet<(u128, u128)>>,
    appended: AtomicU64,
    dir: tempfile::TempDir,
}

/// A processor at work.
#[derive(Debug)]
pub(super) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        Self {
            queue: Arc::new(open_queue(dir.path())),
            store: Arc::default(),
            letters: Arc::default(),
            registry,
            metrics,
            acknowledged: Mutex::default(),
            keys: Mutex::default(),
            appended: AtomicU64::default(),
            dir,
        }
    }

    /// Closes the queue, changes the files of a partition, and opens it again.
    pub(super) async fn reopen_queue(&mut self, partition: u32, change: impl FnOnce(&Path)) {
        self.queue.close().await.unwrap();
        change(&self.dir.path().join(format!("queue/partitions/{partition:04}")));
        // Closed, it has given its directory back.
        self.queue = Arc::new(open_queue(self.dir.path()));
    }

    /// What verification, replay and the like work on.
    pub(super) async fn subject(&self) -> Subject {
        let path = self.dir.path().join("metadata.db");
        Subject {
            queue: self.queue.clone(),
            store: self.store.clone(),
            metadata: Metadata::open(path.to_str().unwrap()).await.unwrap(),
            transforms: Arc::new(Transforms::default()),
            limits: Limits::default(),
        }
    }

    pub(super) fn start(&self) -> Running {
        let config = Config {
            commit_interval: Duration::from_millis(50),
            retry_delay_min: Duration::from_millis(1),
            retry_delay_max: Duration::from_millis(20),
            moved_pause: Duration::from_millis(5),
            ..Config::default()
        };
        let (_, transforms) = watch::channel(Arc::new(Transforms::default()));
        let context = Context {
            config: Arc::new(config),
            queue: self.queue.clone(),
            store: self.store.clone(),
            dead_letters: self.letters.clone(),
            transforms,
            pace: None,
            metrics: self.metrics.clone(),
        };
        let stop = CancellationToken::new();
        Running { task: tokio::spawn(Processor::new(context).run(stop.clone())), stop }
    }

    /// Runs a processor until the queue is empty.
    pub(super) async fn process(&self) {
        let running = self.start();
        self.wait_until_done().await;
        running.stop().await;
    }

    pub(super) async fn send(&self, partition: u32, sent: Sent) {
        let records = sent.messages.len() as u64;
        let is_repeated = sent.key.is_some_and(|key| !self.keys.lock().insert((key, sent.body)));
        self.try_send(partition, sent).await.unwrap();
        let mut acknowledged = self.acknowledged.lock();
        acknowledged.0 += records;
        acknowledged.1 += if is_repeated { records } else { 0 };
    }

    pub(super) async fn try_send(&self, partition: u32, sent: Sent) -> Result<Position, QueueError> {
        let key = sent.key.map(|key| IdempotencyKey { key, body: sent.body });
        let headers = Headers { key, ..headers(sent.messages.len() as u32) };
        let message = Message::new(headers, encoded(&sent.messages));
        // Every other message comes with its records, as from a collector in the same process, which takes no others.
        let is_accepted = sent.messages.iter().all(|message| message.len() <= Limits::default().record_bytes_max);
        let is_handed_over = is_accepted && self.appended.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let records = if is_handed_over { Records::new(batch(&sent.messages)) } else { Records::default() };
        self.queue.append(Partition(partition), Message { records, ..message }).await
    }

    /// The parts of a copy of a request, cut before these records; to be appended one by one.
    pub(super) fn parts(&self, sent: &Sent, request: u128, cuts: &[usize]) -> Vec<Message> {
        let of = sent.messages.len() as u32;
        let key = sent.key.map(|key| IdempotencyKey { key, body: sent.body });
        let is_repeated = sent.key.is_some_and(|key| !self.keys.lock().insert((key, sent.body)));
        let mut acknowledged = self.acknowledged.lock();
        acknowledged.0 += u64::from(of);
        acknowledged.1 += if is_repeated { u64::from(of) } else { 0 };
        let ends = cuts.iter().copied().chain([sent.messages.len()]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let part = |(start, end): (usize, usize)| {
            let part = Some(Part { request, first: start as u32, of });
            let headers = Headers { key, part, ..headers((end - start) as u32) };
            Message::new(headers, encoded(&sent.messages[start..end]))
        };
        starts.zip(ends).map(part).collect()
    }

    pub(super) async fn append(&self, partition: u32, message: &Message) {
        self.queue.append(Partition(partition), message.clone()).await.unwrap();
    }

    pub(super) async fn send_raw(&self, partition: u32, payload: &'static [u8], records: u32) {
        let message = Message::new(headers(records), Bytes::from_static(payload));
        self.queue.append(Partition(partition), message).await.unwrap();
        self.acknowledged.lock().0 += u64::from(records);
    }

    pub(super) async fn send_again(&self, partition: u32, letter: &DeadLetter) {
        let headers = Headers { retry_of: Some(letter.id), ..headers(1) };
        let message = Message::new(headers, Bytes::from(letter.payload.clone()));
        self.queue.append(Partition(partition), message).await.unwrap();
    }

    pub(super) async fn wait_until_done(&self) {
        let done = async {
            for partition in 0..PARTITIONS {
                while self.written(partition).await < self.end(partition).await {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), done).await.expect("the queue is not emptied");
    }

    pub(super) async fn end(&self, partition: u32) -> Position {
        self.queue.state(Partition(partition)).await.unwrap().next
    }

    async fn written(&self, partition: u32) -> Position {
        self.store.progress(self.queue.incarnation(), Partition(partition)).await.unwrap().written
    }

    pub(super) async fn committed(&self, partition: u32) -> Position {
        self.queue.committed("devlogs", Partition(partition)).await.unwrap().unwrap_or_default()
    }

    pub(super) async fn stored(&self) -> Vec<Record<'static>> {
        let scan = Scan {
            project: "default".into(),
            range: i64::MIN..i64::MAX,
            query: Arc::new(Query::All),
            limits: QueryLimits::default(),
        };
        let search = Search { scan, order: Order::Ascending, limit: usize::MAX, after: None };
        self.store.search(search).await.unwrap().records
    }

    /// The ledger over all partitions.
    pub(super) async fn sums(&self) -> Counts {
        let mut sums = Counts::default();
        for row in self.store.ledger().await.unwrap() {
            sums.received += row.received;
            sums.stored += row.stored;
            sums.dead_lettered += row.dead_lettered;
            sums.deduplicated += row.deduplicated;
            sums.dropped += row.dropped;
            sums.lost += row.lost;
        }
        sums
    }

    /// Every acknowledged record is stored once, buried once, or known as a repetition; and the ledger says so.
    pub(super) async fn assert_all_accounted(&self) {
        let stored: Vec<RecordId> = self.stored().await.iter().map(|record| record.id).collect();
        let distinct: HashSet<RecordId> = stored.iter().copied().collect();
        assert_eq!(distinct.len(), stored.len(), "a record is stored twice");
        let letters = self.letters.all();
        assert!(letters.iter().all(|letter| !distinct.contains(&letter.id)), "a record is stored and buried");
        let (acknowledged, repeated) = *self.acknowledged.lock();
        let sums = self.sums().await;
        assert_eq!(sums.received, acknowledged, "{sums:?}");
        assert_eq!(sums.received, sums.stored + sums.dead_lettered + sums.deduplicated + sums.dropped, "{sums:?}");
        assert_eq!(sums.stored, stored.len() as u64, "{sums:?}");
        assert_eq!(sums.dead_lettered, letters.len() as u64, "{sums:?}");
        assert_eq!(sums.deduplicated, repeated, "{sums:?}");
    }

    pub(super) fn metrics_text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    pub(super) async fn close(&self) {
        self.queue.close().await.unwrap();
    }
}

fn open_queue(dir: &Path) -> EmbeddedQueue {
    let config = EmbeddedConfig {
        dir: dir.join("queue"),
        partitions: PARTITIONS,
        segment_bytes: 8 << 20,
        disk_free_min_bytes: 0,
        ..EmbeddedConfig::default()
    };
    EmbeddedQueue::open(config, queue::metrics::Metrics::default()).unwrap()
}

fn records(messages: &[String]) -> impl Iterator<Item = Record<'_>> {
    messages.iter().map(|message| Record { timestamp: 1, observed: 1, message: message.into(), ..Record::default() })
}

pub(super) fn encoded(messages: &[String]) -> Bytes {
    let mut encoder = Encoder::new();
    records(messages).for_each(|record| encoder.push(&record));
    Bytes::from(encoder.finish())
}

pub(super) fn batch(messages: &[String]) -> Batch {
    let mut batch = Batch::new("default".into());
    records(messages).for_each(|record| batch.push(&record));
    batch
}

pub(super) fn headers(records: u32) -> Headers {
    let received = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
    Headers { project: "default".into(), received, records, key: None, retry_of: None, part: None }
}
