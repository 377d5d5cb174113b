//! What the store counts about itself.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug)]
pub struct Metrics {
    pub written_rows: Counter,
    pub written_bytes: Counter,
    pub write_waits: Counter,
    pub buffered_bytes: Gauge,
    pub flush_seconds: Histogram,
    pub flush_errors: Counter,
    pub flushed_segments: Counter,
    pub flushed_bytes: Counter,
    pub compaction_seconds: Histogram,
    pub compaction_errors: Counter,
    pub compacted_bytes: Counter,
    pub expired_rows: Counter,
    pub keys_evicted: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.01, 2.0, 14));
        Self {
            written_rows: Counter::default(),
            written_bytes: Counter::default(),
            write_waits: Counter::default(),
            buffered_bytes: Gauge::default(),
            flush_seconds: seconds(),
            flush_errors: Counter::default(),
            flushed_segments: Counter::default(),
            flushed_bytes: Counter::default(),
            compaction_seconds: seconds(),
            compaction_errors: Counter::default(),
            compacted_bytes: Counter::default(),
            expired_rows: Counter::default(),
            keys_evicted: Counter::default(),
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
        store.register("write_waits", "Times a write waited for room in memory", self.write_waits.clone());
        let buffered = "Bytes of records in memory that are in no segment yet";
        store.register_with_unit("buffered", buffered, Unit::Bytes, self.buffered_bytes.clone());
        store.register_with_unit("flush", "Time of a flush", Unit::Seconds, self.flush_seconds.clone());
        store.register("flush_errors", "Flushes that failed", self.flush_errors.clone());
        store.register("flushed_segments", "Segments made of memory", self.flushed_segments.clone());
        store.register_with_unit("flushed", "Bytes of those segments", Unit::Bytes, self.flushed_bytes.clone());
        let compaction = "Time of merging a group of segments";
        store.register_with_unit("compaction", compaction, Unit::Seconds, self.compaction_seconds.clone());
        store.register("compaction_errors", "Merges and removals that failed", self.compaction_errors.clone());
        let compacted = "Bytes of segments made of others";
        store.register_with_unit("compacted", compacted, Unit::Bytes, self.compacted_bytes.clone());
        store.register("expired_rows", "Records removed by retention", self.expired_rows.clone());
        let evicted = "Idempotency keys forgotten before their 24 hours, because a project has too many";
        store.register("keys_evicted", evicted, self.keys_evicted.clone());
    }
}
