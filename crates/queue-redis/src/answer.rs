//! What Redis's answers mean for the caller.

use std::time::Duration;

use model::position::{Partition, Position};
use queue::QueueError;
use redis::{ErrorKind, RedisError, ServerError, Value};

use crate::scripts::{BEYOND, FENCED, REPLACED};

/// When to try again while Redis is away or full.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);
const SAID_CHARS_MAX: usize = 300;

pub(crate) fn unavailable(reason: impl Into<String>) -> QueueError {
    QueueError::Unavailable { reason: reason.into(), retry_after: RETRY_AFTER }
}

/// A failure of a call that may be repeated.
pub(crate) fn failed(error: &RedisError) -> QueueError {
    unavailable(explain(error))
}

/// What Redis answered to an append, or that no answer came.
pub(crate) fn append_failed(error: &RedisError) -> QueueError {
    match error.kind() {
        // Redis refuses before it stores anything: a script runs whole or not at all.
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => failed(error),
        _ => QueueError::Unknown(explain(error)),
    }
}

pub(crate) fn commit_failed(error: &RedisError, group: &str, partition: Partition, next: Position) -> QueueError {
    match error.code() {
        Some(FENCED) => unavailable(format!("partition {partition} is another member's of group {group} now")),
        Some(BEYOND) => QueueError::Corrupt(format!(
            "partition {partition}: group {group} commits {next}, but the last message stands before {}",
            error.detail().unwrap_or("it")
        )),
        _ => failed(error),
    }
}

/// Whether the connection is to be given up, or greeted anew.
pub(crate) fn ends_connection(error: &RedisError) -> bool {
    let server = matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension);
    !server || matches!(error.code(), Some(REPLACED | "NOSCRIPT" | "READONLY" | "LOADING" | "MASTERDOWN"))
}

/// One answer of a pipeline.
pub(crate) fn outcome(value: Value) -> Result<Value, RedisError> {
    match value {
        Value::ServerError(error) => Err(server_error(error)),
        value => Ok(value),
    }
}

fn server_error(error: ServerError) -> RedisError {
    RedisError::from(error)
}

/// A sentence for a log or a client. What Redis says is cut: it may quote what it was sent.
pub(crate) fn explain(error: &RedisError) -> String {
    let said: String = error.to_string().chars().take(SAID_CHARS_MAX).collect();
    match error.code() {
        Some("OOM") => "Redis is out of memory (maxmemory)".to_owned(),
        Some("MISCONF") => format!("Redis can't write to its disk: {said}"),
        Some("READONLY") => "this Redis is a replica and takes no writes".to_owned(),
        Some("LOADING") => "Redis is reading its data after a restart".to_owned(),
        Some("NOAUTH" | "WRONGPASS" | "NOPERM") => format!("Redis refuses this user: {said}"),
        Some(REPLACED) => "Redis holds another queue than before; it was emptied or replaced".to_owned(),
        _ if error.is_timeout() => "Redis did not answer in time".to_owned(),
        _ if error.is_connection_refusal() => "nothing answers at Redis's address".to_owned(),
        _ => format!("Redis: {said}"),
    }
}
