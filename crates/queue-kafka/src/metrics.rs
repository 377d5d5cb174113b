//! What the queue on Kafka counts. Names begin with `devlogs_queue_`; units are seconds and bytes.

use std::time::Duration;

use model::position::Partition;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabel {
    partition: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabel {
    group: String,
    partition: u32,
}

/// Clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    appends: Family<PartitionLabel, Counter>,
    appended: Family<PartitionLabel, Counter>,
    append: Histogram,
    lag: Family<GroupLabel, Gauge>,
    refused: Counter,
    write_failures: Counter,
    foreign_skipped: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            appends: Family::default(),
            appended: Family::default(),
            // 0.5 ms to 16 s.
            append: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
            lag: Family::default(),
            refused: Counter::default(),
            write_failures: Counter::default(),
            foreign_skipped: Counter::default(),
        }
    }
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        let queue = registry.sub_registry_with_prefix("devlogs_queue");
        queue.register("appends", "Messages made durable", self.appends.clone());
        queue.register_with_unit(
            "appended",
            "Bytes made durable, before compression",
            Unit::Bytes,
            self.appended.clone(),
        );
        queue.register_with_unit("append", "Time until the brokers have a message", Unit::Seconds, self.append.clone());
        queue.register("lag_messages", "Positions that a consumer group has yet to commit", self.lag.clone());
        queue.register("refused", "Messages refused because the brokers do not take them", self.refused.clone());
        queue.register("write_failures", "Messages that the brokers did not take in time", self.write_failures.clone());
        queue.register(
            "foreign_skipped",
            "Messages of other producers that were left out because no project is configured for them",
            self.foreign_skipped.clone(),
        );
    }

    pub(crate) fn appended(&self, partition: Partition, bytes: usize, took: Duration) {
        let label = PartitionLabel { partition: partition.0 };
        self.appends.get_or_create(&label).inc();
        self.appended.get_or_create(&label).inc_by(bytes as u64);
        self.append.observe(took.as_secs_f64());
    }

    pub(crate) fn lags(&self, group: &str, partition: Partition, messages: u64) {
        let label = GroupLabel { group: group.to_owned(), partition: partition.0 };
        self.lag.get_or_create(&label).set(i64::try_from(messages).unwrap_or(i64::MAX));
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

    /// Messages made durable since the start, over all partitions up to `partitions`.
    pub fn appends(&self, partitions: u32) -> u64 {
        (0..partitions).map(|partition| self.appends.get_or_create(&PartitionLabel { partition }).get()).sum()
    }
}
