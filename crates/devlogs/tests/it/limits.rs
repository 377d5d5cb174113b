//! Memory, start and stop.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Options, Server, answer, folder};

/// Resident memory of a process.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a resident size");
    let kibibytes: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kibibytes << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_is_small() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    server.ingest("{\"msg\":\"hello\"}").await;
    server.search_until("hello", 1).await;
    let bytes = resident_bytes(server.child.id().expect("running"));
    assert!(bytes < 100 << 20, "{} MiB", bytes >> 20);
}

/// A message is any text, so its depth has no limit of its own, whatever a statement makes of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deep_message_is_nothing_to_a_statement() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    assert_eq!(server.ingest(json!({ "message": deep }).to_string()).await.0, 200);
    server.search_until("", 1).await;
    let sql = json!({ "sql": "SELECT json_get(message, 'a') FROM logs" });
    let (status, body) = answer(server.http.post(format!("{}/api/v1/sql", server.api)).json(&sql)).await;
    assert_eq!((status, &body["rows"]), (200, &json!([[null]])), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_have_health_and_metrics() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    server.ingest("{\"msg\":\"hello\"}").await;
    server.search_until("hello", 1).await;
    for base in [&server.ops, &server.api, &server.collector] {
        for path in ["/healthz", "/readyz"] {
            let answer = server.http.get(format!("{base}{path}")).send().await.expect("an answer");
            assert_eq!(answer.status(), 200, "{base}{path}");
        }
    }
    let answer = server.http.get(format!("{}/metrics", server.ops)).send().await.expect("an answer");
    let text = answer.text().await.expect("text");
    for name in ["devlogs_queue_appends_total", "devlogs_processor_records_total", "devlogs_queries_running"] {
        assert!(text.contains(name), "{name} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_server_stops_soon_with_nothing_lost() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let url = format!("{}/v1/ingest", server.collector);
    let http = server.http.clone();
    let sender = tokio::spawn(async move {
        let mut acknowledged = 0;
        for n in 0.. {
            let lines: String = (0..50).map(|k| format!("{{\"msg\":\"line {n} {k}\"}}\n")).collect();
            match http.post(&url).body(lines).send().await {
                Ok(answer) if answer.status() == 200 => acknowledged += 50,
                _ => break,
            }
        }
        acknowledged
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (took, code) = server.stop().await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    let acknowledged: usize = sender.await.expect("ended");
    assert!(acknowledged > 0);

    let since = Instant::now();
    let server = Server::start(Options::dev(dir.path())).await;
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    let (_, body) = server.get("/api/v1/aggregate?from=0&metrics=count").await;
    // A request whose answer was cut off may have been stored too.
    let stored = body["rows"][0]["metrics"]["count"].as_u64().expect("a count") as usize;
    assert!((acknowledged..=acknowledged + 50).contains(&stored), "{acknowledged} acknowledged, {stored} stored");
}
