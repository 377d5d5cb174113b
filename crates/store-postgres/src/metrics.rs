//! What the store counts about itself.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use store::metrics::WriteMetrics;

#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub writes: WriteMetrics,
    pub unknown_commits: Counter,
    pub expired_rows: Counter,
    pub maintenance_errors: Counter,
}

impl Metrics {
    /// Names them `devlogs_store_…`.
    pub fn register(&self, registry: &mut Registry) {
        let store = registry.sub_registry_with_prefix("devlogs_store");
        self.writes.register(store);
        let unknown = "Commits without an answer, whose outcome was looked up";
        store.register("unknown_commits", unknown, self.unknown_commits.clone());
        store.register("expired_rows", "Records removed by retention", self.expired_rows.clone());
        let errors = "Rounds of retention, compression and new partitions that failed";
        store.register("maintenance_errors", errors, self.maintenance_errors.clone());
    }
}
