//! Records that can't be stored: buried with a reason, seen, sent again, dropped.

use serde_json::{Value, json};

use crate::harness::{Options, PATIENCE, Server, client, devlogs, folder};

async fn letters(server: &Server) -> Vec<Value> {
    let (code, out, err) = client(server, &["dead-letters", "list", "--output", "json"]).await;
    assert_eq!(code, Some(0), "{err}");
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

pub(crate) async fn letters_until(server: &Server, count: usize) -> Vec<Value> {
    let since = std::time::Instant::now();
    loop {
        let letters = letters(server).await;
        if letters.len() == count {
            return letters;
        }
        assert!(since.elapsed() < PATIENCE, "{letters:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn ledger(server: &Server) -> Value {
    let (_, ledger) = server.get("/api/v1/ledger?project=*").await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    let sum = |name: &str| -> u64 {
        ledger["ledger"].as_array().into_iter().flatten().filter_map(|row| row[name].as_u64()).sum()
    };
    json!([sum("received"), sum("stored"), sum("dead_lettered"), sum("lost")])
}

/// With a limit, and with nothing flushed, so that after a kill all records are read from the queue again.
fn environment(attributes_max: &str) -> [(&str, &str); 2] {
    [("DEVLOGS_STORE__EMBEDDED__FLUSH_AGE", "1h"), ("DEVLOGS_COLLECTOR__ATTRIBUTES_MAX", attributes_max)]
}

/// A limit that was lowered makes records of the queue's tail too large after a crash.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_can_not_be_stored_is_buried_sent_again_or_dropped() {
    const WIDE: &str = r#"{"msg":"too wide","a":1,"b":2,"c":3,"d":4}"#;
    let dir = folder();
    let (wide, narrow) = (environment("1000"), environment("3"));
    let server = Server::start(Options { environment: &wide, ..Options::dev(dir.path()) }).await;
    let body = format!("{{\"msg\":\"before\"}}\n{WIDE}\n{{\"msg\":\"after\",\"a\":1}}\n{WIDE}\n");
    assert_eq!(server.ingest(body).await.1["accepted"], 4);
    let first = server.search_until("", 4).await;
    server.kill().await;

    let server = Server::start(Options { environment: &narrow, ..Options::dev(dir.path()) }).await;
    let buried = letters_until(&server, 2).await;
    assert_eq!(server.search_until("", 2).await.len(), 2, "the others of its request are stored");
    for letter in &buried {
        let reason = letter["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("attributes") && reason.contains('3'), "{letter}");
        assert_eq!(letter["record"]["message"], "too wide", "{letter}");
        assert!(first.iter().any(|record| record["id"] == letter["id"]), "it keeps its id");
    }
    assert_eq!(ledger(&server).await, json!([4, 2, 2, 0]));
    let id = |at: usize| buried[at]["id"].as_str().expect("an id").to_owned();
    let (code, shown, _) = client(&server, &["dead-letters", "show", &id(0), "--output", "json"]).await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((code, &shown["record"]["attributes"]["d"]), (Some(0), &json!(4)));

    // Sent again it fails again, and is still there under its id.
    let (code, _, err) = client(&server, &["dead-letters", "retry", &id(0)]).await;
    assert_eq!(code, Some(0), "{err}");
    let again = letters_until(&server, 2).await;
    assert!(again.iter().any(|letter| letter["id"] == id(0).as_str()), "{again:?}");
    assert_eq!(ledger(&server).await, json!([5, 2, 3, 0]), "each try is received and buried");
    assert_eq!(server.stop().await.1, Some(0));

    // Sent again while no server runs, it is processed when the next one starts.
    let retried =
        devlogs().args(["dead-letters", "retry", &id(0), "--data-dir"]).arg(dir.path()).output().await.expect("runs");
    assert!(retried.status.success(), "{retried:?}");
    let server = Server::start(Options { environment: &wide, ..Options::dev(dir.path()) }).await;
    let found = server.search_until("wide", 1).await;
    assert_eq!(found[0]["id"], id(0).as_str(), "it keeps its id");
    let (code, _, err) = client(&server, &["dead-letters", "drop", &id(1)]).await;
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(letters(&server).await, Vec::<Value>::new());
    let (code, _, err) = client(&server, &["dead-letters", "drop", &id(1)]).await;
    assert!(code == Some(1) && err.contains("no dead letter"), "{code:?} {err}");
    assert_eq!(ledger(&server).await, json!([6, 3, 3, 0]));
    assert_eq!(server.search("").await.len(), 3);
    let (code, out, err) = client(&server, &["verify", "--url", &server.api]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_survive_a_kill_and_are_put_once() {
    let dir = folder();
    let (wide, narrow) = (environment("1000"), environment("1"));
    let server = Server::start(Options { environment: &wide, ..Options::dev(dir.path()) }).await;
    assert_eq!(server.ingest(r#"{"msg":"wide","a":1,"b":2}"#).await.0, 200);
    server.search_until("", 1).await;
    server.kill().await;
    let mut buried = Vec::new();
    // The range is processed again after each kill: its position was never durable in the store.
    for _ in 0..3 {
        let server = Server::start(Options { environment: &narrow, ..Options::dev(dir.path()) }).await;
        buried.push(letters_until(&server, 1).await[0]["id"].clone());
        server.kill().await;
    }
    assert!(buried.iter().all(|id| *id == buried[0]), "{buried:?}");
}
