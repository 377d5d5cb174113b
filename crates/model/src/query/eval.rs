//! Holds records in memory against a query: the meaning that every store is held to.

use std::ops::{Bound, RangeBounds};

use super::glob::{self, Case};
use super::pattern::Pattern;
use super::tree::{Field, Literal, Query, Test};
use super::words::TextMatcher;
use crate::number::Number;
use crate::record::{Record, Value, lookup};

/// A query made ready to be held against many records.
#[derive(Debug, Clone)]
pub struct Evaluator(Node);

#[derive(Debug, Clone)]
enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Message(TextMatcher),
    Field(Field, TestMatcher),
}

impl Evaluator {
    pub fn new(query: &Query) -> Self {
        Self(Node::new(query))
    }

    pub fn matches(&self, record: &Record<'_>) -> bool {
        self.0.matches(record)
    }
}

impl Node {
    fn new(query: &Query) -> Self {
        let nodes = |parts: &[Query]| parts.iter().map(Node::new).collect();
        match query {
            Query::All => Node::All,
            Query::And(parts) => Node::And(nodes(parts)),
            Query::Or(parts) => Node::Or(nodes(parts)),
            Query::Not(part) => Node::Not(Box::new(Node::new(part))),
            Query::Message(text) => Node::Message(TextMatcher::new(text)),
            Query::Field(field, test) => Node::Field(field.clone(), TestMatcher::new(test)),
        }
    }

    fn matches(&self, record: &Record<'_>) -> bool {
        match self {
            Node::All => true,
            Node::And(parts) => parts.iter().all(|part| part.matches(record)),
            Node::Or(parts) => parts.iter().any(|part| part.matches(record)),
            Node::Not(part) => !part.matches(record),
            Node::Message(text) => text.matches(&record.message),
            Node::Field(field, test) => field_matches(field, test, record),
        }
    }
}

fn field_matches(field: &Field, test: &TestMatcher, record: &Record<'_>) -> bool {
    let value = |value: Option<&Value<'_>>| value.is_some_and(|value| test.matches_value(value));
    match field {
        Field::Id => test.matches_str(&record.id.to_string()),
        Field::Timestamp => test.matches_int(record.timestamp),
        Field::ObservedTimestamp => test.matches_int(record.observed),
        Field::Project => test.matches_str(&record.project),
        Field::Service => test.matches_str(&record.service),
        Field::Host => record.host.as_deref().is_some_and(|host| test.matches_str(host)),
        Field::Level => record.severity.is_some_and(|severity| test.matches_level(severity)),
        Field::SeverityNumber => record.severity.is_some_and(|severity| test.matches_int(severity.number().into())),
        Field::Message => test.matches_str(&record.message),
        Field::TraceId => record.trace_id.is_some_and(|id| test.matches_str(&id.to_string())),
        Field::SpanId => record.span_id.is_some_and(|id| test.matches_str(&id.to_string())),
        Field::Any(name) => value(lookup(&record.attributes, name)) || value(lookup(&record.resource, name)),
        Field::Attribute(name) => value(lookup(&record.attributes, name)),
        Field::Resource(name) => value(lookup(&record.resource, name)),
    }
}

/// A test made ready to be held against many values that are there; an absent value matches nothing.
///
/// Times are passed as integers in nanoseconds, ids as their text, levels by [`TestMatcher::matches_level`].
#[derive(Debug, Clone)]
pub struct TestMatcher(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Exists,
    Equals(Literal),
    Glob(Vec<String>),
    Regex(Pattern),
    Number(Bound<Number>, Bound<Number>),
    /// Times and severities.
    Exact(Bound<i64>, Bound<i64>),
}

impl TestMatcher {
    pub fn new(test: &Test) -> Self {
        Self(match test {
            Test::Exists => Kind::Exists,
            Test::Equals(literal) => Kind::Equals(literal.clone()),
            Test::Glob(glob) => Kind::Glob(glob.pieces.clone()),
            Test::Regex(pattern) => Kind::Regex(pattern.clone()),
            Test::Number(low, high) => Kind::Number(*low, *high),
            Test::Severity(low, high) => Kind::Exact(low.map(i64::from), high.map(i64::from)),
            Test::Time(low, high) => Kind::Exact(*low, *high),
        })
    }

    pub fn matches_str(&self, value: &str) -> bool {
        match &self.0 {
            Kind::Exists => true,
            Kind::Equals(literal) => literal.text == value,
            Kind::Glob(pieces) => glob::matches(pieces, value.as_bytes(), Case::Exact),
            Kind::Regex(pattern) => pattern.is_match(value),
            Kind::Number(low, high) => Number::parse(value).is_some_and(|number| within(number, low, high)),
            Kind::Exact(..) => false,
        }
    }

    pub fn matches_int(&self, value: i64) -> bool {
        match &self.0 {
            Kind::Exact(low, high) => (*low, *high).contains(&value),
            _ => self.matches_number(Number::Int(value)),
        }
    }

    pub fn matches_double(&self, value: f64) -> bool {
        self.matches_number(Number::Double(value))
    }

    fn matches_number(&self, value: Number) -> bool {
        match &self.0 {
            Kind::Exists => true,
            Kind::Equals(literal) => literal.number.is_some_and(|number| number == value),
            Kind::Number(low, high) => within(value, low, high),
            Kind::Glob(_) | Kind::Regex(_) => self.matches_str(&value.to_string()),
            Kind::Exact(..) => false,
        }
    }

    /// Wildcards and regular expressions look at `true` or `false`.
    pub fn matches_bool(&self, value: bool) -> bool {
        match &self.0 {
            Kind::Exists => true,
            Kind::Equals(literal) => literal.boolean == Some(value),
            Kind::Glob(_) | Kind::Regex(_) => self.matches_str(if value { "true" } else { "false" }),
            Kind::Number(..) | Kind::Exact(..) => false,
        }
    }

    /// A level by its name or, where the test compares, by its severity.
    pub fn matches_level(&self, severity: crate::Severity) -> bool {
        match &self.0 {
            Kind::Exact(..) => self.matches_int(severity.number().into()),
            _ => self.matches_str(severity.level().as_str()),
        }
    }

    /// An array matches when one of its elements does; a null or an object in it never does.
    pub fn matches_value(&self, value: &Value<'_>) -> bool {
        match value {
            _ if matches!(self.0, Kind::Exists) => true,
            Value::Null | Value::Map(_) => false,
            Value::String(text) => self.matches_str(text),
            Value::Int(number) => self.matches_int(*number),
            Value::Double(number) => self.matches_double(*number),
            Value::Bool(flag) => self.matches_bool(*flag),
            Value::Array(items) => items.iter().any(|item| self.matches_value(item)),
        }
    }
}

fn within(number: Number, low: &Bound<Number>, high: &Bound<Number>) -> bool {
    let above = match low {
        Bound::Unbounded => true,
        Bound::Included(low) => number.compare(*low).is_ge(),
        Bound::Excluded(low) => number.compare(*low).is_gt(),
    };
    above
        && match high {
            Bound::Unbounded => true,
            Bound::Included(high) => number.compare(*high).is_le(),
            Bound::Excluded(high) => number.compare(*high).is_lt(),
        }
}

#[cfg(test)]
#[path = "eval_tests.rs"]
mod tests;
