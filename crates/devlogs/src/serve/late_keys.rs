//! Idempotency keys for a collector that runs alone: it must not wait for the store to start.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use model::position::{Incarnation, Partition, Position};
use prometheus_client::registry::Registry;
use server::collect::{KeyLookup, StoreKeys};
use tokio::task::AbortHandle;

use super::backends;
use crate::config::Settings;

/// Asks the store once it is open. Until then, and while it is away, keys are not looked up: the processor drops
/// repetitions all the same.
#[derive(Debug)]
pub struct LateKeys {
    keys: Arc<OnceLock<StoreKeys>>,
    opening: AbortHandle,
}

impl LateKeys {
    /// Begins to open the store.
    pub fn open(settings: Settings) -> Self {
        let keys = Arc::new(OnceLock::new());
        let found = keys.clone();
        let opening = tokio::spawn(async move {
            // The store's own metrics are its processors'.
            match backends::open_store(&settings, &mut Registry::default()).await {
                Ok(store) => drop(found.set(StoreKeys(store))),
                Err(error) => tracing::error!(%error, "idempotency keys can't be looked up"),
            }
        });
        Self { keys, opening: opening.abort_handle() }
    }
}

impl Drop for LateKeys {
    fn drop(&mut self) {
        self.opening.abort();
    }
}

#[async_trait]
impl KeyLookup for LateKeys {
    async fn body_of(&self, project: &str, key: u128) -> Result<Option<u128>, String> {
        match self.keys.get() {
            Some(keys) => keys.body_of(project, key).await,
            None => Err("the store is not open yet".to_owned()),
        }
    }

    async fn written(&self, incarnation: Incarnation, partition: Partition) -> Result<Option<Position>, String> {
        match self.keys.get() {
            Some(keys) => keys.written(incarnation, partition).await,
            None => Ok(None),
        }
    }
}
