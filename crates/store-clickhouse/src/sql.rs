//! Statements of users.
//!
//! The guard of `store_sql` checks a statement and binds it to one project. What is here is the second fence, on the server: a
//! user of its own if one is configured, read-only mode, which the statement can't leave, and a filter on the project that
//! the server puts on the table of records wherever it is read.

use serde_json::Value;
use store::{QueryLimits, SqlAnswer, Stats, StoreError};
use store_sql::Statement;

use crate::ClickHouseStore;
use crate::connection::GRACE;
use crate::read::Running;
use crate::schema::{CLAIMS, DAYS, KEYS, LANES, LOCAL_LOGS, LOGS, POSITIONS, SHARD, SHARDS};

impl ClickHouseStore {
    /// Runs one statement that the guard let through.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for what the server refuses, [`StoreError::Limit`] past a limit.
    pub(crate) async fn run_checked_sql(
        &self,
        project: &str,
        statement: &Statement,
        limits: QueryLimits,
    ) -> Result<SqlAnswer, StoreError> {
        let running = Running::start(&self.foreign, &self.metrics, limits)?;
        let query = running
            .prepare(statement)
            .with_setting("additional_table_filters", self.filters(project))
            .with_setting("max_result_rows", limits.rows.max(1).to_string())
            .with_setting("result_overflow_mode", "throw")
            .with_setting("output_format_json_quote_64bit_integers", "0")
            .with_setting("readonly", "1");
        let fetched = tokio::time::timeout(limits.time + GRACE, async {
            let mut cursor = query.fetch_bytes("JSONCompactEachRowWithNamesAndTypes")?;
            let bytes = cursor.collect().await?;
            let summary = cursor.summary();
            let stats = Stats {
                matched: None,
                scanned_rows: summary.and_then(|summary| summary.read_rows()).unwrap_or_default(),
                scanned_bytes: summary.and_then(|summary| summary.read_bytes()).unwrap_or_default(),
            };
            Ok((bytes, stats))
        })
        .await;
        let Ok(fetched) = fetched else { return Err(StoreError::out_of_time(limits.time)) };
        let (bytes, stats) = running.end(fetched, true)?;
        read(&bytes, stats)
    }

    /// The project's condition on the table of records, as the literal of a map: table to condition.
    fn filters(&self, project: &str) -> String {
        let literal = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        let condition = literal(&format!("Project = {}", literal(project)));
        let entry = |table: &str, condition: &str| {
            format!("{}: {condition}", literal(&format!("{}.{table}", self.config.database)))
        };
        let mut filters: Vec<_> = [LOGS, LOCAL_LOGS].into_iter().map(|table| entry(table, &condition)).collect();
        // Nobody's business, and without a project.
        filters.extend([CLAIMS, DAYS, POSITIONS, KEYS, LANES, SHARD, SHARDS].map(|table| entry(table, "'0'")));
        format!("{{{}}}", filters.join(", "))
    }
}

/// Lines of JSON: names, types, then rows.
fn read(bytes: &[u8], stats: Stats) -> Result<SqlAnswer, StoreError> {
    let damaged = || StoreError::Internal("the server's answer can't be read".to_owned());
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut head = || -> Result<Vec<String>, StoreError> {
        serde_json::from_slice(lines.next().ok_or_else(damaged)?).map_err(|_| damaged())
    };
    let columns = head()?.into_iter().zip(head()?).collect();
    let rows: Result<Vec<Vec<Value>>, _> = lines.map(serde_json::from_slice).collect();
    Ok(SqlAnswer { columns, rows: rows.map_err(|_| damaged())?, stats })
}
