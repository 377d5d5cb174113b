//! The thread that writes a partition: all that waits goes into one write and one fsync.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::crash::crash_point;
use model::position::Position;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::frame::{Encoded, HEADER_BYTES as FRAME_HEADER_BYTES};
use super::gate::Gate;
use super::partition::PartitionLog;
use super::segment::{self, Segment, TRAILER_BYTES};
use super::vfs::{Mode, VfsFile};
use super::walk::Walk;
use crate::metrics::Metrics;
use crate::{Message, QueueError};

/// The kernel takes at most this many parts in one write.
const PARTS_MAX: usize = 1024;
/// An index entry and its share of the trailer, kept free for the frame that may need one.
const INDEX_ROOM_BYTES: u64 = 16;
/// Below this a group costs about the same whatever its size.
const SMALL_GROUP_BYTES: usize = 256 << 10;
/// The longest that a group waits for those who were in the one before it.
const PATIENCE_MAX: Duration = Duration::from_millis(1);
/// When to try again after the disk was full.
const DISK_FULL_RETRY: Duration = Duration::from_secs(5);

/// A message on its way to the disk.
#[derive(Debug)]
pub(super) struct Pending {
    /// What the frame holds, for [`PartitionLog::remember`].
    pub(super) message: Message,
    pub(super) frame: Encoded,
    pub(super) done: oneshot::Sender<Result<Position, QueueError>>,
    /// Room in the buffer, given back when the message is written or has failed.
    pub(super) room: OwnedSemaphorePermit,
}

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<InboxState>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct InboxState {
    pending: Vec<Pending>,
    /// How many the writer waits for once there is one.
    wanted: usize,
    closed: bool,
}

impl InboxState {
    fn is_worth_waiting(&self) -> bool {
        let bytes: usize = self.pending.iter().map(|pending| pending.frame.bytes().len()).sum();
        !self.closed && self.pending.len() < self.wanted && bytes < SMALL_GROUP_BYTES
    }
}

impl Inbox {
    /// Gives the message back by dropping it when the inbox is closed: its waiter sees that.
    pub(super) fn push(&self, pending: Pending) -> Result<(), QueueError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(QueueError::Closed);
        }
        state.pending.push(pending);
        let is_due = state.pending.len() == 1 || state.pending.len() == state.wanted;
        drop(state);
        if is_due {
            self.filled.notify_one();
        }
        Ok(())
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }

    /// Waits for messages; None when the inbox is closed and empty. Once there is one, waits for `more` than there were
    /// at first, `patience` at most.
    fn take(&self, more: usize, patience: Duration) -> Option<Vec<Pending>> {
        let mut state = self.state.lock();
        state.wanted = state.pending.len() + more;
        while state.pending.is_empty() {
            if state.closed {
                return None;
            }
            self.filled.wait(&mut state);
        }
        let until = Instant::now() + patience;
        while state.is_worth_waiting() && !self.filled.wait_until(&mut state, until).timed_out() {}
        Some(std::mem::take(&mut state.pending))
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    log: Arc<PartitionLog>,
    gate: Arc<Gate>,
    metrics: Metrics,
    segment_bytes: u64,
    active: Option<Active>,
    /// How long the last fsync took.
    sync_time: Duration,
}

/// The segment being written.
#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    file: Arc<dyn VfsFile>,
}

/// How a write failed.
enum Failure {
    /// Nothing of the group can come back.
    NotStored(io::Error),
    /// Nobody knows what the disk holds of the group.
    Unknown(io::Error),
}

impl Writer {
    pub(super) fn new(log: Arc<PartitionLog>, gate: Arc<Gate>, metrics: Metrics, segment_bytes: u64) -> Self {
        Self { log, gate, metrics, segment_bytes, active: None, sync_time: Duration::ZERO }
    }

    /// Writes what comes until the inbox is closed and empty. `seal` tells then whether to seal the last segment.
    ///
    /// Whom one fsync answered often comes again at once: the next group waits for as many beside those who are there,
    /// half as long as an fsync takes at most. Else clients fall apart into two halves that wait for each other's fsync.
    pub(super) fn run(mut self, inbox: &Inbox, seal: impl FnOnce() -> bool) {
        let mut group = 0;
        while let Some(pending) = inbox.take(group, PATIENCE_MAX.min(self.sync_time / 2)) {
            group = pending.len();
            self.write_all(pending);
        }
        if seal() {
            self.seal();
        }
    }

    /// Writes messages with as few fsyncs as segments allow, and tells their waiters.
    pub(super) fn write_all(&mut self, mut pending: Vec<Pending>) {
        while !pending.is_empty() {
            self.write_some(&mut pending);
        }
    }

    /// Writes as many messages as one segment takes, in one group, and tells their waiters.
    fn write_some(&mut self, pending: &mut Vec<Pending>) {
        let first_bytes = pending.first().map_or(0, |first| first.frame.bytes().len() as u64);
        let Some(active) = self.active_for(first_bytes, pending) else { return };
        let extent = active.segment.extent();
        let room = active.segment.header.capacity - active.segment.seal_bytes();
        let (mut count, mut end) = (0, extent.end);
        while let Some(next) = pending.get(count) {
            let bytes = next.frame.bytes().len() as u64;
            if end + bytes + (count as u64 + 1) * INDEX_ROOM_BYTES > room {
                break;
            }
            end += bytes;
            count += 1;
        }
        let mut group: Vec<Pending> = pending.drain(..count).collect();
        for (position, pending) in (extent.next..).zip(&mut group) {
            pending.frame.place(active.segment.header.salt, position, extent.next);
        }
        match self.write_group(&active, extent.end, &group) {
            Ok(()) => self.complete(&active.segment, extent.next, extent.end, group),
            Err(failure) => self.fail(&failure, group),
        }
    }

