//! Reading from a position: cursors that stay where the last read ended, so that reading on costs no new start.
//!
//! A lane is one consumer of librdkafka (its threads and connections) that is given partitions one by one, each with a
//! queue of its own. A lane reads a partition at one place only, so a second reader of the same partition, elsewhere
//! or at the same position, goes to the next lane. A cursor is never moved: what librdkafka may still hold from before
//! can't be taken for what was asked for.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use model::position::{Partition, Position};
use parking_lot::Mutex;
use queue::{Delivery, QueueError};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::AbortHandle;
use tokio::time::timeout_at;

use crate::codec;
use crate::config::KafkaConfig;
use crate::health::{Context, Health};
use crate::metrics::Metrics;

/// Readers of one partition at the same time.
const LANES_MAX: usize = 16;
/// A cursor that nobody used so long is given up, with what it fetched ahead.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a read waits for messages that are known to be there.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
const SKIP_WARN_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Readers {
    config: KafkaConfig,
    foreign: Option<Arc<str>>,
    health: Arc<Health>,
    metrics: Metrics,
    lanes: Mutex<Vec<Arc<Lane>>>,
    idle: Mutex<Vec<Cursor>>,
    /// Rises when all lanes are to be made anew.
    age: AtomicU64,
    skip_warned: Mutex<Option<Instant>>,
}

/// A consumer and the partitions that its cursors read.
struct Lane {
    age: u64,
    consumer: Arc<StreamConsumer<Context>>,
    busy: Mutex<BTreeSet<u32>>,
    events: AbortHandle,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("busy", &self.busy).finish_non_exhaustive()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.events.abort();
    }
}

/// The right to read one partition on a lane.
struct Claim {
    lane: Arc<Lane>,
    partition: u32,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.lane.busy.lock().remove(&self.partition);
    }
}

/// A partition that is assigned to a lane's consumer.
struct Assignment {
    topic: String,
    lane: Arc<Lane>,
    partition: u32,
    queue: StreamPartitionQueue<Context>,
}

impl Drop for Assignment {
    fn drop(&mut self) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, self.partition as i32);
        if let Err(error) = self.lane.consumer.incremental_unassign(&list) {
            tracing::debug!(%error, partition = self.partition, "a partition could not be given back");
        }
    }
}

/// A place in a partition.
struct Cursor {
    // First: a partition is given back, and its queue's wake-ups are switched off, before another may claim it.
    assignment: Assignment,
    claim: Claim,
    /// What the next read must ask for.
    next: Position,
    buffered: VecDeque<Delivery>,
    buffered_bytes: usize,
    /// Everything up to the partition's end has come.
    at_end: bool,
    used: Instant,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("partition", &self.claim.partition)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// What came next.
enum Event {
    Message(Delivery),
    /// A message of another producer that belongs to nobody, at this offset.
    Skipped(i64),
    End,
    Failed(KafkaError),
}

/// A cursor in use. Comes back to the others when the read is over or dropped, with what it holds.
struct Lease<'a> {
    readers: &'a Readers,
    cursor: Option<Cursor>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(mut cursor) = self.cursor.take() else { return };
        cursor.used = Instant::now();
        let mut idle = self.readers.idle.lock();
        if cursor.claim.lane.age == self.readers.age.load(Ordering::Acquire) {
            idle.push(cursor);
        }
    }
}

impl Readers {
    pub(crate) fn new(config: &KafkaConfig, health: Arc<Health>, metrics: Metrics) -> Self {
        Self {
            config: config.clone(),
            foreign: config.foreign_project.as_deref().map(Arc::from),
            health,
            metrics,
            lanes: Mutex::default(),
            idle: Mutex::default(),
            age: AtomicU64::new(0),
            skip_warned: Mutex::default(),
        }
    }

    /// `known_next`: this process knows of messages before it. A failure of the partition is given as it came.
    pub(crate) async fn read(
        &self,
        partition: Partition,
        from: Position,
        bytes_max: usize,
        wait: Duration,
        known_next: &AtomicU64,
    ) -> Result<Vec<Delivery>, ReadError> {
        let now = tokio::time::Instant::now();
        let patience = now + wait.min(Duration::from_secs(24 * 60 * 60));
        let give_up = patience.max(now + ANSWER_TIME_MAX);
        let mut lease = Lease { readers: self, cursor: Some(self.take(partition, from)?) };
        let Some(cursor) = lease.cursor.as_mut() else { return Ok(Vec::new()) };
        while cursor.buffered.is_empty() {
            let caught_up = cursor.at_end && from.0 >= known_next.load(Ordering::Acquire);
            let until = if caught_up { patience } else { give_up };
            match timeout_at(until, self.next(cursor)).await {
                Ok(Event::Failed(error)) => {
                    drop(lease.cursor.take());
                    return Err(ReadError::Failed(error));
                }
                Ok(event) => {
                    self.count(cursor.claim.partition, &event);
                    cursor.take_in(event);
                }
                Err(_) if caught_up => return Ok(Vec::new()),
                Err(_) if tokio::time::Instant::now() >= give_up => {
                    let what = format!("partition {partition}: no messages came from {from}");
                    return Err(self.health.unavailable(&what).into());
                }
                Err(_) => {}
            }
        }
        let mut failed = false;
        while cursor.buffered_bytes < bytes_max {
            match self.next(cursor).now_or_never() {
                // What came before it is given out; the next read meets it again.
                Some(Event::Failed(_)) => {
                    failed = true;
                    break;
                }
                Some(event) => {
                    self.count(cursor.claim.partition, &event);
                    cursor.take_in(event);
                }
                None => break,
            }
        }
        let deliveries = cursor.give_out(bytes_max);
        if failed {
            drop(lease.cursor.take());
        }
        Ok(deliveries)
    }

