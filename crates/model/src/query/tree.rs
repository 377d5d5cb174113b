//! The query tree.

use std::ops::Bound;

use super::pattern::Pattern;
use crate::number::Number;

/// A condition on a record. Two-valued: what is absent matches nothing, and [`Query::Not`] then matches.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// Every record: the empty query and `*`.
    All,
    /// At least two, none of them an `And`.
    And(Vec<Query>),
    /// At least two, none of them an `Or`.
    Or(Vec<Query>),
    Not(Box<Query>),
    /// Bare text: looks at the message only.
    Message(Text),
    Field(Field, Test),
}

/// What the message must hold. Words and needles are folded (ASCII lower case).
#[derive(Debug, Clone, PartialEq)]
pub enum Text {
    /// These words next to each other in this order; one word is a phrase of one.
    Phrase(Vec<WordPattern>),
    /// This text anywhere, across words too; folded.
    Contains(String),
    /// A regular expression on the message as it stands, unanchored.
    Regex(Pattern),
}

/// One word of a phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordPattern {
    /// The folded word.
    Exact(String),
    /// A folded glob over the whole word: `time*`, `*out`, `t*e`.
    Glob(Glob),
}

/// Literal pieces with any text between them: `a*b` is `["a", "b"]`, `*b` is `["", "b"]`. At least two pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pub pieces: Vec<String>,
}

/// What a test looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    Id,
    Timestamp,
    ObservedTimestamp,
    Project,
    Service,
    Host,
    Level,
    SeverityNumber,
    Message,
    TraceId,
    SpanId,
    /// A name that is no record field: matches in attributes or resource, either.
    Any(String),
    /// `attributes.x`
    Attribute(String),
    /// `resource.x`
    Resource(String),
}

/// What must hold of the field. An array matches when one of its elements does.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// The field is there; the empty string and `[]` are.
    Exists,
    Equals(Literal),
    /// Case-sensitive, over the whole value; numbers by their JSON text.
    Glob(Glob),
    /// Unanchored; numbers by their JSON text.
    Regex(Pattern),
    /// Numbers, and strings that read wholly as one. `timestamp` and `observed_timestamp` never have this test.
    Number(Bound<Number>, Bound<Number>),
    /// Only on [`Field::Level`]: bounds on the severity number (`level>=warn` is from 13).
    Severity(Bound<u8>, Bound<u8>),
    /// Only on [`Field::Timestamp`] and [`Field::ObservedTimestamp`]: nanoseconds since the Unix epoch.
    Time(Bound<i64>, Bound<i64>),
}

/// A value to equal, read in every way that the rules of equality allow.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    /// What a string must be (for [`Field::Level`]: a level's name, folded).
    pub text: String,
    /// What a number must equal by value, if the text reads wholly as one.
    pub number: Option<Number>,
    /// What a boolean must be, if the text is `true` or `false`.
    pub boolean: Option<bool>,
}
