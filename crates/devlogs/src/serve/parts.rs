//! Queue, store and metadata from the settings.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use metadata::Metadata;
use pipeline::verify::Subject;
use prometheus_client::registry::Registry;
use queue::Queue;
use queue::embedded::{EmbeddedConfig, EmbeddedQueue};
use store::Store;
use store_embedded::{EmbeddedStore, EmbeddedStoreConfig};
use transform::Transforms;

use crate::config::Settings;
use crate::maintenance::Node;

/// A message holds a request's records as OTLP, which can be larger than the JSON that they came in.
const MESSAGE_PER_BODY: usize = 2;

/// Writes go on while a flush runs.
const MEMORY_PER_FLUSH: usize = 2;

/// Everything durable, open.
pub struct Parts {
    pub queue: Arc<dyn Queue>,
    pub store: Arc<dyn Store>,
    pub metadata: Metadata,
    pub pipeline_metrics: pipeline::Metrics,
    pub server_metrics: Arc<server::metrics::Metrics>,
    pub gate: Arc<server::query::Gate>,
    pub registry: Arc<Registry>,
}

impl Parts {
    /// Opens the data directory, which only one process may do.
    ///
    /// # Errors
    /// What can't be opened, with the directory's name.
    pub async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let dir = &settings.data_dir;
        let place = || format!("the data directory {}", dir.display());
        std::fs::create_dir_all(dir).with_context(place)?;
        let mut registry = Registry::default();
        let queue_metrics = queue::metrics::Metrics::default();
        queue_metrics.register(&mut registry);
        let queue = EmbeddedQueue::open(queue_config(settings), queue_metrics).with_context(place)?;
        let store = EmbeddedStore::open(store_config(settings)).await.with_context(place)?;
        store.engine().metrics().register(&mut registry);
        let metadata = Metadata::open(&metadata_location(settings)).await.with_context(place)?;
        let pipeline_metrics = pipeline::Metrics::register(&mut registry);
        let ours = registry.sub_registry_with_prefix("devlogs");
        Ok(Self {
            queue: Arc::new(queue),
            store: Arc::new(store),
            metadata,
            pipeline_metrics,
            server_metrics: Arc::new(server::metrics::Metrics::register(ours)),
            gate: Arc::new(server::query::Gate::register(ours, settings.api.queries_max)),
            registry: Arc::new(registry),
        })
    }

    /// Verification and replay of what is open.
    pub fn maintenance(&self, settings: &Settings) -> Node {
        Node(Subject {
            queue: self.queue.clone(),
            store: self.store.clone(),
            metadata: self.metadata.clone(),
            transforms: Arc::new(Transforms::default()),
            limits: settings.collector.limits(),
        })
    }

    /// Makes everything durable and gives the directory back.
    ///
    /// # Errors
    /// What could not be made durable; it is still in the queue.
    pub async fn close(self) -> anyhow::Result<()> {
        let queue = self.queue.close().await.context("the queue");
        let store = self.store.close().await.context("the store");
        self.metadata.close().await;
        queue.and(store)
    }
}

pub fn queue_dir(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("queue")
}

pub fn store_dir(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("store")
}

pub fn metadata_location(settings: &Settings) -> String {
    let default = || settings.data_dir.join("metadata.sqlite").display().to_string();
    settings.metadata.url.clone().unwrap_or_else(default)
}

fn queue_config(settings: &Settings) -> EmbeddedConfig {
    let queue = &settings.queue.embedded;
    EmbeddedConfig {
        dir: queue_dir(&settings.data_dir),
        partitions: queue.partitions,
        segment_bytes: queue.segment.0,
        retention_bytes: queue.retention_size.0,
        retention_age: Some(queue.retention_age.0),
        disk_free_min_bytes: queue.disk_free_min.0,
        message_bytes_max: settings.collector.decoded_max.bytes().saturating_mul(MESSAGE_PER_BODY),
        ..EmbeddedConfig::default()
    }
}

fn store_config(settings: &Settings) -> EmbeddedStoreConfig {
    let store = &settings.store.embedded;
    EmbeddedStoreConfig {
        flush_bytes: store.flush_size.bytes(),
        memory_bytes: store.flush_size.bytes().saturating_mul(MEMORY_PER_FLUSH),
        flush_age: store.flush_age.0,
        cache_bytes: store.cache_size.bytes(),
        retention_age: store.retention_age.map(|age| age.0),
        retention_bytes: store.retention_size.map(|size| size.0),
        ..EmbeddedStoreConfig::new(store_dir(&settings.data_dir))
    }
}
