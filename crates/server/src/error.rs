//! Every error that a client sees: one closed set of codes, two messages.
//!
//! Handlers return [`ApiError`]: a [`Code`], a sentence for the client (`detail`) and, apart from it, what only our own
//! log should say (`internal`). Codes are stable and part of the interface. The request id that ties an answer to the
//! log is the `x-request-id` header, set by [`crate::edge`], which also writes the log line.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

/// The media type of every error but OTLP's.
pub const PROBLEM_JSON: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:ident, $title:literal;)*) => {
        /// What went wrong, in terms that clients can branch on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code, for the reference.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            pub fn status(self) -> StatusCode {
                match self { $(Code::$name => StatusCode::$status,)* }
            }

            /// The same sentence for each error of this code.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// A body, a parameter or a header can't be read.
    Malformed = "malformed", BAD_REQUEST, "The request can't be read";
    /// Each record of the request was rejected; `errors` says why.
    AllRejected = "all_rejected", BAD_REQUEST, "No record was accepted";
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "No valid credentials";
    Forbidden = "forbidden", FORBIDDEN, "Not allowed";
    /// The client certificate and the key or session of one request belong to different projects.
    CredentialsDisagree = "credentials_disagree", FORBIDDEN, "The credentials disagree";
    NotFound = "not_found", NOT_FOUND, "Not found";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "The request took too long to arrive";
    Conflict = "conflict", CONFLICT, "In conflict with what is there";
    PreconditionFailed = "precondition_failed", PRECONDITION_FAILED, "Changed by someone else meanwhile";
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, "Too large";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type";
    UnsupportedEncoding = "unsupported_encoding", UNSUPPORTED_MEDIA_TYPE, "Unsupported content encoding";
    /// A query or another text with a grammar; `position` says where.
    InvalidQuery = "invalid_query", UNPROCESSABLE_ENTITY, "The query can't be read";
    /// Readable, but it asks for what can't be done.
    Unprocessable = "unprocessable", UNPROCESSABLE_ENTITY, "The request can't be followed";
    IdempotencyMismatch = "idempotency_mismatch", UNPROCESSABLE_ENTITY, "The idempotency key was used with another body";
    /// A query reached its time, memory or row limit.
    QueryLimit = "query_limit", UNPROCESSABLE_ENTITY, "The query reached a limit";
    PreconditionRequired = "precondition_required", PRECONDITION_REQUIRED, "If-Match is required";
    Quota = "quota_exceeded", TOO_MANY_REQUESTS, "Quota used up";
    Overloaded = "overloaded", TOO_MANY_REQUESTS, "Too busy now";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Out of reach now";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Internal error";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as a client sees it, and what our log says about it.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: Code,
    detail: Cow<'static, str>,
    parts: Option<Box<Parts>>,
}

/// What few errors have.
#[derive(Debug, Clone, Default)]
struct Parts {
    internal: Option<String>,
    position: Option<usize>,
    hint: Option<String>,
    retry_after: Option<Duration>,
    members: Map<String, Value>,
}

/// The body of an error: RFC 9457 and our own members.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Problem<'a> {
    /// `urn:devlogs:error:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: &'a str,
    /// The HTTP status.
    pub status: u16,
    pub detail: &'a str,
    /// Stable, for programs.
    pub code: &'a str,
    /// Where in the query, 0-based, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'a str>,
    /// Seconds, as in the `Retry-After` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// `accepted`, `rejected`, `errors` and other members that a code brings along.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub members: &'a Map<String, Value>,
}

impl ApiError {
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), parts: None }
    }

    /// An error of ours: `internal` goes to the log, the client learns only that there was one.
    pub fn internal(internal: impl fmt::Display) -> Self {
        Self::new(Code::Internal, "an unexpected error; the log has it under this answer's x-request-id")
            .with_internal(internal)
    }

    /// What the client wrote is not allowed or can't be read.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Malformed, detail)
    }

    /// Queue, store or metadata is out of reach.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self::new(Code::Unavailable, detail).with_retry_after(retry_after)
    }

    /// A limit of this process is reached.
    pub fn overloaded(detail: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self::new(Code::Overloaded, detail).with_retry_after(retry_after)
    }

    #[must_use]
    pub fn with_internal(mut self, internal: impl fmt::Display) -> Self {
        self.parts_mut().internal = Some(internal.to_string());
        self
    }

    #[must_use]
    pub fn with_position(mut self, position: usize) -> Self {
        self.parts_mut().position = Some(position);
        self
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.parts_mut().hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.parts_mut().retry_after = Some(retry_after);
        self
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.parts_mut().members.insert(name.to_owned(), value.into());
        self
    }

    pub fn code(&self) -> Code {
        self.code
    }

    pub fn status(&self) -> StatusCode {
        self.code.status()
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What only the log says.
    pub fn internal_message(&self) -> Option<&str> {
        self.parts.as_deref()?.internal.as_deref()
    }

    pub fn retry_after(&self) -> Option<Duration> {
        self.parts.as_deref()?.retry_after
    }

    /// The body, as JSON; the WebSocket sends it in a frame.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self.problem(&Map::new())).unwrap_or_else(|_| Value::String(self.code.to_string()))
    }

    fn problem<'a>(&'a self, none: &'a Map<String, Value>) -> Problem<'a> {
        let parts = self.parts.as_deref();
        Problem {
            kind: format!("urn:devlogs:error:{}", self.code),
            title: self.code.title(),
            status: self.status().as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            position: parts.and_then(|parts| parts.position),
            hint: parts.and_then(|parts| parts.hint.as_deref()),
            retry_after: self.retry_after().map(whole_seconds),
            members: parts.map_or(none, |parts| &parts.members),
        }
    }

    fn parts_mut(&mut self) -> &mut Parts {
        self.parts.get_or_insert_default()
    }

    /// Headers that belong to the error whatever its body's format is, and the error itself for the log.
    pub(crate) fn finish(self, mut response: Response) -> Response {
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        if self.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"devlogs\""));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// `Retry-After` has whole seconds; never 0, which would ask for a retry at once.
fn whole_seconds(after: Duration) -> u64 {
    after.as_millis().div_ceil(1000).clamp(1, 3600) as u64
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.problem(&Map::new())).unwrap_or_default();
        let response = ([(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))], body).into_response();
        self.finish(response)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn an_error_is_problem_json_without_its_internal_message() {
        let error = ApiError::unavailable("the queue is full", Duration::from_millis(1500))
            .with_internal("/dev/sda1: no space")
            .with_member("accepted", 0);
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:devlogs:error:unavailable", "title": "Out of reach now", "status": 503,
                "detail": "the queue is full", "code": "unavailable", "retry_after": 2, "accepted": 0,
            })
        );
    }

    #[test]
    fn codes_are_unique_and_lower_case() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.status().is_client_error() || code.status().is_server_error()));
    }
}
