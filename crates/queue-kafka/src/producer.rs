//! Appending: one idempotent producer for all partitions, and for dead letters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::position::{Partition, Position};
use parking_lot::RwLock;
use queue::{Letter, Message, QueueError};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message as _, ToBytes};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::config::KafkaConfig;
use crate::health::{Health, RETRY_AFTER};
use crate::metrics::Metrics;
use crate::topic::ASK_TIME_MAX;
use crate::{blocking, codec, ffi};

pub(crate) type Client = ThreadedProducer<Deliveries>;

/// Bytes under way are bounded by `room`, which a message holds until it is delivered or given up, also when nobody
/// waits for it any more.
pub(crate) struct Producer {
    topic: String,
    config: ClientConfig,
    delivery_timeout: Duration,
    room: Arc<Semaphore>,
    room_bytes: u32,
    deliveries: Deliveries,
    /// Replaced after an error that librdkafka calls fatal.
    client: RwLock<Arc<Client>>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Hears what became of each message.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries {
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Metrics,
    /// What the topic took when it was opened.
    message_bytes_max: usize,
}

/// A message under way.
pub(crate) struct Pending {
    pub(crate) done: oneshot::Sender<Result<Position, QueueError>>,
    pub(crate) since: Instant,
    pub(crate) kind: Kind,
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    Letter,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::health::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.hear(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Pending>;

    fn delivery(&self, result: &DeliveryResult<'_>, pending: Self::DeliveryOpaque) {
        let Pending { done, since, kind, room } = *pending;
        let outcome = match result {
            Ok(message) => self.delivered(message, since, kind),
            Err((error, message)) => Err(self.failed(error, message, kind)),
        };
        drop(room);
        // Nobody listens when the append was dropped.
        let _ = done.send(outcome);
    }
}

impl Deliveries {
    fn delivered(
        &self,
        message: &rdkafka::message::BorrowedMessage<'_>,
        since: Instant,
        kind: Kind,
    ) -> Result<Position, QueueError> {
        if kind == Kind::Message {
            let partition = Partition(message.partition().unsigned_abs());
            self.health.delivered(partition.0);
            self.metrics.appended(partition, message.payload_len(), since.elapsed());
        }
        // A broker that had the message already, and no longer knows where, gives no offset.
        let offset = u64::try_from(message.offset());
        offset.map(Position).map_err(|_| QueueError::Unknown("it is stored, but not known where".to_owned()))
    }

    /// What librdkafka said to a message that it did not take.
    pub(crate) fn not_sent(&self, error: &KafkaError, partition: Partition, bytes: usize) -> QueueError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownPartition) => QueueError::NoPartition(partition),
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                QueueError::TooLarge { bytes, bytes_max: self.message_bytes_max }
            }
            _ => self.health.unavailable(&error.to_string()),
        }
    }

    fn failed(&self, error: &KafkaError, message: &rdkafka::message::BorrowedMessage<'_>, kind: Kind) -> QueueError {
        self.metrics.write_failed();
        let code = error.rdkafka_error_code();
        let partition = message.partition().unsigned_abs();
        match code {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                return QueueError::TooLarge { bytes: message.payload_len(), bytes_max: self.message_bytes_max };
            }
            Some(RDKafkaErrorCode::MessageTimedOut) if kind == Kind::Message => self.health.timed_out(partition),
            _ => {}
        }
        let what = format!("partition {partition}: {error}");
        if ffi::may_be_stored(message) { QueueError::Unknown(what) } else { self.health.unavailable(&what) }
    }
}

impl Producer {
    /// `message_bytes_max`: the largest payload that the topic takes.
    pub(crate) fn open(
        config: &KafkaConfig,
        message_bytes_max: usize,
        health: Arc<Health>,
        metrics: Metrics,
    ) -> Result<Self, QueueError> {
        let deliveries = Deliveries { health, metrics, message_bytes_max };
        let settings = config.producer(message_bytes_max);
        let client = connect(&settings, &deliveries)?;
        let room_bytes = u32::try_from(config.buffer_bytes_max).unwrap_or(u32::MAX);
        Ok(Self {
            topic: config.topic.clone(),
            config: settings,
            delivery_timeout: config.delivery_timeout,
            room: Arc::new(Semaphore::new(room_bytes as usize)),
            room_bytes,
            deliveries,
            client: RwLock::new(Arc::new(client)),
        })
    }

    /// What hears of the deliveries of this producer.
    pub(crate) fn deliveries(&self) -> Deliveries {
        self.deliveries.clone()
    }

    pub(crate) fn message_bytes_max(&self) -> usize {
        self.deliveries.message_bytes_max
    }