    /// Whether there is no message from `from` to before `end`, where the partition ended a moment ago. A cursor is begun
    /// for it: one that stands there may have seen the end long ago.
    pub(crate) async fn is_empty(
        &self,
        partition: Partition,
        from: Position,
        end: Position,
    ) -> Result<bool, ReadError> {
        let cursor = Cursor::start(&self.config.topic, self.claim(partition.0)?, from)?;
        let mut lease = Lease { readers: self, cursor: Some(cursor) };
        let Some(cursor) = lease.cursor.as_mut() else { return Ok(false) };
        let give_up = tokio::time::Instant::now() + ANSWER_TIME_MAX;
        loop {
            match timeout_at(give_up, self.next(cursor)).await {
                Ok(Event::End) => {
                    cursor.take_in(Event::End);
                    cursor.next = end;
                    return Ok(true);
                }
                Ok(Event::Skipped(_)) => {}
                Ok(event @ Event::Message(_)) => {
                    cursor.take_in(event);
                    return Ok(false);
                }
                Ok(Event::Failed(error)) => {
                    drop(lease.cursor.take());
                    return Err(ReadError::Failed(error));
                }
                Err(_) => {
                    let what = format!("partition {partition}: no answer came about what stands at {from}");
                    return Err(self.health.unavailable(&what).into());
                }
            }
        }
    }

    async fn next(&self, cursor: &Cursor) -> Event {
        match cursor.assignment.queue.recv().await {
            Ok(record) => match codec::decode(&record, self.foreign.as_ref()) {
                Some(message) => {
                    let position = Position(u64::try_from(record.offset()).unwrap_or_default());
                    Event::Message(Delivery { position, message })
                }
                None => Event::Skipped(record.offset()),
            },
            Err(KafkaError::PartitionEOF(_)) => Event::End,
            Err(error) => Event::Failed(error),
        }
    }

    /// Counts and tells of what is left out.
    fn count(&self, partition: u32, event: &Event) {
        let Event::Skipped(offset) = event else { return };
        self.metrics.foreign_skipped();
        let mut warned = self.skip_warned.lock();
        if warned.is_none_or(|at| at.elapsed() > SKIP_WARN_INTERVAL) {
            *warned = Some(Instant::now());
            tracing::warn!(
                partition,
                offset,
                topic = self.config.topic,
                "another producer writes to the topic and no project is set for its messages; they are left out \
                 (set queue.kafka.foreign_project, then replay)"
            );
        }
    }

    /// The idle cursor that stands at `from`, or a new one.
    fn take(&self, partition: Partition, from: Position) -> Result<Cursor, QueueError> {
        let stands = |cursor: &Cursor| cursor.claim.partition == partition.0 && cursor.next == from;
        {
            let mut idle = self.idle.lock();
            if let Some(at) = idle.iter().position(stands) {
                return Ok(idle.swap_remove(at));
            }
        }
        Cursor::start(&self.config.topic, self.claim(partition.0)?, from)
    }

    /// A lane that does not read the partition yet, else a new one, else that of the idle cursor of the partition that was
    /// not used for the longest time.
    fn claim(&self, partition: u32) -> Result<Claim, QueueError> {
        {
            let mut lanes = self.lanes.lock();
            if let Some(lane) = lanes.iter().find(|lane| lane.busy.lock().insert(partition)) {
                return Ok(Claim { lane: Arc::clone(lane), partition });
            }
            if lanes.len() < LANES_MAX {
                let age = self.age.load(Ordering::Acquire);
                let lane = Arc::new(Lane::open(&self.config, &self.health, age)?);
                lane.busy.lock().insert(partition);
                lanes.push(Arc::clone(&lane));
                return Ok(Claim { lane, partition });
            }
        }
        let oldest = {
            let mut idle = self.idle.lock();
            let cursors = idle.iter().enumerate().filter(|(_, cursor)| cursor.claim.partition == partition);
            let oldest = cursors.min_by_key(|(_, cursor)| cursor.used).map(|(at, _)| at);
            oldest.map(|at| idle.swap_remove(at))
        };
        match oldest {
            // The claim is handed on: were it given back first, another reader could come between.
            Some(Cursor { assignment, claim, .. }) => {
                drop(assignment);
                Ok(claim)
            }
            None => Err(self.health.unavailable(&format!("{LANES_MAX} readers read partition {partition} already"))),
        }
    }

