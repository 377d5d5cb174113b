//! Apache Kafka behind the queue seam: one topic, whose partitions and offsets are the queue's partitions and positions.
//!
//! - [`KafkaQueue`]: the queue; [`KafkaConfig`]: what it is told; [`Metrics`]: what it counts;
//! - `topic`: made or checked; its Kafka id is the queue's incarnation;
//! - `producer`: one idempotent producer; `transactions`: another for requests that are too large for one message;
//!   `codec`: how a message is written;
//! - `reader`: cursors that read on from positions; `groups`: members of consumer groups, and commits;
//! - `letters`: dead letters in a topic of their own;
//! - `certificates`: files whose change brings new clients; `keeper`: what is looked after in the background;
//!   `health`: what the brokers said last;
//! - `ffi`: calls into librdkafka.

mod certificates;
mod codec;
mod config;
mod ffi;
mod groups;
mod health;
mod keeper;
mod letters;
mod metrics;
mod producer;
mod reader;
mod topic;
mod transactions;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::position::{Incarnation, Partition, Position};
use parking_lot::RwLock;
use queue::{Delivery, Letter, Message, PartitionState, Queue, QueueError};
use rdkafka::error::KafkaError;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use config::{Compression, KafkaConfig, Mechanism, Sasl, Tls};
pub use metrics::Metrics;

use certificates::Certificates;
use groups::Groups;
use health::Health;
use letters::Letters;
use producer::Producer;
use reader::{ReadError, Readers};
use topic::{ASK_TIME_MAX, Admin, Topic};
use transactions::Transactions;

const ASK_AGAIN_TIME: Duration = Duration::from_millis(100);
/// Read at once by a check of everything.
const CHECK_BYTES: usize = 8 << 20;
/// What a message is taken to have before any was seen, for estimates.
const MESSAGE_BYTES_GUESS: u64 = 1_024;
const SEEN_MAX: u64 = 1 << 20;

/// The queue in a Kafka topic. Dropping it without [`Queue::close`] gives up what was not delivered, as a crash does.
#[derive(Debug)]
pub struct KafkaQueue {
    shared: Arc<Shared>,
    keeper: AbortHandle,
}

pub(crate) struct Shared {
    config: KafkaConfig,
    topic: Topic,
    health: Arc<Health>,
    metrics: Metrics,
    admin: RwLock<Arc<Admin>>,
    producer: Producer,
    transactions: Transactions,
    letters: Letters,
    readers: Arc<Readers>,
    groups: Groups,
    partitions: AtomicU32,
    /// For each partition the position after the last message that this process appended.
    known_next: RwLock<Vec<Arc<AtomicU64>>>,
    seen_messages: AtomicU64,
    seen_bytes: AtomicU64,
    closed: AtomicBool,
    closing: watch::Sender<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("topic", &self.topic).field("config", &self.config).finish_non_exhaustive()
    }
}

impl KafkaQueue {
    /// Connects, makes the topic if it is not there, and checks its settings.
    ///
    /// # Errors
    /// [`QueueError::Io`] for wrong settings, a refused login or certificate, and a topic that could lose messages;
    /// [`QueueError::Unavailable`] when no broker answers within `open_timeout`.
    pub async fn open(config: KafkaConfig, metrics: Metrics) -> Result<Self, QueueError> {
        config.check()?;
        let certificates = Certificates::read(&config);
        let health = Arc::new(Health::default());
        let knock = producer::knock(&config, Arc::clone(&health), metrics.clone())?;
        let admin = topic::admin(&config, &health)?;
        let topic = topic::open(&admin, &config, &health).await;
        // Ending clients waits for their threads.
        tokio::task::spawn_blocking(move || drop(knock));
        let topic = topic?;
        let producer = Producer::open(&config, topic.message_bytes_max, Arc::clone(&health), metrics.clone())?;
        let shared = Arc::new(Shared {
            readers: Arc::new(Readers::new(&config, Arc::clone(&health), metrics.clone())),
            groups: Groups::new(&config, Arc::clone(&health)),
            transactions: Transactions::new(&config, topic.message_bytes_max, producer.deliveries())?,
            letters: Letters::default(),
            config,
            topic,
            health,
            metrics,
            admin: RwLock::new(admin),
            producer,
            partitions: AtomicU32::new(0),
            known_next: RwLock::default(),
            seen_messages: AtomicU64::new(0),
            seen_bytes: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            closing: watch::Sender::new(false),
        });
        shared.grow(topic.partitions);
        let keeper = tokio::spawn(keeper::run(Arc::downgrade(&shared), certificates)).abort_handle();
        Ok(Self { shared, keeper })
    }

    /// The largest payload of a message that the topic takes.
    pub fn message_bytes_max(&self) -> usize {
        self.shared.topic.message_bytes_max
    }
}

impl Drop for KafkaQueue {
    fn drop(&mut self) {
        self.keeper.abort();
        self.shared.stop();
    }
}

