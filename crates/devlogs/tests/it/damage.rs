//! A message of the queue that does not read: its partition stands still until the operator gives it up.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Options, PATIENCE, Server, client, folder};

/// Flips a bit of a stored text in the queue's only partition.
fn flip(queue: &Path, text: &str) {
    for entry in std::fs::read_dir(queue.join("partitions/0000")).expect("a partition").flatten() {
        let mut bytes = std::fs::read(entry.path()).expect("readable");
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
            bytes[at] ^= 1;
            return std::fs::write(entry.path(), bytes).expect("written");
        }
    }
    panic!("no segment holds {text:?}");
}

async fn metrics(server: &Server) -> String {
    let answer = server.http.get(format!("{}/metrics", server.ops)).send().await.expect("an answer");
    answer.text().await.expect("text")
}

/// The status of the queue's only partition.
async fn partition(server: &Server) -> Value {
    server.get("/api/v1/status").await.1["queue"]["partitions"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_message_is_shown_and_passed_over_by_the_operators_word_only() {
    const METRIC: &str = "devlogs_processor_damaged_position{partition=\"0\"} 7";
    let dir = folder();
    // Nothing is flushed, so that all records are read from the queue again.
    let environment = [("DEVLOGS_STORE__EMBEDDED__FLUSH_AGE", "1h"), ("DEVLOGS_QUEUE__EMBEDDED__PARTITIONS", "1")];
    let start = || Server::start(Options { dir: dir.path(), arguments: &["--dev"], environment: &environment });
    let server = start().await;
    for n in 0..20 {
        assert_eq!(server.ingest(format!("{{\"msg\":\"line-{n}.\"}}")).await.0, 200);
    }
    server.search_until("", 20).await;
    server.kill().await;
    flip(&dir.path().join("queue"), "line-7.");

    let server = start().await;
    assert_eq!(server.search_until("", 7).await.len(), 7, "what stands before");
    let since = std::time::Instant::now();
    while !metrics(&server).await.contains(METRIC) {
        assert!(since.elapsed() < PATIENCE, "{}", metrics(&server).await);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let damage = partition(&server).await["damage"].clone();
    assert_eq!((&damage["from"], &damage["to"]), (&json!(7), &json!(8)), "{damage}");
    assert_eq!(server.ingest("{\"msg\":\"after\"}").await.0, 200, "the collector goes on");

    let (code, _, shown) = client(&server, &["queue", "skip", "--partition", "0"]).await;
    assert!(code == Some(1) && shown.contains("devlogs queue skip --partition 0 --to 8"), "{code:?} {shown}");
    let (code, _, refused) = client(&server, &["queue", "skip", "--partition", "0", "--to", "9"]).await;
    assert!(code == Some(1) && refused.contains("from 7 to before 8"), "{code:?} {refused}");
    assert_eq!(server.search("").await.len(), 7, "nothing is passed over yet");

    let (code, _, told) = client(&server, &["queue", "skip", "--partition", "0", "--to", "8"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(server.search_until("", 20).await.len(), 20);
    assert!(partition(&server).await["damage"].is_null());
    assert!(!metrics(&server).await.contains("devlogs_processor_damaged_position{"));
    let (_, ledger) = server.get("/api/v1/ledger?project=*").await;
    let lost: Vec<_> = ledger["ledger"].as_array().expect("rows").iter().filter(|row| row["lost"] != 0).collect();
    assert_eq!((lost.len(), &lost[0]["project"], &lost[0]["lost"]), (1, &json!(""), &json!(1)), "{ledger}");
    assert_eq!(ledger["balanced"], true, "{ledger}");

    let (code, _, told) = client(&server, &["queue", "skip", "--partition", "0"]).await;
    assert!(code == Some(0) && told.contains("reads"), "{code:?} {told}");
    assert_eq!(server.stop().await.1, Some(0));
    let server = start().await;
    assert_eq!(server.search_until("", 20).await.len(), 20, "it stays behind the damage");
    server.kill().await;
}