    pub(crate) async fn append(&self, partition: Partition, message: &Message) -> Result<Position, QueueError> {
        let metrics = &self.deliveries.metrics;
        self.deliveries.health.check(partition.0).inspect_err(|_| metrics.refused())?;
        let since = Instant::now();
        let room = Some(self.room(codec::bytes(message)).await?);
        let (done, outcome) = oneshot::channel();
        let pending = Box::new(Pending { done, since, kind: Kind::Message, room });
        self.send(record(&self.topic, partition, message, pending), partition, message.payload.len())?;
        outcome.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Gives what comes of it.
    pub(crate) async fn put(
        &self,
        topic: &str,
        letter: &Letter,
    ) -> Result<oneshot::Receiver<Result<Position, QueueError>>, QueueError> {
        let bytes = letter.body.as_ref().map_or(0, |body| body.payload.len() + body.reason.len()) + 1_024;
        let room = Some(self.room(bytes).await?);
        let (done, outcome) = oneshot::channel();
        let pending = Box::new(Pending { done, since: Instant::now(), kind: Kind::Letter, room });
        let id = letter.id.to_string();
        let mut record = BaseRecord::<str, [u8], Box<Pending>>::with_opaque_to(topic, pending).partition(0).key(&id);
        if let Some(body) = &letter.body {
            record = record.payload(&body.payload).headers(codec::letter_headers(body));
        }
        self.send(record, Partition(0), bytes)?;
        Ok(outcome)
    }

    /// Waits for room in memory.
    pub(crate) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, QueueError> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.room_bytes);
        let waiting = Arc::clone(&self.room).acquire_many_owned(bytes);
        match tokio::time::timeout(self.delivery_timeout, waiting).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) => Err(QueueError::Closed),
            Err(_) => {
                self.deliveries.metrics.refused();
                Err(self.deliveries.health.unavailable("too many bytes wait for the brokers"))
            }
        }
    }

    fn send<K: ToBytes + ?Sized>(
        &self,
        record: BaseRecord<'_, K, [u8], Box<Pending>>,
        partition: Partition,
        bytes: usize,
    ) -> Result<(), QueueError> {
        let client = self.client()?;
        client.send(record).map_err(|(error, _)| self.deliveries.not_sent(&error, partition, bytes))
    }

    /// The client, or a new one in the place of one that can't go on. Its last messages have failed by then, so none
    /// is sent twice.
    fn client(&self) -> Result<Arc<Client>, QueueError> {
        let client = Arc::clone(&self.client.read());
        let Some((code, reason)) = client.client().fatal_error() else {
            return Ok(client);
        };
        let mut current = self.client.write();
        if Arc::ptr_eq(&current, &client) {
            tracing::error!(%code, reason, "the Kafka producer cannot go on; opening another");
            let old = std::mem::replace(&mut *current, Arc::new(connect(&self.config, &self.deliveries)?));
            drop(client);
            // Ending it waits for its threads.
            tokio::task::spawn_blocking(move || drop(old));
        }
        Ok(Arc::clone(&current))
    }

    /// Takes another client, which reads the certificates anew, once the brokers have let it in. What is under way
    /// goes on through the old one.
    pub(crate) async fn renew(&self) -> Result<(), QueueError> {
        let client = Arc::new(connect(&self.config, &self.deliveries)?);
        let (asking, topic) = (Arc::clone(&client), self.topic.clone());
        let answered = blocking(move || Ok(asking.client().fetch_metadata(Some(&topic), ASK_TIME_MAX))).await?;
        answered.map_err(|error| self.deliveries.health.unavailable(&error.to_string()))?;
        let old = std::mem::replace(&mut *self.client.write(), client);
        let timeout = self.delivery_timeout + Duration::from_secs(1);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = old.flush(timeout) {
                tracing::warn!(%error, "messages were under way when a Kafka producer was replaced");
            }
        });
        Ok(())
    }

    /// Takes no more and waits for what is under way, up to the time that it may take.
    pub(crate) async fn close(&self) -> Result<(), QueueError> {
        self.room.close();
        let client = Arc::clone(&self.client.read());
        let timeout = self.delivery_timeout + Duration::from_secs(1);
        blocking(move || match client.flush(timeout) {
            Ok(()) => Ok(()),
            Err(error) => {
                let reason = format!("messages were under way when the queue was closed: {error}");
                Err(QueueError::Unavailable { reason, retry_after: RETRY_AFTER })
            }
        })
        .await
    }
}

/// A client that only connects, so that what the brokers say about us is heard before anything else is asked.
#[must_use = "it ends when it is dropped"]
pub(crate) fn knock(
    config: &KafkaConfig,
    health: Arc<Health>,
    metrics: Metrics,
) -> Result<impl Send + use<>, QueueError> {
    connect(&config.client(), &Deliveries { health, metrics, message_bytes_max: 0 })
}

/// `message` as it is sent.
pub(crate) fn record<'r>(
    topic: &'r str,
    partition: Partition,
    message: &'r Message,
    pending: Box<Pending>,
) -> BaseRecord<'r, (), [u8], Box<Pending>> {
    BaseRecord::with_opaque_to(topic, pending)
        .partition(partition.0 as i32)
        .payload(&message.payload[..])
        .headers(codec::headers(&message.headers))
}

/// Nobody will say what became of a message.
pub(crate) fn gone() -> QueueError {
    QueueError::Unknown("the producer is gone".to_owned())
}

pub(crate) fn connect(config: &ClientConfig, deliveries: &Deliveries) -> Result<Client, QueueError> {
    let client = Client::from_config_and_context(config, deliveries.clone());
    client.map_err(|error| QueueError::Io(std::io::Error::new(std::io::ErrorKind::InvalidInput, error.to_string())))
}
