//! The queue on local disk: a log of segment files for each partition, with one fsync for all who wait.
//!
//! # Format, version 1
//!
//! All numbers are little-endian. Every file begins with eight bytes that tell its kind and a 32-bit version; a file
//! of another version is not read. Checksums are CRC-32C.
//!
//! ## 1. Directory
//!
//! ```text
//! LOCK                          held with flock while a process uses the queue
//! queue.meta                    magic "dlq-meta" 8 | version 4 | incarnation 16 | partitions 4 | crc 4
//! partitions/0000/              one directory for each partition
//!   00000000000000000000.seg    a segment, named by the position of its first message
//! groups/NAME.pos               what a consumer group has committed
//! ```
//!
//! Small files are replaced by write, fsync, rename and fsync of the directory. `*.tmp` is swept on opening. The
//! number of partitions only rises. `queue.meta` must not be missing beside `partitions/`: positions of a new
//! incarnation would be taken for new messages.
//!
//! ## 2. Segment
//!
//! ```text
//! header 64   magic "dlq-segm" 8 | version 4 | partition 4 | incarnation 16 | base position 8 | salt 8 | capacity 8
//!             | zero 4 | crc 4
//! frames      each at a multiple of 8
//! zeros       reserved space, up to the capacity, until the segment is sealed
//! ```
//!
//! A segment is made as `.tmp` with its whole capacity reserved (64 MiB unless configured, more if one message needs
//! more), so a full disk shows here and not inside a frame; it is renamed when its header is durable. It is made for
//! a message that waits, never ahead. The salt is random and goes into the checksum of every frame header: stale
//! blocks of other files, and bytes that a client chose, are never taken for frames.
//!
//! ## 3. Frame
//!
//! ```text
//! header 40   magic "dlqF" 4 | crc of salt and the rest of the header 4 | version 1 | flags 1 | headers' bytes 2
//!             | body bytes 4 | crc of the body 4 | payload bytes 4 | position 8 | first position of the group 8
//! body        headers: project bytes 2 | project | received 8 | records 4 | present 1 | key 32? | retry of 20?
//!             | part 24?
//!             payload: raw, or zstd (flag 1) where that saves an eighth
//! padding     to a multiple of 8
//! ```
//!
//! Positions rise by one from the base. A group is what one fsync made durable together.
//!
//! ## 4. Seal
//!
//! ```text
//! index       position 8 | offset 8, for a frame at least every 64 KiB
//! trailer 64  magic "dlq-seal" 8 | version 4 | index entries 4 | base 8 | next position 8 | end of frames 8
//!             | time of the last write 8 | crc of the index 4 | zero 8 | crc of salt and trailer 4
//! ```
//!
//! Written behind the frames when the segment is full, on closing, and on recovery; made durable before the file is
//! cut to its length. A sealed segment is opened by its header and trailer alone, so that the time to open does not
//! grow with the data. Nothing is ever appended to a segment that another process wrote.
//!
//! ## 5. Groups
//!
//! `magic "dlq-grup" 8 | version 4 | incarnation 16 | count 4 | (partition 4, next position 8)… | crc 4`, written at
//! most every 100 ms and on closing. Retention goes by the file, not by memory. A file that does not read is renamed
//! to `.damaged`, and the group starts anew: the store's position decides what is read, so nothing is stored twice.
//!
//! ## 6. Invariants and recovery
//!
//! - A message is acknowledged, and seen by readers, only after the fsync of its group. A group is written only after
//!   the group before it is durable.
//! - The last durable messages also stay in memory, up to `recent_bytes_max`, for readers that keep up. The files alone
//!   are the truth: nothing is in memory that they do not hold.
//! - A position is never given twice. The last segment with messages is never deleted: it tells the next position.
//! - Opening reads headers and trailers. A segment without a trailer is read whole. Where it does not read on at
//!   position p, the rest is searched for frames. If one of a group that began after p is there, or a segment follows,
//!   or the file is shorter than its capacity, then p was durable: this is **damage**. If not, p belonged to the last
//!   group, which was **torn** before it was acknowledged: it is cut off, and the segment is sealed.
//! - Damage is logged, counted, and told by every read of these positions as [`QueueError::Damaged`]; it is never
//!   skipped. Messages before and after it read as ever. A damaged file is set aside: never written again, kept as
//!   it was found until all groups are past it. New messages stand behind all that it may have held.
//! - After a failed write the segment is sealed behind its last durable frame. After a failed fsync the file is not
//!   touched again, since the kernel may call pages clean that are lost: what was durable is read back from the disk
//!   and checked, the waiters are told [`QueueError::Unknown`], and the next message goes to a new segment.
//! - Only segments that every group has durably passed are deleted, oldest first, when the queue holds more than
//!   `retention_bytes` or they are older than `retention_age`. When what some group has not passed reaches
//!   `retention_bytes`, or the disk has less than `disk_free_min_bytes`, messages are refused until a tenth is free
//!   again. Messages under way (`buffer_bytes_max`) and reserved space (one segment a partition) come on top.

