//! Writing: rows, keys, ledger and position in one transaction.
//!
//! The position is moved first, by compare-and-set. That locks its row, so a second writer of the partition waits and
//! then finds that it came too late. When the outcome of a commit is unknown, the position is read again under the same
//! lock, which waits for the first transaction's end: the row's `writer` says whether it was this write.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::crash::crash_point;
use model::position::{Incarnation, Partition, Position};
use parking_lot::Mutex;
use store::{Counts, SeenKey, WriteBatch, WriteError};
use tokio_postgres::Error;
use tokio_postgres::types::{ToSql, Type};

use crate::config::PostgresConfig;
use crate::connect::Pools;
use crate::encode::{Rows, Table, Way};
use crate::error::{Fault, copy_line, describe, fault, write_error};
use crate::layout::{Layout, Window};
use crate::lease::Lease;
use crate::metrics::Metrics;

/// How long the fate of a commit is looked into before the caller is told to try again.
const DECIDE_TIME_MAX: Duration = Duration::from_secs(15);
const DECIDE_PAUSE: Duration = Duration::from_millis(200);

type Lane = (Incarnation, Partition);

/// What writes need beside a connection.
#[derive(Debug)]
pub(crate) struct Writer {
    pools: Pools,
    layout: Arc<Layout>,
    window: Window,
    time_max: Duration,
    way: Way,
    metrics: Metrics,
    /// Tokens of commits whose outcome could not be found out, so that the next try knows its own work.
    undecided: Mutex<HashMap<Lane, Vec<u8>>>,
}

/// How far a write got when it failed.
enum Failed {
    /// Nothing is stored.
    Before(WriteError),
    /// The commit was sent and not answered.
    InCommit(String),
}

impl Writer {
    pub(crate) fn new(pools: Pools, layout: Arc<Layout>, way: Way, config: &PostgresConfig, metrics: Metrics) -> Self {
        let (window, time_max) = (Window::new(config), config.write_timeout);
        Self { pools, layout, window, time_max, way, metrics, undecided: Mutex::default() }
    }

    /// As [`store::Store::write`].
    pub(crate) async fn write(&self, batch: &WriteBatch) -> Result<(), WriteError> {
        let token = token();
        let written = match self.attempt(batch, &token).await {
            Ok(()) => Ok(()),
            Err(Failed::Before(error)) => Err(error),
            Err(Failed::InCommit(reason)) => self.decide(batch, token, &reason).await,
        };
        if written.is_ok() {
            self.undecided.lock().remove(&lane(batch));
        }
        written
    }

    async fn attempt(&self, batch: &WriteBatch, token: &[u8]) -> Result<(), Failed> {
        let prepared = tokio::time::timeout(self.time_max, self.prepare(batch, token)).await;
        let late = |_| WriteError::Unavailable(format!("the database did not take a batch in {:?}", self.time_max));
        let Some(mut lease) = prepared.map_err(late).flatten().map_err(Failed::Before)? else { return Ok(()) };
        let committed = tokio::time::timeout(self.time_max, lease.batch_execute("COMMIT")).await;
        crash_point("store.after_commit");
        match committed {
            Ok(Ok(())) => {
                lease.done();
                Ok(())
            }
            Ok(Err(error)) if is_definite(&error) => Err(Failed::Before(write_error(&error, |_| None))),
            Ok(Err(error)) => Err(Failed::InCommit(describe(&error))),
            Err(_) => Err(Failed::InCommit(format!("no answer in {:?}", self.time_max))),
        }
    }

    /// Everything up to the commit: an open transaction, or nothing when the batch is stored already.
    async fn prepare(&self, batch: &WriteBatch, token: &[u8]) -> Result<Option<Lease>, WriteError> {
        let rows = Rows::new(&batch.batches, self.window, now_nanos());
        let mut lease = Lease::of(&self.pools.write).await.map_err(WriteError::Unavailable)?;
        lease.begin();
        self.layout.ensure(&mut lease, &rows.days()).await.map_err(other_error)?;
        if !self.move_position(&mut lease, batch, token).await? {
            return Ok(None);
        }
        crash_point("store.after_position");
        for table in [Table::Records, Table::Overflow] {
            let stored = self.way.store(&lease, &rows, table).await;
            stored.map_err(|error| self.row_error(&error, &rows, table))?;
        }
        crash_point("store.after_rows");
        tokio::try_join!(put_keys(&lease, &batch.keys), put_counts(&lease, batch)).map_err(other_error)?;
        crash_point("store.before_commit");
        Ok(Some(lease))
    }

