//! `POST /v1/logs`: OTLP over HTTP, protobuf and JSON.
//!
//! A protobuf body that is accepted whole goes into the queue as it came. The answer is an
//! `ExportLogsServiceResponse` and an error a `google.rpc.Status`, both in the request's encoding.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::limits::Limits;
use model::otlp::{self, DecodeContext, Encoder};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use prost::Message as _;
use serde_json::json;

use super::{Answer, Decoded, HandOver, Rejected, too_many_records};
use crate::error::{ApiError, Code};

/// So many rejections are told in the one text that OTLP has for them.
const REASONS_MAX: usize = 10;

/// How an OTLP/HTTP request and its answer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Protobuf,
    Json,
}

impl Wire {
    /// What the request's content type says; None for a type that is not OTLP's.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        match value.split(';').next()?.trim().to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Wire::Protobuf),
            "application/json" => Some(Wire::Json),
            _ => None,
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Wire::Protobuf => "application/x-protobuf",
            Wire::Json => "application/json",
        })
    }
}

/// The content type is not OTLP's.
pub(super) fn unsupported_type() -> ApiError {
    ApiError::new(Code::UnsupportedMediaType, "OTLP is `application/x-protobuf` or `application/json`")
        .with_hint("plain JSON records go to /v1/ingest")
}

/// Decodes a protobuf body to a message. Without rejections the message is the body itself.
///
/// # Errors
/// 400 when it is not an `ExportLogsServiceRequest`, 413 when it has too many records.
pub(super) fn decode_protobuf(
    body: Bytes,
    limits: &Limits,
    project: &str,
    now: i64,
    mut hand_over: HandOver,
) -> Result<Decoded, ApiError> {
    let context = DecodeContext { project, received: now, origin: 0, limits };
    let malformed = |error: otlp::DecodeError| ApiError::malformed(error.to_string());
    // Before decoding: what is rejected takes memory, and an empty record only two bytes of the body.
    if otlp::count(&body).map_err(malformed)? as usize > limits.records_max {
        return Err(too_many_records(limits));
    }
    let mut rejected = Vec::new();
    let count = otlp::decode(&body, &context, &mut |index, result| match result {
        Ok(record) => hand_over.push(&record),
        Err(rejection) => rejected.push(Rejected { index, reason: rejection.to_string() }),
    })
    .map_err(malformed)?;
    let accepted = count.saturating_sub(rejected.len() as u32);
    let records = hand_over.finish();
    if rejected.is_empty() || accepted == 0 {
        return Ok(Decoded { payload: body, accepted, rejected, records });
    }
    let mut encoder = Encoder::new();
    otlp::decode(&body, &context, &mut |_, result| {
        if let Ok(record) = result {
            encoder.push(&record);
        }
    })
    .map_err(malformed)?;
    Ok(Decoded { payload: encoder.finish().into(), accepted, rejected, records })
}

/// Decodes a JSON body, by way of protobuf.
///
/// # Errors
/// As [`decode_protobuf`].
pub(super) fn decode_json(
    body: &[u8],
    limits: &Limits,
    project: &str,
    now: i64,
    hand_over: HandOver,
) -> Result<Decoded, ApiError> {
    // The derived reader would take an array for the message's fields in order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::malformed("malformed OTLP/JSON: the body is no object"));
    }
    let request: ExportLogsServiceRequest =
        serde_json::from_slice(body).map_err(|error| ApiError::malformed(format!("malformed OTLP/JSON: {error}")))?;
    decode_protobuf(request.encode_to_vec().into(), limits, project, now, hand_over)
}

/// The protobuf message that tells a client what was accepted.
pub(super) fn response(answer: &Answer) -> ExportLogsServiceResponse {
    let partial_success = (!answer.rejected.is_empty()).then(|| ExportLogsPartialSuccess {
        rejected_log_records: answer.rejected.len() as i64,
        error_message: reasons(&answer.rejected),
    });
    ExportLogsServiceResponse { partial_success }
}

fn reasons(rejected: &[Rejected]) -> String {
    let named: Vec<_> =
        rejected.iter().take(REASONS_MAX).map(|r| format!("record {}: {}", r.index, r.reason)).collect();
    match rejected.len() - named.len() {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}

/// The answer to a request over HTTP.
pub(super) fn http_response(wire: Wire, result: Result<Answer, ApiError>) -> Response {
    match result {
        Ok(answer) => {
            let response = response(&answer);
            let body = match wire {
                Wire::Protobuf => response.encode_to_vec(),
                Wire::Json => match &response.partial_success {
                    None => b"{}".to_vec(),
                    Some(partial) => json!({"partialSuccess": {
                        "rejectedLogRecords": partial.rejected_log_records.to_string(),
                        "errorMessage": partial.error_message,
                    }})
                    .to_string()
                    .into_bytes(),
                },
            };
            (StatusCode::OK, [(header::CONTENT_TYPE, wire.content_type())], body).into_response()
        }
        Err(error) => {
            let code = grpc_code(&error) as i32;
            let message = message(&error);
            let body = match wire {
                Wire::Protobuf => Status { code, message, details: retry_details(&error) }.encode_to_vec(),
                Wire::Json => json!({"code": code, "message": message}).to_string().into_bytes(),
            };
            let response = ([(header::CONTENT_TYPE, wire.content_type())], body).into_response();
            error.finish(response)
        }
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<RetryDelay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryDelay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// What a status says to a person.
pub(super) fn message(error: &ApiError) -> String {
    format!("{} ({})", error.detail(), error.code())
}

/// When to come again, as OTLP clients look for it.
pub(super) fn retry_details(error: &ApiError) -> Vec<Any> {
    let Some(after) = error.retry_after() else { return Vec::new() };
    let retry_delay = RetryDelay { seconds: after.as_secs() as i64, nanos: after.subsec_nanos() as i32 };
    let value = RetryInfo { retry_delay: Some(retry_delay) }.encode_to_vec();
    vec![Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value }]
}

/// OTLP clients retry on `Unavailable`, and on `ResourceExhausted` only with a `RetryInfo`.
pub(super) fn grpc_code(error: &ApiError) -> tonic::Code {
    match error.code() {
        Code::Unauthenticated => tonic::Code::Unauthenticated,
        Code::Forbidden | Code::CredentialsDisagree => tonic::Code::PermissionDenied,
        Code::NotFound | Code::MethodNotAllowed | Code::UnsupportedEncoding => tonic::Code::Unimplemented,
        Code::TooLarge | Code::Quota => tonic::Code::ResourceExhausted,
        Code::Overloaded | Code::Unavailable => tonic::Code::Unavailable,
        Code::RequestTimeout => tonic::Code::DeadlineExceeded,
        Code::Internal => tonic::Code::Internal,
        _ => tonic::Code::InvalidArgument,
    }
}

#[cfg(test)]
mod tests;