mod config;
mod frame;
mod gate;
mod groups;
mod identity;
mod keeper;
mod partition;
mod recent;
mod recover;
mod segment;
mod verify;
mod vfs;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::position::{Incarnation, Partition, Position};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot, watch};

pub use config::EmbeddedConfig;
pub use recover::Damage;
pub use verify::{PartitionReport, VerifyReport, verify};

use crate::metrics::Metrics;
use crate::{Delivery, Message, PartitionState, Queue, QueueError};
use gate::Gate;
use groups::Groups;
use identity::{Identity, Lock};
use keeper::Keeper;
use partition::PartitionLog;
use vfs::{Disk, Vfs};
use writer::{Inbox, Pending, Writer};

const PARTITIONS_DIR: &str = "partitions";
const GROUPS_DIR: &str = "groups";
/// Larger payloads are compressed away from the async threads.
const ENCODE_INLINE_BYTES_MAX: usize = 16 << 10;

fn partition_dir(dir: &Path, partition: Partition) -> PathBuf {
    dir.join(PARTITIONS_DIR).join(format!("{:04}", partition.0))
}

/// The queue in a directory of this machine. Dropping it without [`Queue::close`] writes what waits but leaves
/// segments unsealed, as a crash does.
#[derive(Debug)]
pub struct EmbeddedQueue {
    incarnation: Incarnation,
    message_bytes_max: usize,
    keeper: Arc<Keeper>,
    inboxes: Vec<Arc<Inbox>>,
    /// Bytes that may still be on their way to the disk.
    buffer: Arc<Semaphore>,
    buffer_bytes_max: u32,
    assignment: watch::Sender<BTreeSet<Partition>>,
    seal: Arc<AtomicBool>,
    running: Mutex<Running>,
    closed: AtomicBool,
}

/// What ends with the queue.
#[derive(Debug, Default)]
struct Running {
    writers: Vec<JoinHandle<()>>,
    keeper: Option<JoinHandle<()>>,
    lock: Option<Lock>,
}

impl EmbeddedQueue {
    /// Opens the queue in `config.dir`, or makes one. Blocks on the disk, well under two seconds even with much data.
    ///
    /// Damage does not keep it from opening: it is logged and told by reads. Fails with [`QueueError::Io`] for wrong
    /// settings, a directory in use or not writable, and with [`QueueError::Corrupt`] if `queue.meta` is damaged.
    pub fn open(config: EmbeddedConfig, metrics: Metrics) -> Result<Self, QueueError> {
        Self::open_on(Arc::new(Disk), config, metrics)
    }

    fn open_on(vfs: Arc<dyn Vfs>, config: EmbeddedConfig, metrics: Metrics) -> Result<Self, QueueError> {
        config.check()?;
        std::fs::create_dir_all(&config.dir).map_err(|error| vfs::at(&config.dir, &error))?;
        let lock = Lock::take(&config.dir, true)?;
        let identity = Identity::open(&*vfs, &config.dir, config.partitions)?;
        let groups = Groups::open(Arc::clone(&vfs), config.dir.join(GROUPS_DIR), identity.incarnation)?;
        let logs = open_logs(&vfs, &config, identity, &metrics)?;
        for log in &logs {
            groups.each(log.partition.0, |group, committed| {
                let next = log.next();
                if committed > next {
                    metrics.damaged();
                    tracing::error!(
                        group,
                        partition = log.partition.0,
                        committed,
                        next,
                        "a group has committed more than the partition holds; messages were lost"
                    );
                }
            });
        }
        let gate = Arc::new(Gate::new(config.retention_bytes));
        let message_bytes_max = config.message_bytes_max;
        let buffer_bytes_max = u32::try_from(config.buffer_bytes_max).unwrap_or(u32::MAX);
        let segment_bytes = config.segment_bytes;
        let keeper = Arc::new(Keeper::new(config, vfs, logs, groups, gate, metrics));
        keeper.look();
        let all = keeper.logs.iter().map(|log| log.partition).collect();
        let mut queue = Self {
            incarnation: identity.incarnation,
            message_bytes_max,
            inboxes: keeper.logs.iter().map(|_| Arc::default()).collect(),
            keeper,
            buffer: Arc::new(Semaphore::new(buffer_bytes_max as usize)),
            buffer_bytes_max,
            assignment: watch::Sender::new(all),
            seal: Arc::default(),
            running: Mutex::default(),
            closed: AtomicBool::new(false),
        };
        queue.start(segment_bytes, lock)?;
        Ok(queue)
    }

