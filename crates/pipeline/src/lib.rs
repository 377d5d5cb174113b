//! The processor: from the queue to the store, each acknowledged record exactly once.
//!
//! - [`Processor`]: a worker for each assigned partition, and a clean end;
//! - `worker`: the loop of one partition, on one screen: read → plan → decode and transform → bury → write → commit;
//! - `prepare`: the part without I/O: messages to a batch, dead letters and counts, the same for the same input;
//! - [`dead_letters`]: where what can't be stored is kept;
//! - [`damage`]: what the queue holds but can't read, and going on behind it by the operator's word;
//! - [`replay`]: processes again what the queue still holds; [`verify`]: proves that nothing is lost or doubled;
//! - [`metrics`]: what the processor tells about itself.
//!
//! Why exactly once holds. The store keeps the position beside the rows and moves it by compare-and-set, so a range
//! is written once however often it is tried; the queue's own committed position serves retention and lag only. Dead
//! letters are put before the position moves, under the record's id, so that putting them again changes nothing. What
//! a range becomes depends only on the messages, the transforms and the store's idempotency keys, so a second try
//! after a crash finds the same records under the same ids.

#![deny(clippy::unwrap_used, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod damage;
pub mod dead_letters;
mod held;
pub mod metrics;
mod prepare;
mod processor;
pub mod replay;
mod retry;
pub mod verify;
mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use model::limits::Limits;
use queue::{Pace, Queue};
use store::Store;
use tokio::sync::watch;
use transform::Transforms;

pub use dead_letters::{DeadLetterError, DeadLetters};
pub use held::ReadError;
pub use metrics::Metrics;
pub use processor::Processor;

/// How the processor works.
#[derive(Debug, Clone)]
pub struct Config {
    /// The consumer group whose positions are committed to the queue.
    pub group: String,
    /// Records of a batch; a single message may have more.
    pub batch_rows_max: usize,
    /// Payload bytes of a batch; a single message may have more.
    pub batch_bytes_max: usize,
    /// How long a batch that is not full waits for more messages. Zero writes at once whatever is there; under load
    /// batches fill by themselves, because messages gather while the one before is written.
    pub batch_age_max: Duration,
    /// After a small batch the next is read so much later, that a trickle of small messages does not cost a batch each.
    pub batch_gap_min: Duration,
    /// Batches that are decoded and written at once, over all partitions.
    pub batches_in_flight_max: usize,
    /// How often durable positions are committed to the queue, also when nothing comes.
    pub commit_interval: Duration,
    /// The first and the longest pause between tries of something that is out of reach.
    pub retry_delay_min: Duration,
    pub retry_delay_max: Duration,
    /// How long a partition rests after another processor wrote to it.
    pub moved_pause: Duration,
    /// Makes everything durable in the store before it stops.
    pub flush_on_stop: bool,
    /// How long the store may take for that.
    pub stop_timeout: Duration,
    /// What a record may be.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group: "devlogs".to_owned(),
            batch_rows_max: 50_000,
            batch_bytes_max: 4 << 20,
            batch_age_max: Duration::ZERO,
            batch_gap_min: Duration::from_millis(2),
            batches_in_flight_max: 2,
            commit_interval: Duration::from_secs(1),
            retry_delay_min: Duration::from_millis(50),
            retry_delay_max: Duration::from_secs(10),
            moved_pause: Duration::from_secs(1),
            flush_on_stop: true,
            stop_timeout: Duration::from_secs(4),
            limits: Limits::default(),
        }
    }
}

/// What the processor works with.
#[derive(Debug, Clone)]
pub struct Context {
    pub config: Arc<Config>,
    pub queue: Arc<dyn Queue>,
    pub store: Arc<dyn Store>,
    pub dead_letters: Arc<dyn DeadLetters>,
    /// A change takes effect with the next batch.
    pub transforms: watch::Receiver<Arc<Transforms>>,
    /// Told what is stored, where collectors of this process wait for that.
    pub pace: Option<Arc<Pace>>,
    pub metrics: Metrics,
}
