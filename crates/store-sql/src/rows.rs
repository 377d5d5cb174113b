//! Rows of the databases' answers, the same for every dialect.

use serde::Deserialize;

/// A row of [`crate::Planner::histogram`]; columns in this order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HistogramRow {
    /// Of the bucket, nanoseconds since the Unix epoch.
    pub start: i64,
    /// 1 for the largest group, and so on; 0 for all that are not told apart.
    pub place: i64,
    /// The group's value, by [`crate::cell::decode`]; absent and empty at place 0.
    pub tag: i64,
    pub text: String,
    pub count: i64,
}

/// A row of [`crate::Planner::aggregate`]: one group; columns in this order. In ClickHouse the lists are `Array(…)`, in
/// PostgreSQL `bigint[]`, `text[]`, `double precision[]`, none of them with nulls.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct GroupRow {
    /// Of the bucket, nanoseconds since the Unix epoch; 0 without an interval.
    pub start: i64,
    /// For each grouping field its value, by [`crate::cell::decode`].
    pub tags: Vec<i64>,
    pub texts: Vec<String>,
    /// For each metric: how many records, values, different values or numbers there are.
    pub counts: Vec<i64>,
    /// For each numeric metric: how many of the numbers are doubles (for percentiles: or integers beyond 2^53).
    pub doubles: Vec<i64>,
    /// For each numeric metric: the sum, least or greatest of the integers, decimal; empty for none.
    pub integers: Vec<String>,
    /// For each numeric metric: the sum, least or greatest of the doubles, or the percentile of all, as a double's
    /// text; empty for none.
    pub numbers: Vec<String>,
}

/// A row of [`crate::Planner::fields`]; columns in this order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FieldRow {
    /// 0: a record field, or all records when the name is empty; 1: an attribute; 2: a resource value; 3: a resource
    /// value of a record that also has an attribute of this name.
    pub source: i64,
    pub name: String,
    pub tag: i64,
    pub count: i64,
}

/// A row of [`crate::Planner::values`]; columns in this order, rows in the order of the answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ValueRow {
    pub tag: i64,
    pub text: String,
    pub count: i64,
}

/// A row of [`crate::Planner::count_by_origin`]; columns in this order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct OriginRow {
    /// 32 lower-case hexadecimal digits.
    pub origin: String,
    pub count: i64,
}
