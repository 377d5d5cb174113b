//! The query tree.

use std::borrow::Cow;
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

impl Query {
    /// All of the parts; nested `And`s are joined and what always holds is left out.
    pub fn all(parts: Vec<Query>) -> Query {
        let mut joined = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Query::All => {}
                Query::And(inner) => joined.extend(inner),
                other => joined.push(other),
            }
        }
        match joined.len() {
            0 => Query::All,
            1 => joined.remove(0),
            _ => Query::And(joined),
        }
    }

    /// One of the parts, at least one being given; nested `Or`s are joined.
    pub fn any(parts: Vec<Query>) -> Query {
        let mut joined = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Query::All => return Query::All,
                Query::Or(inner) => joined.extend(inner),
                other => joined.push(other),
            }
        }
        if joined.len() == 1 { joined.remove(0) } else { Query::Or(joined) }
    }
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

impl Glob {
    /// A written wildcard with each run of stars as one.
    pub(super) fn join_stars(text: &str) -> String {
        let mut joined = String::with_capacity(text.len());
        for c in text.chars() {
            if c != '*' || !joined.ends_with('*') {
                joined.push(c);
            }
        }
        joined
    }
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

impl Field {
    /// A record field by its name, else a name in attributes or resource; `attributes.x` and `resource.x` say which.
    pub fn from_name(name: &str) -> Self {
        match name {
            "id" => Self::Id,
            "timestamp" => Self::Timestamp,
            "observed_timestamp" => Self::ObservedTimestamp,
            "project" => Self::Project,
            "service" => Self::Service,
            "host" => Self::Host,
            "level" => Self::Level,
            "severity_number" => Self::SeverityNumber,
            "message" => Self::Message,
            "trace_id" => Self::TraceId,
            "span_id" => Self::SpanId,
            _ => match (name.strip_prefix("attributes."), name.strip_prefix("resource.")) {
                (Some(name), _) if !name.is_empty() => Self::Attribute(name.to_owned()),
                (_, Some(name)) if !name.is_empty() => Self::Resource(name.to_owned()),
                _ => Self::Any(name.to_owned()),
            },
        }
    }

    /// The name that [`Field::from_name`] reads back.
    pub fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Id => "id",
            Self::Timestamp => "timestamp",
            Self::ObservedTimestamp => "observed_timestamp",
            Self::Project => "project",
            Self::Service => "service",
            Self::Host => "host",
            Self::Level => "level",
            Self::SeverityNumber => "severity_number",
            Self::Message => "message",
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
            Self::Any(name) => name,
            Self::Attribute(name) => return Cow::Owned(format!("attributes.{name}")),
            Self::Resource(name) => return Cow::Owned(format!("resource.{name}")),
        })
    }

    /// Whether the field holds times.
    pub fn is_time(&self) -> bool {
        matches!(self, Self::Timestamp | Self::ObservedTimestamp)
    }
}

/// What must hold of the field. An array matches when one of its elements does.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// The field is there; the empty string and `[]` are.
    Exists,
    Equals(Literal),
    /// Case-sensitive, over the whole value; numbers and booleans by their JSON text. Never on a time; folded on
    /// [`Field::Level`].
    Glob(Glob),
    /// Unanchored; numbers and booleans by their JSON text. Never on a time.
    Regex(Pattern),
    /// Numbers, and strings that read wholly as one. `timestamp` and `observed_timestamp` never have this test.
    Number(Bound<Number>, Bound<Number>),
    /// Only on [`Field::Level`]: bounds on the severity number (`level>=warn` is from 13, `level:notice` is 10 to 10).
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

impl Literal {
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            number: Number::parse(text),
            boolean: match text {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
        }
    }
}
