//! What the processor tells about itself. Counted once for a batch, by the function of the fact.

use std::time::Duration;

use model::position::{Partition, Position};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use store::Counts;

/// The processor's metrics; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    records: Family<OutcomeLabel, Counter>,
    batches: Counter,
    write_seconds: Histogram,
    retries: Family<OperationLabel, Counter>,
    lag: Family<PartitionLabel, Gauge>,
    moved: Counter,
    lost: Counter,
    miscounted: Counter,
    damaged: Family<PartitionLabel, Gauge>,
    letters_full: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the variants are the label's values")]
enum Outcome {
    stored,
    dead_lettered,
    deduplicated,
    dropped,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: Operation,
}

/// What is tried again when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the variants are the label's values")]
pub(crate) enum Operation {
    read,
    look_up_key,
    bury,
    write,
    progress,
    join,
}

impl Operation {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Operation::read => "read",
            Operation::look_up_key => "look_up_key",
            Operation::bury => "bury",
            Operation::write => "write",
            Operation::progress => "progress",
            Operation::join => "join",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabel {
    partition: u32,
}

impl Metrics {
    /// Makes the metrics and names them in the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            records: Family::default(),
            batches: Counter::default(),
            write_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
            retries: Family::default(),
            lag: Family::default(),
            moved: Counter::default(),
            lost: Counter::default(),
            miscounted: Counter::default(),
            damaged: Family::default(),
            letters_full: Gauge::default(),
        };
        registry.register("devlogs_processor_records", "Records by what became of them", metrics.records.clone());
        registry.register("devlogs_processor_batches", "Batches written to the store", metrics.batches.clone());
        registry.register(
            "devlogs_processor_write_seconds",
            "Time of a write to the store",
            metrics.write_seconds.clone(),
        );
        registry.register("devlogs_processor_retries", "Things tried again, by what", metrics.retries.clone());
        registry.register("devlogs_processor_lag_messages", "Messages that wait in the queue", metrics.lag.clone());
        registry.register(
            "devlogs_processor_damaged_position",
            "Where a partition stands still because its messages do not read; only while it does. \
             `devlogs queue skip` goes on behind them",
            metrics.damaged.clone(),
        );
        registry.register(
            "devlogs_processor_dead_letters_full",
            "1 while processing waits because there are as many dead letters as may be",
            metrics.letters_full.clone(),
        );
        registry.register(
            "devlogs_processor_moved",
            "Partitions given up because another processor wrote",
            metrics.moved.clone(),
        );
        registry.register(
            "devlogs_processor_lost_messages",
            "Messages that the queue held but could not give any more",
            metrics.lost.clone(),
        );
        registry.register(
            "devlogs_processor_miscounted_messages",
            "Messages whose header told another count",
            metrics.miscounted.clone(),
        );
        metrics
    }

    pub(crate) fn written(&self, counts: &[Counts], took: Duration) {
        self.batches.inc();
        self.write_seconds.observe(took.as_secs_f64());
        let sum = |of: fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
        let outcomes = [
            (Outcome::stored, sum(|counts| counts.stored)),
            (Outcome::dead_lettered, sum(|counts| counts.dead_lettered)),
            (Outcome::deduplicated, sum(|counts| counts.deduplicated)),
            (Outcome::dropped, sum(|counts| counts.dropped)),
        ];
        for (outcome, count) in outcomes {
            self.records.get_or_create(&OutcomeLabel { outcome }).inc_by(count);
        }
    }

    pub(crate) fn retried(&self, operation: Operation) {
        self.retries.get_or_create(&OperationLabel { operation }).inc();
    }

    pub(crate) fn lagging(&self, partition: Partition, messages: u64) {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.lag.get_or_create(&PartitionLabel { partition: partition.0 }).set(messages);
    }

    pub(crate) fn moved(&self) {
        self.moved.inc();
    }

    pub(crate) fn lost(&self, messages: u64) {
        self.lost.inc_by(messages);
    }

    /// The partition stands still before messages that do not read.
    pub(crate) fn stands_still(&self, partition: Partition, at: Position) {
        let at = i64::try_from(at.0).unwrap_or(i64::MAX);
        self.damaged.get_or_create(&PartitionLabel { partition: partition.0 }).set(at);
    }

    pub(crate) fn goes_on(&self, partition: Partition) {
        self.damaged.remove(&PartitionLabel { partition: partition.0 });
    }

    pub(crate) fn letters_full(&self, is_full: bool) {
        self.letters_full.set(is_full.into());
    }

    pub(crate) fn miscounted(&self, messages: u64) {
        self.miscounted.inc_by(messages);
    }
}
