//! What the queue on Redis counts. Names begin with `devlogs_queue_`; units are seconds and bytes.

use std::time::Duration;

use model::position::Partition;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use queue::metrics::Lanes;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabel {
    partition: u32,
}

/// Clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    lanes: Lanes,
    round_trip: Histogram,
    bytes: Family<PartitionLabel, Gauge>,
    refused: Counter,
    full: Gauge,
    write_failures: Counter,
    connections: Counter,
    deleted: Counter,
    memory: Gauge,
    memory_max: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            lanes: Lanes::default(),
            // 100 µs to 3.2 s.
            round_trip: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            bytes: Family::default(),
            refused: Counter::default(),
            full: Gauge::default(),
            write_failures: Counter::default(),
            connections: Counter::default(),
            deleted: Counter::default(),
            memory: Gauge::default(),
            memory_max: Gauge::default(),
        }
    }
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        let queue = registry.sub_registry_with_prefix("devlogs_queue");
        self.lanes.register(queue, "Bytes made durable");
        queue.register_with_unit("append", "Time until appends are answered", Unit::Seconds, self.round_trip.clone());
        queue.register("bytes", "Bytes of the messages kept", self.bytes.clone());
        queue.register("refused", "Messages refused because the queue is full or unfit", self.refused.clone());
        queue.register("full", "1 while the queue refuses messages, else 0", self.full.clone());
        queue.register("write_failures", "Appends that Redis refused or did not answer", self.write_failures.clone());
        queue.register("connections", "Connections made to Redis for calls", self.connections.clone());
        queue.register("messages_deleted", "Messages deleted by retention", self.deleted.clone());
        queue.register("redis_memory_bytes", "Memory that Redis uses", self.memory.clone());
        queue.register("redis_memory_max_bytes", "Memory that Redis may use, 0 for no limit", self.memory_max.clone());
    }

    pub(crate) fn appended(&self, partition: Partition, messages: usize, bytes: usize) {
        self.lanes.appended(partition, messages as u64, bytes as u64);
    }

    pub(crate) fn answered(&self, took: Duration) {
        self.round_trip.observe(took.as_secs_f64());
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

    pub(crate) fn write_failed(&self, messages: usize) {
        self.write_failures.inc_by(messages as u64);
    }

    pub(crate) fn connected(&self) {
        self.connections.inc();
    }

    pub(crate) fn deleted(&self, messages: u64) {
        self.deleted.inc_by(messages);
    }

    pub(crate) fn memory(&self, used: u64, most: u64) {
        self.memory.set(used as i64);
        self.memory_max.set(most as i64);
    }
}
