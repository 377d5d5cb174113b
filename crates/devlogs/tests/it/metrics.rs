//! What is documented about metrics is what there is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::harness::{Options, PATIENCE, Server, folder};

const REFERENCE: &str = include_str!("../../../../docs/reference/metrics.md");

/// The names in the first column of the reference's tables.
fn documented() -> BTreeSet<String> {
    let rows = REFERENCE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

/// What shows up only once it has happened, in ways that this test has no part in.
const SELDOM: [&str; 4] = [
    "devlogs_processor_damaged_position",
    "devlogs_processor_retries_total",
    "devlogs_tls_handshakes_total",
    "devlogs_tls_reloads_total",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented_and_every_documented_one_exists() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    server.ingest("{\"msg\":\"taken\"}\n{}").await;
    server.search_until("taken", 1).await;
    // The lag is told with the next commit of a position.
    let since = Instant::now();
    let mut text = metrics(&server).await;
    while !text.contains("\ndevlogs_queue_lag_messages{") && since.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
        text = metrics(&server).await;
    }
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let live: BTreeSet<_> = types
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total"),
            _ => name.to_owned(),
        })
        .collect();
    assert!(live.len() > 30, "{text}");
    let documented = documented();
    let missing: Vec<_> = live.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/reference/metrics.md says nothing of {missing:?}");
    let invented: Vec<_> = documented.difference(&live).filter(|name| !SELDOM.contains(&name.as_str())).collect();
    assert!(invented.is_empty(), "docs/reference/metrics.md names what there is not: {invented:?}");
    assert!(live.iter().all(|name| name.starts_with("devlogs_")), "{live:?}");
}

async fn metrics(server: &Server) -> String {
    let answer = server.http.get(format!("{}/metrics", server.ops)).send().await.expect("an answer");
    answer.text().await.expect("text")
}
