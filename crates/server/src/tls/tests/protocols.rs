//! HTTP/2, gRPC and WebSocket over TLS.

use futures::{SinkExt as _, StreamExt as _};
use http::Uri;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::collect::tests::Bench as Collect;
use crate::query::api_router;
use crate::query::tests::bench::Bench as Query;

#[tokio::test]
async fn http2_is_agreed_on_in_the_handshake() {
    let bench = Bench::new(ClientAuth::Required).await;
    let web = bench.authority.dns("a.web.shop.test");
    let stream = bench.connect(&bench.authority, Some(&web), "localhost", b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    // Many requests at once on the one connection.
    let requests = (0..50).map(|_| {
        let mut sender = sender.clone();
        async move {
            let request = http::Request::get("https://localhost/send").body(Empty::<bytes::Bytes>::new()).unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!((answer.status(), answer.version()), (StatusCode::OK, http::Version::HTTP_2));
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            serde_json::from_slice::<Value>(&body).unwrap()
        }
    });
    for body in futures::future::join_all(requests).await {
        assert_eq!(body["service"], "web");
    }
    // Revoked in the middle of the connection: told without the header that HTTP/2 forbids.
    std::fs::write(bench.file("crl.pem"), bench.authority.crl(&[&web])).unwrap();
    bench.tls.reload().unwrap();
    let request = http::Request::get("https://localhost/send").body(Empty::<bytes::Bytes>::new()).unwrap();
    let answer = sender.clone().send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

/// A record of a service, or of none.
fn export(service: Option<&str>) -> ExportLogsServiceRequest {
    let attributes = service.map(|name| KeyValue {
        key: "service.name".to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(name.to_owned())) }),
        ..KeyValue::default()
    });
    let resource = Resource { attributes: attributes.into_iter().collect(), ..Resource::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default()], ..ScopeLogs::default() }];
    let resource = service.is_some().then_some(resource);
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }] }
}

/// A gRPC channel over one TLS connection.
async fn channel(bench: &Bench, own: Option<&Issued>) -> Result<Channel, String> {
    let stream = bench.connect(&bench.authority, own, "localhost", b"h2").await.map_err(|e| e.to_string())?;
    let mut stream = Some(TokioIo::new(stream));
    let connect = tower::service_fn(move |_: Uri| {
        let stream = stream.take().ok_or_else(|| std::io::Error::other("one connection only"));
        async move { stream }
    });
    let endpoint = Endpoint::from_static("https://localhost").user_agent("test").unwrap();
    endpoint.connect_with_connector(connect).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn grpc_knows_certificates_and_their_services() {
    let collect = Collect::with_auth(auth()).await;
    let routes = collect.collector.clone();
    let bench = Bench::with(ClientAuth::Optional, EdgeConfig::default(), |_| routes.grpc_router()).await;
    let web = bench.authority.dns("a.web.shop.test");
    let mut client = LogsServiceClient::new(channel(&bench, Some(&web)).await.unwrap());
    for service in [None, Some("unknown_service:node"), Some("cart")] {
        let answer = client.export(export(service)).await.unwrap();
        assert_eq!(answer.into_inner().partial_success, None);
    }
    let mut services = Vec::new();
    for message in collect.queued().await {
        assert_eq!(&*message.headers.project, "shop");
        let request = ExportLogsServiceRequest::decode(message.payload).unwrap();
        let attributes = &request.resource_logs[0].resource.as_ref().unwrap().attributes;
        assert_eq!(attributes.len(), 1);
        let Some(any_value::Value::StringValue(name)) = attributes[0].value.clone().unwrap().value else {
            panic!("{attributes:?}")
        };
        services.push(name);
    }
    services.sort_unstable();
    assert_eq!(services, ["cart", "web", "web"]);

    let mut request = tonic::Request::new(export(None));
    request.metadata_mut().insert("x-api-key", "bank".parse().unwrap());
    let status = client.export(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status}");
    assert!(status.message().contains("credentials_disagree"), "{status}");

    let mut stranger = LogsServiceClient::new(channel(&bench, None).await.unwrap());
    assert_eq!(stranger.export(export(None)).await.unwrap_err().code(), tonic::Code::Unauthenticated);
    std::fs::write(bench.file("crl.pem"), bench.authority.crl(&[&web])).unwrap();
    bench.tls.reload().unwrap();
    let status = client.export(export(None)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated, "{status}");
}

#[tokio::test]
async fn json_without_a_service_gets_the_certificates() {
    let collect = Collect::with_auth(auth()).await;
    let routes = collect.collector.clone();
    let bench = Bench::with(ClientAuth::Optional, EdgeConfig::default(), |_| routes.router()).await;
    let web = bench.authority.dns("a.web.shop.test");
    let stream = bench.connect(&bench.authority, Some(&web), "localhost", b"http/1.1").await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let body = "{\"message\":\"a\"}\n{\"message\":\"b\",\"service\":\"cart\"}\n{\"message\":\"c\"}\n";
    let request = http::Request::post("/v1/ingest").header("host", "localhost").body(body.to_owned()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), StatusCode::OK);
    let message = collect.queued().await.pop().unwrap();
    assert_eq!((&*message.headers.project, message.headers.records), ("shop", 3));
    let limits = model::limits::Limits::default();
    let context = model::otlp::DecodeContext { project: "shop", received: 1, origin: 0, limits: &limits };
    let mut seen = Vec::new();
    model::otlp::decode(&message.payload, &context, &mut |_, record| {
        let record = record.unwrap();
        seen.push(format!("{} {}", record.message, record.service));
    })
    .unwrap();
    assert_eq!(seen, ["a web", "b cart", "c web"]);
}

#[tokio::test]
async fn the_live_tail_speaks_over_tls() {
    let query = Query::new().await;
    let mut state = query.state.clone();
    state.server.auth = auth();
    let bench =
        Bench::with(ClientAuth::Optional, EdgeConfig::default(), |server| edge::wrap(api_router(state), server)).await;
    let bank = rcgen::SanType::URI("spiffe://test/bank/reader".try_into().unwrap());
    let bank = bench.authority.issue("", &[bank], (-60, 600));
    for (own, key) in [(Some(&bank), None), (None, Some("shop"))] {
        let stream = bench.connect(&bench.authority, own, "localhost", b"http/1.1").await.unwrap();
        let mut request = "wss://localhost/api/v1/tail".into_client_request().unwrap();
        if let Some(key) = key {
            request.headers_mut().insert("x-api-key", key.parse().unwrap());
        }
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        socket.send(Message::text("{\"q\":\"\"}")).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
        let answer: Value = serde_json::from_str(answer.to_text().unwrap()).unwrap();
        assert_eq!(answer["type"], "ready", "{answer}");
    }
    let stream = bench.connect(&bench.authority, None, "localhost", b"http/1.1").await.unwrap();
    assert!(tokio_tungstenite::client_async("wss://localhost/api/v1/tail", stream).await.is_err());
}
