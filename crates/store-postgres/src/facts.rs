//! What the store knows beside records: positions, keys, the ledger, sizes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::position::{Incarnation, Partition, Position};
use store::{LedgerRow, Progress, StoreError, StoreStatus};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::connect::Pools;
use crate::error::query_error;
use crate::layout::Layout;
use crate::lease::Lease;
use crate::maintenance::KEY_LIFETIME;
use crate::micros::Micros;

/// Small questions are answered within this, or the server is out of reach.
const TIME_MAX: Duration = Duration::from_secs(30);

/// How long reading everything may take.
const CHECK_TIME_MAX: Duration = Duration::from_secs(6 * 3600);

/// Asks one small question.
async fn ask(pools: &Pools, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
    let asked = async {
        let mut lease = Lease::cancelling(&pools.query, &pools.tls).await.map_err(StoreError::Unavailable)?;
        lease.begin();
        let statement = lease.prepare_cached(sql).await.map_err(|error| query_error(&error, TIME_MAX))?;
        let rows = lease.query(&statement, values).await.map_err(|error| query_error(&error, TIME_MAX))?;
        lease.done();
        Ok(rows)
    };
    let late = |_| StoreError::Unavailable(format!("PostgreSQL does not answer within {TIME_MAX:?}"));
    tokio::time::timeout(TIME_MAX, asked).await.map_err(late)?
}

pub(crate) async fn progress(
    pools: &Pools,
    incarnation: Incarnation,
    partition: Partition,
) -> Result<Progress, StoreError> {
    let sql = "SELECT next FROM devlogs_positions WHERE incarnation = $1 AND partition = $2";
    let rows = ask(pools, sql, &[&&incarnation.0.to_be_bytes()[..], &i64::from(partition.0)]).await?;
    let at = Position(rows.first().map_or(0, |row| row.get::<_, i64>(0).cast_unsigned()));
    Ok(Progress { written: at, durable: at })
}

pub(crate) async fn seen_key(pools: &Pools, project: &str, key: u128) -> Result<Option<u128>, StoreError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let oldest = now.saturating_sub(KEY_LIFETIME).as_nanos() as i64;
    let sql = "SELECT body FROM devlogs_keys WHERE project = $1 AND key = $2 AND received > $3";
    let rows = ask(pools, sql, &[&project, &&key.to_be_bytes()[..], &oldest]).await?;
    rows.first().map(|row| number(row.get(0))).transpose()
}

/// A 128-bit number as it is stored.
pub(crate) fn number(bytes: &[u8]) -> Result<u128, StoreError> {
    let wrong = |_| StoreError::Corrupt(format!("{} bytes stand where 16 belong", bytes.len()));
    bytes.try_into().map(u128::from_be_bytes).map_err(wrong)
}

pub(crate) async fn ledger(pools: &Pools) -> Result<Vec<LedgerRow>, StoreError> {
    let sql = "SELECT incarnation, partition, project, received, stored, dead_lettered, deduplicated, dropped, lost, \
               0::bigint FROM devlogs_ledger \
               UNION ALL SELECT decode(repeat('00', 16), 'hex'), 0, project, 0, 0, 0, 0, 0, 0, rows \
               FROM devlogs_expired";
    let mut rows: BTreeMap<(Arc<str>, Incarnation, Partition), LedgerRow> = BTreeMap::new();
    for row in ask(pools, sql, &[]).await? {
        let project: Arc<str> = Arc::from(row.get::<_, &str>(2));
        let incarnation = Incarnation(number(row.get(0))?);
        let partition = Partition(u32::try_from(row.get::<_, i64>(1)).unwrap_or(u32::MAX));
        let count = |column: usize| row.get::<_, i64>(column).cast_unsigned();
        let key = (project.clone(), incarnation, partition);
        let sums = rows.entry(key).or_insert_with(|| LedgerRow::new(project, incarnation, partition));
        sums.received += count(3);
        sums.stored += count(4);
        sums.dead_lettered += count(5);
        sums.deduplicated += count(6);
        sums.dropped += count(7);
        sums.lost += count(8);
        sums.expired += count(9);
    }
    Ok(rows.into_values().collect())
}

