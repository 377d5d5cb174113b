//! One file of messages: making it, sealing it, finding a position in it. The layout is the format's sections 2 and 4.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use model::position::{Incarnation, Partition};
use parking_lot::Mutex;

use super::frame::{Fields, salted_crc};
use super::vfs::{Mode, Vfs, VfsFile, read_full, write_all};

pub(super) const HEADER_BYTES: u64 = 64;
pub(super) const TRAILER_BYTES: u64 = 64;
const MAGIC: &[u8; 8] = b"dlq-segm";
const SEAL_MAGIC: &[u8; 8] = b"dlq-seal";
const VERSION: u32 = 1;
/// Frames have an index entry when they begin at least this far after the last that has one.
const INDEX_EVERY_BYTES: u64 = 64 << 10;
const INDEX_ENTRY_BYTES: u64 = 16;

/// Where the frame of a position begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexEntry {
    position: u64,
    offset: u64,
}

/// Some frames of a segment, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Index(Vec<IndexEntry>);

impl Index {
    pub(super) fn note(&mut self, position: u64, offset: u64) {
        if self.0.last().is_none_or(|last| offset >= last.offset + INDEX_EVERY_BYTES) {
            self.0.push(IndexEntry { position, offset });
        }
    }

    /// Where to start looking for a position.
    fn offset(&self, position: u64) -> u64 {
        let after = self.0.partition_point(|entry| entry.position <= position);
        if after == 0 { HEADER_BYTES } else { self.0[after - 1].offset }
    }

    /// What the index and the trailer take.
    pub(super) fn seal_bytes(&self) -> u64 {
        self.0.len() as u64 * INDEX_ENTRY_BYTES + TRAILER_BYTES
    }
}

/// The first bytes of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) partition: Partition,
    pub(super) incarnation: Incarnation,
    pub(super) base: u64,
    /// Part of every frame's checksum, so that no frame of another file, and none that a client wrote into its
    /// payload, is taken for one of this file.
    pub(super) salt: u64,
    /// The size that the file was made with.
    pub(super) capacity: u64,
}

impl SegmentHeader {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES as usize);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.partition.0.to_le_bytes());
        bytes.extend_from_slice(&self.incarnation.0.to_le_bytes());
        bytes.extend_from_slice(&self.base.to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        bytes.extend_from_slice(&self.capacity.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// None if the file does not begin with a whole header of a version that this program reads.
    pub(super) fn read(file: &dyn VfsFile) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEADER_BYTES as usize];
        let read = read_full(file, &mut bytes, 0)?;
        Ok(Self::parse(&bytes[..read]))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        if fields.take(8)? != MAGIC || fields.u32()? != VERSION {
            return None;
        }
        let header = Self {
            partition: Partition(fields.u32()?),
            incarnation: Incarnation(fields.u128()?),
            base: fields.u64()?,
            salt: fields.u64()?,
            capacity: fields.u64()?,
        };
        fields.take(4)?;
        (fields.u32()? == crc32c::crc32c(&bytes[..60])).then_some(header)
    }
}

/// How far a segment reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// The position after its last message.
    pub(super) next: u64,
    /// Where its frames end; what follows is not durable, or no frame.
    pub(super) end: u64,
    /// When the last message was written, in nanoseconds since the Unix epoch.
    pub(super) written: i64,
    /// No more messages go into it.
    pub(super) sealed: bool,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    extent: Extent,
    /// None until it is needed, if the file has it.
    index: Option<Index>,
}

pub(super) fn file_name(base: u64) -> String {
    format!("{base:020}.seg")
}

/// The base position that a file name tells.
pub(super) fn base_of(file_name: &str) -> Option<u64> {
    file_name.strip_suffix(".seg").filter(|base| base.len() == 20)?.parse().ok()
}

pub(super) fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}

impl Segment {
    /// Makes an empty segment under its name, its space reserved. It is durable on return.
    pub(super) fn create(vfs: &dyn Vfs, dir: &Path, header: SegmentHeader) -> io::Result<(Self, Arc<dyn VfsFile>)> {
        let path = dir.join(file_name(header.base));
        let temporary = path.with_extension("tmp");
        let made = vfs.open(&temporary, Mode::Create).and_then(|file| {
            file.allocate(header.capacity)?;
            write_all(&*file, &header.to_bytes(), 0)?;
            file.sync()?;
            vfs.rename(&temporary, &path)?;
            vfs.sync_dir(dir)?;
            Ok(file)
        });
        if made.is_err() {
            // Gives reserved space back; what stays is swept at the next open.
            let _ = vfs.remove(&temporary);
        }
        let extent = Extent { next: header.base, end: HEADER_BYTES, written: now(), sealed: false };
        Ok((Self::new(path, header, extent, Some(Index::default())), made?))
    }

    pub(super) fn new(path: PathBuf, header: SegmentHeader, extent: Extent, index: Option<Index>) -> Self {
        Self { path, header, state: Mutex::new(State { extent, index }) }
    }

    pub(super) fn extent(&self) -> Extent {
        self.state.lock().extent
    }

    pub(super) fn base(&self) -> u64 {
        self.header.base
    }

    /// What the segment holds, without reserved space.
    pub(super) fn bytes(&self) -> u64 {
        self.extent().end
    }

    /// How many bytes of frames stand at `position` and after, about.
    pub(super) fn bytes_from(&self, vfs: &dyn Vfs, position: u64) -> u64 {
        let extent = self.extent();
        if position <= self.base() {
            extent.end
        } else if position >= extent.next {
            0
        } else {
            extent.end.saturating_sub(self.offset_before(vfs, position).unwrap_or(0))
        }
    }

