//! Values, bounds and ranges of fields to tests.

use std::ops::Bound;

use super::Pattern;
use super::scan::Operator;
use super::tree::{Field, Glob, Literal, Test};
use crate::level::{Level, Severity};
use crate::number::Number;
use crate::time;

/// Why a value can't be used, and what to do about it.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) message: &'static str,
    pub(super) hint: &'static str,
}

const NO_TIME: Refused = Refused {
    message: "a time field takes a time",
    hint: "write 2026-11-22T10:00:00Z, epoch milliseconds, now or -15m, after a colon, a comparison or in a range",
};
const NO_NUMBER: Refused = Refused {
    message: "a comparison takes a number",
    hint: "write a decimal number such as 500 or 1.5e3; for text use field:value or field:val*",
};
const NO_LEVEL: Refused = Refused {
    message: "level compares with a level's name or severity number",
    hint: "write trace, debug, info, warn, error, fatal or a number from 1 to 24",
};

/// Which end of a range a bound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Low,
    High,
}

/// A bound in the unit of its field.
pub(super) enum Limit {
    Number(Bound<Number>),
    Severity(Bound<u8>),
    Time(Bound<i64>),
}

/// `field:value` without quotes: equality, a wildcard, or presence.
pub(super) fn bare(field: &Field, run: &str, now: i64) -> Result<Test, Refused> {
    if !run.contains('*') {
        return equals(field, run, now);
    }
    let run = Glob::join_stars(run);
    if run == "*" {
        return Ok(Test::Exists);
    }
    if field.is_time() {
        return Err(NO_TIME);
    }
    // Levels are written in lower case.
    let run = if *field == Field::Level { run.to_ascii_lowercase() } else { run };
    Ok(Test::Glob(Glob { pieces: run.split('*').map(String::from).collect() }))
}

pub(super) fn equals(field: &Field, text: &str, now: i64) -> Result<Test, Refused> {
    if field.is_time() {
        let time = time::parse_query(text, now).ok_or(NO_TIME)?;
        return Ok(Test::Time(Bound::Included(time), Bound::Included(time)));
    }
    if *field == Field::Level {
        let level = Level::ALL.into_iter().find(|level| severities(text) == Some(all_of(*level)));
        return Ok(match (level, severities(text)) {
            (Some(level), _) => Test::Equals(Literal::new(level.as_str())),
            (None, Some((only, _))) => Test::Severity(Bound::Included(only), Bound::Included(only)),
            (None, None) => Test::Equals(Literal::new(&text.to_ascii_lowercase())),
        });
    }
    Ok(Test::Equals(Literal::new(text)))
}

pub(super) fn regex(field: &Field, pattern: Pattern) -> Result<Test, Refused> {
    if field.is_time() { Err(NO_TIME) } else { Ok(Test::Regex(pattern)) }
}

pub(super) fn compare(field: &Field, operator: Operator, text: &str, now: i64) -> Result<Test, Refused> {
    let (side, included) = match operator {
        Operator::Greater => (Side::Low, false),
        Operator::GreaterOrEqual => (Side::Low, true),
        Operator::Less => (Side::High, false),
        Operator::LessOrEqual | Operator::Is => (Side::High, true),
    };
    let limit = limit(field, side, text, included, now)?;
    Ok(match (limit, side) {
        (Limit::Number(bound), Side::Low) => Test::Number(bound, Bound::Unbounded),
        (Limit::Number(bound), Side::High) => Test::Number(Bound::Unbounded, bound),
        (Limit::Severity(bound), Side::Low) => Test::Severity(bound, Bound::Unbounded),
        (Limit::Severity(bound), Side::High) => Test::Severity(Bound::Unbounded, bound),
        (Limit::Time(bound), Side::Low) => Test::Time(bound, Bound::Unbounded),
        (Limit::Time(bound), Side::High) => Test::Time(Bound::Unbounded, bound),
    })
}

/// A bound of a range: as that of a comparison, or `*` for an open end (None).
pub(super) fn bound(field: &Field, side: Side, text: &str, included: bool, now: i64) -> Result<Option<Limit>, Refused> {
    if text == "*" { Ok(None) } else { limit(field, side, text, included, now).map(Some) }
}

/// The range between two bounds of the same field.
pub(super) fn range(field: &Field, low: Option<Limit>, high: Option<Limit>) -> Test {
    macro_rules! bounds {
        ($kind:ident) => {{
            let pick = |limit| match limit {
                Some(Limit::$kind(bound)) => bound,
                _ => Bound::Unbounded,
            };
            Test::$kind(pick(low), pick(high))
        }};
    }
    match field {
        Field::Level => bounds!(Severity),
        field if field.is_time() => bounds!(Time),
        _ => bounds!(Number),
    }
}

fn limit(field: &Field, side: Side, text: &str, included: bool, now: i64) -> Result<Limit, Refused> {
    if field.is_time() {
        return Ok(Limit::Time(close(time::parse_query(text, now).ok_or(NO_TIME)?, included)));
    }
    if *field == Field::Level {
        let (first, last) = severities(text).ok_or(NO_LEVEL)?;
        // What is included counts from the level's near end on, what is excluded from its far end.
        let near = if (side == Side::Low) == included { first } else { last };
        return Ok(Limit::Severity(close(near, included)));
    }
    Ok(Limit::Number(close(Number::parse(text).ok_or(NO_NUMBER)?, included)))
}

fn close<T>(value: T, included: bool) -> Bound<T> {
    if included { Bound::Included(value) } else { Bound::Excluded(value) }
}

/// The severity numbers that a text means: all of a level by its name or a synonym, a single one by its number or by
/// a name between the levels, such as `notice`.
fn severities(text: &str) -> Option<(u8, u8)> {
    if let Ok(number) = text.parse() {
        return Severity::new(number).map(|severity| (severity.number(), severity.number()));
    }
    let severity = Severity::from_name(text)?;
    let level = all_of(severity.level());
    Some(if severity.number() == level.0 { level } else { (severity.number(), severity.number()) })
}

fn all_of(level: Level) -> (u8, u8) {
    let first = level.severity().number();
    (first, first + 3)
}
