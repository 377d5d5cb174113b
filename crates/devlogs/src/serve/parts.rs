//! Queue, store and metadata, open.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use anyhow::Context;
use metadata::Metadata;
use pipeline::verify::Subject;
use prometheus_client::registry::Registry;
use queue::{Pace, Queue};
use rustix::fs::Access;
use server::collect::KeyLookup;
use store::Store;
use transform::Transforms;

use super::backends;
use super::late_keys::LateKeys;
use crate::cli::Role;
use crate::config::Settings;
use crate::config::settings::QueueBackend;
use crate::maintenance::Node;

/// What may be acknowledged and not searchable yet, in bytes: some tenths of a second of what two cores store.
const AHEAD_BYTES_MAX: usize = 8 << 20;

/// Everything durable that the roles of this process need.
pub struct Parts {
    pub queue: Arc<dyn Queue>,
    /// None where only a collector runs: it accepts lines while the store is away, also from its first moment.
    pub store: Option<Arc<dyn Store>>,
    /// Who knows the idempotency keys that are stored.
    pub keys: Arc<dyn KeyLookup>,
    pub metadata: Metadata,
    /// Where every role runs here, as with the embedded queue.
    pub pace: Option<Arc<Pace>>,
    pub pipeline_metrics: pipeline::Metrics,
    pub server_metrics: Arc<server::metrics::Metrics>,
    pub gate: Arc<server::query::Gate>,
    pub registry: Arc<Registry>,
}

impl Parts {
    /// Opens what the roles need, and waits for servers that are out of reach.
    ///
    /// # Errors
    /// What can't be opened, with its name.
    pub async fn open(settings: &Settings, roles: &[Role]) -> anyhow::Result<Self> {
        // What is logged is nobody else's to read.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&settings.data_dir)
            .with_context(|| format!("the data directory {}", settings.data_dir.display()))?;
        rustix::fs::access(&settings.data_dir, Access::WRITE_OK | Access::EXEC_OK)
            .with_context(|| format!("the data directory {} can't be written to", settings.data_dir.display()))?;
        let mut registry = Registry::default();
        let metadata = backends::open_metadata(settings).await?;
        let queue = backends::open_queue(settings, &mut registry).await?;
        let (store, keys): (_, Arc<dyn KeyLookup>) = if roles == [Role::Collector] {
            (None, Arc::new(LateKeys::open(settings.clone())))
        } else {
            let store = backends::open_store(settings, &mut registry).await?;
            (Some(store.clone()), Arc::new(server::collect::StoreKeys(store)))
        };
        let pace = (settings.queue.backend == QueueBackend::Embedded)
            .then(|| Arc::new(Pace::new(queue.partitions(), AHEAD_BYTES_MAX)));
        let pipeline_metrics = pipeline::Metrics::register(&mut registry);
        let ours = registry.sub_registry_with_prefix("devlogs");
        Ok(Self {
            queue,
            store,
            keys,
            metadata,
            pace,
            pipeline_metrics,
            server_metrics: Arc::new(server::metrics::Metrics::register(ours)),
            gate: Arc::new(server::query::Gate::register(ours, settings.api.queries_max)),
            registry: Arc::new(registry),
        })
    }

    /// The store.
    ///
    /// # Errors
    /// Only a collector runs here, which has none.
    pub fn store(&self) -> anyhow::Result<Arc<dyn Store>> {
        self.store.clone().context("a collector alone has no store")
    }

    /// Verification and replay of what is open.
    ///
    /// # Errors
    /// Only a collector runs here.
    pub fn maintenance(&self, settings: &Settings) -> anyhow::Result<Node> {
        Ok(Node(Subject {
            queue: self.queue.clone(),
            store: self.store()?,
            metadata: self.metadata.clone(),
            transforms: Arc::new(Transforms::default()),
            limits: settings.collector.limits(),
        }))
    }

    /// Makes everything durable and gives the directory back.
    ///
    /// # Errors
    /// What could not be made durable; it is still in the queue.
    pub async fn close(self) -> anyhow::Result<()> {
        let queue = self.queue.close().await.context("the queue");
        let store = match self.store {
            Some(store) => store.close().await.context("the store"),
            None => Ok(()),
        };
        self.metadata.close().await;
        queue.and(store)
    }
}
