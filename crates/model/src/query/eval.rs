//! Holds records in memory against a query.

use super::tree::{Query, Test};
use crate::record::{Record, Value};

/// A query made ready to be held against many records.
#[derive(Debug)]
pub struct Evaluator {
    query: Query,
}

impl Evaluator {
    pub fn new(query: &Query) -> Self {
        Self { query: query.clone() }
    }

    pub fn matches(&self, _record: &Record<'_>) -> bool {
        self.query == Query::All
    }
}

/// A test made ready to be held against many values. Times are passed as integers in nanoseconds, severities as
/// their numbers, level names and ids as strings.
#[derive(Debug, Clone)]
pub struct TestMatcher {}

impl TestMatcher {
    pub fn new(_test: &Test) -> Self {
        Self {}
    }
    pub fn matches_str(&self, _value: &str) -> bool {
        true
    }
    pub fn matches_int(&self, _value: i64) -> bool {
        true
    }
    pub fn matches_double(&self, _value: f64) -> bool {
        true
    }
    pub fn matches_bool(&self, _value: bool) -> bool {
        true
    }
    pub fn matches_value(&self, _value: &Value<'_>) -> bool {
        true
    }
}
