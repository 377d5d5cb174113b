//! What each fuzz target holds its input against. A target has a function here and a file in `targets/`.
//!
//! Decoders that a crate keeps to itself are taken from their own files by `#[path]`: the crates as a whole would bring
//! a database, a columnar format and a web server into every build of a fuzz target.

mod collect;
mod cursor;
mod query;
mod queue;
mod sql;

#[expect(dead_code, reason = "decoders use a part of it")]
#[path = "../../crates/server/src/error.rs"]
mod error;
#[expect(dead_code, reason = "deliveries are not fuzzed")]
#[path = "../../crates/queue/src/message.rs"]
mod message;
#[expect(dead_code, reason = "decoders use a part of it")]
#[path = "../../crates/server/src/metrics.rs"]
mod metrics;

/// What a message's module names of the queue's errors.
#[derive(Debug)]
#[expect(dead_code, reason = "numbers are not drawn")]
pub(crate) enum QueueError {
    Io(std::io::Error),
    TooLarge { bytes: usize, bytes_max: usize },
}

pub use collect::{body, ingest, otlp, otlp_json};
pub use cursor::cursor;
pub use query::{query, regex};
pub use queue::frame;
pub use sql::sql;

/// When everything happens: 2026-11-22T10:00:00Z.
const NOW: i64 = 1_795_341_600_000_000_000;
