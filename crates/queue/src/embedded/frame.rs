//! One message as bytes: the frame of the format's section 3.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use model::RecordId;

use crate::message::{Headers, IdempotencyKey, Message, Part};

pub(super) const HEADER_BYTES: usize = 40;
/// Frames begin at multiples of this.
pub(super) const ALIGNMENT: u64 = 8;
const MAGIC: u32 = u32::from_le_bytes(*b"dlqF");
const VERSION: u8 = 1;
const FLAG_ZSTD: u8 = 1;
const HAS_KEY: u8 = 1;
const HAS_RETRY_OF: u8 = 2;
const HAS_PART: u8 = 4;
/// Below this a payload is not worth compressing.
const COMPRESS_BYTES_MIN: usize = 4 << 10;
/// One of zstd's fast levels: a third faster than level 1 on log records, at two thirds of its ratio.
const ZSTD_LEVEL: i32 = -3;
/// Headers without the project's name.
const HEADERS_FIXED_BYTES: usize = 2 + 8 + 4 + 1 + 32 + 20 + 24;
/// The longest project name that a frame takes.
pub(super) const PROJECT_BYTES_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) flags: u8,
    /// How much of the body is headers.
    pub(super) headers_bytes: u16,
    /// Headers and payload as stored.
    pub(super) body_bytes: u32,
    pub(super) body_crc: u32,
    /// The payload after decompression.
    pub(super) payload_bytes: u32,
    pub(super) position: u64,
    /// The position of the first message of the same write.
    pub(super) group_first: u64,
}

impl FrameHeader {
    /// What the frame takes in the file, with its padding.
    pub(super) fn frame_bytes(&self) -> u64 {
        (HEADER_BYTES as u64 + u64::from(self.body_bytes)).next_multiple_of(ALIGNMENT)
    }

    pub(super) fn write(&self, salt: u64, into: &mut [u8]) {
        into[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        into[8] = VERSION;
        into[9] = self.flags;
        into[10..12].copy_from_slice(&self.headers_bytes.to_le_bytes());
        into[12..16].copy_from_slice(&self.body_bytes.to_le_bytes());
        into[16..20].copy_from_slice(&self.body_crc.to_le_bytes());
        into[20..24].copy_from_slice(&self.payload_bytes.to_le_bytes());
        into[24..32].copy_from_slice(&self.position.to_le_bytes());
        into[32..40].copy_from_slice(&self.group_first.to_le_bytes());
        let crc = salted_crc(salt, &into[8..HEADER_BYTES]);
        into[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    /// None if the bytes are not a header of this segment.
    pub(super) fn read(salt: u64, bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes.get(..HEADER_BYTES)?);
        if fields.u32()? != MAGIC || fields.u32()? != salted_crc(salt, &bytes[8..HEADER_BYTES]) {
            return None;
        }
        if fields.u8()? != VERSION {
            return None;
        }
        Some(Self {
            flags: fields.u8()?,
            headers_bytes: fields.u16()?,
            body_bytes: fields.u32()?,
            body_crc: fields.u32()?,
            payload_bytes: fields.u32()?,
            position: fields.u64()?,
            group_first: fields.u64()?,
        })
    }
}

pub(super) fn salted_crc(salt: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), bytes)
}

/// A frame that still lacks its position.
#[derive(Debug)]
pub(super) struct Encoded {
    /// Room for the header, then the body, then padding.
    bytes: Vec<u8>,
    header: FrameHeader,
}

impl Encoded {
    /// The whole frame once [`Self::place`] was called.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn place(&mut self, salt: u64, position: u64, group_first: u64) {
        self.header.position = position;
        self.header.group_first = group_first;
        self.header.write(salt, &mut self.bytes);
    }
}

/// An upper bound of what a message takes while it is being appended.
pub(super) fn bytes_max(message: &Message) -> usize {
    HEADER_BYTES + HEADERS_FIXED_BYTES + message.headers.project.len() + message.payload.len() + ALIGNMENT as usize
}

/// The payload must have at most `u32::MAX` bytes and the project at most [`PROJECT_BYTES_MAX`].
pub(super) fn encode(message: &Message) -> io::Result<Encoded> {
    let mut bytes = Vec::with_capacity(bytes_max(message));
    bytes.resize(HEADER_BYTES, 0);
    write_headers(&message.headers, &mut bytes);
    let headers_bytes = bytes.len() - HEADER_BYTES;
    let compressed = compress(&message.payload, &mut bytes)?;
    if !compressed {
        bytes.extend_from_slice(&message.payload);
    }
    let body = &bytes[HEADER_BYTES..];
    let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "the message is too long for a frame");
    let header = FrameHeader {
        flags: if compressed { FLAG_ZSTD } else { 0 },
        headers_bytes: u16::try_from(headers_bytes).map_err(too_long)?,
        body_bytes: u32::try_from(body.len()).map_err(too_long)?,
        body_crc: crc32c::crc32c(body),
        payload_bytes: u32::try_from(message.payload.len()).map_err(too_long)?,
        position: 0,
        group_first: 0,
    };
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
    Ok(Encoded { bytes, header })
}

