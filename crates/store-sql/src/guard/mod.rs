//! SQL that a user wrote, made safe to run: one read-only statement over the view `logs` of one project.
//!
//! | column of `logs` | ClickHouse | PostgreSQL |
//! |---|---|---|
//! | `timestamp`, `observed_timestamp` | `DateTime64(9)` | `timestamptz` (microseconds) |
//! | `id`, `service`, `message` | text | text |
//! | `level`, `host`, `trace_id`, `span_id` | text or null | text or null |
//! | `severity_number` | integer or null | integer or null |
//! | `attributes`, `resource` | `Map(String, String)`: `attributes['http.path']` | `jsonb`: `attributes ->> 'http.path'` |
//!
//! What is run is never the user's text. It is tokenised; strings are taken out and other tokens than plain ones
//! refused; the rest is parsed, and [`check`] walks the whole tree with lists of what is allowed, not of what is
//! forbidden. Then the tree is printed again behind `WITH logs AS (…)`, a sub-query that the project is bound to as a
//! parameter, with each string written anew by the rules of the dialect. So no name reaches anything but that
//! sub-query, the statement's own sub-queries, and the functions in [`functions`].
//!
//! This is the first fence. The second is the connection's: a user who may read this one table only, in read-only mode,
//! with limits of time and memory.

mod check;
mod dialects;
mod functions;

use sqlparser::ast::{Expr, LimitClause, Offset, OffsetRows, Query, SetExpr, Statement as Parsed, Value};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::statement::{Binder, Statement};

pub use dialects::Guarded;

/// Longest statement, bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Why a statement is not run; the text tells the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl From<Refused> for store::StoreError {
    fn from(refused: Refused) -> Self {
        Self::Invalid(refused.0)
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(reason.into()))
}

/// Checks a user's statement and binds it to a project. The answer has at most `rows_max` + 1 rows, by which the caller
/// sees that there are too many.
///
/// # Errors
/// The statement does not parse, or asks for what is not allowed.
pub fn guard<D: Guarded>(text: &str, project: &str, rows_max: usize) -> Result<Statement, Refused> {
    if text.len() > TEXT_BYTES_MAX {
        return refuse(format!("the statement is longer than {} KiB", TEXT_BYTES_MAX >> 10));
    }
    let (tokens, strings) = plain_tokens::<D>(text)?;
    let dialect = D::parser();
    let mut statements = Parser::new(dialect.as_ref())
        .with_tokens(tokens)
        .parse_statements()
        .map_err(|error| Refused(error.to_string()))?;
    let mut query = match (statements.pop(), statements.is_empty()) {
        (Some(Parsed::Query(query)), true) => query,
        (None, _) => return refuse("there is no statement"),
        (_, false) => return refuse("only one statement at a time"),
        _ => return refuse("only SELECT and WITH are allowed; this API is read-only"),
    };
    check::check::<D>(&mut query, &strings)?;
    limit(&mut query, rows_max.saturating_add(1))?;
    let mut binder = Binder::<D>::new();
    let view = D::view(&binder.text(project));
    let ctes = query.with.take().map_or_else(Vec::new, |with| with.cte_tables);
    let ctes: String = ctes.iter().map(|cte| format!(", {cte}")).collect();
    let bounded = if D::LIMIT_BOUNDS_UNIONS || matches!(*query.body, SetExpr::Select(_)) {
        query.to_string()
    } else {
        format!("SELECT * FROM ({query}) AS answer LIMIT {}", rows_max.saturating_add(1))
    };
    Ok(binder.finish(&format!("WITH logs AS {view}{ctes} {bounded}")))
}

/// What stands for the string of an index while the statement is parsed and printed: strings themselves may hold what
/// a printer escapes wrongly.
fn marker(index: usize) -> String {
    format!("string {index}")
}

/// The tokens of a statement without comments, its strings replaced by markers, and the strings.
fn plain_tokens<D: Guarded>(text: &str) -> Result<(Vec<Token>, Vec<String>), Refused> {
    let dialect = D::parser();
    let tokens = Tokenizer::new(dialect.as_ref(), text).tokenize().map_err(|error| Refused(error.to_string()))?;
    let mut strings = Vec::new();
    let mut plain = Vec::with_capacity(tokens.len());
    for token in tokens {
        match token {
            Token::Whitespace(_) => {}
            Token::SingleQuotedString(text) => {
                if text.contains(['\0', '\u{1a}']) {
                    return refuse("a string holds a control character that can't be searched for");
                }
                plain.push(Token::SingleQuotedString(marker(strings.len())));
                strings.push(text);
            }
            Token::Word(word) if word.quote_style.is_some() => {
                let odd = |c: char| c.is_control() || matches!(c, '\\' | '\'' | '"' | '`' | '{' | '}');
                if word.value.is_empty() || word.value.contains(odd) {
                    return refuse(format!("the name {:?} holds a character that names can't have", word.value));
                }
                plain.push(Token::Word(word));
            }
            token if is_plain(&token) => plain.push(token),
            token => return refuse(format!("`{token}` is not allowed in a statement")),
        }
    }
    Ok((plain, strings))
}

fn is_plain(token: &Token) -> bool {
    use Token as T;
    matches!(
        token,
        T::Word(_)
            | T::Number(..)
            | T::Comma
            | T::SemiColon
            | T::Period
            | T::LParen
            | T::RParen
            | T::LBracket
            | T::RBracket
            | T::Colon
            | T::DoubleColon
            | T::Eq
            | T::DoubleEq
            | T::Neq
            | T::Lt
            | T::Gt
            | T::LtEq
            | T::GtEq
            | T::Plus
            | T::Minus
            | T::Mul
            | T::Div
            | T::Mod
            | T::StringConcat
            | T::Tilde
            | T::TildeAsterisk
            | T::ExclamationMarkTilde
            | T::ExclamationMarkTildeAsterisk
            | T::Arrow
            | T::LongArrow
            | T::HashArrow
            | T::HashLongArrow
            | T::AtArrow
            | T::ArrowAt
            | T::Question
            | T::QuestionAnd
            | T::QuestionPipe
    )
}

/// Bounds the rows of the answer.
fn limit(query: &mut Query, most: usize) -> Result<(), Refused> {
    if matches!(*query.body, SetExpr::Values(_)) && query.limit_clause.is_none() {
        return Ok(());
    }
    let number = |rows: usize| Expr::value(Value::Number(rows.to_string(), false));
    let bounded = |limit: &Expr| match limit {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse::<usize>().map(|rows| number(rows.min(most))).ok(),
            _ => None,
        },
        _ => None,
    };
    let (limit, offset, limit_by) = match query.limit_clause.take() {
        None => (None, None, Vec::new()),
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) => (limit, offset, limit_by),
        Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
            (Some(limit), Some(Offset { value: offset, rows: OffsetRows::None }), Vec::new())
        }
    };
    if !limit_by.is_empty() {
        return refuse("LIMIT BY is not allowed; use a window function");
    }
    let limit = match limit {
        None => number(most),
        Some(limit) => match bounded(&limit) {
            Some(limit) => limit,
            None => return refuse("LIMIT takes a number"),
        },
    };
    query.limit_clause = Some(LimitClause::LimitOffset { limit: Some(limit), offset, limit_by });
    Ok(())
}

#[cfg(test)]
mod tests;