    /// Opens the transaction and moves the position. False when this batch is stored already, by an earlier try whose
    /// commit was never answered.
    async fn move_position(&self, lease: &mut Lease, batch: &WriteBatch, token: &[u8]) -> Result<bool, WriteError> {
        let time = self.time_max.as_millis().max(1);
        let begin = format!("BEGIN; SET LOCAL lock_timeout = {time}; SET LOCAL statement_timeout = {time}");
        let (incarnation, partition) = lane_keys(batch);
        let (from, next) = (batch.from.0.cast_signed(), batch.next.0.cast_signed());
        let rows = batch.batches.iter().map(model::Batch::len).sum::<usize>() as i64;
        let update = "UPDATE devlogs_positions SET next = $4, writer = $5, rows = rows + $6, written_at = now() \
                      WHERE incarnation = $1 AND partition = $2 AND next = $3";
        for _ in 0..2 {
            lease.batch_execute(&begin).await.map_err(other_error)?;
            let statement = lease.prepare_cached(update).await.map_err(other_error)?;
            let values: [&(dyn ToSql + Sync); 6] = [&&incarnation[..], &partition, &from, &next, &token, &rows];
            if lease.execute(&statement, &values).await.map_err(other_error)? == 1 {
                return Ok(true);
            }
            lease.batch_execute("ROLLBACK").await.map_err(other_error)?;
            let row = lease.query_opt(POSITION, &[&&incarnation[..], &partition]).await.map_err(other_error)?;
            let (at, writer) = row.map_or((0, Vec::new()), |row| (row.get(0), row.get::<_, Vec<u8>>(1)));
            if at != from {
                lease.done();
                let own = self.undecided.lock().get(&lane(batch)).is_some_and(|token| *token == writer);
                let at = Position(i64::cast_unsigned(at));
                return if own && at == batch.next { Ok(false) } else { Err(WriteError::Moved { at }) };
            }
            let first = "INSERT INTO devlogs_positions (incarnation, partition) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            lease.execute(first, &[&&incarnation[..], &partition]).await.map_err(other_error)?;
        }
        Err(WriteError::Unavailable("the partition's position changes too fast".to_owned()))
    }

    fn row_error(&self, error: &Error, rows: &Rows<'_>, table: Table) -> WriteError {
        if fault(error) == Fault::NoPartition {
            self.layout.forget();
            return WriteError::Unavailable("a partition was dropped meanwhile".to_owned());
        }
        write_error(error, |db| rows.at(table, copy_line(db)?))
    }

    /// Finds out what became of a commit that was not answered.
    async fn decide(&self, batch: &WriteBatch, token: Vec<u8>, reason: &str) -> Result<(), WriteError> {
        tracing::warn!(reason, partition = batch.partition.0, "the outcome of a commit is unknown, looking it up");
        self.metrics.unknown_commits.inc();
        self.undecided.lock().insert(lane(batch), token.clone());
        let begun = Instant::now();
        while begun.elapsed() < DECIDE_TIME_MAX.min(self.time_max) {
            let looked_up = tokio::time::timeout(self.time_max, self.look_up(batch)).await;
            match looked_up {
                Ok(Ok(writer)) if writer == token => return Ok(()),
                Ok(Ok(_)) => {
                    return Err(WriteError::Unavailable(format!("the batch was not committed: {reason}")));
                }
                Ok(Err(again)) => tracing::debug!(reason = again, "the outcome of a commit can't be looked up yet"),
                Err(_) => {}
            }
            tokio::time::sleep(DECIDE_PAUSE).await;
        }
        Err(WriteError::Unavailable(format!("it is not known yet whether the batch was committed: {reason}")))
    }

    /// Who wrote the position last. Waits for the row's lock, and so for the end of the transaction in question.
    async fn look_up(&self, batch: &WriteBatch) -> Result<Vec<u8>, String> {
        let text = |error: Error| describe(&error);
        let mut lease = Lease::of(&self.pools.write).await?;
        lease.begin();
        let (incarnation, partition) = lane_keys(batch);
        let locked = format!("{POSITION} FOR UPDATE");
        let row = lease.query_opt(&locked, &[&&incarnation[..], &partition]).await.map_err(text)?;
        lease.done();
        Ok(row.map(|row| row.get(1)).unwrap_or_default())
    }
}

