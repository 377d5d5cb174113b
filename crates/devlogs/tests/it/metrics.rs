//! What is documented about metrics is what there is.

use std::collections::BTreeSet;

use crate::harness::{Options, Server, folder};

const REFERENCE: &str = include_str!("../../../../docs/reference/metrics.md");

/// The names in the first column of the reference's tables.
fn documented() -> BTreeSet<String> {
    let rows = REFERENCE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented_and_every_documented_one_exists() {
    let dir = folder();
    let server = Server::start(Options::dev(dir.path())).await;
    let answer = server.http.get(format!("{}/metrics", server.ops)).send().await.expect("an answer");
    let text = answer.text().await.expect("text");
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
    let invented: Vec<_> = documented.difference(&live).collect();
    assert!(invented.is_empty(), "docs/reference/metrics.md names what there is not: {invented:?}");
    assert!(live.iter().all(|name| name.starts_with("devlogs_")), "{live:?}");
}
