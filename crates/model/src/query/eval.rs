//! Holds records in memory against a query.

use super::tree::Query;
use crate::record::Record;

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
