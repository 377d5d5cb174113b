//! Reading everything that a queue holds, to prove that it is whole.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use model::position::{Incarnation, Partition, Position};

use super::identity::{Identity, Lock};
use super::partition::PartitionLog;
use super::recover::{Damage, Scan, UNKNOWN_MESSAGES, list, scan};
use super::segment::{self, SegmentHeader};
use super::vfs::{Disk, Mode, Vfs, read_file};
use super::{GROUPS_DIR, groups, partition_dir};
use crate::QueueError;

/// What a queue's directory holds, and what of it does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    pub incarnation: Incarnation,
    pub partitions: Vec<PartitionReport>,
    /// What each group has committed, by partition.
    pub groups: BTreeMap<String, BTreeMap<u32, u64>>,
    /// Messages that were stored and do not read.
    pub damages: Vec<Damage>,
    /// What is wrong and costs no message: a write cut off by a crash, an index that will be made again. Lower-case
    /// sentences for people.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionReport {
    pub partition: Partition,
    pub segments: usize,
    /// Messages that read back with the right checksum.
    pub messages: u64,
    /// Of these messages with their frames.
    pub bytes: u64,
    pub oldest: Position,
    pub next: Position,
}

impl VerifyReport {
    /// Whether every stored message reads back.
    pub fn is_sound(&self) -> bool {
        self.damages.is_empty()
    }
}

/// Verifies the queue of a stopped process. Changes nothing; the directory may be read-only. Blocks on the disk.
///
/// Fails if another process uses the directory, or if it holds no queue.
pub fn verify(dir: &Path) -> Result<VerifyReport, QueueError> {
    let _lock = Lock::take(dir, false)?;
    let Some(identity) = Identity::read(&Disk, dir)? else {
        let text = format!("{} holds no queue", dir.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text).into());
    };
    let mut report = VerifyReport::new(identity.incarnation);
    report.read_groups(dir)?;
    for partition in (0..identity.partitions).map(Partition) {
        let dir = partition_dir(dir, partition);
        if dir.exists() {
            report.read_partition(&dir, partition)?;
        }
    }
    report.check_groups();
    Ok(report)
}

/// Verifies the segments of a queue in use, each up to what was durable when it was reached.
pub(super) fn verify_open(dir: &Path, logs: &[std::sync::Arc<PartitionLog>]) -> Result<VerifyReport, QueueError> {
    let incarnation = logs.first().map_or(Incarnation(0), |log| log.incarnation);
    let mut report = VerifyReport::new(incarnation);
    report.read_groups(dir)?;
    for log in logs {
        let mut totals = Totals::new(log.partition);
        for segment in log.segments() {
            let extent = segment.extent();
            let file = match log.vfs.open(&segment.path, Mode::Read) {
                Ok(file) => file,
                // Retention was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            let found = scan(&*file, &segment.path, &segment.header, extent.end, Some(extent.next))?;
            totals.add(segment.base(), &found, &mut report.damages);
        }
        totals.next = totals.next.max(log.next());
        report.partitions.push(totals.report());
    }
    Ok(report)
}

impl VerifyReport {
    fn new(incarnation: Incarnation) -> Self {
        let (partitions, groups, damages, notes) = Default::default();
        Self { incarnation, partitions, groups, damages, notes }
    }

    fn read_groups(&mut self, dir: &Path) -> Result<(), QueueError> {
        let dir = dir.join(GROUPS_DIR);
        if !dir.exists() {
            return Ok(());
        }
        for (name, path) in groups::files(&dir)? {
            match groups::parse(&read_file(&Disk, &path)?, self.incarnation) {
                Some(positions) => drop(self.groups.insert(name, positions)),
                None => self.notes.push(format!("{} does not read; the group will start anew", path.display())),
            }
        }
        Ok(())
    }

    fn read_partition(&mut self, dir: &Path, partition: Partition) -> Result<(), QueueError> {
        let bases = list(dir)?;
        let mut totals = Totals::new(partition);
        for (index, &base) in bases.iter().enumerate() {
            let path = dir.join(segment::file_name(base));
            let following = bases.get(index + 1).copied();
            let file = Disk.open(&path, Mode::Read)?;
            let bytes = file.bytes()?;
            let header = SegmentHeader::read(&*file)?.filter(|header| {
                (header.partition, header.base, header.incarnation) == (partition, base, self.incarnation)
            });
            let Some(header) = header else {
                let to = following.unwrap_or(base + UNKNOWN_MESSAGES);
                let place = format!("{}: the header does not read", path.display());
                self.damages.push(Damage { partition, from: base, to, place });
                totals.next = to;
                continue;
            };
            let extent = segment::read_extent(&*file, &header)?;
            if extent.is_some() && !segment::index_reads(&*file, &header)? {
                self.notes.push(format!("the index of {} does not read; reading it is slower", path.display()));
            }
            let (end, limit) = extent.map_or((bytes, following), |extent| (extent.end, Some(extent.next)));
            let found = scan(&*file, &path, &header, end, limit)?;
            if found.torn {
                let path = path.display();
                self.notes.push(format!("{path} ends with a write that was cut off before it was acknowledged"));
            }
            totals.add(base, &found, &mut self.damages);
        }
        self.partitions.push(totals.report());
        Ok(())
    }

    /// What a group has passed was durable, so it must be there or have been deleted by retention.
    fn check_groups(&mut self) {
        for (name, positions) in &self.groups {
            for (&partition, &committed) in positions {
                let held = self.partitions.iter().find(|report| report.partition.0 == partition);
                let next = held.map_or(0, |report| report.next.0);
                if committed > next {
                    let place = format!("the end of the partition; group {name} has committed more");
                    let partition = Partition(partition);
                    self.damages.push(Damage { partition, from: next, to: committed, place });
                }
            }
        }
    }
}

struct Totals {
    partition: Partition,
    segments: usize,
    messages: u64,
    bytes: u64,
    oldest: Option<u64>,
    next: u64,
}

impl Totals {
    fn new(partition: Partition) -> Self {
        Self { partition, segments: 0, messages: 0, bytes: 0, oldest: None, next: 0 }
    }

    fn add(&mut self, base: u64, found: &Scan, damages: &mut Vec<Damage>) {
        if self.oldest.is_some() && base > self.next {
            let place = "a segment is missing".to_owned();
            damages.push(Damage { partition: self.partition, from: self.next, to: base, place });
        }
        damages.extend(found.damages.iter().cloned());
        self.segments += 1;
        self.messages += found.messages;
        self.bytes += found.end - segment::HEADER_BYTES;
        self.oldest.get_or_insert(base);
        self.next = found.next;
    }

    fn report(&self) -> PartitionReport {
        PartitionReport {
            partition: self.partition,
            segments: self.segments,
            messages: self.messages,
            bytes: self.bytes,
            oldest: Position(self.oldest.unwrap_or(self.next)),
            next: Position(self.next),
        }
    }
}
