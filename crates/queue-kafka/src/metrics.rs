//! What the queue on Kafka counts. Names begin with `devlogs_queue_`; units are seconds and bytes.

use std::time::Duration;

use model::position::Partition;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use queue::metrics::Lanes;

/// Clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    lanes: Lanes,
    append: Histogram,
    refused: Counter,
    write_failures: Counter,
    foreign_skipped: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            lanes: Lanes::default(),
            // 0.5 ms to 16 s.
            append: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
            refused: Counter::default(),
            write_failures: Counter::default(),
            foreign_skipped: Counter::default(),
        }
    }
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        let queue = registry.sub_registry_with_prefix("devlogs_queue");
        self.lanes.register(queue, "Bytes made durable, before compression");
        queue.register_with_unit("append", "Time until the brokers have a message", Unit::Seconds, self.append.clone());
        queue.register("refused", "Messages refused because the brokers do not take them", self.refused.clone());
        queue.register("write_failures", "Messages that the brokers did not take in time", self.write_failures.clone());
        queue.register(
            "foreign_skipped",
            "Messages of other producers that were left out because no project is configured for them",
            self.foreign_skipped.clone(),
        );
    }

    pub(crate) fn appended(&self, partition: Partition, bytes: usize, took: Duration) {
        self.lanes.appended(partition, 1, bytes as u64);
        self.append.observe(took.as_secs_f64());
    }

    pub(crate) fn lags(&self, group: &str, partition: Partition, messages: u64) {
        self.lanes.lags(group, partition, messages);
    }

    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    pub(crate) fn write_failed(&self) {
        self.write_failures.inc();
    }

    pub(crate) fn foreign_skipped(&self) {
        self.foreign_skipped.inc();
    }

    /// Messages of other producers that were left out since the start.
    pub fn foreign_skips(&self) -> u64 {
        self.foreign_skipped.get()
    }
}
