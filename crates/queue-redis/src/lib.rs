//! The queue on Redis Streams: a stream is a partition, with one reader at a time.
//!
//! # Keys, format 1
//!
//! All begin with the configured prefix, here `devlogs`.
//!
//! ```text
//! devlogs:meta            hash: version, incarnation, partitions, run, floor; for each partition P
//!                         next:P     where the next message will stand
//!                         low:P      retention deleted everything before
//!                         over:P     seven positions: the last message above 1 KiB, 4 KiB … 4 MiB
//!                         gap:P      `from to`: the last positions that were not given, see below
//!                         bytes:P    payload bytes ever appended, and gone:P of them deleted
//!                         at:P       time of the last append, marked:P what the last mark says
//! devlogs:P               stream: an entry is a message, its id is POSITION-1, its fields are the headers and payload
//! devlogs:marks:P         sorted set: `position time bytes` now and then, the places where retention may cut
//! devlogs:groups          set: the groups whose messages are kept
//! devlogs:committed       hash: GROUP/P → position
//! devlogs:members:GROUP   sorted set: member → the time when it counts as dead
//! devlogs:leases:GROUP    hash: owner:P, until:P, epoch:P
//! ```
//!
//! # Invariants
//!
//! - **Positions are given by a script**, atomically with the entry, from `next` and never from the stream or a clock.
//!   They are dense within one run of the Redis process. The first connection after a restart raises `floor` to a
//!   multiple of 2^22 that the clock gives: where the end of Redis's file was lost (`everysec`, a copy that lagged, a
//!   backup), a lost position is never given to another message. So a gap within a run is damage, and told as
//!   [`QueueError::Expired`]; a gap between runs is none.
//! - **Nothing is appended before the greeting** ([`link`]) has looked at Redis's settings and run id on that
//!   connection. Every script checks the incarnation: where Redis was emptied or replaced, the queue begins anew
//!   under a new one, and members withdraw their partitions first.
//! - **Acknowledged is on disk**: Redis answers after its fsync (`appendfsync always`), appends and reads alike, so
//!   that readers see only what is durable. Its `WAITAOF` would add nothing to that.
//! - **Retention** cuts below what every group has committed, never above.
//! - **A request in parts** is one script call too, with positions without gaps.
//! - **An append is refused or whole**: Redis checks its memory before the script begins. Without an answer its
//!   outcome is [`QueueError::Unknown`].
//!
//! [`scripts`] holds what Redis runs, [`inspect`] what a Redis must be like, [`group`] leases, [`keeper`] retention.

mod answer;
mod codec;
mod config;
mod core;
mod group;
mod inspect;
mod keeper;
mod keys;
mod link;
mod metrics;
mod page;
mod reader;
mod scripts;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::position::{Incarnation, Partition, Position};
use parking_lot::Mutex;
use queue::{Delivery, Message, PartitionState, Queue, QueueError};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

pub use config::{Durability, RedisConfig};
pub use metrics::Metrics;

use crate::core::Core;
use codec::Fields;
use group::Members;
use link::Failure;
use reader::Readers;
use writer::{Inbox, Pending};

/// The queue on a Redis that it may share with other nodes. Dropping it without [`Queue::close`] leaves as a crash
/// does: others get its partitions when its leases end.
#[derive(Debug)]
pub struct RedisQueue {
    core: Arc<Core>,
    inbox: Arc<Inbox>,
    readers: Readers,
    members: Members,
    /// Bytes that may still be on their way to Redis.
    buffer: Arc<Semaphore>,
    tasks: Mutex<Tasks>,
}

/// What ends with the queue.
#[derive(Debug)]
struct Tasks {
    writer: Option<JoinHandle<()>>,
    /// Members and the keeper.
    others: JoinSet<()>,
}

