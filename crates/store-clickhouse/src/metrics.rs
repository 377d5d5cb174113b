//! What the store counts about itself.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use store::WriteBatch;

#[derive(Debug)]
pub struct Metrics {
    pub written_rows: Counter,
    pub written_bytes: Counter,
    pub write_seconds: Histogram,
    pub write_errors: Counter,
    pub claims: Counter,
    pub overtaken: Counter,
    pub recovered_rows: Counter,
    pub query_errors: Counter,
    pub cancelled_queries: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            written_rows: Counter::default(),
            written_bytes: Counter::default(),
            write_seconds: Histogram::new(exponential_buckets(0.005, 2.0, 14)),
            write_errors: Counter::default(),
            claims: Counter::default(),
            overtaken: Counter::default(),
            recovered_rows: Counter::default(),
            query_errors: Counter::default(),
            cancelled_queries: Counter::default(),
        }
    }
}

impl Metrics {
    /// Names them `devlogs_store_…`.
    pub fn register(&self, registry: &mut Registry) {
        let store = registry.sub_registry_with_prefix("devlogs_store");
        store.register("written_rows", "Records written", self.written_rows.clone());
        let written = "Bytes of records written, as they stand in memory";
        store.register_with_unit("written", written, Unit::Bytes, self.written_bytes.clone());
        store.register_with_unit("write", "Time of a write", Unit::Seconds, self.write_seconds.clone());
        store.register("write_errors", "Writes that the server did not take", self.write_errors.clone());
        store.register("claims", "Times a partition was claimed for writing", self.claims.clone());
        store.register("overtaken", "Writes that another writer stopped", self.overtaken.clone());
        let recovered = "Records of unfinished writes that were found stored and not written again";
        store.register("recovered_rows", recovered, self.recovered_rows.clone());
        store.register("query_errors", "Queries that failed", self.query_errors.clone());
        store.register("cancelled_queries", "Queries that were dropped while running", self.cancelled_queries.clone());
    }

    pub fn written(&self, range: &WriteBatch, took: Duration) {
        self.written_rows.inc_by(range.batches.iter().map(|batch| batch.len() as u64).sum());
        self.written_bytes.inc_by(range.batches.iter().map(|batch| batch.bytes() as u64).sum());
        self.write_seconds.observe(took.as_secs_f64());
    }
}
