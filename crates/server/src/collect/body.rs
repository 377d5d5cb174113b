//! Reading a request's body within its limits.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;

use super::budget::Share;
use crate::error::{ApiError, Code};

/// A buffer that is reserved before the first byte came is no larger than this, whatever the header promises.
const FIRST_CAPACITY_BYTES: usize = 256 << 10;

/// Later the buffer grows to what the header promises, but to at most so many times what came.
const GROWTH_MAX: usize = 3;

/// Reads the body as it was sent, at most `bytes_max`, within `time_max`.
///
/// # Errors
/// 413 when it is larger, at once if its `Content-Length` says so; 408 when it takes too long; 429 when memory is
/// short; 400 when the client breaks off.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    time_max: Duration,
    share: &mut Share,
) -> Result<Bytes, ApiError> {
    let promised = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if promised.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large(bytes_max));
    }
    let frames = read_frames(body, promised.unwrap_or(0), bytes_max, share);
    tokio::time::timeout(time_max, frames).await.unwrap_or_else(|_| {
        Err(ApiError::new(Code::RequestTimeout, format!("the body did not arrive within {} s", time_max.as_secs())))
    })
}

async fn read_frames(mut body: Body, promised: usize, bytes_max: usize, share: &mut Share) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    let mut first = Bytes::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| ApiError::malformed("the body broke off").with_internal(format_args!("{error:#}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + first.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        share.grow(data.len())?;
        // Most bodies are one frame, which then is never copied.
        if whole.is_empty() && first.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(promised.min(FIRST_CAPACITY_BYTES).max(first.len() + data.len()));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        if whole.capacity() - whole.len() < data.len() {
            let missing = promised.saturating_sub(whole.len());
            whole.reserve(missing.min(whole.len() * GROWTH_MAX).max(data.len()));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

fn too_large(bytes_max: usize) -> ApiError {
    ApiError::new(Code::TooLarge, format!("the body is larger than {bytes_max} bytes"))
        .with_hint("send fewer records in a request")
}