impl RedisQueue {
    /// Connects, and finds the queue in Redis or makes one.
    ///
    /// Fails with [`QueueError::Io`] for wrong settings and for a Redis that is not fit, with what to change; with
    /// [`QueueError::Unavailable`] when Redis can't be reached.
    pub async fn open(config: RedisConfig, metrics: Metrics) -> Result<Self, QueueError> {
        config.check()?;
        // TLS needs a process-wide provider; it may be there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let buffer = Arc::new(Semaphore::new(config.buffer_bytes_max.min(Semaphore::MAX_PERMITS)));
        let core = match Core::open(config, metrics).await {
            Ok(core) => Arc::new(core),
            Err(Failure::Refused(reason)) => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, reason).into());
            }
            Err(failure) => return Err(failure.into()),
        };
        let inbox = Arc::new(Inbox::default());
        let writer = tokio::spawn(writer::run(Arc::clone(&core), Arc::clone(&inbox)));
        let mut others = JoinSet::new();
        others.spawn(keeper::run(Arc::clone(&core)));
        Ok(Self {
            readers: Readers::new(Arc::clone(&core)),
            members: Members::default(),
            tasks: Mutex::new(Tasks { writer: Some(writer), others }),
            core,
            inbox,
            buffer,
        })
    }

    /// The message as it is stored: in parts if it is too large for one.
    fn fields(&self, message: Message) -> Result<Vec<Fields>, QueueError> {
        let bytes_max = self.core.config.message_bytes_max;
        if message.payload.len() <= bytes_max {
            return Ok(vec![Fields::of(message)]);
        }
        Ok(message.split(bytes_max)?.into_iter().map(Fields::of).collect())
    }
}

impl Drop for RedisQueue {
    fn drop(&mut self) {
        self.inbox.close();
        if let Some(writer) = self.tasks.get_mut().writer.take() {
            writer.abort();
        }
    }
}

#[async_trait]
impl Queue for RedisQueue {
    fn incarnation(&self) -> Incarnation {
        self.core.incarnation()
    }

    fn partitions(&self) -> u32 {
        self.core.partitions()
    }

    async fn append(&self, partition: Partition, message: Message) -> Result<Position, QueueError> {
        self.core.check(partition)?;
        let messages = self.fields(message)?;
        keeper::check_room(&self.core).await?;
        let bytes = messages.iter().map(Fields::bytes).sum::<usize>().min(self.core.config.buffer_bytes_max);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.buffer).acquire_many_owned(bytes).await.map_err(|_| QueueError::Closed)?;
        let (done, outcome) = oneshot::channel();
        self.inbox.push(Pending { partition, messages, done, room })?;
        let gone = |_| QueueError::Unknown("the task that writes the queue is gone".to_owned());
        outcome.await.map_err(gone)?
    }

    async fn read(
        &self,
        partition: Partition,
        from: Position,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        self.core.check(partition)?;
        tokio::select! {
            read = self.readers.read(partition, from, bytes_max, wait) => read,
            () = self.core.closed() => Err(QueueError::Closed),
        }
    }

    async fn join(&self, group: &str) -> Result<watch::Receiver<BTreeSet<Partition>>, QueueError> {
        self.core.check(Partition(0))?;
        let (receiver, member) = self.members.join(&self.core, group).await?;
        self.tasks.lock().others.spawn(member);
        Ok(receiver)
    }

    async fn commit(&self, group: &str, partition: Partition, next: Position) -> Result<(), QueueError> {
        self.core.check(partition)?;
        self.members.commit(&self.core, group, partition, next).await
    }

    async fn committed(&self, group: &str, partition: Partition) -> Result<Option<Position>, QueueError> {
        self.core.check(partition)?;
        group::committed(&self.core, group, partition).await
    }

    async fn state(&self, partition: Partition) -> Result<PartitionState, QueueError> {
        self.core.check(partition)?;
        self.readers.state(partition).await
    }

    async fn check(&self) -> Result<Vec<String>, QueueError> {
        let mut said = Vec::new();
        for partition in (0..self.core.partitions()).map(Partition) {
            self.core.check(partition)?;
            said.extend(reader::check(&self.readers, partition).await?);
        }
        Ok(said)
    }

    async fn close(&self) -> Result<(), QueueError> {
        self.inbox.close();
        let writer = self.tasks.lock().writer.take();
        self.core.close();
        if let Some(writer) = writer
            && let Err(error) = writer.await
            && error.is_panic()
        {
            tracing::error!(%error, "the task that writes the queue panicked");
        }
        let mut others = std::mem::take(&mut self.tasks.lock().others);
        while others.join_next().await.is_some() {}
        self.readers.close();
        Ok(())
    }
}
