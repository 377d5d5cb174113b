//! The connection breaks around a commit: the store finds out what became of it.

use std::time::Duration;

use store::{Store, WriteError};
use test_backends::postgres::Postgres;

use super::proxy::{Plan, Proxy};
use super::{PostgresStore, assert_exact, config, open, position, range};
use crate::PostgresConfig;

async fn store_behind_a_proxy() -> (PostgresStore, Proxy) {
    let url = Postgres::shared().database();
    let (_, address) = url.split_once('@').expect("an address");
    let (port, database) = address["127.0.0.1:".len()..].split_once('/').expect("a port and a database");
    let proxy = Proxy::start(port.parse().expect("a port")).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{database}", proxy.port);
    let second = Duration::from_secs(1);
    let store = open(PostgresConfig { write_timeout: second, connect_timeout: second, ..config(url) }).await;
    // Makes the partitions, so that the next commit is that of a write.
    store.write(range("p", 1, 0, 100)).await.expect("written");
    (store, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_never_arrived_is_tried_again() {
    let (store, proxy) = store_behind_a_proxy().await;
    for from in 0..5 {
        proxy.set(Plan::CutBefore);
        let written = store.write(range("p", 0, from, 10)).await;
        assert!(matches!(written, Err(WriteError::Unavailable(_))), "{written:?}");
        assert_eq!(position(&store, 0).await, from);
        store.write(range("p", 0, from, 10)).await.expect("the next try");
    }
    assert_exact(&store, 150).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_is_found() {
    let (store, proxy) = store_behind_a_proxy().await;
    for from in 0..5 {
        proxy.set(Plan::CutAfter);
        store.write(range("p", 0, from, 10)).await.expect("it was committed, and found to be");
    }
    assert_exact(&store, 150).await;
    assert_eq!(store.metrics().unknown_commits.get(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_can_not_be_looked_up_is_known_at_the_next_try() {
    let (store, proxy) = store_behind_a_proxy().await;
    for from in 0..3 {
        proxy.set(Plan::CutAfterAndRefuse);
        let written = store.write(range("p", 0, from, 10)).await;
        assert!(matches!(written, Err(WriteError::Unavailable(_))), "{written:?}");
        proxy.set(Plan::Pass);
        store.write(range("p", 0, from, 10)).await.expect("the store knows its own work");
        let late = store.write(range("p", 0, from, 10)).await;
        assert!(matches!(late, Err(WriteError::Moved { .. })), "a third try is a second writer: {late:?}");
    }
    assert_exact(&store, 130).await;
}
