//! A line from a client to every way of reading it, on one machine.

use std::time::{Duration, Instant};

use futures::SinkExt;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Options, PATIENCE, Server, answer, folder, next_frame, tail};

const LINE: &str = r#"{"timestamp":"2026-11-22T10:00:00.123456789Z","level":"error","service":"shop-web","host":"web-1","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","msg":"upstream Connection reset by peer","http":{"status_code":502},"duration_ms":12.5,"cached":false,"tags":["a",1]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_found_whole_by_every_way_of_reading() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    assert_eq!(server.ingest(LINE).await, (200, json!({ "accepted": 1, "rejected": 0, "errors": [] })));
    let found = server.search_until("\"connection reset\" http.status_code>=500", 1).await;
    let record = &found[0];
    let expected = json!({
        "id": record["id"], "observed_timestamp": record["observed_timestamp"],
        "timestamp": "2026-11-22T10:00:00.123456789Z", "project": "default", "service": "shop-web", "host": "web-1",
        "level": "error", "severity_number": 17, "message": "upstream Connection reset by peer",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "attributes": { "http.status_code": 502, "duration_ms": 12.5, "cached": false, "tags": ["a", 1] },
    });
    let mut got = record.clone();
    if let Some(members) = got.as_object_mut() {
        members.remove("resource");
    }
    assert_eq!(got, expected);

    let all = "from=2026-11-22T09:00:00Z&to=2026-11-22T11:00:00Z";
    let (_, histogram) = server.get(&format!("/api/v1/histogram?{all}&interval=1h&group_by=level")).await;
    assert_eq!(histogram["interval_ms"], 3_600_000);
    let counts: Vec<_> = histogram["buckets"].as_array().expect("buckets").iter().map(|b| b["count"].clone()).collect();
    assert_eq!(counts, [json!(0), json!(1)], "{histogram}");
    assert_eq!(histogram["buckets"][1]["groups"]["error"], 1);

    let (_, rows) =
        server.get(&format!("/api/v1/aggregate?{all}&group_by=service&metrics=count,p95(duration_ms)")).await;
    assert_eq!(rows["rows"][0]["group"]["service"], "shop-web", "{rows}");
    assert_eq!(rows["rows"][0]["metrics"], json!({ "count": 1, "p95(duration_ms)": 12.5 }));

    let (_, values) = server.get(&format!("/api/v1/fields/http.status_code/values?{all}")).await;
    assert_eq!(values["values"], json!([{ "value": 502, "count": 1 }]), "{values}");

    let id = record["id"].as_str().expect("an id");
    let (status, context) = server.get(&format!("/api/v1/context/{id}?before=5&after=5")).await;
    assert_eq!((status, &context["record"]["id"]), (200, &record["id"]), "{context}");
    let (status, unknown) = server.get(&format!("/api/v1/context/{}", "0".repeat(40))).await;
    assert_eq!((status, unknown["status"].as_u64()), (404, Some(404)), "{unknown}");

    let sql = json!({ "sql": "SELECT service, count(*) AS n FROM logs GROUP BY service" });
    let (status, table) = answer(server.http.post(format!("{}/api/v1/sql", server.api)).json(&sql)).await;
    assert_eq!((status, &table["rows"]), (200, &json!([["shop-web", 1]])), "{table}");

    for (format, part) in [("ndjson", "\"upstream Connection reset by peer\""), ("csv", "upstream Connection reset")] {
        let url = format!("{}/api/v1/export?{all}&format={format}", server.api);
        let text = server.http.get(url).send().await.expect("an answer").text().await.expect("text");
        assert!(text.contains(part), "{format}: {text}");
    }
    let url = format!("{}/api/v1/export?{all}&format=parquet", server.api);
    let bytes = server.http.get(url).send().await.expect("an answer").bytes().await.expect("bytes");
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{} bytes", bytes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_can_be_sent_back() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    server.ingest(LINE).await;
    let first = server.search_until("", 1).await.remove(0);
    let body = first.to_string();
    assert_eq!(server.ingest(body).await.0, 200);
    let both = server.search_until("", 2).await;
    for member in ["timestamp", "service", "host", "level", "severity_number", "message", "trace_id", "attributes"] {
        assert_eq!(both[0][member], both[1][member], "{member}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opentelemetry_over_http_and_grpc_is_the_same_record() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let text = |text: &str| Some(AnyValue { value: Some(Any::StringValue(text.to_owned())) });
    let attribute = |key: &str, value| KeyValue { key: key.to_owned(), value, ..KeyValue::default() };
    let record = LogRecord {
        time_unix_nano: 1_790_000_000_000_000_001,
        severity_number: 13,
        body: text("disk nearly full"),
        attributes: vec![attribute("free", Some(AnyValue { value: Some(Any::IntValue(7)) }))],
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        ..LogRecord::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", text("node")), attribute("region", text("north"))],
                ..Resource::default()
            }),
            scope_logs: vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    };
    let mut grpc = LogsServiceClient::connect(server.grpc.clone()).await.expect("connected");
    grpc.export(request.clone()).await.expect("accepted");
    let http = server
        .http
        .post(format!("{}/v1/logs", server.collector))
        .header("content-type", "application/x-protobuf")
        .body(request.encode_to_vec())
        .send()
        .await
        .expect("an answer");
    assert_eq!(http.status(), 200);
    let found = server.search_until("service:node level:warn resource.region:north free:7 disk", 2).await;
    for record in &found {
        assert_eq!(record["timestamp"], "2026-09-21T14:13:20.000000001Z");
        assert_eq!(record["trace_id"], "01".repeat(16));
        assert_eq!(record["attributes"], json!({ "free": 7 }));
        assert_eq!(record["resource"], json!({ "region": "north" }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_there_again_after_a_restart_with_the_same_ids() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let lines: String = (0..500).map(|n| format!("{{\"msg\":\"line {n}\",\"n\":{n}}}\n")).collect();
    assert_eq!(server.ingest(lines).await.1["accepted"], 500);
    let before = server.search_until("", 500).await;
    assert_eq!(server.stop().await.1, Some(0));
    let server = Server::start(Options::dev(dir.path())).await;
    let after = server.search_until("", 500).await;
    assert_eq!(ids(&before), ids(&after));
    let (_, ledger) = server.get("/api/v1/ledger").await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
}

fn ids(records: &[Value]) -> Vec<&str> {
    records.iter().filter_map(|record| record["id"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_complete_and_free_of_repeats_while_lines_come_in() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let lines: String = (0..2_000).map(|n| format!("{{\"msg\":\"old\",\"n\":{n}}}\n")).collect();
    server.ingest(lines).await;
    server.search_until("old", 2_000).await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        server.ingest("{\"msg\":\"new\"}").await;
        let (status, page) = server.get(&format!("/api/v1/search?limit=137{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        let records = page["records"].as_array().expect("records");
        seen.extend(records.iter().filter_map(|record| record["attributes"]["n"].as_u64()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..2_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tail_shows_matching_lines_within_moments() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let mut socket = tail(&server, "level:error").await;
    let since = Instant::now();
    server.ingest("{\"msg\":\"fine\",\"level\":\"info\"}\n{\"msg\":\"broken\",\"level\":\"error\"}").await;
    let message = next_frame(&mut socket).await;
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert_eq!(message["type"], "records", "{message}");
    let records = message["records"].as_array().expect("records");
    assert_eq!((records.len(), &records[0]["message"]), (1, &json!("broken")));

    socket.send(Message::text(r#"{"q":"fine AND ("}"#)).await.expect("sent");
    assert_eq!(next_frame(&mut socket).await["type"], "error");
    socket.send(Message::text(r#"{"q":"fine"}"#)).await.expect("sent");
    assert_eq!(next_frame(&mut socket).await, json!({ "type": "ready", "q": "fine" }));
    server.ingest("{\"msg\":\"fine again\"}").await;
    assert_eq!(next_frame(&mut socket).await["records"][0]["message"], "fine again");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_dev_every_door_asks_for_a_key_and_a_key_opens_its_own_only() {
    let dir = folder();
    let server = Server::start(Options { dir: dir.path(), arguments: &[], environment: &[] }).await;
    let file = server.ready["secrets_file"].as_str().expect("made on the first start").to_owned();
    let secrets: Value = serde_json::from_slice(&std::fs::read(&file).expect("readable")).expect("JSON");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let key = |name: &str| secrets[name].as_str().expect("a key").to_owned();

    assert_eq!(server.ingest(LINE).await.0, 401);
    assert_eq!(server.get("/api/v1/search").await.0, 401);
    let ingest =
        |key: String| answer(server.http.post(format!("{}/v1/ingest", server.collector)).bearer_auth(key).body(LINE));
    let search =
        |key: String| answer(server.http.get(format!("{}/api/v1/search?from=0", server.api)).header("x-api-key", key));
    assert_eq!(ingest(key("query_key")).await.0, 403);
    assert_eq!(ingest("dl_wrong".to_owned()).await.0, 401);
    assert_eq!(ingest(key("ingest_key")).await.0, 200);
    assert_eq!(search(key("ingest_key")).await.0, 403);
    let since = Instant::now();
    while search(key("query_key")).await.1["records"].as_array().is_none_or(Vec::is_empty) {
        assert!(since.elapsed() < PATIENCE, "the record is never found");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // A second project sees nothing of the first.
    let admin = key("admin_key");
    let post = |path: &str, body: Value| {
        answer(server.http.post(format!("{}{path}", server.api)).bearer_auth(&admin).json(&body))
    };
    let (status, body) = post("/api/v1/projects", json!({ "name": "other" })).await;
    assert!(status == 200 || status == 201, "{status} {body}");
    let (status, made) =
        post("/api/v1/keys", json!({ "name": "reader", "project": "other", "scopes": ["query"] })).await;
    assert!(status == 200 || status == 201, "{status} {made}");
    let other = made["key"].as_str().expect("shown once").to_owned();
    assert_eq!(search(other.clone()).await.1["records"], json!([]));
    let sql = json!({ "sql": "SELECT count(*) AS n FROM logs" });
    let (_, table) =
        answer(server.http.post(format!("{}/api/v1/sql", server.api)).bearer_auth(&other).json(&sql)).await;
    assert_eq!(table["rows"], json!([[0]]), "{table}");
    // A second start keeps its keys and says nothing of secrets.
    server.stop().await;
    let again = Server::start(Options { dir: dir.path(), arguments: &[], environment: &[] }).await;
    assert!(again.ready["secrets_file"].is_null());
}
