//! A query as text that parses back to the same tree.

use std::fmt::{self, Display, Formatter, Write as _};
use std::ops::Bound;

use super::scan::is_name_char;
use super::tree::{Field, Glob, Query, Test, Text, WordPattern};
use crate::time;

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Query::All => f.write_str("*"),
            Query::And(parts) => join(f, parts, " ", |part| matches!(part, Query::Or(_))),
            Query::Or(parts) => join(f, parts, " OR ", |_| false),
            Query::Not(part) => {
                f.write_str("NOT ")?;
                operand(f, part, matches!(**part, Query::And(_) | Query::Or(_)))
            }
            Query::Message(text) => text.fmt(f),
            Query::Field(field, test) => print_test(f, field, test),
        }
    }
}

fn join(f: &mut Formatter<'_>, parts: &[Query], between: &str, grouped: fn(&Query) -> bool) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        operand(f, part, grouped(part))?;
    }
    Ok(())
}

fn operand(f: &mut Formatter<'_>, query: &Query, grouped: bool) -> fmt::Result {
    if grouped { write!(f, "({query})") } else { query.fmt(f) }
}

impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Text::Contains(needle) => write_quoted(f, &format!("*{needle}*")),
            Text::Regex(pattern) => write_regex(f, &pattern.source),
            Text::Phrase(words) => {
                let plain = words.iter().all(|word| matches!(word, WordPattern::Exact(_)));
                // Punctuation first keeps stars at both ends from being read as "contains".
                let (open, between, close) = match words.len() {
                    0 | 1 if plain => ("", "", ""),
                    _ if plain => ("\"", " ", "\""),
                    _ if starts_with_star(words) => (".", ".", ""),
                    _ => ("", ".", ""),
                };
                f.write_str(open)?;
                for (index, word) in words.iter().enumerate() {
                    if index > 0 {
                        f.write_str(between)?;
                    }
                    match word {
                        WordPattern::Exact(word) => f.write_str(word)?,
                        WordPattern::Glob(glob) => glob.fmt(f)?,
                    }
                }
                f.write_str(close)
            }
        }
    }
}

fn starts_with_star(words: &[WordPattern]) -> bool {
    matches!(words.first(), Some(WordPattern::Glob(glob)) if glob.pieces.first().is_some_and(String::is_empty))
}

impl Display for Glob {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pieces.join("*"))
    }
}

/// The field's name as a query writes it.
impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let plain =
            !name.is_empty() && name.chars().all(is_name_char) && !name.starts_with(['-', '/']) && !name.ends_with('-');
        if plain { f.write_str(&name) } else { write_quoted(f, &name) }
    }
}

fn print_test(f: &mut Formatter<'_>, field: &Field, test: &Test) -> fmt::Result {
    field.fmt(f)?;
    match test {
        Test::Exists => f.write_str(":*"),
        Test::Equals(literal) => {
            f.write_char(':')?;
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '@' | ':' | '+');
            if !literal.text.is_empty() && literal.text.chars().all(plain) {
                f.write_str(&literal.text)
            } else {
                write_quoted(f, &literal.text)
            }
        }
        Test::Glob(glob) => write!(f, ":{glob}"),
        Test::Regex(pattern) => {
            f.write_char(':')?;
            write_regex(f, &pattern.source)
        }
        Test::Number(low, high) => write_range(f, low, high, ToString::to_string),
        Test::Severity(low, high) => write_range(f, low, high, ToString::to_string),
        Test::Time(low, high) => write_range(f, low, high, |time| time::format(*time)),
    }
}

fn write_range<T: PartialEq>(
    f: &mut Formatter<'_>,
    low: &Bound<T>,
    high: &Bound<T>,
    text: impl Fn(&T) -> String,
) -> fmt::Result {
    match (low, high) {
        (Bound::Included(low), Bound::Unbounded) => write!(f, ">={}", text(low)),
        (Bound::Excluded(low), Bound::Unbounded) => write!(f, ">{}", text(low)),
        (Bound::Unbounded, Bound::Included(high)) => write!(f, "<={}", text(high)),
        (Bound::Unbounded, Bound::Excluded(high)) => write!(f, "<{}", text(high)),
        _ => {
            let of = |bound: &Bound<T>| match bound {
                Bound::Unbounded => "*".to_owned(),
                Bound::Included(value) | Bound::Excluded(value) => text(value),
            };
            let open = if matches!(low, Bound::Excluded(_)) { '{' } else { '[' };
            let close = if matches!(high, Bound::Excluded(_)) { '}' } else { ']' };
            write!(f, ":{open}{} TO {}{close}", of(low), of(high))
        }
    }
}

fn write_quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}

fn write_regex(f: &mut Formatter<'_>, source: &str) -> fmt::Result {
    f.write_char('/')?;
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        match c {
            '/' => f.write_str("\\/")?,
            '\\' => {
                f.write_char(c)?;
                if let Some(escaped) = chars.next() {
                    f.write_char(escaped)?;
                }
            }
            _ => f.write_char(c)?,
        }
    }
    f.write_char('/')
}
