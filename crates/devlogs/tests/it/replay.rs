//! `devlogs replay`: the queue's messages once more.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Options, PATIENCE, Server, client, folder};

/// What a replay of the last hour says, which must succeed.
pub(crate) async fn replay(server: &Server, more: &[&str]) -> Value {
    let arguments = [&["replay", "--from", "-1h", "--output", "json"][..], more].concat();
    let (code, out, err) = client(server, &arguments).await;
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).expect("one line of JSON")
}

pub(crate) fn ids(records: &[Value]) -> Vec<&Value> {
    records.iter().map(|record| &record["id"]).collect()
}

pub(crate) async fn assert_sound(server: &Server) {
    let (code, out, err) = client(server, &["verify", "--url", &server.api]).await;
    assert_eq!(code, Some(0), "{out}{err}");
}

fn lines(count: usize) -> String {
    (0..count).map(|n| format!("{{\"msg\":\"line {n}\",\"n\":{n}}}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_not_stored_again() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    for _ in 0..3 {
        assert_eq!(server.ingest(lines(100)).await.1["accepted"], 100);
    }
    let before = server.search_until("", 300).await;
    for _ in 0..2 {
        let report = replay(&server, &[]).await;
        assert_eq!(report, json!({ "messages": 3, "records": 300, "stored": 0, "damaged": 0 }));
    }
    assert_eq!(ids(&server.search("").await), ids(&before));
    let report = replay(&server, &["--to", "-30m"]).await;
    assert_eq!(report["messages"], 0, "the times are those of receipt: {report}");
    assert_sound(&server).await;
    server.kill().await;
}

/// A retention that was set too short has removed records that the queue still holds.
#[tokio::test(flavor = "multi_thread")]
async fn missing_records_are_stored_again_under_their_ids() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    assert_eq!(server.ingest(lines(200)).await.1["accepted"], 200);
    let before = server.search_until("", 200).await;
    assert_eq!(server.stop().await.1, Some(0));

    let short = [("DEVLOGS_STORE__EMBEDDED__RETENTION_SIZE", "1KiB")];
    let server = Server::start(Options { environment: &short, ..Options::dev(dir.path()) }).await;
    let since = Instant::now();
    while !server.search("").await.is_empty() {
        assert!(since.elapsed() < PATIENCE, "retention removes the records");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.stop().await.1, Some(0));

    let server = Server::start(Options::dev(dir.path())).await;
    assert!(server.search("").await.is_empty());
    assert_eq!(server.ingest(lines(1)).await.0, 200);
    server.search_until("", 1).await;
    let report = replay(&server, &[]).await;
    assert_eq!((&report["records"], &report["stored"]), (&json!(201), &json!(200)), "{report}");
    let after = server.search("").await;
    assert_eq!(after.len(), 201);
    let after = ids(&after);
    assert!(ids(&before).iter().all(|id| after.contains(id)), "the ids are the same");
    assert_eq!(replay(&server, &[]).await["stored"], 0, "once");
    let (_, ledger) = server.get("/api/v1/ledger?project=*").await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    assert_sound(&server).await;
    server.kill().await;
    // What a replay stored survives.
    let server = Server::start(Options::dev(dir.path())).await;
    assert_eq!(server.search_until("", 201).await.len(), 201);
    server.kill().await;
}

/// A store that was lost as a whole stands where a new one begins: the queue fills it without being asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_store_is_filled_again_from_the_queue() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    assert_eq!(server.ingest(lines(50)).await.1["accepted"], 50);
    let before = server.search_until("", 50).await;
    assert_eq!(server.stop().await.1, Some(0));
    std::fs::remove_dir_all(dir.path().join("store")).expect("removed");
    let server = Server::start(Options::dev(dir.path())).await;
    assert_eq!(ids(&server.search_until("", 50).await), ids(&before));
    assert_eq!(replay(&server, &[]).await["stored"], 0);
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_the_queue_no_longer_holds_is_refused() {
    let dir = folder();
    let environment = [("DEVLOGS_QUEUE__EMBEDDED__PARTITIONS", "1"), ("DEVLOGS_QUEUE__EMBEDDED__RETENTION_AGE", "1s")];
    let start = || Server::start(Options { dir: dir.path(), arguments: &["--dev"], environment: &environment });
    let server = start().await;
    assert_eq!(server.ingest(lines(10)).await.0, 200);
    server.search_until("", 10).await;
    // A stop makes it durable in the store and begins a new segment: the old one may go.
    assert_eq!(server.stop().await.1, Some(0));
    let server = start().await;
    assert_eq!(server.ingest(lines(5)).await.0, 200);
    server.search_until("", 15).await;
    let since = Instant::now();
    while server.get("/api/v1/status").await.1["queue"]["partitions"][0]["oldest"] == 0 {
        assert!(since.elapsed() < PATIENCE, "the queue drops its oldest segment");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (code, _, err) = client(&server, &["replay", "--from", "-1h"]).await;
    assert!(code == Some(1) && err.contains("the queue holds all messages received since 20"), "{code:?} {err}");
    assert_eq!(replay(&server, &["--partial"]).await, json!({"messages": 1, "records": 5, "stored": 0, "damaged": 0}));
    let (status, problem) = crate::harness::answer(
        server.http.post(format!("{}/api/v1/replay", server.api)).json(&json!({ "from": "-1h" })),
    )
    .await;
    assert_eq!((status, &problem["code"]), (422, &json!("unprocessable")), "{problem}");
    server.kill().await;
}
