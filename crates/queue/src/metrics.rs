//! What queues count. Names begin with `devlogs_queue_`; units are seconds and bytes.

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

/// What every queue counts of its partitions. Clones share their values.
#[derive(Debug, Clone, Default)]
pub struct Lanes {
    appends: Family<PartitionLabel, Counter>,
    appended: Family<PartitionLabel, Counter>,
    lag: Family<GroupLabel, Gauge>,
}

impl Lanes {
    /// `bytes` says what is counted of a message.
    pub fn register(&self, queue: &mut Registry, bytes: &str) {
        queue.register("appends", "Messages made durable", self.appends.clone());
        queue.register_with_unit("appended", bytes, Unit::Bytes, self.appended.clone());
        queue.register("lag_messages", "Messages that a consumer group has yet to commit", self.lag.clone());
    }

    pub fn appended(&self, partition: Partition, messages: u64, bytes: u64) {
        let label = PartitionLabel { partition: partition.0 };
        self.appends.get_or_create(&label).inc_by(messages);
        self.appended.get_or_create(&label).inc_by(bytes);
    }

    pub fn lags(&self, group: &str, partition: Partition, messages: u64) {
        let label = GroupLabel { group: group.to_owned(), partition: partition.0 };
        self.lag.get_or_create(&label).set(i64::try_from(messages).unwrap_or(i64::MAX));
    }
}

/// What the embedded queue counts. Clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    lanes: Lanes,
    fsync: Histogram,
    bytes: Family<PartitionLabel, Gauge>,
    refused: Counter,
    full: Gauge,
    write_failures: Counter,
    damages: Counter,
    segments_deleted: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            lanes: Lanes::default(),
            // 50 µs to 1.6 s.
            fsync: Histogram::new(exponential_buckets(0.000_05, 2.0, 16)),
            bytes: Family::default(),
            refused: Counter::default(),
            full: Gauge::default(),
            write_failures: Counter::default(),
            damages: Counter::default(),
            segments_deleted: Counter::default(),
        }
    }
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        let queue = registry.sub_registry_with_prefix("devlogs_queue");
        self.lanes.register(queue, "Bytes made durable, as stored");
        queue.register_with_unit("fsync", "Time of one fsync", Unit::Seconds, self.fsync.clone());
        queue.register("bytes", "Bytes that the messages kept take on disk", self.bytes.clone());
        queue.register("refused", "Messages refused because the queue or its disk is full", self.refused.clone());
        queue.register("full", "1 while the queue refuses messages, else 0", self.full.clone());
        queue.register("write_failures", "Failed writes and fsyncs", self.write_failures.clone());
        queue.register("damages", "Places found where stored data does not read back", self.damages.clone());
        queue.register("segments_deleted", "Segments deleted by retention", self.segments_deleted.clone());
    }

    pub(crate) fn appended(&self, partition: Partition, messages: u64, bytes: u64) {
        self.lanes.appended(partition, messages, bytes);
    }

    pub(crate) fn fsynced(&self, took: Duration) {
        self.fsync.observe(took.as_secs_f64());
    }

    pub(crate) fn holds(&self, partition: Partition, bytes: u64) {
        self.bytes.get_or_create(&PartitionLabel { partition: partition.0 }).set(bytes as i64);
    }

    pub(crate) fn lags(&self, group: &str, partition: Partition, messages: u64) {
        self.lanes.lags(group, partition, messages);
    }

    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    pub(crate) fn full(&self, full: bool) {
        self.full.set(i64::from(full));
    }

    pub(crate) fn write_failed(&self) {
        self.write_failures.inc();
    }

    pub(crate) fn damaged(&self) {
        self.damages.inc();
    }

    pub(crate) fn segment_deleted(&self) {
        self.segments_deleted.inc();
    }
}