    fn start(&mut self, segment_bytes: u64, lock: Lock) -> Result<(), QueueError> {
        let running = self.running.get_mut();
        running.lock = Some(lock);
        for (log, inbox) in self.keeper.logs.iter().zip(&self.inboxes) {
            let gate = Arc::clone(&self.keeper.gate);
            let writer = Writer::new(Arc::clone(log), gate, self.keeper.metrics.clone(), segment_bytes);
            let (inbox, seal) = (Arc::clone(inbox), Arc::clone(&self.seal));
            let run = move || writer.run(&inbox, || seal.load(Ordering::Acquire));
            let name = format!("queue-{}", log.partition);
            running.writers.push(std::thread::Builder::new().name(name).spawn(run)?);
        }
        let keeper = Arc::clone(&self.keeper);
        let thread = std::thread::Builder::new().name("queue-keeper".to_owned());
        running.keeper = Some(thread.spawn(move || keeper.run())?);
        Ok(())
    }

    /// Reads everything that is stored and checks it. Readers and writers go on.
    pub async fn verify(&self) -> Result<VerifyReport, QueueError> {
        let keeper = Arc::clone(&self.keeper);
        blocking(move || verify::verify_open(&keeper.config.dir, &keeper.logs)).await
    }

    fn log(&self, partition: Partition) -> Result<&Arc<PartitionLog>, QueueError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(QueueError::Closed);
        }
        self.keeper.logs.get(partition.0 as usize).ok_or(QueueError::NoPartition(partition))
    }

    fn check_size(&self, message: &Message) -> Result<(), QueueError> {
        let (bytes, bytes_max) = (message.payload.len(), self.message_bytes_max);
        if bytes > bytes_max {
            return Err(QueueError::TooLarge { bytes, bytes_max });
        }
        let (bytes, bytes_max) = (message.headers.project.len(), frame::PROJECT_BYTES_MAX);
        if bytes > bytes_max {
            return Err(QueueError::TooLarge { bytes, bytes_max });
        }
        Ok(())
    }

    async fn check_room(&self) -> Result<(), QueueError> {
        let gate = &self.keeper.gate;
        if !gate.is_closed() && gate.may_be_full() {
            let keeper = Arc::clone(&self.keeper);
            blocking(move || {
                keeper.look();
                Ok(())
            })
            .await?;
        }
        gate.check().inspect_err(|_| self.keeper.metrics.refused())
    }

    /// Takes no more messages. What waits is written before the threads end.
    fn stop(&self) -> Running {
        self.closed.store(true, Ordering::Release);
        self.inboxes.iter().for_each(|inbox| inbox.close());
        std::mem::take(&mut *self.running.lock())
    }
}

impl Running {
    /// Waits for the threads, makes commits durable and lets go of the directory.
    fn end(self, keeper: &Keeper) -> Result<(), QueueError> {
        for thread in self.writers {
            if thread.join().is_err() {
                tracing::error!("a thread that writes the queue panicked");
            }
        }
        keeper.stop();
        if let Some(thread) = self.keeper
            && thread.join().is_err()
        {
            tracing::error!("the thread that keeps the queue panicked");
        }
        keeper.logs.iter().for_each(|log| log.close());
        let flushed = keeper.groups.flush();
        drop(self.lock);
        Ok(flushed?)
    }
}

impl Drop for EmbeddedQueue {
    fn drop(&mut self) {
        if let Err(error) = self.stop().end(&self.keeper) {
            tracing::error!(%error, "cannot write the positions of consumer groups");
        }
    }
}

