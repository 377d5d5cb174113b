//! What the store counts about itself.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone)]
pub struct Metrics {
    pub written_rows: Counter,
    pub written_bytes: Counter,
    pub write_seconds: Histogram,
    pub write_errors: Counter,
    pub unknown_commits: Counter,
    pub expired_rows: Counter,
    pub maintenance_errors: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            written_rows: Counter::default(),
            written_bytes: Counter::default(),
            write_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            write_errors: Counter::default(),
            unknown_commits: Counter::default(),
            expired_rows: Counter::default(),
            maintenance_errors: Counter::default(),
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
        let time = "Time of a write, to its commit";
        store.register_with_unit("write", time, Unit::Seconds, self.write_seconds.clone());
        store.register(
            "write_errors",
            "Writes that failed, without those that came too late",
            self.write_errors.clone(),
        );
        let unknown = "Commits without an answer, whose outcome was looked up";
        store.register("unknown_commits", unknown, self.unknown_commits.clone());
        store.register("expired_rows", "Records removed by retention", self.expired_rows.clone());
        let errors = "Rounds of retention, compression and new partitions that failed";
        store.register("maintenance_errors", errors, self.maintenance_errors.clone());
    }
}
