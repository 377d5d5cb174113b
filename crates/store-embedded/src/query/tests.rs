//! The embedded store against the reference store.

use store::Store;
use store::conformance;

use crate::{EmbeddedStore, EmbeddedStoreConfig};

async fn opened(dir: &tempfile::TempDir) -> EmbeddedStore {
    EmbeddedStore::open(EmbeddedStoreConfig::new(dir.path())).await.expect("a new directory opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_queries_answer_as_the_reference_does() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = opened(&dir).await;
    for seed in 0..4 {
        conformance::compare(&store, seed, 600, 150).await;
    }
    store.close().await.expect("the store closes");
}
