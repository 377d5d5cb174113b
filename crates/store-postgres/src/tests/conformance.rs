//! The contract of stores, and the same answers as the reference store.

use store::conformance::{compare, run};

use super::store;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract() {
    let (store, _) = store().await;
    run(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_gives_the_answers_of_the_reference() {
    let (store, _) = store().await;
    for seed in 1..=6 {
        compare(&store, seed, 300, 25).await;
    }
}
