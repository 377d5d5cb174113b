//! Going through the frames of a segment, one after another, and finding the way again after damage.

use std::io;

use bytes::Bytes;

use super::frame::{ALIGNMENT, FrameHeader, HEADER_BYTES};
use super::vfs::{VfsFile, read_full};

/// How much a search for the next frame reads at once.
const SEARCH_BYTES: usize = 1 << 20;

/// A place in a segment's file. It stands before a frame, or before something that is none.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    file: &'a dyn VfsFile,
    salt: u64,
    offset: u64,
    end: u64,
    /// Bytes of the file from `window_start`.
    window: Bytes,
    window_start: u64,
    window_bytes: usize,
}

impl<'a> Walk<'a> {
    /// Walks from `offset` to `end`, reading at least `window_bytes` at once.
    pub(super) fn new(file: &'a dyn VfsFile, salt: u64, offset: u64, end: u64, window_bytes: usize) -> Self {
        Self { file, salt, offset, end, window: Bytes::new(), window_start: offset, window_bytes }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn at_end(&self) -> bool {
        self.offset >= self.end
    }

    /// The header of the frame here; None if there is none, or if it would reach beyond the end.
    pub(super) fn peek(&mut self) -> io::Result<Option<FrameHeader>> {
        let bytes = self.bytes(self.offset, HEADER_BYTES)?;
        let header = FrameHeader::read(self.salt, &bytes);
        Ok(header.filter(|header| self.offset + header.frame_bytes() <= self.end.next_multiple_of(ALIGNMENT)))
    }

    /// The body of the frame here; None if its checksum is wrong.
    pub(super) fn body(&mut self, header: &FrameHeader) -> io::Result<Option<Bytes>> {
        let body = self.bytes(self.offset + HEADER_BYTES as u64, header.body_bytes as usize)?;
        Ok((body.len() == header.body_bytes as usize && crc32c::crc32c(&body) == header.body_crc).then_some(body))
    }

    /// Whether only zeros stand where a header would.
    pub(super) fn zeros_at(&mut self, offset: u64) -> io::Result<bool> {
        Ok(is_zero(&self.bytes(offset, HEADER_BYTES)?))
    }

    pub(super) fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    pub(super) fn skip(&mut self, header: &FrameHeader) {
        self.offset += header.frame_bytes();
    }

    /// Moves on to the next whole frame after this place; None if there is none.
    pub(super) fn search(&mut self) -> io::Result<Option<FrameHeader>> {
        self.offset += ALIGNMENT;
        while !self.at_end() {
            let bytes = self.search_window()?;
            if bytes.len() < HEADER_BYTES {
                break;
            }
            let start = self.offset;
            let last = bytes.len() - HEADER_BYTES;
            // Mostly this meets reserved space, which is zeros.
            let steps = if is_zero(&bytes) { 0..0 } else { 0..last + 1 };
            for step in steps.step_by(ALIGNMENT as usize) {
                if FrameHeader::read(self.salt, &bytes[step..]).is_none() {
                    continue;
                }
                self.offset = start + step as u64;
                if let Some(header) = self.peek()?
                    && self.body(&header)?.is_some()
                {
                    return Ok(Some(header));
                }
            }
            self.offset = start + (last as u64 + 1).next_multiple_of(ALIGNMENT);
        }
        self.offset = self.end;
        Ok(None)
    }

    fn search_window(&mut self) -> io::Result<Bytes> {
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        self.bytes(self.offset, left.min(SEARCH_BYTES))
    }

    /// Fewer bytes than asked only at the end.
    fn bytes(&mut self, offset: u64, count: usize) -> io::Result<Bytes> {
        let have_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || offset + count as u64 > have_end {
            let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
            let mut window = vec![0; count.max(self.window_bytes).min(left)];
            let read = read_full(self.file, &mut window, offset)?;
            window.truncate(read);
            self.window = Bytes::from(window);
            self.window_start = offset;
        }
        let start = (offset - self.window_start) as usize;
        Ok(self.window.slice(start..self.window.len().min(start + count)))
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}