    /// Makes messages that are durable now visible to readers.
    pub(super) fn publish(&self, next: u64, end: u64, frames: impl Iterator<Item = (u64, u64)>) {
        let mut state = self.state.lock();
        state.extent.next = next;
        state.extent.end = end;
        state.extent.written = now();
        if let Some(index) = &mut state.index {
            frames.for_each(|(position, offset)| index.note(position, offset));
        }
    }

    /// No more messages will be written to the file, which stays as it is.
    pub(super) fn freeze(&self) {
        self.state.lock().extent.sealed = true;
    }

    /// What sealing will take at the end of the file.
    pub(super) fn seal_bytes(&self) -> u64 {
        self.state.lock().index.as_ref().map_or(TRAILER_BYTES, Index::seal_bytes)
    }

    /// Writes index and trailer and gives the rest of the space back.
    ///
    /// The trailer is durable before the file is made shorter: a file shorter than its capacity without a trailer was
    /// cut by something else.
    pub(super) fn seal(&self, file: &dyn VfsFile) -> io::Result<()> {
        let mut state = self.state.lock();
        state.extent.sealed = true;
        let index = state.index.clone().unwrap_or_default();
        let bytes = trailer(&self.header, &state.extent, &index);
        let end = state.extent.end + bytes.len() as u64;
        // Readers must not wait for the disk.
        drop(state);
        write_all(file, &bytes, end - bytes.len() as u64)?;
        file.sync()?;
        file.set_bytes(end)?;
        file.sync()
    }

    /// The offset of a frame at or before `position`.
    pub(super) fn offset_before(&self, vfs: &dyn Vfs, position: u64) -> io::Result<u64> {
        if let Some(index) = &self.state.lock().index {
            return Ok(index.offset(position));
        }
        let file = vfs.open(&self.path, Mode::Read)?;
        let index = read_seal(&*file, &self.header)?.map_or_else(Index::default, |(_, index)| index);
        let offset = index.offset(position);
        self.state.lock().index = Some(index);
        Ok(offset)
    }
}

/// Index and trailer as bytes.
fn trailer(header: &SegmentHeader, extent: &Extent, index: &Index) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(index.seal_bytes() as usize);
    for entry in &index.0 {
        bytes.extend_from_slice(&entry.position.to_le_bytes());
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
    }
    let index_crc = crc32c::crc32c(&bytes);
    let start = bytes.len();
    bytes.extend_from_slice(SEAL_MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(index.0.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&header.base.to_le_bytes());
    bytes.extend_from_slice(&extent.next.to_le_bytes());
    bytes.extend_from_slice(&extent.end.to_le_bytes());
    bytes.extend_from_slice(&extent.written.to_le_bytes());
    bytes.extend_from_slice(&index_crc.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    let crc = salted_crc(header.salt, &bytes[start..]);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads only the trailer: how far a sealed segment reaches. None if the file has no whole trailer.
pub(super) fn read_extent(file: &dyn VfsFile, header: &SegmentHeader) -> io::Result<Option<Extent>> {
    Ok(read_trailer(file, header)?.map(|(extent, _, _)| extent))
}

fn read_trailer(file: &dyn VfsFile, header: &SegmentHeader) -> io::Result<Option<(Extent, u64, u32)>> {
    let Some(start) = file.bytes()?.checked_sub(TRAILER_BYTES) else { return Ok(None) };
    let mut bytes = [0; TRAILER_BYTES as usize];
    let read = read_full(file, &mut bytes, start)?;
    let trailer = parse_trailer(&bytes[..read], header);
    Ok(trailer.filter(|(extent, index_bytes, _)| extent.end.checked_add(*index_bytes) == Some(start)))
}

/// The trailer and the index of a sealed segment; the index is empty if it is damaged, which only makes reading slower.
fn read_seal(file: &dyn VfsFile, header: &SegmentHeader) -> io::Result<Option<(Extent, Index)>> {
    let Some((extent, index_bytes, index_crc)) = read_trailer(file, header)? else { return Ok(None) };
    // The file was found to be this long, so that this is bounded.
    let mut bytes = vec![0; usize::try_from(index_bytes).unwrap_or(0)];
    let read = read_full(file, &mut bytes, extent.end)?;
    let mut index = Index::default();
    if read == bytes.len() && crc32c::crc32c(&bytes) == index_crc {
        let mut fields = Fields(&bytes);
        while let (Some(position), Some(offset)) = (fields.u64(), fields.u64()) {
            index.0.push(IndexEntry { position, offset });
        }
    }
    Ok(Some((extent, index)))
}

fn parse_trailer(bytes: &[u8], header: &SegmentHeader) -> Option<(Extent, u64, u32)> {
    let mut fields = Fields(bytes);
    if fields.take(8)? != SEAL_MAGIC || fields.u32()? != VERSION {
        return None;
    }
    let index_bytes = u64::from(fields.u32()?) * INDEX_ENTRY_BYTES;
    if fields.u64()? != header.base {
        return None;
    }
    let (next, end, written) = (fields.u64()?, fields.u64()?, fields.u64()?.cast_signed());
    let index_crc = fields.u32()?;
    fields.take(8)?;
    let whole = fields.u32()? == salted_crc(header.salt, &bytes[..60]);
    whole.then_some((Extent { next, end, written, sealed: true }, index_bytes, index_crc))
}

/// Whether the index of a sealed segment reads back.
pub(super) fn index_reads(file: &dyn VfsFile, header: &SegmentHeader) -> io::Result<bool> {
    Ok(match read_seal(file, header)? {
        Some((extent, index)) => !index.0.is_empty() || extent.next == header.base,
        None => false,
    })
}
