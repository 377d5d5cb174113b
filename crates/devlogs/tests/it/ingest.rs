//! What the collector does with what it should not get.

use std::io::Write;

use serde_json::{Value, json};

use crate::harness::{Options, Server, answer, folder};

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_line_is_named_and_the_others_are_stored() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let body = "{\"msg\":\"one\"}\n{\"msg\":\"two\"}\n{\"msg\": oops}\n{\"msg\":\"four\"}\n{\"msg\":\"five\"}\n";
    let (status, body) = server.ingest(body).await;
    assert_eq!((status, body["accepted"].as_u64(), body["rejected"].as_u64()), (200, Some(4), Some(1)), "{body}");
    assert_eq!(body["errors"][0]["index"], 2);
    assert!(body["errors"][0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    assert_eq!(server.search_until("", 4).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_refused_without_the_memory() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let before = resident_bytes(&server);
    let mut encoder = zstd_bomb();
    let request = server
        .http
        .post(format!("{}/v1/ingest", server.collector))
        .header("content-encoding", "zstd")
        .body(std::mem::take(&mut encoder));
    let (status, body) = answer(request).await;
    assert_eq!((status, body["status"].as_u64()), (413, Some(413)), "{body}");
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(grown < 48 << 20, "grew by {} MiB", grown >> 20);
}

/// A gigabyte of zeros.
fn zstd_bomb() -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    let zeros = vec![0; 1 << 20];
    for _ in 0..1024 {
        encoder.write_all(&zeros).expect("written");
    }
    encoder.finish().expect("finished")
}

fn resident_bytes(server: &Server) -> u64 {
    crate::limits::resident_bytes(server.child.id().expect("running"))
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_records_are_stored_as_documented() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let long_key = "k".repeat(1 << 20);
    let deep = format!("{{\"msg\":\"deep\",\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for (name, body, status, accepted) in [
        ("nesting", deep.into_bytes(), 400, 0),
        ("a key of a megabyte", format!("{{\"msg\":\"k\",\"{long_key}\":1}}").into_bytes(), 400, 0),
        ("not UTF-8", b"{\"msg\":\"\xff\xfe\"}".to_vec(), 400, 0),
        ("an empty object", b"{}".to_vec(), 400, 0),
        ("not JSON", b"hello".to_vec(), 400, 0),
        ("NUL", b"{\"msg\":\"nul \\u0000 end\"}".to_vec(), 200, 1),
        ("the year 9999", b"{\"msg\":\"late\",\"time\":\"9999-01-01T00:00:00Z\"}".to_vec(), 200, 1),
        ("equal keys", b"{\"msg\":\"twice\",\"a\":1,\"a\":2}".to_vec(), 200, 1),
        ("dots and nesting", b"{\"msg\":\"dots\",\"a.b\":1,\"a\":{\"b\":2}}".to_vec(), 200, 1),
        ("beyond 64 bits", b"{\"msg\":\"big\",\"n\":123456789012345678901234567890}".to_vec(), 200, 1),
    ] {
        let (got, body) = server.ingest(body).await;
        assert_eq!((got, body["accepted"].as_u64().unwrap_or(0)), (status, accepted), "{name}: {body}");
        if status == 400 {
            assert!(body["code"].is_string(), "{name}: {body}");
        }
    }
    let records = server.search_until("", 5).await;
    let by = |message: &str| {
        records.iter().find(|record| record["message"].as_str().is_some_and(|m| m.starts_with(message))).expect(message)
    };
    assert_eq!(by("nul")["message"], "nul \u{fffd} end");
    assert_eq!(by("late")["attributes"]["timestamp.invalid"], "9999-01-01T00:00:00Z");
    assert_eq!(by("twice")["attributes"], json!({ "a": 2 }));
    assert_eq!(by("dots")["attributes"], json!({ "a.b": 2 }));
    assert_eq!(by("big")["attributes"]["n"], "123456789012345678901234567890");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_stores_once_and_another_body_is_refused_over_restarts() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let first = keyed(&server, "{\"msg\":\"order placed\"}").await;
    assert_eq!(first.0, 200);
    assert_eq!(keyed(&server, "{\"msg\":\"order placed\"}").await, first);
    assert_eq!(keyed(&server, "{\"msg\":\"another\"}").await.0, 422);
    server.kill().await;
    let server = Server::start(Options::dev(dir.path())).await;
    server.search_until("", 1).await;
    assert_eq!(keyed(&server, "{\"msg\":\"order placed\"}").await, first);
    assert_eq!(keyed(&server, "{\"msg\":\"another\"}").await.0, 422);
    server.ingest("{\"msg\":\"last\"}").await;
    server.search_until("last", 1).await;
    assert_eq!(server.search("order").await.len(), 1);
}

async fn keyed(server: &Server, body: &'static str) -> (u16, Value) {
    let request = server.http.post(format!("{}/v1/ingest", server.collector));
    answer(request.header("idempotency-key", "order-1").body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn development_mode_is_for_this_machine_only() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    for (header, value) in [("host", "logs.example.com"), ("origin", "https://evil.example.com")] {
        for url in [format!("{}/v1/ingest", server.collector), format!("{}/api/v1/sql", server.api)] {
            let (status, body) = answer(server.http.post(&url).header(header, value).body("{}")).await;
            assert_eq!(status, 403, "{header} {url}: {body}");
        }
    }
    let mut command = crate::harness::serve(&Options {
        dir: &dir.path().join("second"),
        arguments: &["--dev"],
        environment: &[("DEVLOGS_API__LISTEN", "0.0.0.0:0")],
    });
    let refused = command.output().await.expect("runs");
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
}
