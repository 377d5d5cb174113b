//! Reads: a page is answered at once with what is there; who waits blocks on a connection of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::position::{Partition, Position};
use parking_lot::Mutex;
use queue::{Delivery, PartitionState, QueueError};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use tokio::sync::Semaphore;

use crate::answer::{ends_connection, failed};
use crate::codec;
use crate::core::Core;
use crate::page::{self, Asked, Page};
use crate::scripts::{REPLACED, RUN_BITS, STATE};

/// Redis is asked to wait this long at most, so that a dead connection is noticed.
const BLOCK_MAX: Duration = Duration::from_secs(5);
const IDLE_MAX: usize = 32;

/// Connections for reads. One that was given up in the middle of a wait is not used again.
#[derive(Debug)]
pub(crate) struct Readers {
    core: Arc<Core>,
    free: Semaphore,
    idle: Mutex<Vec<MultiplexedConnection>>,
}

impl Readers {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { free: Semaphore::new(core.config.readers_max), core, idle: Mutex::default() }
    }

    /// See [`queue::Queue::read`].
    pub(crate) async fn read(
        &self,
        partition: Partition,
        from: Position,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let deadline = Instant::now() + wait;
        let _free = self.free.acquire().await.map_err(|_| QueueError::Closed)?;
        self.core.check_settled()?;
        let mut connection = self.connection().await?;
        loop {
            let asked = Asked { partition, from, bytes_max };
            let page = match page::read(&self.core, &mut connection, asked).await {
                Ok(page) => page,
                Err(error) => return Err(self.failed(&error).await),
            };
            let deliveries = deliveries(partition, from, page)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !deliveries.is_empty() || left.is_zero() {
                self.give_back(connection);
                return Ok(deliveries);
            }
            if let Err(error) = self.block(&mut connection, partition, from, left.min(BLOCK_MAX)).await {
                return Err(self.failed(&error).await);
            }
        }
    }

    async fn failed(&self, error: &RedisError) -> QueueError {
        if ends_connection(error) {
            self.close();
        }
        if error.code() == Some(REPLACED)
            && let Ok(line) = self.core.line().await
        {
            // The greeting of a new connection finds out what Redis holds now.
            self.core.lost(&line).await;
        }
        failed(error)
    }

    /// See [`queue::Queue::state`].
    pub(crate) async fn state(&self, partition: Partition) -> Result<PartitionState, QueueError> {
        let keys = &self.core.keys;
        let mut state = STATE.key((keys.meta(), keys.stream(partition), keys.marks(partition)));
        state.arg(self.core.incarnation().to_string()).arg(partition.0);
        let (next, low, first, bytes, gap): (u64, u64, String, u64, String) = self.core.call(&state).await?;
        let oldest = oldest(Position(low), codec::position(&first), Position(next));
        Ok(PartitionState { oldest, next: Position(next), bytes, gap: codec::gap(&gap) })
    }

    async fn connection(&self) -> Result<MultiplexedConnection, QueueError> {
        if let Some(connection) = self.idle.lock().pop() {
            return Ok(connection);
        }
        // While Redis is away this fails at once, and its greeting comes before all readers.
        self.core.line().await?;
        let connection = self.core.connector.connect(BLOCK_MAX + self.core.config.response_timeout).await?;
        Ok(connection)
    }

    fn give_back(&self, connection: MultiplexedConnection) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }

    async fn block(
        &self,
        connection: &mut MultiplexedConnection,
        partition: Partition,
        from: Position,
        wait: Duration,
    ) -> Result<(), RedisError> {
        let mut read = redis::cmd("XREAD");
        // Nothing but a time of 0 waits for ever.
        read.arg("COUNT").arg(1).arg("BLOCK").arg(wait.as_millis().max(1) as u64);
        read.arg("STREAMS").arg(self.core.keys.stream(partition)).arg(format!("{from}-0"));
        let _: Value = read.query_async(connection).await?;
        Ok(())
    }

    /// Drops all connections that nobody uses.
    pub(crate) fn close(&self) {
        self.idle.lock().clear();
    }
}

/// Whether an append run of Redis gave both positions, so that all between them were given too.
fn same_run(one: Position, other: Position) -> bool {
    one.0 >> RUN_BITS == other.0 >> RUN_BITS
}

/// The oldest position kept. What retention deleted ends at `low`; runs of Redis leave gaps between them.
fn oldest(low: Position, first: Option<Position>, next: Position) -> Position {
    match first {
        None => next,
        Some(first) if low > Position(0) && low < first && !same_run(low, first) => low,
        Some(first) => first,
    }
}

/// The messages of a page up to the first that is missing or does not read.
fn deliveries(partition: Partition, from: Position, page: Page) -> Result<Vec<Delivery>, QueueError> {
    let Page { next, low, entries } = page;
    let is_empty = entries.is_empty();
    let mut deliveries: Vec<Delivery> = Vec::with_capacity(entries.len());
    let mut expected = from;
    for entry in entries {
        let delivery = match codec::delivery(entry) {
            Ok(delivery) => delivery,
            Err(_) if !deliveries.is_empty() => break,
            Err(reason) => return Err(QueueError::Corrupt(format!("partition {partition}: {reason}"))),
        };
        if delivery.position != expected {
            let (position, first) = (delivery.position, deliveries.is_empty());
            if first && from < low {
                return Err(QueueError::Expired { from, oldest: oldest(low, Some(position), next) });
            }
            if same_run(position, expected) {
                if first {
                    return Err(QueueError::Expired { from, oldest: position });
                }
                break;
            }
        }
        expected = delivery.position.next();
        deliveries.push(delivery);
    }
    if is_empty && from < next {
        return Err(QueueError::Expired { from, oldest: next });
    }
    Ok(deliveries)
}

/// Reads a partition to its end and says what is damaged.
pub(crate) async fn check(readers: &Readers, partition: Partition) -> Result<Vec<String>, QueueError> {
    const PAGE_BYTES: usize = 4 << 20;
    let mut said = Vec::new();
    let state = readers.state(partition).await?;
    let mut from = state.oldest;
    while from < state.next {
        match readers.read(partition, from, PAGE_BYTES, Duration::ZERO).await {
            Ok(deliveries) => match deliveries.last() {
                Some(last) => from = last.position.next(),
                None => break,
            },
            Err(QueueError::Expired { from: missing, oldest }) => {
                said.push(format!("partition {partition}: messages from {missing} to {oldest} are missing"));
                from = oldest;
            }
            Err(QueueError::Corrupt(reason)) => {
                said.push(format!("{reason}; what stands behind it was not read"));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(said)
}
