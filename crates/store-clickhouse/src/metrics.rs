//! What the store counts about itself.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use store::metrics::WriteMetrics;

#[derive(Debug, Default)]
pub struct Metrics {
    pub writes: WriteMetrics,
    pub claims: Counter,
    pub overtaken: Counter,
    pub recovered_rows: Counter,
    pub query_errors: Counter,
    pub cancelled_queries: Counter,
}

impl Metrics {
    /// Names them `devlogs_store_…`.
    pub fn register(&self, registry: &mut Registry) {
        let store = registry.sub_registry_with_prefix("devlogs_store");
        self.writes.register(store);
        store.register("claims", "Times a partition was claimed for writing", self.claims.clone());
        store.register("overtaken", "Writes that another writer stopped", self.overtaken.clone());
        let recovered = "Records of unfinished writes that were found stored and not written again";
        store.register("recovered_rows", recovered, self.recovered_rows.clone());
        store.register("query_errors", "Queries that failed", self.query_errors.clone());
        store.register("cancelled_queries", "Queries that were dropped while running", self.cancelled_queries.clone());
    }
}
