//! One reader for each partition while anybody listens.

use std::sync::Arc;
use std::time::Duration;

use model::Record;
use model::limits::Limits;
use model::otlp::{self, DecodeContext};
use model::position::{Partition, Position};
use model::query::Evaluator;
use parking_lot::RwLock;
use queue::{Delivery, Queue, QueueError};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use transform::{Outcome, Transforms};

use crate::error::ApiError;
use crate::tail::subscriber::Subscriber;

const READ_BYTES: usize = 1 << 20;
const READ_WAIT: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// Listeners of this process; each may hold some megabytes.
const SUBSCRIBERS_MAX: usize = 256;

type Subscribers = RwLock<Vec<Arc<Subscriber>>>;

#[derive(Debug)]
pub struct TailHub {
    queue: Arc<dyn Queue>,
    transforms: Arc<Transforms>,
    limits: Limits,
    subscribers: Arc<Subscribers>,
    /// The readers that run; held while they are started or stopped.
    readers: Mutex<Vec<AbortHandle>>,
}

/// A subscription; ends when dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) subscriber: Arc<Subscriber>,
    hub: Arc<TailHub>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.subscribers.write().retain(|other| !Arc::ptr_eq(other, &self.subscriber));
        let hub = Arc::clone(&self.hub);
        tokio::spawn(async move { hub.stop_if_unheard().await });
    }
}

impl TailHub {
    pub fn new(queue: Arc<dyn Queue>, transforms: Arc<Transforms>, limits: Limits) -> Self {
        Self { queue, transforms, limits, subscribers: Arc::default(), readers: Mutex::default() }
    }

    /// Begins to listen. When it returns, every record that becomes durable from now on is looked at.
    ///
    /// # Errors
    /// 429 when too many listen, 503 when the queue's end can't be found.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        project: Arc<str>,
        filter: Evaluator,
    ) -> Result<Subscription, ApiError> {
        let subscriber = Arc::new(Subscriber::new(project, filter));
        {
            let mut subscribers = self.subscribers.write();
            if subscribers.len() >= SUBSCRIBERS_MAX {
                return Err(ApiError::overloaded(
                    format!("{SUBSCRIBERS_MAX} live tails run on this node, which is the limit"),
                    Duration::from_secs(5),
                ));
            }
            subscribers.push(Arc::clone(&subscriber));
        }
        let subscription = Subscription { subscriber, hub: Arc::clone(self) };
        let mut readers = self.readers.lock().await;
        if readers.is_empty() {
            let mut starts = Vec::new();
            for partition in (0..self.queue.partitions()).map(Partition) {
                let state = self.queue.state(partition).await.map_err(|error| {
                    ApiError::unavailable("the queue can't be read now", Duration::from_secs(2)).with_internal(error)
                })?;
                starts.push((partition, state.next));
            }
            for (partition, from) in starts {
                let reader = Reader {
                    queue: Arc::clone(&self.queue),
                    transforms: Arc::clone(&self.transforms),
                    limits: self.limits,
                    subscribers: Arc::clone(&self.subscribers),
                    partition,
                };
                readers.push(tokio::spawn(reader.run(from)).abort_handle());
            }
        }
        Ok(subscription)
    }

    #[cfg(test)]
    pub(super) async fn reader_count(&self) -> usize {
        self.readers.lock().await.len()
    }

    async fn stop_if_unheard(&self) {
        let mut readers = self.readers.lock().await;
        if self.subscribers.read().is_empty() {
            readers.drain(..).for_each(|reader| reader.abort());
        }
    }
}

/// Reads the end of one partition.
struct Reader {
    queue: Arc<dyn Queue>,
    transforms: Arc<Transforms>,
    limits: Limits,
    subscribers: Arc<Subscribers>,
    partition: Partition,
}

impl Reader {
    async fn run(self, mut from: Position) {
        loop {
            match self.queue.read(self.partition, from, READ_BYTES, READ_WAIT).await {
                Ok(deliveries) => {
                    for delivery in deliveries {
                        from = delivery.position.next();
                        self.offer(&delivery);
                        // A message can hold many records: others on this thread get their turn.
                        tokio::task::yield_now().await;
                    }
                }
                Err(QueueError::Expired { oldest, .. }) => {
                    let missed = oldest.0.saturating_sub(from.0);
                    self.subscribers.read().iter().for_each(|subscriber| subscriber.miss(missed));
                    from = oldest;
                }
                Err(QueueError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, partition = %self.partition, "live tail can't read the queue");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    fn offer(&self, delivery: &Delivery) {
        let headers = &delivery.message.headers;
        let listeners: Vec<_> = self
            .subscribers
            .read()
            .iter()
            .filter(|subscriber| subscriber.project == headers.project)
            .map(Arc::clone)
            .collect();
        if listeners.is_empty() {
            return;
        }
        let context = DecodeContext {
            project: &headers.project,
            received: headers.received,
            origin: delivery.origin(self.queue.incarnation(), self.partition),
            limits: &self.limits,
        };
        let decoded = otlp::decode(&delivery.message.payload, &context, &mut |_, record| {
            // What can't be accepted becomes a dead letter and is no news here.
            let Ok(mut record) = record else { return };
            match headers.retry_of {
                Some(id) => record.id = id,
                None => record.id.index = record.id.index.saturating_add(delivery.first_index()),
            }
            if self.transforms.apply(&mut record) == Outcome::Keep {
                deliver(&listeners, &record);
            }
        });
        if let Err(error) = decoded {
            tracing::debug!(%error, partition = %self.partition, position = %delivery.position, "message not shown");
        }
    }
}

fn deliver(listeners: &[Arc<Subscriber>], record: &Record<'_>) {
    let mut text: Option<Arc<str>> = None;
    let mut json = || Arc::clone(text.get_or_insert_with(|| serde_json::to_string(record).unwrap_or_default().into()));
    for listener in listeners {
        listener.offer(record, &mut json);
    }
}