impl Shared {
    /// Follows a topic that was given more partitions.
    fn grow(&self, partitions: u32) {
        let mut known_next = self.known_next.write();
        while known_next.len() < partitions as usize {
            known_next.push(Arc::default());
        }
        if self.partitions.fetch_max(partitions, Ordering::AcqRel) < partitions {
            tracing::info!(topic = self.config.topic, partitions, "the topic's partitions");
        }
    }

    fn check_open(&self, partition: Partition) -> Result<(), QueueError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(QueueError::Closed);
        }
        if partition.0 >= self.partitions.load(Ordering::Acquire) {
            return Err(QueueError::NoPartition(partition));
        }
        self.health.check_topic()
    }

    fn known_next(&self, partition: Partition) -> Arc<AtomicU64> {
        self.known_next.read().get(partition.0 as usize).map(Arc::clone).unwrap_or_default()
    }

    fn admin(&self) -> Arc<Admin> {
        Arc::clone(&self.admin.read())
    }

    /// Puts clients that read the certificates anew in the place of all that run, once the brokers let one of them in.
    async fn renew(&self) -> Result<(), QueueError> {
        self.producer.renew().await?;
        let old = std::mem::replace(&mut *self.admin.write(), topic::admin(&self.config, &self.health)?);
        tokio::task::spawn_blocking(move || drop(old));
        self.transactions.end().await;
        let readers = Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || readers.close());
        self.groups.renew().await
    }

    /// The oldest position kept and the next one. While a transaction is open, what stands behind it does not count.
    async fn watermarks(&self, partition: Partition) -> Result<(u64, u64), QueueError> {
        let until = Instant::now() + ASK_TIME_MAX;
        loop {
            let (admin, topic) = (self.admin(), self.config.topic.clone());
            let asked = blocking(move || Ok(admin.inner().fetch_watermarks(&topic, partition.0 as i32, ASK_TIME_MAX)));
            match asked.await? {
                Ok((low, high)) => return Ok((low.unsigned_abs(), high.unsigned_abs())),
                // A leader that moves fails the question once or twice.
                Err(_) if Instant::now() < until => tokio::time::sleep(ASK_AGAIN_TIME).await,
                Err(error) => return Err(self.health.unavailable(&format!("partition {partition}: {error}"))),
            }
        }
    }

    /// Says what a reader's failure means to who asked for `from`.
    async fn explain(&self, partition: Partition, from: Position, error: &KafkaError) -> QueueError {
        if reader::is_damage(error) {
            return QueueError::Corrupt(format!("partition {partition} at {from} or after: {error}"));
        }
        if reader::is_out_of_range(error) {
            match self.watermarks(partition).await {
                Ok((low, _)) if from.0 < low => return QueueError::Expired { from, oldest: Position(low) },
                Ok((_, high)) if from.0 > high => {
                    return QueueError::Corrupt(format!(
                        "partition {partition} ends at {high}, before {from}: messages that were acknowledged are gone"
                    ));
                }
                Ok(_) => {}
                Err(error) => return error,
            }
        }
        self.health.unavailable(&format!("partition {partition} from {from}: {error}"))
    }

    fn saw(&self, messages: u64, bytes: u64) {
        // Halved now and then, so that the mean follows what messages are like today.
        if self.seen_messages.fetch_add(messages, Ordering::Relaxed) > SEEN_MAX {
            self.seen_messages.store(SEEN_MAX / 2, Ordering::Relaxed);
            let bytes = self.seen_bytes.load(Ordering::Relaxed) / 2;
            self.seen_bytes.store(bytes, Ordering::Relaxed);
        }
        self.seen_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn message_bytes_mean(&self) -> u64 {
        let (messages, bytes) = (self.seen_messages.load(Ordering::Relaxed), self.seen_bytes.load(Ordering::Relaxed));
        bytes.checked_div(messages).map_or(MESSAGE_BYTES_GUESS, |mean| mean.max(1))
    }

    /// Behind the marks that end transactions and the messages of others that are left out.
    async fn passed(&self, partition: Partition, from: Position) -> Result<Position, QueueError> {
        let (low, high) = self.watermarks(partition).await?;
        if !(low..high).contains(&from.0) {
            return Ok(from);
        }
        match self.readers.is_empty(partition, from, Position(high)).await {
            Ok(true) => Ok(Position(high)),
            Ok(false) => Ok(from),
            Err(ReadError::Queue(error)) => Err(error),
            Err(ReadError::Failed(error)) => Err(self.explain(partition, from, &error).await),
        }
    }

    fn stop(&self) {
        self.closed.store(true, Ordering::Release);
        self.closing.send_replace(true);
    }

    async fn check_partition(&self, partition: Partition) -> Result<Option<String>, QueueError> {
        let (low, high) = self.watermarks(partition).await?;
        let mut next = Position(low);
        while next.0 < high {
            let known = AtomicU64::new(0);
            match self.readers.read(partition, next, CHECK_BYTES, Duration::ZERO, &known).await {
                Ok(deliveries) => match deliveries.last() {
                    Some(last) => next = last.position.next(),
                    // Perhaps only because it stood at the end before.
                    None => match self.passed(partition, next).await? {
                        passed if passed == next => {}
                        passed => next = passed,
                    },
                },
                Err(ReadError::Queue(error)) => return Err(error),
                Err(ReadError::Failed(error)) => match self.explain(partition, next, &error).await {
                    // Retention goes on meanwhile.
                    QueueError::Expired { oldest, .. } => next = oldest,
                    QueueError::Corrupt(reason) => return Ok(Some(reason)),
                    error => return Err(error),
                },
            }
        }
        Ok(None)
    }
}