const POSITION: &str = "SELECT next, writer FROM devlogs_positions WHERE incarnation = $1 AND partition = $2";

fn lane(batch: &WriteBatch) -> Lane {
    (batch.incarnation, batch.partition)
}

fn lane_keys(batch: &WriteBatch) -> ([u8; 16], i64) {
    (batch.incarnation.0.to_be_bytes(), i64::from(batch.partition.0))
}

/// Whether an error that answers a commit says for certain that nothing was committed.
fn is_definite(error: &Error) -> bool {
    error.as_db_error().is_some_and(|db| !["57", "08", "XX"].contains(&&db.code().code()[..2]))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` passes")]
fn other_error(error: Error) -> WriteError {
    write_error(&error, |_| None)
}

/// Of one try: 16 random bytes.
fn token() -> Vec<u8> {
    let random = || RandomState::new().build_hasher().finish();
    [random().to_be_bytes(), random().to_be_bytes()].concat()
}

fn now_nanos() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as i64)
}

/// Stores the idempotency keys; in one order everywhere, so that two writers never wait for each other.
async fn put_keys(lease: &Lease, keys: &[SeenKey]) -> Result<(), Error> {
    if keys.is_empty() {
        return Ok(());
    }
    // One statement may not touch a row twice: the last of equal keys counts.
    let last: BTreeMap<(&str, u128), &SeenKey> = keys.iter().map(|key| ((&*key.project, key.key), key)).collect();
    let projects: Vec<&str> = last.keys().map(|(project, _)| *project).collect();
    let hashes: Vec<[u8; 16]> = last.keys().map(|(_, key)| key.to_be_bytes()).collect();
    let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash[..]).collect();
    let bodies: Vec<[u8; 16]> = last.values().map(|key| key.body.to_be_bytes()).collect();
    let bodies: Vec<&[u8]> = bodies.iter().map(|body| &body[..]).collect();
    let received: Vec<i64> = last.values().map(|key| key.received).collect();
    let sql = "INSERT INTO devlogs_keys (project, key, body, received) \
               SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::bigint[]) \
               ON CONFLICT (project, key) DO UPDATE SET body = excluded.body, received = excluded.received";
    let statement = lease.prepare_cached(sql).await?;
    lease.execute(&statement, &[&projects, &hashes, &bodies, &received]).await?;
    Ok(())
}

/// Adds the counts to the ledger.
async fn put_counts(lease: &Lease, batch: &WriteBatch) -> Result<(), Error> {
    if batch.counts.is_empty() {
        return Ok(());
    }
    let (incarnation, partition) = lane_keys(batch);
    let projects: Vec<&str> = batch.counts.iter().map(|counts| &*counts.project).collect();
    let column = |of: fn(&Counts) -> u64| batch.counts.iter().map(|counts| of(counts) as i64).collect::<Vec<i64>>();
    let columns = [
        column(|counts| counts.received),
        column(|counts| counts.stored),
        column(|counts| counts.dead_lettered),
        column(|counts| counts.deduplicated),
        column(|counts| counts.dropped),
        column(|counts| counts.lost),
    ];
    let sql = "INSERT INTO devlogs_ledger AS sums (incarnation, partition, project, received, stored, dead_lettered, \
               deduplicated, dropped, lost) \
               SELECT $1, $2, * FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], \
               $8::bigint[], $9::bigint[]) \
               ON CONFLICT (incarnation, partition, project) DO UPDATE SET \
               received = sums.received + excluded.received, stored = sums.stored + excluded.stored, \
               dead_lettered = sums.dead_lettered + excluded.dead_lettered, \
               deduplicated = sums.deduplicated + excluded.deduplicated, \
               dropped = sums.dropped + excluded.dropped, lost = sums.lost + excluded.lost";
    let statement = lease.prepare_typed_cached(sql, &[Type::BYTEA, Type::INT8]).await?;
    let incarnation = &incarnation[..];
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&incarnation, &partition, &projects];
    values.extend(columns.iter().map(|column| column as &(dyn ToSql + Sync)));
    lease.execute(&statement, &values).await?;
    Ok(())
}
