//! `LogsService/Export` over gRPC, on its own port.
//!
//! The service is one unary method, so its framing is read here: five bytes of head (packed or not, length), then the
//! message. That way a message takes the same path as over HTTP, within the same limits and the same memory budget,
//! and is never decoded to be encoded again.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;

use super::encoding::Encoding;
use super::otlp::{Status, grpc_code, message, response, retry_details};
use super::{Answer, Collector, Format, Framing, Sent};
use crate::error::{ApiError, Code};
use crate::metrics::Protocol;

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const HEAD_BYTES: usize = 5;

/// The routes of the gRPC listener.
pub(super) fn router(collector: Arc<Collector>) -> Router {
    Router::new()
        .route(EXPORT, post(export))
        .with_state(collector)
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
}

async fn unknown(request: Request) -> Response {
    if !is_grpc(request.headers()) {
        return ApiError::new(Code::NotFound, "this port speaks gRPC")
            .with_hint("OTLP over HTTP has a port of its own, 4318 by default")
            .into_response();
    }
    failure(ApiError::new(Code::NotFound, "only LogsService/Export is served here"))
}

/// Whether a request wants its answer in gRPC's form.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

async fn export(State(collector): State<Arc<Collector>>, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        return unknown(request).await;
    }
    let started = Instant::now();
    let result = collector.receive(Protocol::OtlpGrpc, request, |_| Ok((Format::OtlpProtobuf, Framing::Grpc))).await;
    collector.answered(Protocol::OtlpGrpc, started, &result);
    match result {
        Ok(answer) => success(&answer),
        Err(error) => failure(error),
    }
}

/// The message and its encoding out of a request's body, which holds exactly one.
pub(super) fn unframe(headers: &HeaderMap, body: &Bytes) -> Result<Sent, ApiError> {
    let bad = |what: &'static str| ApiError::malformed(what);
    let Some((head, _)) = body.split_first_chunk::<HEAD_BYTES>() else {
        return Err(bad("the gRPC message is cut off"));
    };
    let [packed, length @ ..] = *head;
    if u32::from_be_bytes(length) as usize != body.len() - HEAD_BYTES {
        return Err(bad("the request is not one whole gRPC message"));
    }
    let encoding = match packed {
        0 => Encoding::Identity,
        1 => {
            let name = headers
                .get("grpc-encoding")
                .ok_or_else(|| bad("the message is packed, but grpc-encoding is absent"))?;
            Encoding::named(name.to_str().unwrap_or_default())?
        }
        _ => return Err(bad("the gRPC message's first byte is neither 0 nor 1")),
    };
    Ok(Sent { encoding, body: body.slice(HEAD_BYTES..) })
}

fn success(answer: &Answer) -> Response {
    let message = response(answer);
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + message.encoded_len());
    frame.put_u8(0);
    frame.put_u32(message.encoded_len() as u32);
    frame.extend_from_slice(&message.encode_to_vec());
    let trailers =
        HeaderMap::from_iter([(header::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    let body = Full::new(frame.freeze()).with_trailers(async move { Some(Ok(trailers)) });
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))];
    (content_type, Body::new(body)).into_response()
}

/// An error as gRPC tells it.
pub(crate) fn failure(error: ApiError) -> Response {
    let (code, message) = (grpc_code(&error), message(&error));
    let details = Status { code: code as i32, message: message.clone(), details: retry_details(&error) };
    let status = tonic::Status::with_details(code, message, details.encode_to_vec().into());
    let mut response = status.into_http::<Body>();
    response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip,zstd"));
    // The HTTP status of gRPC is 200 whatever happened; the error itself is for the log.
    response.extensions_mut().insert(Arc::new(error));
    response
}

#[cfg(test)]
mod tests;
