//! The nouns of the platform, without I/O.
//!
//! - [`record`]: one log record, its values and its stable id;
//! - [`level`]: severities by OpenTelemetry's numbers and the names that loggers use;
//! - [`batch`]: many records of one project as columns, the unit from the processor on;
//! - [`position`]: where a message stands in a queue;
//! - [`limits`] and [`clean`]: what a record may be, and how what it may not be is mended;
//! - [`time`]: reading and printing times;
//! - [`number`]: how numbers compare and print, the same on every store;
//! - [`json`]: a record as JSON;
//! - [`query`]: the query tree, its parser and its in-memory evaluator;
//! - [`origin`]: the hashes that records' ids are made of;
//! - [`otlp`]: OTLP protobuf to records and back;
//! - [`crash`]: named steps at which a test can have the process die;
//! - [`cursor`]: where a page of results ended.

pub mod batch;
pub mod clean;
pub mod crash;
pub mod cursor;
pub mod json;
pub mod level;
pub mod limits;
pub mod number;
pub mod origin;
pub mod otlp;
pub mod position;
pub mod query;
pub mod record;
pub mod time;

pub use batch::Batch;
pub use level::{Level, Severity};
pub use record::{Fields, Record, RecordId, SpanId, TraceId, Value};