    /// Gives up cursors that are not used.
    pub(crate) fn sweep(&self) {
        let unused = |cursor: &mut Cursor| cursor.used.elapsed() > IDLE_TIME_MAX;
        let gone: Vec<Cursor> = self.idle.lock().extract_if(.., unused).collect();
        if !gone.is_empty() {
            tracing::debug!(cursors = gone.len(), "gave up unused cursors");
        }
    }

    /// Ends all consumers, those in use when their read is over. Blocks for a moment.
    pub(crate) fn close(&self) {
        let idle = {
            let mut idle = self.idle.lock();
            self.age.fetch_add(1, Ordering::AcqRel);
            std::mem::take(&mut *idle)
        };
        drop(idle);
        let lanes = std::mem::take(&mut *self.lanes.lock());
        drop(lanes);
    }
}

/// Why nothing could be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Queue(QueueError),
    /// What Kafka said about the partition.
    Failed(KafkaError),
}

impl From<QueueError> for ReadError {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

/// Whether a position may be outside of what the partition holds.
pub(crate) fn is_out_of_range(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange};
    matches!(error.rdkafka_error_code(), Some(AutoOffsetReset | OffsetOutOfRange))
}

/// Whether what is stored does not read back.
pub(crate) fn is_damage(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{BadCompression, BadMessage, InvalidMessage};
    matches!(error.rdkafka_error_code(), Some(BadMessage | BadCompression | InvalidMessage))
}

impl Lane {
    fn open(config: &KafkaConfig, health: &Arc<Health>, age: u64) -> Result<Self, QueueError> {
        let context = Context { health: Arc::clone(health) };
        let consumer = StreamConsumer::from_config_and_context(&config.reader(), context);
        let consumer: Arc<StreamConsumer<Context>> =
            Arc::new(consumer.map_err(|error| QueueError::Io(std::io::Error::other(error.to_string())))?);
        let polled = Arc::clone(&consumer);
        // Partitions have queues of their own; here come the client's events only.
        let events = tokio::spawn(async move {
            loop {
                match polled.recv().await {
                    Ok(_) => tracing::error!("a message came outside of its partition's queue"),
                    Err(error) => {
                        tracing::debug!(%error, "a reader of Kafka reports an error");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        });
        Ok(Self { age, consumer, busy: Mutex::default(), events: events.abort_handle() })
    }
}

impl Cursor {
    fn start(topic: &str, claim: Claim, from: Position) -> Result<Self, QueueError> {
        let failed = |error: String| QueueError::Io(std::io::Error::other(error));
        let (lane, partition) = (Arc::clone(&claim.lane), claim.partition);
        // Before it is assigned: else messages could come to the lane's own queue first.
        let queue = lane.consumer.split_partition_queue(topic, partition as i32);
        let queue = queue.ok_or_else(|| failed(format!("topic {topic} has no queue for partition {partition}")))?;
        let cursor = Self {
            assignment: Assignment { topic: topic.to_owned(), lane, partition, queue },
            claim,
            next: from,
            buffered: VecDeque::new(),
            buffered_bytes: 0,
            at_end: false,
            used: Instant::now(),
        };
        let mut list = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(from.0).unwrap_or(i64::MAX));
        list.add_partition_offset(topic, partition as i32, offset).map_err(|error| failed(error.to_string()))?;
        cursor.claim.lane.consumer.incremental_assign(&list).map_err(|error| failed(error.to_string()))?;
        Ok(cursor)
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::Message(delivery) => {
                self.at_end = false;
                self.buffered_bytes += delivery.message.payload.len();
                self.buffered.push_back(delivery);
            }
            Event::End => self.at_end = true,
            Event::Skipped(_) | Event::Failed(_) => self.at_end = false,
        }
    }

    /// At least one message, and no more than fit.
    fn give_out(&mut self, bytes_max: usize) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let mut bytes = 0;
        while let Some(delivery) = self.buffered.front() {
            bytes += delivery.message.payload.len();
            if bytes > bytes_max && !deliveries.is_empty() {
                break;
            }
            deliveries.extend(self.buffered.pop_front());
        }
        self.buffered_bytes = self.buffered.iter().map(|delivery| delivery.message.payload.len()).sum();
        if let Some(last) = deliveries.last() {
            self.next = last.position.next();
        }
        deliveries
    }
}
