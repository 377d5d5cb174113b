//! What the server's errors mean, by SQLSTATE.

use std::error::Error as _;
use std::time::Duration;

use store::{StoreError, WriteError};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A value that the database refuses: classes 22 and 23, a trigger's exception, a limit of the program.
    Data,
    /// No partition takes the row.
    NoPartition,
    /// The statement was cancelled or ran out of time.
    Cancelled,
    /// A limit on memory or on the size of a query.
    Limit,
    /// The connection, the server's state or its resources: try again.
    Unavailable,
    /// Wrong SQL, a missing table or right.
    Statement,
    /// Damaged pages or indexes.
    Corrupt,
    /// A read-only transaction was asked to write.
    ReadOnly,
    Other,
}

pub(crate) fn fault(error: &Error) -> Fault {
    let Some(db) = error.as_db_error() else {
        return if is_of_values(error) { Fault::Data } else { Fault::Unavailable };
    };
    let code = db.code();
    if *code == SqlState::QUERY_CANCELED {
        return Fault::Cancelled;
    }
    if *code == SqlState::CHECK_VIOLATION && db.constraint().is_none() {
        return Fault::NoPartition;
    }
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return Fault::ReadOnly;
    }
    if [SqlState::OUT_OF_MEMORY, SqlState::CONFIGURATION_LIMIT_EXCEEDED].contains(code) {
        return Fault::Limit;
    }
    match &code.code()[..2] {
        "22" | "23" | "P0" | "54" => Fault::Data,
        "08" | "53" | "57" | "58" | "40" | "55" | "25" => Fault::Unavailable,
        "XX" if *code != SqlState::INTERNAL_ERROR => Fault::Corrupt,
        "42" | "0A" | "3D" | "3F" | "28" => Fault::Statement,
        _ => Fault::Other,
    }
}

/// A parameter that has no form in the protocol.
fn is_of_values(error: &Error) -> bool {
    let text = error.to_string();
    text.starts_with("error serializing") || text.starts_with("error encoding")
}

/// The error in a sentence. The client library never shows credentials.
pub(crate) fn describe(error: &Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", db.message(), db.code().code());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// An error of one of our own queries.
pub(crate) fn query_error(error: &Error, time: Duration) -> StoreError {
    let text = describe(error);
    match fault(error) {
        Fault::Cancelled => StoreError::out_of_time(time),
        Fault::Limit => StoreError::Limit(format!("the query needs more memory than it may use: {text}")),
        Fault::Unavailable => StoreError::Unavailable(text),
        Fault::Corrupt => StoreError::Corrupt(text),
        Fault::Data if error.code() == Some(&SqlState::PROGRAM_LIMIT_EXCEEDED) => StoreError::Limit(text),
        _ => StoreError::Internal(text),
    }
}

/// An error of a statement that a user wrote.
pub(crate) fn sql_error(error: &Error, time: Duration) -> StoreError {
    match fault(error) {
        Fault::Data | Fault::Statement | Fault::ReadOnly => {
            let text = error.as_db_error().map_or_else(|| describe(error), |db| db.message().to_owned());
            StoreError::Invalid(text)
        }
        _ => query_error(error, time),
    }
}

/// An error of a write. `row` finds the record that the error speaks of.
pub(crate) fn write_error(error: &Error, row: impl FnOnce(&DbError) -> Option<(usize, usize)>) -> WriteError {
    let text = describe(error);
    match (fault(error), error.as_db_error()) {
        (Fault::Data, Some(db)) => WriteError::Rejected { reason: text, row: row(db) },
        (Fault::Data, None) => WriteError::Rejected { reason: text, row: None },
        (Fault::Statement, _) => WriteError::Unavailable(format!(
            "the tables are not as the migrations made them, or the role has not the right to write: {text}"
        )),
        _ => WriteError::Unavailable(text),
    }
}

/// The line that COPY was at, from 0. The context reads `COPY devlogs_records, line 12, column …` in the server's
/// language.
pub(crate) fn copy_line(error: &DbError) -> Option<usize> {
    let (_, rest) = error.where_()?.strip_prefix("COPY ")?.split_once(", ")?;
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse::<usize>().ok()?.checked_sub(1)
}
