//! Requests that are too large for one message: their parts are one transaction, so that readers see all or none.
//!
//! A producer of its own, made when the first such request comes and given up when none came for a while. Its
//! transactional id is this process's alone: a process that died or froze in the middle is fenced by the brokers, which
//! abort its transaction after `transaction.timeout.ms`. Readers of that partition wait until then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::position::{Partition, Position};
use queue::{Message, QueueError};
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use tokio::sync::{Mutex, OwnedSemaphorePermit, oneshot};

use crate::blocking;
use crate::config::KafkaConfig;
use crate::producer::{self, Client, Deliveries, Kind, Pending};

const IDLE_TIME_MAX: Duration = Duration::from_secs(60);

type Outcome = oneshot::Receiver<Result<Position, QueueError>>;

/// One transaction at a time.
#[derive(Clone)]
pub(crate) struct Transactions {
    topic: String,
    config: ClientConfig,
    timeout: Duration,
    deliveries: Deliveries,
    open: Arc<Mutex<Option<Open>>>,
    closed: Arc<AtomicBool>,
}

struct Open {
    client: Client,
    used: Instant,
}

impl std::fmt::Debug for Transactions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transactions").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Transactions {
    pub(crate) fn new(
        config: &KafkaConfig,
        message_bytes_max: usize,
        deliveries: Deliveries,
    ) -> Result<Self, QueueError> {
        let id = format!("parts-{:032x}", queue::message::random()?);
        Ok(Self {
            topic: config.topic.clone(),
            config: config.transactional(message_bytes_max, &id),
            timeout: config.delivery_timeout,
            deliveries,
            open: Arc::default(),
            closed: Arc::default(),
        })
    }

    #[cfg(test)]
    pub(crate) fn id(&self) -> &str {
        self.config.get("transactional.id").unwrap_or_default()
    }

    /// Stores all parts or none, and gives the position of the last. Goes on when nobody waits for it any more.
    pub(crate) async fn append(
        &self,
        partition: Partition,
        parts: Vec<Message>,
        room: OwnedSemaphorePermit,
    ) -> Result<Position, QueueError> {
        let health = &self.deliveries.health;
        health.check(partition.0).inspect_err(|_| self.deliveries.metrics.refused())?;
        let (this, slot) = (self.clone(), Arc::clone(&self.open));
        let appended = tokio::spawn(async move {
            let mut open = slot.lock_owned().await;
            blocking(move || {
                let appended = this.append_now(&mut open, partition, &parts);
                drop(room);
                appended
            })
            .await
        });
        appended.await.unwrap_or_else(|error| Err(QueueError::Io(std::io::Error::other(error))))
    }

    fn append_now(
        &self,
        open: &mut Option<Open>,
        partition: Partition,
        parts: &[Message],
    ) -> Result<Position, QueueError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(QueueError::Closed);
        }
        let client = match open.take() {
            Some(open) => open.client,
            None => self.connect()?,
        };
        match self.transact(&client, partition, parts) {
            Ok(position) => {
                *open = Some(Open { client, used: Instant::now() });
                Ok(position)
            }
            Err(Failure { error, is_usable }) => {
                // One that is not usable any more is dropped, which leaves an open transaction to the brokers.
                *open = is_usable.then(|| Open { client, used: Instant::now() });
                Err(error)
            }
        }
    }

    fn connect(&self) -> Result<Client, QueueError> {
        let client = producer::connect(&self.config, &self.deliveries)?;
        client.init_transactions(self.timeout).map_err(|error| self.unavailable(&error))?;
        Ok(client)
    }

    fn transact(&self, client: &Client, partition: Partition, parts: &[Message]) -> Result<Position, Failure> {
        let begun = client.begin_transaction();
        begun.map_err(|error| Failure { error: self.unavailable(&error), is_usable: false })?;
        let mut outcomes = Vec::with_capacity(parts.len());
        for part in parts {
            match self.send(client, partition, part) {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => return Err(self.abort(client, error)),
            }
        }
        // What fails here fails the commit.
        let _ = client.flush(self.timeout);
        // A process that dies here leaves parts that nobody ever sees.
        model::crash::crash_point("kafka.before_transaction_commit");
        let until = Instant::now() + self.timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match client.commit_transaction(left) {
                Ok(()) => break,
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !left.is_zero() => {}
                Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                    let error = failed_part(outcomes).unwrap_or_else(|| self.unavailable(&error));
                    return Err(self.abort(client, error));
                }
                Err(error) => {
                    let error = QueueError::Unknown(format!("partition {partition}: {error}"));
                    return Err(Failure { error, is_usable: false });
                }
            }
        }
        let last = outcomes.pop().and_then(|mut outcome| outcome.try_recv().ok());
        last.unwrap_or_else(|| Err(producer::gone())).map_err(|error| Failure { error, is_usable: true })
    }

    fn send(&self, client: &Client, partition: Partition, part: &Message) -> Result<Outcome, QueueError> {
        let (done, outcome) = oneshot::channel();
        let pending = Box::new(Pending { done, since: Instant::now(), kind: Kind::Message, room: None });
        let sent = client.send(producer::record(&self.topic, partition, part, pending));
        match sent {
            Ok(()) => Ok(outcome),
            Err((error, _)) => Err(self.deliveries.not_sent(&error, partition, part.payload.len())),
        }
    }

    /// After it nothing of the transaction is stored, so that the failure is for certain.
    fn abort(&self, client: &Client, error: QueueError) -> Failure {
        let aborted = client.abort_transaction(self.timeout);
        if let Err(error) = &aborted {
            tracing::warn!(%error, "a transaction could not be aborted; the brokers do it when its time is over");
        }
        let error = match error {
            QueueError::Unknown(reason) => self.deliveries.health.unavailable(&reason),
            error => error,
        };
        Failure { error, is_usable: aborted.is_ok() }
    }

    fn unavailable(&self, error: &impl std::fmt::Display) -> QueueError {
        self.deliveries.health.unavailable(&format!("a request in parts: {error}"))
    }

    /// Gives up a producer that nobody used for a while: the brokers forget its id some day.
    pub(crate) async fn sweep(&self) {
        let unused = |open: &mut Open| open.used.elapsed() > IDLE_TIME_MAX;
        if let Ok(mut open) = self.open.try_lock()
            && let Some(unused) = open.take_if(unused)
        {
            tokio::task::spawn_blocking(move || drop(unused));
        }
    }

    /// Takes no more and waits for what is under way.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.end().await;
    }

    /// Waits for the transaction under way and ends the producer; the next one reads the certificates anew.
    pub(crate) async fn end(&self) {
        let open = self.open.lock().await.take();
        // Its end may wait for brokers that do not let it in any more.
        tokio::task::spawn_blocking(move || drop(open));
    }
}

/// Nothing is stored, or that is not known; see the error.
struct Failure {
    error: QueueError,
    /// Whether the producer can begin another transaction.
    is_usable: bool,
}

/// What became of the part that made a transaction fail.
fn failed_part(outcomes: Vec<Outcome>) -> Option<QueueError> {
    outcomes.into_iter().find_map(|mut outcome| outcome.try_recv().ok().and_then(Result::err))
}
