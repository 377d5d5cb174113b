//! What every store must do, as tests that each backend runs.
//!
//! - [`run`]: the contract case by case, each on its own project or partition of one open store;
//! - [`compare()`]: generated records and queries, the same answers as [`crate::memory::MemoryStore`];
//! - [`generate`]: the records and queries, from a seed.
//!
//! A failed check panics and says what was expected.

mod compare;
pub mod generate;

pub use compare::{compare, sorted_fields};
