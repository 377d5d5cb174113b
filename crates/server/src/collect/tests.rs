//! The whole way of a request, against the real embedded queue.

use std::io::Write as _;

use async_trait::async_trait;
use axum::body::Body;
use http::header;
use http_body_util::BodyExt as _;
use model::position::Position;
use prometheus_client::registry::Registry;
use queue::embedded::{EmbeddedConfig, EmbeddedQueue};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::auth::{Auth, Keys, Principal, Scopes};
use crate::metrics::Metrics;
use crate::ops::Health;
use crate::tls::identity::Identities;

/// `good` may write to `shop`, `other` to `bank`, `reader` may only read.
#[derive(Debug)]
struct TestKeys;

#[async_trait]
impl Keys for TestKeys {
    async fn authenticate(&self, key: &str) -> Result<Option<Principal>, ApiError> {
        let (project, scope) = match key {
            "good" => ("shop", Scope::Ingest),
            "other" => ("bank", Scope::Ingest),
            "reader" => ("shop", Scope::Query),
            _ => return Ok(None),
        };
        let scopes = Scopes::from_iter([scope]);
        Ok(Some(Principal { id: key.into(), project: project.into(), scopes, service: None, confirmed: true }))
    }
}

/// A collector on an embedded queue in a folder of its own.
pub(crate) struct Bench {
    pub(crate) collector: Arc<Collector>,
    pub(super) state: ServerState,
    queue: Arc<dyn Queue>,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self::with(CollectorConfig::default()).await
    }

    async fn with(config: CollectorConfig) -> Self {
        let identities = Identities::default();
        let auth = Auth::Required { keys: Arc::new(TestKeys), sessions: None, identities };
        Self::open(config, Arc::new(auth)).await
    }

    /// One that lets in whom `auth` knows.
    pub(crate) async fn with_auth(auth: Arc<Auth>) -> Self {
        Self::open(CollectorConfig::default(), auth).await
    }

    async fn open(config: CollectorConfig, auth: Arc<Auth>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let queue_config = EmbeddedConfig {
            dir: dir.path().to_owned(),
            partitions: 2,
            segment_bytes: 1 << 20,
            disk_free_min_bytes: 0,
            message_bytes_max: 512 << 10,
            ..EmbeddedConfig::default()
        };
        let queue =
            tokio::task::spawn_blocking(move || EmbeddedQueue::open(queue_config, queue::metrics::Metrics::default()));
        let queue: Arc<dyn Queue> = Arc::new(queue.await.unwrap().unwrap());
        let state = ServerState {
            auth,
            metrics: Arc::new(Metrics::register(&mut Registry::default())),
            health: Arc::new(Health::default()),
        };
        let collector = Collector::new(state.clone(), queue.clone(), None, None, config);
        Self { collector, state, queue, _dir: dir }
    }

    /// Every message in the queue.
    pub(crate) async fn queued(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        for partition in 0..self.queue.partitions() {
            let partition = Partition(partition);
            let read = self.queue.read(partition, Position(0), 64 << 20, Duration::ZERO).await.unwrap();
            messages.extend(read.into_iter().map(|delivery| delivery.message));
        }
        messages
    }

    /// How many records the queue holds.
    async fn records(&self) -> u32 {
        self.queued().await.iter().map(|message| message.headers.records).sum()
    }

    async fn send(&self, request: http::request::Builder, body: impl Into<Body>) -> (StatusCode, HeaderMap, Value) {
        let request = request.body(body.into()).unwrap();
        let response = self.collector.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn ingest(&self, body: impl Into<Body>) -> (StatusCode, Value) {
        let (status, _, body) = self.send(post("/v1/ingest"), body).await;
        (status, body)
    }
}

fn post(path: &str) -> http::request::Builder {
    http::Request::post(path).header("authorization", "Bearer good")
}

#[tokio::test]
async fn accepted_records_are_in_the_queue_under_the_keys_project() {
    let bench = Bench::new().await;
    let (status, body) = bench.ingest("{\"message\":\"a\"}\nnot json\n{\"message\":\"b\"}").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&body["accepted"], &body["rejected"]), (&json!(2), &json!(1)));
    assert_eq!(body["errors"][0]["index"], 1);
    let queued = bench.queued().await;
    assert_eq!(queued.len(), 1);
    assert_eq!((&*queued[0].headers.project, queued[0].headers.records), ("shop", 2));
    assert!(queued[0].headers.received > 1_700_000_000_000_000_000);
}

