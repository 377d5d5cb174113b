//! What every backend that computes in this process shares, so that their answers agree.
//!
//! - [`accumulator`]: one metric of one group;
//! - [`sketch`]: percentiles, exact at first, then with a bounded rank error;
//! - [`distinct`]: counts of different values, exact at first, then estimated;
//! - [`groups`]: accumulators by group and time, their order, limit and memory;
//! - [`histogram`]: counts by time;
//! - [`key`]: group values as bytes, and how values order;
//! - [`tally`]: which fields there are;
//! - [`values`]: the value of a field of a record, and the query behind a list of values.
//!
//! All of them merge, so that blocks can be counted in parallel.
//!
//! Decisions where the contract is silent:
//! - Groups and distinct values keep their type: the integer `1`, the double `1.0` and the string `"1"` are three. An
//!   array is one value, not its elements.
//! - Values order by their text bytewise (strings as they are, all others as JSON), then by type: string, int, double,
//!   bool, array. Null is last in both directions.
//! - `sum`, `min`, `max` and percentiles of integers alone are integers (a sum that does not fit is a double);
//!   `avg` is always a double. A sum beyond the doubles is null.
//! - Without groups there is always one row, also when nothing matched; with groups or an interval only what matched.

pub mod accumulator;
pub mod distinct;
pub mod groups;
pub mod histogram;
pub mod key;
pub mod sketch;
pub mod tally;
pub mod values;

#[cfg(test)]
mod tests;

pub use accumulator::Accumulator;
pub use groups::Groups;
pub use histogram::BucketCounts;
pub use tally::FieldTally;
pub use values::field_value;

impl crate::StoreError {
    /// The query ran into its time limit.
    pub fn out_of_time(limit: std::time::Duration) -> Self {
        Self::Limit(format!("the query took longer than its {:.1} s; narrow it or its time range", limit.as_secs_f64()))
    }
}
