//! Work in the background: partitions ahead, retention, compression, old keys. Every node runs rounds; a step is one
//! transaction under a lock, so that no two nodes do the same.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Transaction};

use crate::config::PostgresConfig;
use crate::connect::Pools;
use crate::error::describe;
use crate::layout::{DAY_NANOS, Layout, partition_days, partition_name};
use crate::lease::Lease;
use crate::metrics::Metrics;
use crate::micros::Micros;

/// Of the transaction lock of a step.
const STEP_LOCK: i64 = 0x6465_766c_6f67_7302;

/// Partitions are made for today and so many days after.
const DAYS_AHEAD: i64 = 2;

/// Rows of the overflow table or keys removed in one transaction.
const DELETE_ROWS: i64 = 10_000;

/// A step that needs a table for itself gives up after this, so that queries never wait behind it for long.
const LOCK_TIME_MAX: &str = "SET LOCAL lock_timeout = '3s'";

/// How long an idempotency key is remembered.
pub(crate) const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
pub(crate) struct Maintenance {
    pub(crate) pools: Pools,
    pub(crate) layout: Arc<Layout>,
    pub(crate) config: PostgresConfig,
    pub(crate) metrics: Metrics,
}

impl Maintenance {
    /// Rounds for ever, unless the interval is zero.
    pub(crate) async fn run(&self) {
        while !self.config.maintenance_interval.is_zero() {
            if let Err(reason) = self.round().await {
                self.metrics.maintenance_errors.inc();
                tracing::warn!(reason, "a round of maintenance failed, it is tried again");
            }
            tokio::time::sleep(self.config.maintenance_interval.max(Duration::from_secs(1))).await;
        }
    }

    /// Everything that is due now.
    ///
    /// # Errors
    /// What failed; the steps before it stay done.
    pub(crate) async fn round(&self) -> Result<(), String> {
        let mut lease = Lease::of(&self.pools.write).await?;
        lease.begin();
        let done = self.steps(&mut lease).await;
        if done.is_ok() {
            lease.done();
        }
        done.map_err(|error| describe(&error))
    }

    async fn steps(&self, lease: &mut Lease) -> Result<(), Error> {
        let today = now().as_nanos() as i64 / DAY_NANOS;
        self.layout.ensure(lease, &(today..=today + DAYS_AHEAD).collect()).await?;
        remove_keys(lease).await?;
        if let Some(retention) = self.config.retention {
            let cutoff = Micros(now().saturating_sub(retention).as_micros() as i64);
            match &*self.layout {
                Layout::Partitions { .. } => self.expire_partitions(lease, cutoff).await?,
                Layout::Hypertable { .. } => self.expire_chunks(lease, cutoff).await?,
            }
            self.expire_overflow(lease, cutoff).await?;
        }
        if let (Layout::Hypertable { compresses: true }, Some(age)) = (&*self.layout, self.config.compress_after) {
            compress(lease, Micros(now().saturating_sub(age).as_micros() as i64)).await?;
        }
        Ok(())
    }

    /// Detaches the partitions of old days, then counts and drops what is detached. A crash between the two leaves
    /// detached tables, which the next round finds.
    async fn expire_partitions(&self, lease: &mut Lease, cutoff: Micros) -> Result<(), Error> {
        let cutoff_day = cutoff.0.div_euclid(DAY_NANOS / 1_000);
        loop {
            let Some(step) = begin_step(lease).await? else { return Ok(()) };
            let old = partition_days(&step).await?.into_iter().filter(|day| *day < cutoff_day).min();
            let Some(day) = old else { break };
            self.layout.forget();
            let name = partition_name(day);
            step.batch_execute(&format!(
                "{LOCK_TIME_MAX}; ALTER TABLE devlogs_records DETACH PARTITION {name};
                 DO $$ BEGIN EXECUTE format('ALTER TABLE {name} RENAME TO devlogs_expired_%s', '{name}'::regclass::oid);
                 END $$"
            ))
            .await?;
            step.commit().await?;
            self.layout.forget();
        }
        loop {
            let Some(step) = begin_step(lease).await? else { return Ok(()) };
            let detached = "SELECT relname::text FROM pg_class WHERE relname ~ '^devlogs_expired_[0-9]+$' \
                            AND relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY oid LIMIT 1";
            let Some(row) = step.query_opt(detached, &[]).await? else { return Ok(()) };
            let name: String = row.get(0);
            let rows =
                count_expired(&step, &format!("SELECT project, count(*) FROM {name} GROUP BY project"), &[]).await?;
            step.batch_execute(&format!("DROP TABLE {name}")).await?;
            step.commit().await?;
            self.expired(rows, &name);
        }
    }

