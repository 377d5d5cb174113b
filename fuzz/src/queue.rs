//! Frames of the embedded queue, with checksums that hold: damage that the checksum finds is tested elsewhere.

#[expect(dead_code, reason = "files are not fuzzed")]
#[path = "../../crates/queue/src/embedded/frame.rs"]
mod frame_format;

use bytes::Bytes;
use frame_format::{FrameHeader, HEADER_BYTES, decode, encode};

const SALT: u64 = 7;
/// No message that a queue takes is larger.
const PAYLOAD_BYTES_MAX: u32 = 16 << 20;

/// Two bytes of headers' length, one of flags, four of the payload's length, then headers and payload.
pub fn frame(data: &[u8]) {
    let Some((head, body)) = data.split_at_checked(7) else { return };
    let header = FrameHeader {
        flags: head[2],
        headers_bytes: u16::from_le_bytes([head[0], head[1]]),
        body_bytes: body.len() as u32,
        body_crc: crc32c::crc32c(body),
        payload_bytes: u32::from_le_bytes([head[3], head[4], head[5], head[6]]) % PAYLOAD_BYTES_MAX,
        position: 3,
        group_first: 2,
    };
    let mut bytes = vec![0; HEADER_BYTES];
    header.write(SALT, &mut bytes);
    assert_eq!(FrameHeader::read(SALT, &bytes), Some(header));
    assert_eq!(FrameHeader::read(SALT + 1, &bytes), None, "a frame of another segment is none");
    let _ = FrameHeader::read(SALT, data);
    if let Ok(message) = decode(&header, &Bytes::copy_from_slice(body)) {
        let mut encoded = encode(&message).expect("what was read can be written");
        encoded.place(SALT, 3, 2);
        let (head, body) = encoded.bytes().split_at(HEADER_BYTES);
        let header = FrameHeader::read(SALT, head).expect("a header");
        let body = Bytes::copy_from_slice(&body[..header.body_bytes as usize]);
        assert_eq!(decode(&header, &body), Ok(message));
    }
}
