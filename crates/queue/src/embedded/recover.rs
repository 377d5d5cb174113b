//! What stands in a partition's directory when it is opened: the format's section 6.

use std::io;
use std::path::Path;

use model::position::{Incarnation, Partition};

use super::frame::{self, FrameHeader};
use super::segment::{self, Extent, HEADER_BYTES, Index, Segment, SegmentHeader};
use super::vfs::{Mode, Vfs, VfsFile, read_full};
use super::walk::Walk;

/// Positions are never given twice: behind a last segment that tells nothing, this many are left out. It is more than
/// a segment can hold.
pub(super) const UNKNOWN_MESSAGES: u64 = 1 << 32;
/// How much a scan reads at once.
const SCAN_BYTES: usize = 1 << 20;

/// Messages that were stored and do not read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub partition: Partition,
    /// The first position that does not read.
    pub from: u64,
    /// The next position that reads, or where the next message will stand.
    pub to: u64,
    /// The file, and where in it.
    pub place: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { partition, from, to, place } = self;
        write!(f, "partition {partition}: positions from {from} to before {to} do not read ({place})")
    }
}

/// What a walk through all frames of a segment found.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) next: u64,
    pub(super) end: u64,
    pub(super) index: Index,
    pub(super) messages: u64,
    pub(super) damages: Vec<Damage>,
    /// The end of the file is a write that was cut off before it was acknowledged.
    pub(super) torn: bool,
}

/// Reads every frame and checks it.
///
/// `limit` is the position after the segment's last message where that is known, because the segment is sealed or
/// another follows; then whatever is missing before it is damage. Without it, what does not read is a torn write,
/// unless a frame of a later write stands after it: later writes begin only when earlier ones are durable.
pub(super) fn scan(
    file: &dyn VfsFile,
    path: &Path,
    header: &SegmentHeader,
    end: u64,
    limit: Option<u64>,
) -> io::Result<Scan> {
    let mut walk = Walk::new(file, header.salt, HEADER_BYTES, end, SCAN_BYTES);
    let mut found = Scan {
        next: header.base,
        end: HEADER_BYTES,
        index: Index::default(),
        messages: 0,
        damages: Vec::new(),
        torn: false,
    };
    let shortest = frame::HEADER_BYTES as u64;
    while limit.is_none_or(|limit| found.next < limit) {
        if let Some(frame) = walk.peek()?
            && frame.position == found.next
            && walk.body(&frame)?.is_some()
        {
            found.index.note(found.next, walk.offset());
            walk.skip(&frame);
            found.messages += 1;
            found.next += 1;
            found.end = walk.offset();
            continue;
        }
        let here = walk.offset();
        let after = search(&mut walk, found.next, limit)?;
        // A short file was sealed, or was cut by something else and has lost nobody knows how much.
        let cut = end < header.capacity && !seals_at(file, header, here, end, &found)?;
        let to = match (&after, limit) {
            (After::Durable { position, .. }, _) => *position,
            (_, Some(limit)) => limit,
            (_, None) if cut => found.next + header.capacity.saturating_sub(here) / shortest + 1,
            (After::Torn | After::Nothing, None) => {
                found.torn = matches!(after, After::Torn) || !walk.zeros_at(here)?;
                break;
            }
        };
        let place = format!("{} at byte {here}", path.display());
        found.damages.push(Damage { partition: header.partition, from: found.next, to, place });
        found.next = to;
        let After::Durable { offset, .. } = after else { break };
        walk.seek(offset);
    }
    Ok(found)
}

/// Whether what stands from `here` to the end of a short file can only be a seal that is damaged: it has the right
/// length, and neither a frame begins here that reaches beyond the end, nor is it reserved space.
fn seals_at(file: &dyn VfsFile, header: &SegmentHeader, here: u64, end: u64, found: &Scan) -> io::Result<bool> {
    let mut bytes = [0; frame::HEADER_BYTES];
    let read = read_full(file, &mut bytes, here)?;
    let frame = FrameHeader::read(header.salt, &bytes[..read]);
    let right_length = found.messages > 0 && end.saturating_sub(here) == found.index.seal_bytes();
    Ok(right_length && frame.is_none() && bytes.iter().any(|byte| *byte != 0))
}

enum After {
    Nothing,
    /// Frames of the same write.
    Torn,
    /// What is missing was durable; here it goes on.
    Durable {
        offset: u64,
        position: u64,
    },
}