/// Runs a call that waits for the network on a thread for such calls.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueueError> + Send + 'static,
) -> Result<T, QueueError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(io::Error::other(error).into()),
    }
}

#[async_trait]
impl Queue for KafkaQueue {
    fn incarnation(&self) -> Incarnation {
        self.shared.topic.incarnation
    }

    fn partitions(&self) -> u32 {
        self.shared.partitions.load(Ordering::Acquire)
    }

    async fn append(&self, partition: Partition, message: Message) -> Result<Position, QueueError> {
        let shared = &self.shared;
        shared.check_open(partition)?;
        let producer = &shared.producer;
        let position = if message.payload.len() <= producer.message_bytes_max() {
            producer.append(partition, &message).await?
        } else {
            let parts = message.split(producer.message_bytes_max())?;
            let room = producer.room(parts.iter().map(codec::bytes).sum()).await?;
            shared.transactions.append(partition, parts, room).await?
        };
        shared.known_next(partition).fetch_max(position.next().0, Ordering::AcqRel);
        shared.saw(1, message.payload.len() as u64);
        Ok(position)
    }

    async fn read(
        &self,
        partition: Partition,
        from: Position,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let shared = &self.shared;
        shared.check_open(partition)?;
        let known_next = shared.known_next(partition);
        let mut closing = shared.closing.subscribe();
        let outcome = tokio::select! {
            _ = closing.wait_for(|closing| *closing) => return Err(QueueError::Closed),
            outcome = shared.readers.read(partition, from, bytes_max, wait, &known_next) => outcome,
        };
        match outcome {
            Ok(deliveries) => {
                let bytes = deliveries.iter().map(|delivery| delivery.message.payload.len() as u64).sum();
                shared.saw(deliveries.len() as u64, bytes);
                Ok(deliveries)
            }
            Err(ReadError::Queue(error)) => Err(error),
            Err(ReadError::Failed(error)) => Err(shared.explain(partition, from, &error).await),
        }
    }

    async fn passed(&self, partition: Partition, from: Position) -> Result<Position, QueueError> {
        self.shared.check_open(partition)?;
        self.shared.passed(partition, from).await
    }

    async fn show_letters(&self, letters: &[Letter]) -> Result<(), QueueError> {
        self.shared.check_open(Partition(0))?;
        letters::show(&self.shared, letters).await
    }

    async fn join(&self, group: &str) -> Result<watch::Receiver<BTreeSet<Partition>>, QueueError> {
        self.shared.check_open(Partition(0))?;
        self.shared.groups.get(group)?.join()
    }

    async fn commit(&self, group: &str, partition: Partition, next: Position) -> Result<(), QueueError> {
        self.shared.check_open(partition)?;
        let committed = self.shared.groups.get(group)?.commit(partition, next).await;
        committed.map_err(|reason| self.shared.health.unavailable(&reason))
    }

    async fn committed(&self, group: &str, partition: Partition) -> Result<Option<Position>, QueueError> {
        self.shared.check_open(partition)?;
        let committed = self.shared.groups.get(group)?.committed(partition).await;
        committed.map_err(|reason| self.shared.health.unavailable(&reason))
    }

    async fn state(&self, partition: Partition) -> Result<PartitionState, QueueError> {
        self.shared.check_open(partition)?;
        let (low, high) = self.shared.watermarks(partition).await?;
        let bytes = high.saturating_sub(low).saturating_mul(self.shared.message_bytes_mean());
        Ok(PartitionState { oldest: Position(low), next: Position(high), bytes, gap: Default::default() })
    }

    async fn check(&self) -> Result<Vec<String>, QueueError> {
        let mut damages = Vec::new();
        for partition in (0..self.partitions()).map(Partition) {
            self.shared.check_open(partition)?;
            damages.extend(self.shared.check_partition(partition).await?);
        }
        Ok(damages)
    }

    async fn close(&self) -> Result<(), QueueError> {
        let shared = &self.shared;
        shared.stop();
        let flushed = shared.producer.close().await;
        shared.transactions.close().await;
        let left = shared.groups.close().await;
        let readers = Arc::clone(&shared.readers);
        blocking(move || {
            readers.close();
            Ok(())
        })
        .await?;
        flushed.and(left)
    }
}
