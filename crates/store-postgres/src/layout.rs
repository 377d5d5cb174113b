//! How the records' table is divided by time.
//!
//! `devlogs_records` is a hypertable where the TimescaleDB extension is, else a table with a native partition for each
//! day (UTC), made ahead by maintenance and on demand by a write. `devlogs_overflow` is one plain table for records
//! whose time is too far from the time of writing, so that no client can make thousands of partitions. Queries look at
//! `logs`, the two together.

use std::collections::HashSet;
use std::time::Duration;

use deadpool_postgres::Object;
use parking_lot::Mutex;
use tokio_postgres::{Error, Transaction};

use crate::config::PostgresConfig;

/// Of the transaction lock under which partitions are made.
const PARTITION_LOCK: i64 = 0x6465_766c_6f67_7301;

pub(crate) const DAY_NANOS: i64 = 86_400_000_000_000;

const PARTITION_PREFIX: &str = "devlogs_records_";

/// What divides the records' table.
#[derive(Debug)]
pub(crate) enum Layout {
    /// TimescaleDB makes chunks by itself; `compresses` tells whether its licence lets it.
    Hypertable { compresses: bool },
    /// Partitions of a day that are known to be there, days since the Unix epoch.
    Partitions { days: Mutex<HashSet<i64>> },
}

impl Layout {
    /// Makes the table; called once, by the first migration.
    pub(crate) async fn create(transaction: &Transaction<'_>, config: &PostgresConfig) -> Result<(), Error> {
        let version = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'";
        let sql = match transaction.query_opt(version, &[]).await? {
            Some(_) => format!(
                "CREATE TABLE devlogs_records (LIKE devlogs_overflow INCLUDING ALL);
                 SELECT create_hypertable('devlogs_records', by_range('ts', interval '{} seconds'), \
                 create_default_indexes => false)",
                config.chunk_interval.as_secs().max(60)
            ),
            None => "CREATE TABLE devlogs_records (LIKE devlogs_overflow INCLUDING ALL) PARTITION BY RANGE (ts)".into(),
        };
        transaction.batch_execute(&sql).await?;
        transaction.batch_execute(include_str!("migrations/view.sql")).await
    }

    /// Finds out how the table was made, and applies the settings that may change.
    pub(crate) async fn find(transaction: &Transaction<'_>, config: &PostgresConfig) -> Result<Self, Error> {
        let kind = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'devlogs_records'::regclass";
        if transaction.query_one(kind, &[]).await?.get(0) {
            let days = Mutex::new(partition_days(transaction).await?);
            return Ok(Self::Partitions { days });
        }
        let licence = transaction.query_one("SELECT current_setting('timescaledb.license', true)", &[]).await?;
        let compresses = licence.get::<_, Option<&str>>(0) == Some("timescale");
        let interval = format!(
            "SELECT set_chunk_time_interval('devlogs_records', interval '{} seconds')",
            config.chunk_interval.as_secs().max(60)
        );
        transaction.batch_execute(&interval).await?;
        if compresses {
            let is_on = "SELECT EXISTS (SELECT FROM timescaledb_information.compression_settings \
                         WHERE hypertable_name = 'devlogs_records')";
            if !transaction.query_one(is_on, &[]).await?.get::<_, bool>(0) {
                transaction.batch_execute(COMPRESSION).await?;
            }
        }
        Ok(Self::Hypertable { compresses })
    }

    /// Makes the partitions of these days that are missing.
    pub(crate) async fn ensure(&self, client: &mut Object, days: &HashSet<i64>) -> Result<(), Error> {
        let Self::Partitions { days: known } = self else { return Ok(()) };
        let missing: Vec<i64> = {
            let known = known.lock();
            days.iter().filter(|day| !known.contains(day)).copied().collect()
        };
        for day in missing {
            let transaction = client.transaction().await?;
            transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&PARTITION_LOCK]).await?;
            if !partition_days(&transaction).await?.contains(&day) {
                transaction.batch_execute(&partition_sql(day)).await?;
            }
            transaction.commit().await?;
            known.lock().insert(day);
        }
        Ok(())
    }

    /// Forgets which partitions there are: another node dropped one.
    pub(crate) fn forget(&self) {
        if let Self::Partitions { days } = self {
            days.lock().clear();
        }
    }
}

const COMPRESSION: &str = "ALTER TABLE devlogs_records SET (timescaledb.compress, \
     timescaledb.compress_segmentby = 'project', timescaledb.compress_orderby = 'ts DESC, ts_nanos DESC')";

/// A partition is filled with indexes first and then attached, which lets queries and writes of others go on.
fn partition_sql(day: i64) -> String {
    let name = partition_name(day);
    let (from, to) = (date(day), date(day + 1));
    format!(
        "CREATE TABLE {name} (LIKE devlogs_records INCLUDING ALL);
         ALTER TABLE devlogs_records ATTACH PARTITION {name} FOR VALUES FROM ('{from}Z') TO ('{to}Z')"
    )
}

pub(crate) fn partition_name(day: i64) -> String {
    format!("{PARTITION_PREFIX}{}", date(day).get(..10).unwrap_or_default().replace('-', ""))
}

/// `2026-01-15T00:00:00`.
fn date(day: i64) -> String {
    let text = model::time::format(day * DAY_NANOS);
    text.get(..19).unwrap_or_default().to_owned()
}

/// The days whose partitions are attached.
pub(crate) async fn partition_days(transaction: &Transaction<'_>) -> Result<HashSet<i64>, Error> {
    let names = "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
                 WHERE inhparent = 'devlogs_records'::regclass";
    let rows = transaction.query(names, &[]).await?;
    Ok(rows.iter().filter_map(|row| day_of(row.get(0))).collect())
}

/// The day of a partition's name, by the rules of the Gregorian calendar: 400 years have 146 097 days, and years that
/// begin in March have their odd day last.
fn day_of(name: &str) -> Option<i64> {
    let digits = name.strip_prefix(PARTITION_PREFIX)?;
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year - 719_468)
}

/// Tells which records go to the overflow table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    late_max: i64,
    early_max: i64,
}

impl Window {
    pub(crate) fn new(config: &PostgresConfig) -> Self {
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        Self { late_max: nanos(config.late_max), early_max: nanos(config.early_max) }
    }

    /// Whether a record of this time, written then, has a place in a partition of its day.
    pub(crate) fn holds(self, timestamp: i64, now: i64) -> bool {
        timestamp >= now.saturating_sub(self.late_max) && timestamp <= now.saturating_add(self.early_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_by_their_day() {
        assert_eq!(partition_name(0), "devlogs_records_19700101");
        assert_eq!(partition_name(20_468), "devlogs_records_20260115");
        for day in (-50_000..50_000).step_by(7) {
            assert_eq!(day_of(&partition_name(day)), Some(day));
        }
        assert_eq!(day_of("devlogs_records_default"), None);
        assert!(partition_sql(20_468).contains("FROM ('2026-01-15T00:00:00Z') TO ('2026-01-16T00:00:00Z')"));
    }

    #[test]
    fn only_what_is_near_the_clock_makes_partitions() {
        let window = Window::new(&PostgresConfig::default());
        let now = 1_800_000_000_000_000_000;
        assert!(
            window.holds(now, now) && window.holds(now - 400 * DAY_NANOS, now) && window.holds(now + DAY_NANOS, now)
        );
        assert!(!window.holds(now - 400 * DAY_NANOS - 1, now) && !window.holds(now + DAY_NANOS + 1, now));
        assert!(!window.holds(i64::MIN, now) && !window.holds(0, i64::MAX));
    }
}
