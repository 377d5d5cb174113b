//! The real TimescaleDB: the same contract and answers, compressed or not. It is slow and has one session, so the cases
//! share servers and use few records.

use std::sync::Arc;
use std::time::Duration;

use model::cursor::Order;
use model::query::Field;
use store::conformance::generate::{self, Random};
use store::conformance::{compare, run, sorted_fields};
use store::{Aggregate, Metric, MetricFn, QueryLimits, Scan, Search, Store};
use test_backends::timescale::Timescale;

use super::retention::aged;
use super::{PostgresStore, assert_exact, config, open, range, write_until};
use crate::PostgresConfig;

#[tokio::test(flavor = "multi_thread")]
async fn timescale_keeps_the_contract_and_gives_the_answers_of_the_reference() {
    let server = Timescale::start();
    let store = open(config(server.url())).await;
    run(&store).await;
    for seed in 1..=2 {
        compare(&store, seed, 80, 10).await;
    }
}

/// Answers to generated queries, to be compared with others of the same records.
async fn answers(store: &PostgresStore, project: &str) -> Vec<String> {
    let mut random = Random::new(11);
    let mut answers = Vec::new();
    for _ in 0..20 {
        let query = Arc::new(generate::query(&mut random, 3));
        let (project, limits) = (Arc::from(project), QueryLimits::default());
        let scan = Scan { project, range: generate::range(&mut random), query, limits };
        let search = Search { scan: scan.clone(), order: Order::Descending, limit: 1_000, after: None };
        let page = store.search(search).await.expect("a search");
        answers.push(format!("{:?}", sorted_fields(page.records)));
        let metrics = vec![
            Metric { function: MetricFn::Count, field: None },
            Metric { function: MetricFn::Percentile(95), field: Some(Field::Any("duration_ms".to_owned())) },
        ];
        let field = generate::field(&mut random);
        answers.push(format!("{:?}", store.values(scan.clone(), field.clone(), 100).await.expect("values")));
        let group_by = vec![Field::Service, field];
        let aggregate = Aggregate { scan, group_by, interval: None, metrics, order: None, limit: 100 };
        answers.push(format!("{:?}", store.aggregate(aggregate).await.expect("an aggregate").0));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn compression_retention_and_a_crash_keep_what_they_should() {
    let mut server = Timescale::start();
    let store = open(config(server.url())).await;
    write_until(&store, 0, 3, 60).await;
    let before = answers(&store, "p").await;
    drop(store);
    let compressing = PostgresConfig { compress_after: Some(Duration::from_secs(86_400)), ..config(server.url()) };
    let store = open(compressing).await;
    store.maintain().await.expect("a round");
    let compressed = "SELECT count(*) FROM timescaledb_information.chunks WHERE is_compressed";
    assert_ne!(server.psql(compressed), "0");
    for (number, (after, before)) in answers(&store, "p").await.iter().zip(&before).enumerate() {
        assert_eq!(after, before, "compression changes answer {number}");
    }
    // Late records go into a compressed chunk.
    store.write(range("p", 0, 3, 20)).await.expect("written");
    assert_exact(&store, 200).await;
    server.kill();
    server.restart();
    write_until(&store, 0, 4, 20).await;
    store.write(aged(4, 10, 0)).await.expect("written after the crash");
    assert_exact(&store, 210).await;
    drop(store);
    let expiring = PostgresConfig { retention: Some(Duration::from_secs(30 * 86_400)), ..config(server.url()) };
    let store = open(expiring).await;
    store.maintain().await.expect("a round");
    let ledger = store.ledger().await.expect("the ledger");
    assert_eq!(ledger.iter().map(|row| row.expired).sum::<u64>(), 200);
    assert_eq!(store.status().await.expect("a status").rows, 10);
    assert_eq!(store.check().await.expect("a check"), Vec::<String>::new());
}