fn search(walk: &mut Walk<'_>, expected: u64, limit: Option<u64>) -> io::Result<After> {
    let mut first = None;
    while let Some(frame) = walk.search()? {
        if frame.position < expected || limit.is_some_and(|limit| frame.position >= limit) {
            continue;
        }
        let (offset, position) = *first.get_or_insert((walk.offset(), frame.position));
        if limit.is_some() || frame.group_first > expected {
            return Ok(After::Durable { offset, position });
        }
    }
    Ok(if first.is_some() { After::Torn } else { After::Nothing })
}

/// What a partition's directory holds.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segments: Vec<Segment>,
    pub(super) next: u64,
    pub(super) damages: Vec<Damage>,
}

/// The base positions of the segments in a directory, in order.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| super::vfs::at(dir, &error))? {
        bases.extend(entry?.file_name().to_str().and_then(segment::base_of));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Opens a partition's segments and seals what was not sealed.
pub(super) fn recover(
    vfs: &dyn Vfs,
    dir: &Path,
    partition: Partition,
    incarnation: Incarnation,
) -> io::Result<Recovered> {
    let bases = list(dir)?;
    let mut recovered = Recovered { segments: Vec::new(), next: 0, damages: Vec::new() };
    for (index, &base) in bases.iter().enumerate() {
        let path = dir.join(segment::file_name(base));
        let following = bases.get(index + 1).copied();
        if index > 0 && base != recovered.next {
            let place = format!("before {}", path.display());
            recovered.damages.push(Damage { partition, from: recovered.next.min(base), to: base, place });
        }
        let file = vfs.open(&path, Mode::Write)?;
        let header = SegmentHeader::read(&*file)?
            .filter(|header| (header.partition, header.base, header.incarnation) == (partition, base, incarnation));
        let segment = match header {
            Some(header) => open(&path, &*file, header, following, &mut recovered.damages)?,
            None => unreadable(&path, &*file, partition, incarnation, base, following, &mut recovered.damages)?,
        };
        recovered.next = segment.extent().next;
        if recovered.next > base {
            recovered.segments.push(segment);
        } else if following.is_none() && (index > 0 || base == 0) {
            // Made for a message that never came. Its position is told by the segment before it.
            vfs.remove(&path)?;
            vfs.sync_dir(dir)?;
        }
    }
    Ok(recovered)
}

fn open(
    path: &Path,
    file: &dyn VfsFile,
    header: SegmentHeader,
    following: Option<u64>,
    damages: &mut Vec<Damage>,
) -> io::Result<Segment> {
    if let Some(extent) = segment::read_extent(file, &header)? {
        return Ok(Segment::new(path.to_owned(), header, extent, None));
    }
    let scan = scan(file, path, &header, file.bytes()?, following)?;
    if scan.torn {
        tracing::warn!(
            path = %path.display(), partition = header.partition.0, next = scan.next, offset = scan.end,
            "removed a write that was cut off before it was acknowledged"
        );
    }
    let extent = Extent { next: scan.next, end: scan.end, written: segment::now(), sealed: true };
    let segment = Segment::new(path.to_owned(), header, extent, Some(scan.index));
    // A damaged file is left as it was found.
    let whole = scan.damages.is_empty();
    damages.extend(scan.damages);
    if whole && scan.next > header.base {
        segment.seal(file)?;
    }
    Ok(segment)
}

/// A segment whose header is gone: none of its frames can be checked. The file stays as it is.
fn unreadable(
    path: &Path,
    file: &dyn VfsFile,
    partition: Partition,
    incarnation: Incarnation,
    base: u64,
    following: Option<u64>,
    damages: &mut Vec<Damage>,
) -> io::Result<Segment> {
    let bytes = file.bytes()?;
    let next = following.unwrap_or(base + UNKNOWN_MESSAGES);
    let place = format!("{}: not a segment of this queue and partition, or its header is damaged", path.display());
    damages.push(Damage { partition, from: base, to: next, place });
    let header = SegmentHeader { partition, incarnation, base, salt: 0, capacity: bytes };
    let extent = Extent { next, end: HEADER_BYTES, written: segment::now(), sealed: true };
    Ok(Segment::new(path.to_owned(), header, extent, Some(Index::default())))
}