fn write_headers(headers: &Headers, into: &mut Vec<u8>) {
    into.extend_from_slice(&(headers.project.len() as u16).to_le_bytes());
    into.extend_from_slice(headers.project.as_bytes());
    into.extend_from_slice(&headers.received.to_le_bytes());
    into.extend_from_slice(&headers.records.to_le_bytes());
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    let present = flag(headers.key.is_some(), HAS_KEY)
        | flag(headers.retry_of.is_some(), HAS_RETRY_OF)
        | flag(headers.part.is_some(), HAS_PART);
    into.push(present);
    if let Some(key) = headers.key {
        into.extend_from_slice(&key.key.to_le_bytes());
        into.extend_from_slice(&key.body.to_le_bytes());
    }
    if let Some(id) = headers.retry_of {
        into.extend_from_slice(&id.origin.to_le_bytes());
        into.extend_from_slice(&id.index.to_le_bytes());
    }
    if let Some(part) = headers.part {
        into.extend_from_slice(&part.request.to_le_bytes());
        into.extend_from_slice(&part.first.to_le_bytes());
        into.extend_from_slice(&part.of.to_le_bytes());
    }
}

thread_local! {
    // A compressor's tables cost more to make than a small payload costs to compress.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// Appends the payload compressed, if that saves an eighth; else leaves `into` as it was and says false. `into` has room
/// for the payload as it is.
fn compress(payload: &[u8], into: &mut Vec<u8>) -> io::Result<bool> {
    if payload.len() < COMPRESS_BYTES_MIN {
        return Ok(false);
    }
    COMPRESSOR.with_borrow_mut(|compressor| {
        let compressor = match compressor {
            Some(compressor) => compressor,
            None => compressor.insert(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
        };
        let start = into.len();
        // A cursor writes into the room behind, which then need not be cleared first. The compressor gives up once it is
        // used up.
        let mut behind = io::Cursor::new(std::mem::take(into));
        behind.set_position(start as u64);
        let compressed = compressor.compress_to_buffer(payload, &mut behind);
        *into = behind.into_inner();
        let is_worth_it = compressed.is_ok_and(|bytes| bytes <= payload.len() - payload.len() / 8);
        match is_worth_it {
            true => into.shrink_to(into.len() + ALIGNMENT as usize),
            false => into.truncate(start),
        }
        Ok(is_worth_it)
    })
}

/// Reads a body whose checksum holds. The error says what is wrong with it.
pub(super) fn decode(header: &FrameHeader, body: &Bytes) -> Result<Message, String> {
    let headers_bytes = usize::from(header.headers_bytes);
    let headers = body.get(..headers_bytes).and_then(read_headers).ok_or("the frame's headers do not read")?;
    let stored = body.slice(headers_bytes..);
    let payload = if header.flags & FLAG_ZSTD == 0 {
        stored
    } else {
        let payload = zstd::bulk::decompress(&stored, header.payload_bytes as usize)
            .map_err(|error| format!("the payload does not decompress: {error}"))?;
        Bytes::from(payload)
    };
    if payload.len() != header.payload_bytes as usize {
        return Err(format!("the payload has {} bytes, not {}", payload.len(), header.payload_bytes));
    }
    Ok(Message::new(headers, payload))
}

fn read_headers(bytes: &[u8]) -> Option<Headers> {
    let mut fields = Fields(bytes);
    let project_bytes = usize::from(fields.u16()?);
    let project = Arc::from(std::str::from_utf8(fields.take(project_bytes)?).ok()?);
    let received = fields.u64()?.cast_signed();
    let records = fields.u32()?;
    let present = fields.u8()?;
    let key =
        if present & HAS_KEY == 0 { None } else { Some(IdempotencyKey { key: fields.u128()?, body: fields.u128()? }) };
    let retry_of = if present & HAS_RETRY_OF == 0 {
        None
    } else {
        Some(RecordId { origin: fields.u128()?, index: fields.u32()? })
    };
    let part = if present & HAS_PART == 0 {
        None
    } else {
        Some(Part { request: fields.u128()?, first: fields.u32()?, of: fields.u32()? })
    };
    fields.0.is_empty().then_some(Headers { project, received, records, key, retry_of, part })
}

/// Little-endian fields one after another.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(field)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }
}