    /// Counts and drops old chunks, each in one transaction that lets nobody write to the chunk meanwhile.
    async fn expire_chunks(&self, lease: &mut Lease, cutoff: Micros) -> Result<(), Error> {
        loop {
            let Some(step) = begin_step(lease).await? else { return Ok(()) };
            let oldest = "SELECT format('%I.%I', chunk_schema, chunk_name), range_start, range_end \
                          FROM timescaledb_information.chunks \
                          WHERE hypertable_name = 'devlogs_records' AND hypertable_schema = current_schema() \
                          AND range_end <= $1 ORDER BY range_end LIMIT 1";
            let Some(row) = step.query_opt(oldest, &[&cutoff]).await? else { return Ok(()) };
            let (chunk, start, end): (String, Micros, Micros) = (row.get(0), row.get(1), row.get(2));
            step.batch_execute(&format!("{LOCK_TIME_MAX}; LOCK TABLE {chunk} IN SHARE MODE")).await?;
            let rows =
                count_expired(&step, &format!("SELECT project, count(*) FROM {chunk} GROUP BY project"), &[]).await?;
            let drop = "SELECT drop_chunks('devlogs_records', older_than => $1::timestamptz, \
                        newer_than => $2::timestamptz)";
            step.query(drop, &[&end, &start]).await?;
            step.commit().await?;
            self.expired(rows, &chunk);
        }
    }

    async fn expire_overflow(&self, lease: &mut Lease, cutoff: Micros) -> Result<(), Error> {
        loop {
            let Some(step) = begin_step(lease).await? else { return Ok(()) };
            let delete = "WITH gone AS (DELETE FROM devlogs_overflow WHERE ctid = ANY (ARRAY(\
                          SELECT ctid FROM devlogs_overflow WHERE stored_at < $1 LIMIT $2)) RETURNING project) \
                          SELECT project, count(*) FROM gone GROUP BY project";
            let rows = count_expired(&step, delete, &[&cutoff, &DELETE_ROWS]).await?;
            step.commit().await?;
            if rows == 0 {
                return Ok(());
            }
            self.expired(rows, "devlogs_overflow");
        }
    }

    fn expired(&self, rows: u64, table: &str) {
        self.metrics.expired_rows.inc_by(rows);
        tracing::info!(rows, table, "records expired");
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A transaction that holds the lock of steps, or nothing when another node holds it.
async fn begin_step<'l>(lease: &'l mut Lease) -> Result<Option<Transaction<'l>>, Error> {
    let client: &mut tokio_postgres::Client = lease;
    let step = client.transaction().await?;
    let mine = step.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&STEP_LOCK]).await?.get(0);
    Ok(if mine { Some(step) } else { None })
}

/// Adds what a query gives, projects and counts, to the sums of expired rows, and returns how many rows they are.
async fn count_expired(step: &Transaction<'_>, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
    let mut sum = 0;
    for row in step.query(sql, values).await? {
        let (project, rows): (&str, i64) = (row.get(0), row.get(1));
        let add = "INSERT INTO devlogs_expired AS sums VALUES ($1, $2) \
                   ON CONFLICT (project) DO UPDATE SET rows = sums.rows + excluded.rows";
        step.execute(add, &[&project, &rows]).await?;
        sum += rows.cast_unsigned();
    }
    Ok(sum)
}

async fn remove_keys(lease: &mut Lease) -> Result<(), Error> {
    let oldest = now().saturating_sub(KEY_LIFETIME).as_nanos() as i64;
    loop {
        let Some(step) = begin_step(lease).await? else { return Ok(()) };
        let delete = "DELETE FROM devlogs_keys WHERE ctid = ANY (ARRAY(\
                      SELECT ctid FROM devlogs_keys WHERE received <= $1 LIMIT $2))";
        let rows = step.execute(delete, &[&oldest, &DELETE_ROWS]).await?;
        step.commit().await?;
        if rows < DELETE_ROWS.cast_unsigned() {
            return Ok(());
        }
    }
}

async fn compress(lease: &mut Lease, cutoff: Micros) -> Result<(), Error> {
    loop {
        let Some(step) = begin_step(lease).await? else { return Ok(()) };
        let next = "SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks \
                    WHERE hypertable_name = 'devlogs_records' AND hypertable_schema = current_schema() \
                    AND NOT is_compressed AND range_end <= $1 ORDER BY range_end LIMIT 1";
        let Some(row) = step.query_opt(next, &[&cutoff]).await? else { return Ok(()) };
        let chunk: String = row.get(0);
        step.query("SELECT compress_chunk($1::text::regclass)", &[&chunk]).await?;
        step.commit().await?;
        tracing::info!(chunk, "chunk compressed");
    }
}