#[tokio::test]
async fn when_all_are_rejected_nothing_is_stored() {
    let bench = Bench::new().await;
    let (status, headers, body) = bench.send(post("/v1/ingest"), "{}\n[]").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!((&body["code"], &body["accepted"], &body["rejected"]), (&json!("all_rejected"), &json!(0), &json!(2)));
    assert_eq!(body["errors"].as_array().unwrap().len(), 2);
    assert_eq!(bench.records().await, 0);
}

#[tokio::test]
async fn credentials_are_checked_before_the_body_is_read() {
    let bench = Bench::new().await;
    for (key, expected) in [("bad", StatusCode::UNAUTHORIZED), ("reader", StatusCode::FORBIDDEN)] {
        let endless = futures::stream::pending::<Result<Bytes, std::io::Error>>();
        let request = http::Request::post("/v1/ingest").header("x-api-key", key);
        let sent = bench.send(request, Body::from_stream(endless));
        let (status, headers, _) = tokio::time::timeout(Duration::from_secs(5), sent).await.expect("no body is read");
        assert_eq!(status, expected);
        assert_eq!(headers.contains_key(header::WWW_AUTHENTICATE), status == StatusCode::UNAUTHORIZED);
    }
    let (status, _, body) =
        bench.send(http::Request::post("/v1/logs").header("content-type", "application/json"), "{").await;
    assert_eq!((status, &body["code"]), (StatusCode::UNAUTHORIZED, &json!(16)));
}

#[tokio::test]
async fn heads_that_can_not_be_taken() {
    let bench = Bench::new().await;
    let body = r#"{"message":"a"}"#;
    for (request, status, code) in [
        (post("/v1/ingest").header("content-type", "application/x-www-form-urlencoded"), 415, "unsupported_media_type"),
        (post("/v1/ingest").header("content-encoding", "br"), 415, "unsupported_encoding"),
        (post("/v1/ingest").header("content-encoding", "gzip, gzip"), 415, "unsupported_encoding"),
        (post("/v1/ingest").header("content-encoding", "gzip"), 400, "malformed"),
        (post("/v1/ingest").header("content-length", "99999999999"), 413, "too_large"),
        (post("/v1/ingest").header("idempotency-key", ""), 400, "malformed"),
        (post("/loki/api/v1/push"), 404, "not_found"),
        (post("/_bulk"), 404, "not_found"),
        (http::Request::get("/v1/ingest"), 405, "method_not_allowed"),
    ] {
        let (got, _, answer) = bench.send(request, body).await;
        assert_eq!((got.as_u16(), &answer["code"]), (status, &json!(code)));
    }
    let (status, _, body) = bench.send(post("/v1/logs").header("content-type", "text/plain"), "x").await;
    assert_eq!((status.as_u16(), body["code"].is_number()), (415, true));
    assert_eq!(bench.records().await, 0);
}

