use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use tonic::codec::CompressionEncoding;
use tower::ServiceExt as _;

use super::*;
use crate::collect::tests::Bench;

fn one_record() -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default()], ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
}

#[tokio::test]
async fn exports_of_a_real_client_arrive() {
    let bench = Bench::new().await;
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let mut client = LogsServiceClient::new(bench.collector.grpc_router());
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding).accept_compressed(encoding);
        }
        let mut request = tonic::Request::new(one_record());
        request.metadata_mut().insert("x-api-key", "good".parse().unwrap());
        let answer = client.export(request).await.unwrap_or_else(|error| panic!("{encoding:?}: {error}"));
        assert_eq!(answer.into_inner().partial_success, None);
    }
    assert_eq!(bench.queued().await.len(), 3);
}

#[tokio::test]
async fn failures_are_grpc_statuses() {
    let bench = Bench::new().await;
    let mut client = LogsServiceClient::new(bench.collector.grpc_router());
    let status = client.export(one_record()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    assert!(status.message().contains("no key"), "{status}");

    bench.state.health.drain();
    let mut request = tonic::Request::new(one_record());
    request.metadata_mut().insert("x-api-key", "good".parse().unwrap());
    let status = client.export(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(!status.details().is_empty());
}

async fn status_of(path: &str, content_type: &str, encoding: Option<&str>, body: &[u8]) -> (http::StatusCode, String) {
    let bench = Bench::new().await;
    let mut request = http::Request::post(path).header("content-type", content_type).header("x-api-key", "good");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let request = request.body(Body::from(body.to_vec())).unwrap();
    let response = bench.collector.grpc_router().oneshot(request).await.unwrap();
    let status = response.headers().get("grpc-status").map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    (response.status(), status)
}

#[tokio::test]
async fn bad_frames_and_foreign_requests_are_refused() {
    let grpc = "application/grpc";
    for (body, encoding, status) in [
        (&b""[..], None, "3"),
        (b"\0\0\0\0", None, "3"),
        (b"\0\0\0\0\x05ab", None, "3"),
        (b"\0\0\0\0\0\0\0\0\0\0", None, "3"),
        (b"\x02\0\0\0\0", None, "3"),
        (b"\x01\0\0\0\0", None, "3"),
        (b"\x01\0\0\0\x01x", Some("br"), "12"),
        (b"\x01\0\0\0\x01x", Some("gzip"), "3"),
        (b"\0\0\0\0\x01\xff", None, "3"),
    ] {
        assert_eq!(status_of(EXPORT, grpc, encoding, body).await.1, status, "{body:?}");
    }
    assert_eq!(status_of("/x.Y/Z", grpc, None, b"").await.1, "12");
    assert_eq!(status_of("/v1/ingest", "application/json", None, b"{}").await.0, http::StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_success_ends_with_its_trailer() {
    let body = Body::new(success(&Answer { accepted: 1, rejected: Vec::new() }).into_body());
    let collected = body.collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(&collected.to_bytes()[..], b"\0\0\0\0\0");
}