/// Rows are counted by the writes themselves; oldest and newest come from the index, project by project.
pub(crate) async fn status(pools: &Pools, layout: &Layout) -> Result<StoreStatus, StoreError> {
    let sizes = match layout {
        Layout::Hypertable { .. } => {
            "SELECT coalesce(hypertable_size('devlogs_records'), 0), \
             (SELECT count(*) FROM show_chunks('devlogs_records'))"
        }
        Layout::Partitions { .. } => {
            "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint, count(*) FROM pg_inherits \
             WHERE inhparent = 'devlogs_records'::regclass"
        }
    };
    let sizes = ask(pools, sizes, &[]).await?;
    let sums = "SELECT (SELECT coalesce(sum(rows), 0)::bigint FROM devlogs_positions) - \
                (SELECT coalesce(sum(rows), 0)::bigint FROM devlogs_expired), \
                pg_total_relation_size('devlogs_overflow')";
    let sums = ask(pools, sums, &[]).await?;
    let ends = "WITH RECURSIVE projects AS (\
                (SELECT project FROM logs ORDER BY project LIMIT 1) UNION ALL \
                SELECT (SELECT project FROM logs WHERE project > projects.project ORDER BY project LIMIT 1) \
                FROM projects WHERE projects.project IS NOT NULL) \
                SELECT min(oldest.ts), max(newest.ts) FROM projects, \
                LATERAL (SELECT ts FROM logs WHERE project = projects.project ORDER BY ts LIMIT 1) AS oldest, \
                LATERAL (SELECT ts FROM logs WHERE project = projects.project ORDER BY ts DESC LIMIT 1) AS newest";
    let ends = ask(pools, ends, &[]).await?;
    let number = |rows: &[Row], column| rows.first().map_or(0, |row| row.get::<_, i64>(column));
    let time = |column| ends.first()?.get::<_, Option<Micros>>(column)?.to_nanos(0);
    Ok(StoreStatus {
        backend: "timescale",
        rows: u64::try_from(number(&sums, 0)).unwrap_or_default(),
        bytes: (number(&sizes, 0) + number(&sums, 1)).cast_unsigned(),
        segments: number(&sizes, 1).cast_unsigned() + 1,
        buffered_rows: 0,
        oldest: time(0),
        newest: time(1),
    })
}

/// Reads every row of one moment, and holds their number against what the writes counted.
pub(crate) async fn check(pools: &Pools) -> Result<Vec<String>, StoreError> {
    let failed = |error| query_error(&error, CHECK_TIME_MAX);
    let mut lease = Lease::cancelling(&pools.query, &pools.tls).await.map_err(StoreError::Unavailable)?;
    lease.begin();
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}",
        CHECK_TIME_MAX.as_millis()
    );
    lease.batch_execute(&begin).await.map_err(failed)?;
    let sums = "SELECT (SELECT coalesce(sum(rows), 0)::bigint FROM devlogs_positions) - \
                (SELECT coalesce(sum(rows), 0)::bigint FROM devlogs_expired)";
    let expected: i64 = lease.query_one(sums, &[]).await.map_err(failed)?.get(0);
    // The lengths make the server read and decompress what stands outside of the rows.
    let all = "SELECT count(*), sum(octet_length(message)), sum(octet_length(attributes::text)), \
               sum(octet_length(resource::text)) FROM logs";
    let found = match lease.query_one(all, &[]).await {
        Ok(row) => row.get::<_, i64>(0),
        Err(error) => {
            return match query_error(&error, CHECK_TIME_MAX) {
                StoreError::Corrupt(reason) => Ok(vec![format!("the records can't all be read: {reason}")]),
                other => Err(other),
            };
        }
    };
    lease.batch_execute("COMMIT").await.map_err(failed)?;
    lease.done();
    let unbalanced = ledger(pools).await?.into_iter().filter(|row| !row.is_balanced());
    let mut problems: Vec<String> = unbalanced
        .map(|row| format!("the ledger of project `{}`, partition {} does not add up", row.project, row.partition))
        .collect();
    if found != expected {
        problems.push(format!("{found} records are there, {expected} were stored and did not expire"));
    }
    Ok(problems)
}