/// Opens all partitions at once: after a crash each has a segment to read.
fn open_logs(
    vfs: &Arc<dyn Vfs>,
    config: &EmbeddedConfig,
    identity: Identity,
    metrics: &Metrics,
) -> Result<Vec<Arc<PartitionLog>>, QueueError> {
    let dir = &config.dir;
    let recent_bytes_max = config.recent_bytes_max / identity.partitions.max(1) as usize;
    let opened: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..identity.partitions)
            .map(Partition)
            .map(|partition| {
                let (vfs, dir) = (Arc::clone(vfs), partition_dir(dir, partition));
                scope.spawn(move || PartitionLog::open(vfs, dir, partition, identity.incarnation, recent_bytes_max))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut logs = Vec::new();
    for outcome in opened {
        let panicked = |_| std::io::Error::other("the recovery of a partition panicked");
        let (log, damages) = outcome.map_err(panicked)??;
        for damage in damages {
            metrics.damaged();
            tracing::error!(%damage, "the queue's data is damaged");
        }
        logs.push(Arc::new(log));
    }
    // The names of the directories.
    vfs.sync_dir(&dir.join(PARTITIONS_DIR))?;
    vfs.sync_dir(dir)?;
    Ok(logs)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueueError> + Send + 'static,
) -> Result<T, QueueError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(std::io::Error::other(error).into()),
    }
}

#[async_trait]
impl Queue for EmbeddedQueue {
    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn partitions(&self) -> u32 {
        self.keeper.logs.len() as u32
    }

    async fn append(&self, partition: Partition, message: Message) -> Result<Position, QueueError> {
        self.log(partition)?;
        self.check_size(&message)?;
        self.check_room().await?;
        let bytes = u32::try_from(frame::bytes_max(&message)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.buffer).acquire_many_owned(bytes.min(self.buffer_bytes_max)).await;
        let room = room.map_err(|_| QueueError::Closed)?;
        let (message, frame) = if message.payload.len() <= ENCODE_INLINE_BYTES_MAX {
            // A copy of its own: a small payload may be a part of a connection's large buffer, which would stay too.
            let payload = Bytes::copy_from_slice(&message.payload);
            let message = Message { payload, ..message };
            let frame = frame::encode(&message)?;
            (message, frame)
        } else {
            blocking(move || {
                let frame = frame::encode(&message)?;
                Ok((message, frame))
            })
            .await?
        };
        let (done, outcome) = oneshot::channel();
        self.inboxes[partition.0 as usize].push(Pending { message, frame, done, room })?;
        let gone = |_| QueueError::Unknown("the thread that writes the queue is gone".to_owned());
        outcome.await.map_err(gone)?
    }

    async fn read(
        &self,
        partition: Partition,
        from: Position,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let log = Arc::clone(self.log(partition)?);
        if !log.wait(from.0, wait).await? {
            return Ok(Vec::new());
        }
        if let Some(deliveries) = log.read_recent(from.0, bytes_max) {
            return Ok(deliveries);
        }
        blocking(move || log.read(from.0, bytes_max)).await
    }

    async fn join(&self, group: &str) -> Result<watch::Receiver<BTreeSet<Partition>>, QueueError> {
        self.log(Partition(0))?;
        self.keeper.groups.join(group)?;
        Ok(self.assignment.subscribe())
    }

    async fn commit(&self, group: &str, partition: Partition, next: Position) -> Result<(), QueueError> {
        let end = self.log(partition)?.next();
        if next.0 > end {
            return Err(QueueError::Corrupt(format!(
                "partition {partition}: group {group} commits {next}, but the last message stands before {end}"
            )));
        }
        Ok(self.keeper.groups.commit(group, partition.0, next.0)?)
    }

    async fn committed(&self, group: &str, partition: Partition) -> Result<Option<Position>, QueueError> {
        self.log(partition)?;
        Ok(self.keeper.groups.committed(group, partition.0).map(Position))
    }

    async fn state(&self, partition: Partition) -> Result<PartitionState, QueueError> {
        Ok(self.log(partition)?.state())
    }

    async fn check(&self) -> Result<Vec<String>, QueueError> {
        Ok(self.verify().await?.damages.iter().map(ToString::to_string).collect())
    }

    async fn close(&self) -> Result<(), QueueError> {
        self.seal.store(true, Ordering::Release);
        let running = self.stop();
        let keeper = Arc::clone(&self.keeper);
        blocking(move || running.end(&keeper)).await
    }
}
