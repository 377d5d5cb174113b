//! What the guard needs to know of each dialect.

use sqlparser::dialect::{ClickHouseDialect, Dialect as Syntax, PostgreSqlDialect};

use super::functions;
use crate::dialect::{ClickHouse, Dialect, Postgres};

/// A dialect that users may write.
pub trait Guarded: Dialect {
    /// Functions that may be called, in lower case.
    const FUNCTIONS: &'static [&'static [&'static str]];

    fn parser() -> Box<dyn Syntax>;

    /// The view `logs` over the records of a project, in parentheses, with what `AS` may be followed by.
    fn view(project: &str) -> String;

    /// A string as it is written.
    fn string(text: &str) -> String;

    /// The name that an unquoted one means.
    fn folded(name: &str) -> String;

    /// Whether a LIMIT behind a UNION bounds the whole, not its last part.
    const LIMIT_BOUNDS_UNIONS: bool;

    /// Whether a name alone within `IN (…)` may be a table's.
    const IN_NAMES_TABLES: bool;
}

impl Guarded for ClickHouse {
    const FUNCTIONS: &'static [&'static [&'static str]] = &[functions::COMMON, functions::CLICKHOUSE];
    const LIMIT_BOUNDS_UNIONS: bool = false;
    const IN_NAMES_TABLES: bool = true;

    fn parser() -> Box<dyn Syntax> {
        Box::new(ClickHouseDialect {})
    }

    fn view(project: &str) -> String {
        format!(
            "(SELECT Timestamp AS timestamp, Observed AS observed_timestamp, concat(leftPad(lower(hex(Origin)), 32, '0'), \
             leftPad(lower(hex(RecordIndex)), 8, '0')) AS id, if(SeverityNumber = 0, NULL, ['trace', 'debug', 'info', \
             'warn', 'error', 'fatal'][intDiv(SeverityNumber + 3, 4)]) AS level, nullIf(SeverityNumber, 0) AS \
             severity_number, toString(ServiceName) AS service, if(HasHost = 0, NULL, toString(Host)) AS host, Body AS \
             message, nullIf(TraceId, '') AS trace_id, nullIf(SpanId, '') AS span_id, CAST(LogAttributes, 'Map(String, \
             String)') AS attributes, CAST(ResourceAttributes, 'Map(String, String)') AS resource FROM {} WHERE {} = \
             {project})",
            Self::TABLE,
            Self::PROJECT,
        )
    }

    fn string(text: &str) -> String {
        format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
    }

    fn folded(name: &str) -> String {
        name.to_owned()
    }
}

impl Guarded for Postgres {
    const FUNCTIONS: &'static [&'static [&'static str]] = &[functions::COMMON, functions::POSTGRES];
    const LIMIT_BOUNDS_UNIONS: bool = true;
    const IN_NAMES_TABLES: bool = false;

    fn parser() -> Box<dyn Syntax> {
        Box::new(PostgreSqlDialect {})
    }

    fn view(project: &str) -> String {
        format!(
            "NOT MATERIALIZED (SELECT ts AS timestamp, timestamptz 'epoch' + (observed_ns / 1000) * interval '1 \
             microsecond' AS observed_timestamp, encode(origin, 'hex') || lpad(to_hex(record_index), 8, '0') AS id, \
             (ARRAY['trace', 'debug', 'info', 'warn', 'error', 'fatal'])[(severity + 3) / 4] AS level, severity::int AS \
             severity_number, service, host, message, encode(trace_id, 'hex') AS trace_id, encode(span_id, 'hex') AS \
             span_id, attributes, resource FROM {} WHERE {} = {project})",
            Self::TABLE,
            Self::PROJECT,
        )
    }

    fn string(text: &str) -> String {
        let quoted = text.replace('\'', "''");
        // A plain string takes backslashes as they are only while the server's settings say so.
        if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
    }

    fn folded(name: &str) -> String {
        name.to_ascii_lowercase()
    }
}
