//! The dashboard's files, embedded in the program.
//!
//! Files under `assets/` carry a hash in their name and are cached for good; `index.html` is asked for again each time
//! and answers every path that is no file, since the dashboard does its own routing.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::error::{ApiError, Code};

const INDEX: &str = "index.html";
/// Smaller files are not worth the trouble.
const GZIP_BYTES_MIN: usize = 1_024;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Files;

/// Compressed files by content hash: there are a few dozen, and each is compressed once.
static COMPRESSED: LazyLock<Mutex<HashMap<[u8; 32], Bytes>>> = LazyLock::new(Mutex::default);

/// Every path that is no endpoint.
pub(crate) async fn serve(request: Request) -> Result<Response, ApiError> {
    let path = request.uri().path().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") || path.starts_with("v1/") {
        return Err(ApiError::new(Code::NotFound, "there is nothing at this path")
            .with_hint("`/api/v1/openapi.json` lists the endpoints"));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(ApiError::new(Code::MethodNotAllowed, "this path takes GET only"));
    }
    let (name, file) = match Files::get(path) {
        Some(file) => (path, file),
        // A missing asset is an old page's: answering it with a page would only hide that.
        None if path.starts_with("assets/") => {
            return Err(ApiError::new(Code::NotFound, "there is no such file; reload the page"));
        }
        None => (INDEX, Files::get(INDEX).ok_or_else(|| ApiError::internal("the dashboard has no index.html"))?),
    };
    Ok(respond(name, file, request.headers()))
}

fn respond(name: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let hash = file.metadata.sha256_hash();
    let tag = format!("\"{}\"", hex::encode(&hash[..16]));
    let mut response = if matches(asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let kind = mime_guess::from_path(name).first_or_octet_stream();
        let text = kind.type_() == "text" || matches!(kind.subtype().as_str(), "javascript" | "json" | "svg");
        let plain = Bytes::from(file.data.into_owned());
        let compress = text && plain.len() >= GZIP_BYTES_MIN && takes_gzip(asked);
        let mut response = match compress.then(|| gzip(hash, &plain)).flatten() {
            Some(bytes) => ([(header::CONTENT_ENCODING, "gzip")], Body::from(bytes)).into_response(),
            None => Body::from(plain).into_response(),
        };
        let kind = if text { format!("{kind}; charset=utf-8") } else { kind.to_string() };
        set(&mut response, header::CONTENT_TYPE, &kind);
        response
    };
    set(&mut response, header::ETAG, &tag);
    let caching = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    set(&mut response, header::CACHE_CONTROL, caching);
    set(&mut response, header::VARY, "accept-encoding");
    set(&mut response, header::CONTENT_SECURITY_POLICY, &content_security_policy(asked));
    set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut response, header::REFERRER_POLICY, "no-referrer");
    set(&mut response, header::X_FRAME_OPTIONS, "DENY");
    response
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn matches(asked: &HeaderMap, tag: &str) -> bool {
    let known = asked.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag)
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let encodings = asked.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    encodings.split(',').any(|encoding| {
        let mut parts = encoding.split(';').map(str::trim);
        let gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        gzip && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)))
    })
}

fn gzip(hash: [u8; 32], plain: &[u8]) -> Option<Bytes> {
    if let Some(known) = COMPRESSED.lock().get(&hash) {
        return Some(known.clone());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(plain).ok()?;
    let bytes = Bytes::from(encoder.finish().ok()?);
    COMPRESSED.lock().insert(hash, bytes.clone());
    Some(bytes)
}

/// Scripts and connections of our own only. Some browsers do not count a WebSocket to the same host as `'self'`, so
/// the host is named. Styles may be inline, since the component library sets them so.
fn content_security_policy(asked: &HeaderMap) -> String {
    let host = asked.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'[' | b']'));
    let sockets = if plain && !host.is_empty() { format!(" ws://{host} wss://{host}") } else { String::new() };
    format!(
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'{sockets}; \
         object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}