#[tokio::test]
async fn limits_hold_with_and_without_a_length() {
    let limits = Limits { body_bytes_max: 1000, decoded_bytes_max: 2000, ..Limits::default() };
    let bench = Bench::with(CollectorConfig { limits, ..CollectorConfig::default() }).await;
    let long = format!("{{\"message\":\"{}\"}}", "x".repeat(2000));
    assert_eq!(bench.ingest(long.clone()).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let chunks = long.into_bytes().chunks(100).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>();
    let (status, _) = bench.ingest(Body::from_stream(futures::stream::iter(chunks))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let bomb = zstd::encode_all(&vec![b' '; 1 << 20][..], 19).unwrap();
    let (status, _, body) = bench.send(post("/v1/ingest").header("content-encoding", "zstd"), bomb).await;
    assert_eq!((status, &body["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large")));
    assert_eq!(bench.collector.budget.taken(), 0);
}

#[tokio::test]
async fn packed_bodies_are_taken() {
    let bench = Bench::new().await;
    let body = b"{\"message\":\"packed\"}";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(body).unwrap();
    let packed = [
        ("gzip", gzip.finish().unwrap()),
        ("zstd", zstd::encode_all(&body[..], 1).unwrap()),
        ("snappy", snap::raw::Encoder::new().compress_vec(body).unwrap()),
    ];
    for (name, packed) in packed {
        let (status, _, answer) = bench.send(post("/v1/ingest").header("content-encoding", name), packed).await;
        assert_eq!((status, &answer["accepted"]), (StatusCode::OK, &json!(1)), "{name}: {answer}");
    }
    assert_eq!(bench.records().await, 3);
}

#[tokio::test]
async fn memory_is_bounded_over_all_requests() {
    let config = CollectorConfig { in_flight_bytes_max: 1000, ..CollectorConfig::default() };
    let bench = Bench::with(config).await;
    let (status, headers, body) = bench.send(post("/v1/ingest"), vec![b' '; 1001]).await;
    assert_eq!((status, &body["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("overloaded")));
    assert!(headers.contains_key(header::RETRY_AFTER));
    assert_eq!(bench.ingest("{\"a\":1}").await.0, StatusCode::OK);
    assert_eq!(bench.collector.budget.taken(), 0);
}

#[tokio::test]
async fn a_retry_with_a_key_is_stored_once_and_answered_alike() {
    let bench = Bench::new().await;
    let body = "{\"message\":\"a\"}\nbad";
    let keyed = || post("/v1/ingest").header("idempotency-key", "k1");
    let (_, _, first) = bench.send(keyed(), body).await;
    let (status, _, again) = bench.send(keyed(), body).await;
    assert_eq!((status, &first), (StatusCode::OK, &again));
    assert_eq!(bench.records().await, 1);
    // The decoded body counts: packed another way it is the same request.
    let packed = zstd::encode_all(body.as_bytes(), 3).unwrap();
    assert_eq!(bench.send(keyed().header("content-encoding", "zstd"), packed).await.2, first);
    let (status, _, mismatch) = bench.send(keyed(), "{\"message\":\"b\"}").await;
    assert_eq!((status.as_u16(), &mismatch["code"]), (422, &json!("idempotency_mismatch")));
    assert_eq!(bench.records().await, 1);
    // Another project's key of the same name is another key.
    let other = http::Request::post("/v1/ingest").header("x-api-key", "other").header("idempotency-key", "k1");
    assert_eq!(bench.send(other, body).await.0, StatusCode::OK);
    assert_eq!(bench.records().await, 2);
    let keys: Vec<_> = bench.queued().await.iter().map(|message| message.headers.key).collect();
    assert!(keys.iter().all(Option::is_some) && keys[0] != keys[1]);
}

#[tokio::test]
async fn a_queue_that_takes_nothing_is_told_with_a_time() {
    let bench = Bench::new().await;
    let large = format!("{{\"message\":\"{}\"}}", "x".repeat(600 << 10));
    let (status, body) = bench.ingest(large).await;
    assert_eq!((status, &body["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large")));
    bench.queue.close().await.unwrap();
    let (status, headers, body) = bench.send(post("/v1/ingest"), "{\"a\":1}").await;
    assert_eq!((status, &body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    assert!(headers.contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn a_client_that_hangs_up_takes_nothing_back() {
    let bench = Bench::new().await;
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let body = Body::from_stream(futures::stream::once(async move {
        receiver.await.ok();
        Ok::<_, std::io::Error>(Bytes::from(format!("{{\"message\":\"{}\"}}", "x".repeat(100 << 10))))
    }));
    let request = post("/v1/ingest").body(body).unwrap();
    let mut answer = Box::pin(bench.collector.router().oneshot(request));
    assert!(futures::poll!(&mut answer).is_pending());
    sender.send(()).unwrap();
    // The body is read and decoding begins; then the connection is gone.
    assert!(futures::poll!(&mut answer).is_pending());
    drop(answer);
    bench.collector.drain().await;
    assert_eq!(bench.records().await, 1);
}

#[tokio::test]
async fn nothing_new_is_taken_while_draining() {
    let bench = Bench::new().await;
    let ready =
        |bench: &Bench| bench.collector.router().oneshot(http::Request::get("/readyz").body(Body::empty()).unwrap());
    assert_eq!(ready(&bench).await.unwrap().status(), StatusCode::OK);
    bench.state.health.drain();
    assert_eq!(bench.ingest("{\"a\":1}").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready(&bench).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn requests_spread_over_the_partitions_in_turn() {
    let bench = Bench::new().await;
    let large = format!("{{\"message\":\"{}\"}}", "x".repeat(400 << 10));
    for _ in 0..6 {
        assert_eq!(bench.ingest(large.clone()).await.0, StatusCode::OK);
    }
    for partition in 0..2 {
        let state = bench.queue.state(Partition(partition)).await.unwrap();
        assert!(state.next > state.oldest, "partition {partition} got nothing");
    }
}
