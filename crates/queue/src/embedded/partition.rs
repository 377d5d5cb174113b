//! One partition as readers see it: its segments and how far it is durable.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::position::{Incarnation, Partition, Position};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::frame;
use super::recent::Recent;
use super::recover::{Damage, Recovered, recover};
use super::segment::{Segment, SegmentHeader};
use super::vfs::{Mode, Vfs, VfsFile, at};
use super::walk::Walk;
use crate::{Delivery, Message, PartitionState, QueueError};

/// A read asks the kernel for at least this much at once, or for what there is.
const READ_BYTES: usize = 256 << 10;

/// The end of a partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tip {
    /// Every message before this is durable.
    pub(super) next: u64,
    pub(super) closed: bool,
}

#[derive(Debug)]
pub(super) struct PartitionLog {
    pub(super) partition: Partition,
    pub(super) incarnation: Incarnation,
    pub(super) dir: PathBuf,
    pub(super) vfs: Arc<dyn Vfs>,
    /// In order. Only the last may be unsealed.
    segments: RwLock<VecDeque<Arc<Segment>>>,
    recent: Mutex<Recent>,
    tip: watch::Sender<Tip>,
}

impl PartitionLog {
    /// Makes the directory if there is none, and recovers what is in it.
    pub(super) fn open(
        vfs: Arc<dyn Vfs>,
        dir: PathBuf,
        partition: Partition,
        incarnation: Incarnation,
        recent_bytes_max: usize,
    ) -> io::Result<(Self, Vec<Damage>)> {
        std::fs::create_dir_all(&dir).map_err(|error| at(&dir, &error))?;
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                vfs.remove(&path)?;
            }
        }
        let Recovered { segments, next, damages } = recover(&*vfs, &dir, partition, incarnation)?;
        let segments = RwLock::new(segments.into_iter().map(Arc::new).collect());
        let tip = watch::Sender::new(Tip { next, closed: false });
        let recent = Mutex::new(Recent::new(recent_bytes_max));
        Ok((Self { partition, incarnation, dir, vfs, segments, recent, tip }, damages))
    }

    pub(super) fn next(&self) -> u64 {
        self.tip.borrow().next
    }

    /// Keeps messages that are durable now, the first at `position`, for readers that keep up.
    pub(super) fn remember(&self, position: u64, messages: impl Iterator<Item = Message>) {
        let mut recent = self.recent.lock();
        (position..).zip(messages).for_each(|(position, message)| recent.push(position, message));
    }

    /// Lets readers see messages up to `next`.
    pub(super) fn advance(&self, next: u64) {
        self.tip.send_modify(|tip| tip.next = next);
    }

    /// Wakes everybody who waits for messages.
    pub(super) fn close(&self) {
        self.tip.send_modify(|tip| tip.closed = true);
    }

    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().iter().cloned().collect()
    }

    /// Makes a segment for messages from `base`.
    pub(super) fn create_segment(&self, base: u64, capacity: u64) -> io::Result<(Arc<Segment>, Arc<dyn VfsFile>)> {
        let header = SegmentHeader {
            partition: self.partition,
            incarnation: self.incarnation,
            base,
            salt: getrandom::u64().map_err(io::Error::other)?,
            capacity,
        };
        let (segment, file) = Segment::create(&*self.vfs, &self.dir, header)?;
        let segment = Arc::new(segment);
        let mut segments = self.segments.write();
        // A segment whose first write failed is empty, and its file was just replaced.
        if segments.back().is_some_and(|last| last.base() == base) {
            segments.pop_back();
        }
        segments.push_back(Arc::clone(&segment));
        drop(segments);
        Ok((segment, file))
    }

    /// Deletes the oldest segment. Its messages are out of reach before its file is gone.
    pub(super) fn delete_oldest(&self) -> io::Result<()> {
        let Some(segment) = self.segments.write().pop_front() else { return Ok(()) };
        self.vfs.remove(&segment.path)?;
        self.vfs.sync_dir(&self.dir)
    }

    pub(super) fn state(&self) -> PartitionState {
        let segments = self.segments();
        let next = self.next();
        PartitionState {
            oldest: Position(segments.first().map_or(next, |segment| segment.base())),
            next: Position(next),
            gap: Default::default(),
            bytes: segments.iter().map(|segment| segment.bytes()).sum(),
        }
    }

    /// Bytes of frames at `position` and after, about.
    pub(super) fn bytes_from(&self, position: u64) -> u64 {
        self.segments().iter().map(|segment| segment.bytes_from(&*self.vfs, position)).sum()
    }

    /// Waits until there is a message at `from`; false when the time is over.
    pub(super) async fn wait(&self, from: u64, wait: Duration) -> Result<bool, QueueError> {
        let mut tip = self.tip.subscribe();
        let Tip { next, closed } = *tip.borrow();
        if closed {
            return Err(QueueError::Closed);
        }
        if from > next {
            return Err(QueueError::Corrupt(format!(
                "partition {}: position {from} was asked for, but the last message stands before {next}; messages \
                 were lost, or the position belongs to another queue",
                self.partition
            )));
        }
        let reached = tip.wait_for(|tip| tip.next > from || tip.closed);
        match tokio::time::timeout(wait, reached).await {
            Err(_) => Ok(false),
            Ok(Ok(tip)) if !tip.closed => Ok(true),
            Ok(_) => Err(QueueError::Closed),
        }
    }

    /// What [`Self::read`] would give, if it is in memory.
    pub(super) fn read_recent(&self, from: u64, bytes_max: usize) -> Option<Vec<Delivery>> {
        let is_kept = self.segments.read().front().is_some_and(|oldest| oldest.base() <= from);
        if is_kept { self.recent.lock().read(from, bytes_max) } else { None }
    }

    /// Reads durable messages from `from` on; see [`crate::Queue::read`]. Blocks on the disk.
    pub(super) fn read(&self, from: u64, bytes_max: usize) -> Result<Vec<Delivery>, QueueError> {
        let segments = self.segments();
        let oldest = segments.first().map_or_else(|| self.next(), |segment| segment.base());
        if from < oldest {
            return Err(QueueError::Expired { from: Position(from), oldest: Position(oldest) });
        }
        let mut batch = Batch { expected: from, messages: Vec::new(), bytes_left: bytes_max };
        let start = segments.partition_point(|segment| segment.base() <= from).saturating_sub(1);
        for segment in &segments[start..] {
            match self.read_segment(segment, &mut batch) {
                Ok(true) => {}
                Ok(false) => break,
                // What was read before the damage is delivered first.
                Err(_) if !batch.messages.is_empty() => break,
                Err(QueueError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    let oldest = self.state().oldest;
                    if oldest.0 > from {
                        return Err(QueueError::Expired { from: Position(from), oldest });
                    }
                    return Err(QueueError::Io(error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(batch.messages)
    }

    /// Says whether to go on with the next segment.
    fn read_segment(&self, segment: &Segment, batch: &mut Batch) -> Result<bool, QueueError> {
        let extent = segment.extent();
        if batch.expected < segment.base() {
            return Err(self.damaged(segment, batch.expected, segment.base(), "before the file"));
        }
        if batch.expected >= extent.next {
            return Ok(true);
        }
        let start = segment.offset_before(&*self.vfs, batch.expected)?;
        let file = self.vfs.open(&segment.path, Mode::Read)?;
        let window = READ_BYTES.min(batch.bytes_left.max(4 << 10));
        let mut walk = Walk::new(&*file, segment.header.salt, start, extent.end, window);
        while !walk.at_end() {
            let here = walk.offset();
            let header = match walk.peek()? {
                Some(header) => header,
                // Beyond damage there may be what is asked for.
                None => match walk.search()? {
                    Some(header) => header,
                    None => break,
                },
            };
            if header.position < batch.expected {
                walk.skip(&header);
                continue;
            }
            if header.position > batch.expected {
                return Err(self.damaged(segment, batch.expected, header.position, &format!("from byte {here}")));
            }
            if !batch.has_room(header.payload_bytes as usize) {
                return Ok(false);
            }
            let whole = walk.body(&header)?.ok_or_else(|| "the checksum is wrong".to_owned());
            let message = whole.and_then(|body| frame::decode(&header, &body)).map_err(|reason| {
                self.damaged(segment, header.position, header.position + 1, &format!("byte {here}: {reason}"))
            })?;
            batch.push(message);
            walk.skip(&header);
        }
        if batch.expected < extent.next {
            return Err(self.damaged(segment, batch.expected, extent.next, "at the end of the file"));
        }
        Ok(true)
    }

    fn damaged(&self, segment: &Segment, from: u64, to: u64, place: &str) -> QueueError {
        let place = format!("{}, {place}", segment.path.display());
        QueueError::Damaged { partition: self.partition, from: Position(from), to: Position(to), place }
    }
}

/// What a read has gathered.
#[derive(Debug)]
struct Batch {
    /// The position that comes next.
    expected: u64,
    messages: Vec<Delivery>,
    bytes_left: usize,
}

impl Batch {
    fn has_room(&self, bytes: usize) -> bool {
        self.messages.is_empty() || bytes <= self.bytes_left
    }

    fn push(&mut self, message: Message) {
        self.bytes_left = self.bytes_left.saturating_sub(message.payload.len());
        self.messages.push(Delivery { position: Position(self.expected), message });
        self.expected += 1;
    }
}
