//! What the server really means: its codes, told apart by what is to be done.

use clickhouse::error::Error;
use store::{StoreError, WriteError};

use store::QueryLimits;

/// Bytes of a server's words that are passed on.
const REASON_BYTES_MAX: usize = 400;

/// Why the server did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It answered with one of its codes.
    Server { code: u32, reason: String },
    /// No answer, or half of one: what was asked may have been done.
    Network(String),
    /// The servers have no place for what was asked, as they are configured here.
    Unknown(String),
}

/// `throwIf` held: somebody else owns the partition.
const FENCED: u32 = 395;

/// Codes of values that the server does not take; it answers them with status 500, as it does an overload.
const VALUE_CODES: [u32; 17] = [6, 25, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 128, 131, 321, 349, 469];

/// Codes of limits: rows, bytes, set size, time, memory, result size, time estimated.
const ROWS_CODES: [u32; 4] = [158, 191, 307, 396];
const TIME_CODES: [u32; 2] = [159, 160];
const MEMORY_CODES: [u32; 2] = [173, 241];

/// Codes that pass by themselves or with an operator's help, none of them the query's fault: too many queries, network,
/// memory of the whole server, too many parts, cancelled, no access, disk, shutdown.
const BUSY_CODES: [u32; 26] = [
    3, 74, 75, 76, 198, 202, 203, 209, 210, 212, 236, 242, 243, 252, 279, 285, 319, 335, 364, 373, 394, 425, 439, 492,
    999, 1000,
];
/// Read-only user, wrong password, no rights, no such user.
const ACCESS_CODES: [u32; 6] = [164, 192, 193, 194, 497, 516];

impl Failure {
    /// Reads the client's error; `secrets` are cut out of any text.
    pub fn read(error: &Error, secrets: &[String]) -> Self {
        let Error::BadResponse(text) = error else {
            return Self::Network(clean(&causes(error), secrets));
        };
        let code = text.find("Code: ").and_then(|at| {
            let digits: String = text[at + 6..].chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        });
        // Only the code stood in the answer's head when its body was lost.
        let code = code.or_else(|| text.trim().parse().ok());
        match code {
            Some(code) => Self::Server { code, reason: clean(text, secrets) },
            None => Self::Network(clean(text, secrets)),
        }
    }

    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Server { code: FENCED, .. })
    }

    /// For a query. `is_foreign`: its text came from a user, so that mistakes in it are theirs.
    pub fn into_store_error(self, limits: Option<&QueryLimits>, is_foreign: bool) -> StoreError {
        let (code, reason) = match self {
            Self::Network(reason) => return StoreError::Unavailable(reason),
            Self::Unknown(reason) => return StoreError::Invalid(reason),
            Self::Server { code, reason } => (code, reason),
        };
        if let Some(limits) = limits {
            if TIME_CODES.contains(&code) {
                return StoreError::out_of_time(limits.time);
            }
            if MEMORY_CODES.contains(&code) && !reason.contains("(total)") {
                return StoreError::Limit(format!(
                    "the query needs more memory than its {} MiB; narrow it or group by less",
                    limits.memory_bytes >> 20
                ));
            }
            if ROWS_CODES.contains(&code) {
                return StoreError::Limit(format!(
                    "the query has more than {} rows or groups; narrow it or set a LIMIT",
                    limits.rows
                ));
            }
        }
        if BUSY_CODES.contains(&code) || MEMORY_CODES.contains(&code) || TIME_CODES.contains(&code) {
            return StoreError::Unavailable(reason);
        }
        // A user's statement that touches what it may not is the user's mistake; our own user without rights is not.
        if is_foreign && code != 516 {
            return StoreError::Invalid(reason);
        }
        if ACCESS_CODES.contains(&code) {
            return StoreError::Unavailable(format!("check the user and its rights: {reason}"));
        }
        StoreError::Internal(reason)
    }

    /// For an insert of records.
    pub fn into_write_error(self) -> WriteError {
        match self {
            Self::Server { code, reason } if VALUE_CODES.contains(&code) => WriteError::Rejected { reason, row: None },
            Self::Server { code, reason } if ACCESS_CODES.contains(&code) => {
                WriteError::Unavailable(format!("check the user and its rights: {reason}"))
            }
            Self::Server { code: 252, reason } => {
                WriteError::Unavailable(format!("merges can't keep up, larger batches help: {reason}"))
            }
            Self::Server { reason, .. } | Self::Network(reason) | Self::Unknown(reason) => {
                WriteError::Unavailable(reason)
            }
        }
    }
}

/// The error with what caused it, a line.
fn causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// One line of bounded length without secrets and without the server's version.
fn clean(text: &str, secrets: &[String]) -> String {
    let mut line = text.lines().next().unwrap_or_default().to_owned();
    if let Some(at) = line.find(" (version ") {
        line.truncate(at);
    }
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        line = line.replace(secret.as_str(), "…");
    }
    if line.len() > REASON_BYTES_MAX {
        let mut end = REASON_BYTES_MAX;
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Failure {
        Failure::read(&Error::BadResponse(text.to_owned()), &["hunter2".to_owned()])
    }

    #[test]
    fn codes_say_what_to_do() {
        let limits = QueryLimits::default();
        let answer = |text: &str| read(text).into_store_error(Some(&limits), false);
        assert!(matches!(answer("Code: 159. DB::Exception: Timeout"), StoreError::Limit(_)));
        assert!(matches!(answer("Code: 241. DB::Exception: (for query)"), StoreError::Limit(_)));
        assert!(matches!(answer("Code: 241. DB::Exception: (total) memory"), StoreError::Unavailable(_)));
        assert!(matches!(answer("Code: 396. DB::Exception: rows"), StoreError::Limit(_)));
        assert!(matches!(answer("Code: 47. DB::Exception: no column"), StoreError::Internal(_)));
        assert!(matches!(answer("503 Service Unavailable"), StoreError::Unavailable(_)));
        let foreign = read("Code: 47. DB::Exception: no column").into_store_error(Some(&limits), true);
        assert!(matches!(foreign, StoreError::Invalid(_)));
        assert!(matches!(read("Code: 117. bad").into_write_error(), WriteError::Rejected { .. }));
        for code in [241, 159, 252, 516, 243, 60] {
            let error = read(&format!("Code: {code}. DB::Exception: x")).into_write_error();
            assert!(matches!(error, WriteError::Unavailable(_)), "{code}");
        }
        assert!(read("Code: 395. DB::Exception: fenced").is_fenced());
    }

    #[test]
    fn texts_are_short_and_without_secrets() {
        let Failure::Server { reason, .. } = read("Code: 1. x hunter2 y (version 26.7)\nstack") else {
            panic!("a server's code");
        };
        assert_eq!(reason, "Code: 1. x … y");
        let Failure::Server { reason, .. } = read(&format!("Code: 1. {}", "ü".repeat(1_000))) else {
            panic!("a server's code");
        };
        assert!(reason.len() < REASON_BYTES_MAX + 8);
    }
}
