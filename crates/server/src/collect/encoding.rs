//! Compressed bodies: gzip, zstd, deflate and snappy, bounded while they are unpacked.
//!
//! One encoding a body, or none. A body that unpacks to more than [`KEPT_UNCOUNTED_BYTES_MAX`] is counted before any more
//! of it is kept, so a bomb costs no more than that and the window of its encoding. What goes in was bounded before, so
//! frames that unpack to nothing cost no more than their bytes.

use std::io::{self, Read};

use bytes::Bytes;
use http::{HeaderMap, header};

use super::budget::Share;
use crate::error::{ApiError, Code};

/// The first chunk of snappy's framing format.
const SNAPPY_STREAM: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// zstd windows above 2^26 bytes (64 MiB) are refused: they cost memory before the first byte comes out.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

const CHUNK_BYTES: usize = 128 << 10;

/// A body that unpacks to more than this is unpacked twice: first to count it.
const KEPT_UNCOUNTED_BYTES_MAX: usize = 8 << 20;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
    Deflate,
    Snappy,
}

impl Encoding {
    /// The encoding that a request's headers name.
    ///
    /// # Errors
    /// 415 for an unknown encoding and for several at once.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut found = Encoding::Identity;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let value = value.to_str().map_err(|_| unsupported("in bytes that are no text"))?;
            for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let encoding = Self::named(name)?;
                if found != Encoding::Identity && encoding != Encoding::Identity {
                    return Err(unsupported("several at once"));
                }
                if encoding != Encoding::Identity {
                    found = encoding;
                }
            }
        }
        Ok(found)
    }

    /// The encoding of this name, in any case.
    pub(super) fn named(name: &str) -> Result<Self, ApiError> {
        match name.to_ascii_lowercase().as_str() {
            "identity" => Ok(Encoding::Identity),
            "gzip" | "x-gzip" => Ok(Encoding::Gzip),
            "zstd" => Ok(Encoding::Zstd),
            "deflate" => Ok(Encoding::Deflate),
            "snappy" | "x-snappy-framed" => Ok(Encoding::Snappy),
            other => Err(unsupported(&format!("`{}`", other.chars().take(32).collect::<String>()))),
        }
    }

    /// Unpacks a body; `share` holds the unpacked bytes afterwards, no longer the packed ones.
    ///
    /// # Errors
    /// 413 when more than `bytes_max` come out, 429 when memory is short, 400 when the body is damaged.
    pub(super) fn decode(self, sent: Bytes, bytes_max: usize, share: &mut Share) -> Result<Bytes, ApiError> {
        let sent_bytes = sent.len();
        let decoded = match self {
            Encoding::Identity if sent_bytes > bytes_max => return Err(too_large(bytes_max)),
            Encoding::Identity => return Ok(sent),
            _ if sent.is_empty() => return Ok(sent),
            Encoding::Gzip => drain(|| Ok(flate2::read::MultiGzDecoder::new(&*sent)), bytes_max, share)?,
            Encoding::Zstd => drain(|| zstd_decoder(&sent), bytes_max, share)?,
            Encoding::Deflate if has_zlib_header(&sent) => {
                drain(|| Ok(flate2::read::ZlibDecoder::new(&*sent)), bytes_max, share)?
            }
            Encoding::Deflate => drain(|| Ok(flate2::read::DeflateDecoder::new(&*sent)), bytes_max, share)?,
            Encoding::Snappy if sent.starts_with(SNAPPY_STREAM) => {
                drain(|| Ok(snap::read::FrameDecoder::new(&*sent)), bytes_max, share)?
            }
            Encoding::Snappy => decode_snappy_block(&sent, bytes_max, share)?,
        };
        drop(sent);
        share.shrink(sent_bytes);
        Ok(decoded)
    }
}

fn zstd_decoder(sent: &[u8]) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(sent)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// `deflate` means zlib's format, yet some clients send a bare deflate stream: the header's checksum tells.
fn has_zlib_header(sent: &[u8]) -> bool {
    matches!(sent, [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0)
}

/// A raw snappy block says its size first: it is checked before anything is allocated.
fn decode_snappy_block(sent: &[u8], bytes_max: usize, share: &mut Share) -> Result<Bytes, ApiError> {
    let bytes = snap::raw::decompress_len(sent).map_err(damaged)?;
    if bytes > bytes_max {
        return Err(too_large(bytes_max));
    }
    share.grow(bytes)?;
    Ok(snap::raw::Decoder::new().decompress_vec(sent).map_err(damaged)?.into())
}

/// All that a decoder gives; `open` makes it, again if the body is large.
fn drain<R: Read>(open: impl Fn() -> io::Result<R>, bytes_max: usize, share: &mut Share) -> Result<Bytes, ApiError> {
    let mut decoder = open().map_err(damaged)?;
    let mut decoded = Vec::new();
    fill(&mut decoded, &mut decoder, bytes_max.min(KEPT_UNCOUNTED_BYTES_MAX), share)?;
    let kept = decoded.len();
    let rest_max = (bytes_max + 1 - kept) as u64;
    let rest = io::copy(&mut decoder.take(rest_max), &mut io::sink()).map_err(damaged)? as usize;
    if kept + rest > bytes_max {
        return Err(too_large(bytes_max));
    }
    if rest > 0 {
        share.grow(rest)?;
        drop(decoded);
        decoded = vec![0; kept + rest];
        open().and_then(|mut decoder| decoder.read_exact(&mut decoded)).map_err(damaged)?;
    }
    Ok(decoded.into())
}

/// Reads to the end, or until `enough` bytes are there.
fn fill(decoded: &mut Vec<u8>, decoder: &mut impl Read, enough: usize, share: &mut Share) -> Result<(), ApiError> {
    while decoded.len() < enough {
        let filled = decoded.len();
        if decoded.capacity() == filled {
            decoded.reserve_exact((filled * 2).clamp(CHUNK_BYTES.min(enough), enough) - filled);
        }
        decoded.resize(decoded.capacity().min(filled + CHUNK_BYTES).min(enough), 0);
        let read = loop {
            match decoder.read(&mut decoded[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map_err(damaged)?,
            }
        };
        decoded.truncate(filled + read);
        share.grow(read)?;
        if read == 0 {
            break;
        }
    }
    Ok(())
}

fn damaged(error: impl std::fmt::Display) -> ApiError {
    ApiError::malformed(format!("the body can't be unpacked: {error}"))
}

fn too_large(bytes_max: usize) -> ApiError {
    ApiError::new(Code::TooLarge, format!("the unpacked body is larger than {bytes_max} bytes"))
        .with_hint("send fewer records in a request")
}

fn unsupported(what: &str) -> ApiError {
    ApiError::new(Code::UnsupportedEncoding, format!("the body's encoding is not supported: {what}"))
        .with_hint("use one of gzip, zstd, deflate, snappy, or none")
}

#[cfg(test)]
mod tests;
