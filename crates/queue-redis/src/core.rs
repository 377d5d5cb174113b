//! What all parts of the queue share: the connection, the identity of the queue, and whether messages are taken.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::position::{Incarnation, Partition};
use parking_lot::Mutex;
use queue::QueueError;
use redis::{FromRedisValue, ScriptInvocation};
use tokio::sync::watch;

use crate::answer::{ends_connection, unavailable};
use crate::config::RedisConfig;
use crate::keys::Keys;
use crate::link::{Connector, Failure, Greeting, Line, Link};
use crate::metrics::Metrics;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: RedisConfig,
    pub(crate) keys: Keys,
    pub(crate) connector: Connector,
    pub(crate) metrics: Metrics,
    pub(crate) gate: Gate,
    /// One look at what Redis holds at a time.
    pub(crate) looking: tokio::sync::Mutex<()>,
    link: Link,
    identity: Mutex<Identity>,
    partitions: AtomicU32,
    closed: watch::Sender<bool>,
}

#[derive(Debug)]
struct Identity {
    incarnation: Incarnation,
    /// Reads wait until then: those who read the queue that was replaced must have been told.
    settled_at: Instant,
}

impl Core {
    /// Connects and finds or makes the queue. [`Failure::Refused`] if Redis is not fit.
    pub(crate) async fn open(config: RedisConfig, metrics: Metrics) -> Result<Self, Failure> {
        let keys = Keys::new(&config.prefix);
        let connector = Connector::new(config.clone(), keys.clone());
        let (connection, greeting) = connector.greet().await?;
        if greeting.server.memory_bytes_max == 0 {
            tracing::warn!("Redis has no `maxmemory`: set one, so that it refuses messages before its machine is full");
        }
        metrics.connected();
        Ok(Self {
            gate: Gate::new(config.retention_bytes),
            looking: tokio::sync::Mutex::default(),
            config,
            keys,
            connector,
            metrics,
            link: Link::of(connection),
            identity: Mutex::new(Identity { incarnation: greeting.incarnation, settled_at: Instant::now() }),
            partitions: AtomicU32::new(greeting.partitions),
            closed: watch::Sender::new(false),
        })
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.identity.lock().incarnation
    }

    pub(crate) fn partitions(&self) -> u32 {
        self.partitions.load(Ordering::Acquire)
    }

    /// Another node may have raised it.
    pub(crate) fn has_partitions(&self, partitions: u32) {
        self.partitions.fetch_max(partitions, Ordering::AcqRel);
    }

    pub(crate) fn check(&self, partition: Partition) -> Result<(), QueueError> {
        if self.is_closed() {
            return Err(QueueError::Closed);
        }
        if partition.0 >= self.partitions() {
            return Err(QueueError::NoPartition(partition));
        }
        Ok(())
    }

    pub(crate) fn check_settled(&self) -> Result<(), QueueError> {
        if Instant::now() < self.identity.lock().settled_at {
            return Err(unavailable("the queue in Redis was replaced; readers begin again with the new one"));
        }
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(crate) async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// How often members of groups report.
    pub(crate) fn beat(&self) -> Duration {
        self.config.lease / 5
    }

    /// The shared connection.
    pub(crate) async fn line(&self) -> Result<Line, Failure> {
        self.link.get(&self.connector, |greeting| self.greeted(greeting)).await
    }

    pub(crate) async fn lost(&self, line: &Line) {
        self.link.lost(line).await;
    }

    /// Calls a script through the shared connection.
    pub(crate) async fn call<T: FromRedisValue>(&self, invocation: &ScriptInvocation<'_>) -> Result<T, Failure> {
        let mut line = self.line().await?;
        match invocation.invoke_async(&mut line.connection).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if ends_connection(&error) {
                    self.lost(&line).await;
                }
                Err(error.into())
            }
        }
    }

    fn greeted(&self, greeting: &Greeting) {
        self.metrics.connected();
        self.has_partitions(greeting.partitions);
        let mut identity = self.identity.lock();
        if identity.incarnation == greeting.incarnation {
            tracing::info!("connected to Redis again");
            return;
        }
        tracing::error!(
            before = %identity.incarnation, now = %greeting.incarnation,
            "the queue in Redis is another one than before: Redis was emptied or replaced, and messages may be lost"
        );
        let settle = self.beat() * 2 + Duration::from_millis(500);
        *identity = Identity { incarnation: greeting.incarnation, settled_at: Instant::now() + settle };
    }
}

/// Whether messages are taken now; the keeper opens and closes it.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Why it is closed.
    reason: Mutex<Option<String>>,
    is_closed: AtomicBool,
    /// What the keeper found that some group has not passed.
    unconsumed: AtomicU64,
    /// What this process appended since then.
    appended: AtomicU64,
    unconsumed_bytes_max: u64,
}

impl Gate {
    fn new(unconsumed_bytes_max: u64) -> Self {
        Self {
            reason: Mutex::default(),
            is_closed: AtomicBool::new(false),
            unconsumed: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            unconsumed_bytes_max,
        }
    }

    pub(crate) fn check(&self) -> Result<(), QueueError> {
        if self.is_closed.load(Ordering::Acquire)
            && let Some(reason) = &*self.reason.lock()
        {
            return Err(unavailable(reason.clone()));
        }
        Ok(())
    }

    /// Whether it is open, but what came since the keeper looked may have filled the queue.
    pub(crate) fn may_be_full(&self) -> bool {
        let bytes = self.unconsumed.load(Ordering::Relaxed) + self.appended.load(Ordering::Relaxed);
        bytes >= self.unconsumed_bytes_max && !self.is_closed.load(Ordering::Acquire)
    }

    pub(crate) fn appended(&self, bytes: usize) {
        self.appended.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Begins a look at Redis: what is appended from now on counts again.
    pub(crate) fn start_count(&self) {
        self.appended.store(0, Ordering::Relaxed);
    }

    /// Ends the look. Closes at the mark and opens below a lower one, so that it does not flap.
    pub(crate) fn counted(&self, unconsumed: u64) -> bool {
        self.unconsumed.store(unconsumed, Ordering::Relaxed);
        let most = self.unconsumed_bytes_max;
        let mark = if self.is_closed.load(Ordering::Acquire) { most / 10 * 9 } else { most };
        let full = || format!("{unconsumed} bytes wait to be processed, at most {most} may");
        self.set((unconsumed >= mark).then(full));
        unconsumed >= mark
    }

    /// Opens, or closes for a reason.
    pub(crate) fn set(&self, reason: Option<String>) {
        let was_closed = self.is_closed.swap(reason.is_some(), Ordering::AcqRel);
        match &reason {
            Some(reason) if !was_closed => tracing::warn!(reason, "the queue takes no more messages"),
            None if was_closed => tracing::info!("the queue takes messages again"),
            _ => {}
        }
        *self.reason.lock() = reason;
    }
}