    /// The active segment, or a new one if this has no room for a frame of `bytes`. None after the waiters of all
    /// pending messages were told that there is no room on the disk.
    fn active_for(&mut self, bytes: u64, pending: &mut Vec<Pending>) -> Option<Active> {
        if let Some(Active { segment, file }) = &self.active {
            let need = segment.extent().end + bytes + INDEX_ROOM_BYTES + segment.seal_bytes();
            if need <= segment.header.capacity {
                return Some(Active { segment: Arc::clone(segment), file: Arc::clone(file) });
            }
        }
        crash_point("queue.before_roll");
        self.seal();
        let capacity = self.segment_bytes.max(segment::HEADER_BYTES + bytes + INDEX_ROOM_BYTES + TRAILER_BYTES);
        match self.log.create_segment(self.log.next(), capacity) {
            Ok((segment, file)) => {
                crash_point("queue.after_roll");
                self.active = Some(Active { segment: Arc::clone(&segment), file: Arc::clone(&file) });
                Some(Active { segment, file })
            }
            Err(error) => {
                self.fail(&Failure::NotStored(error), std::mem::take(pending));
                None
            }
        }
    }

    fn write_group(&mut self, active: &Active, offset: u64, group: &[Pending]) -> Result<(), Failure> {
        crash_point("queue.before_write");
        if let Err(error) = write_frames(&*active.file, offset, group) {
            // Sealing cuts off what was written of the group.
            self.active = None;
            return Err(match active.segment.seal(&*active.file) {
                Ok(()) => Failure::NotStored(error),
                Err(_) => Failure::Unknown(error),
            });
        }
        crash_point("queue.after_write");
        crash_point("queue.before_fsync");
        let start = Instant::now();
        if let Err(error) = active.file.sync() {
            self.poison(active);
            return Err(Failure::Unknown(error));
        }
        self.sync_time = start.elapsed();
        self.metrics.fsynced(self.sync_time);
        crash_point("queue.after_fsync");
        Ok(())
    }

    /// After a failed fsync the kernel calls pages clean that never reached the disk: another fsync would succeed and
    /// mean nothing. So the file is never written again; what was durable in it is read back from the disk.
    fn poison(&mut self, active: &Active) {
        self.active = None;
        active.segment.freeze();
        let extent = active.segment.extent();
        let check = || -> io::Result<u64> {
            active.file.forget_cached()?;
            let file = self.log.vfs.open(&active.segment.path, Mode::Read)?;
            let start = active.segment.offset_before(&*self.log.vfs, extent.next)?;
            let mut walk = Walk::new(&*file, active.segment.header.salt, start, extent.end, FRAME_HEADER_BYTES);
            while let Some(header) = walk.peek()? {
                if walk.body(&header)?.is_none() {
                    break;
                }
                walk.skip(&header);
            }
            Ok(walk.offset())
        };
        match check() {
            Ok(end) if end >= extent.end => {}
            outcome => {
                self.metrics.damaged();
                tracing::error!(
                    path = %active.segment.path.display(), end = extent.end, ?outcome,
                    "messages that were durable do not read back after a failed fsync"
                );
            }
        }
    }

    fn complete(&self, segment: &Segment, first: u64, start: u64, group: Vec<Pending>) {
        let mut offset = start;
        let offsets: Vec<u64> = group
            .iter()
            .map(|pending| {
                let here = offset;
                offset += pending.frame.bytes().len() as u64;
                here
            })
            .collect();
        let next = first + group.len() as u64;
        segment.publish(next, offset, (first..).zip(offsets));
        let (messages, waiters): (Vec<_>, Vec<_>) =
            group.into_iter().map(|Pending { message, done, room, .. }| (message, (done, room))).unzip();
        self.log.remember(first, messages.into_iter());
        self.log.advance(next);
        self.gate.appended(offset - start);
        self.metrics.appended(self.log.partition, next - first, offset - start);
        for (position, (done, room)) in (first..).zip(waiters) {
            drop(room);
            // Nobody waits any more when the caller gave up; the message stays stored.
            let _ = done.send(Ok(Position(position)));
        }
    }

    fn fail(&self, failure: &Failure, group: Vec<Pending>) {
        self.metrics.write_failed();
        let (Failure::NotStored(error) | Failure::Unknown(error)) = failure;
        tracing::error!(partition = self.log.partition.0, messages = group.len(), %error, "cannot write messages");
        for pending in group {
            let _ = pending.done.send(Err(answer(failure)));
        }
    }

    /// Ends the active segment. Everything in it is durable already: if sealing fails, the next open does it.
    fn seal(&mut self) {
        let Some(Active { segment, file }) = self.active.take() else { return };
        if let Err(error) = segment.seal(&*file) {
            self.metrics.write_failed();
            tracing::warn!(path = %segment.path.display(), %error, "cannot seal a segment");
        }
    }
}

fn answer(failure: &Failure) -> QueueError {
    match failure {
        Failure::Unknown(error) => QueueError::Unknown(error.to_string()),
        Failure::NotStored(error) => match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                QueueError::Unavailable { reason: format!("the disk is full: {error}"), retry_after: DISK_FULL_RETRY }
            }
            kind => QueueError::Io(io::Error::new(kind, error.to_string())),
        },
    }
}

fn write_frames(file: &dyn VfsFile, mut offset: u64, group: &[Pending]) -> io::Result<()> {
    for frames in group.chunks(PARTS_MAX) {
        let mut parts: Vec<IoSlice<'_>> = frames.iter().map(|pending| IoSlice::new(pending.frame.bytes())).collect();
        let mut parts = parts.as_mut_slice();
        while !parts.is_empty() {
            match file.write_at(parts, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut parts, written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
