//! Who may write a partition of the queue, and what an earlier writer left there.
//!
//! ClickHouse has no transactions, so a write is three inserts: the records (one insert a day), the idempotency keys, and
//! the position with the ledger, a single row that makes the write done. What keeps two writers apart:
//!
//! 1. **A claim.** Who wants to write inserts a row with a new random epoch into `devlogs_claims`. The claim inserted
//!    last owns the partition. The order is that of the server's block numbers, which are given out under the table's
//!    lock when a row becomes visible: whoever sees a claim sees all that were before it.
//! 2. **A fence.** Every insert of a writer is `INSERT … SELECT … WHERE throwIf(last claim != my epoch)`. The server
//!    evaluates this after it has entered the insert into `system.processes`, under an id that contains the epoch.
//! 3. **A wait.** A new owner asks `system.processes` for statements of earlier epochs, kills them and waits until there
//!    are none; then it waits for the deletions that they left in `system.mutations`. A statement of an earlier epoch
//!    that begins later sees the new claim and does nothing. So from here on nobody else changes the partition: no clock
//!    and no time-out is trusted, and a writer that was frozen for an hour does no harm.
//! 4. **A look.** The new owner reads the position and its *leftovers*: the records that carry it as the start of their
//!    range (`RangeFrom`). A write that began there was not done. `devlogs_days` says which days to look at: it is
//!    inserted before a writer's first record of a day.
//! 5. **A repair.** The owner's first write removes the leftovers that its own range does not hold, waits for that, and
//!    then inserts what the leftovers lack. The range may end before or after the one that was begun.
//!
//! Why this is exact: at a position `P`, *every record with `RangeFrom < P` is counted in the ledger, and every other one
//! has `RangeFrom = P`*. A write begins at the position only, so its records keep this true. When it inserts the next
//! position, the records with `RangeFrom = P` are those of its range and no others (5), and its ledger counts them: true
//! again. A writer that dies earlier leaves the position as it is, however often.
//!
//! Assumed: a partition has one server (`shards`; an address always leads to the same one), the writers use the same user (so
//! that each sees the other's inserts in `system.processes`), and what a server has answered it keeps (`fsync`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clickhouse::Row;
use model::RecordId;
use model::position::{Incarnation, Partition, Position};
use serde::Deserialize;
use store::{LedgerRow, WriteError};
use tracing::{info, warn};

use crate::connection::{Connection, random_name};
use crate::error::Failure;
use crate::insert::{self, Fence};
use crate::native::Block;
use crate::schema::{CLAIMS, DAYS, LOGS, POSITIONS};
use crate::shards::Shard;

/// Ledger counts of a project in `LedgerCounts`.
const COUNTS: usize = 6;

/// How long inserts of an earlier owner may take to end after they were killed; the server notices a writer that went
/// silent after 10 s.
const FENCE_TIME_MAX: Duration = Duration::from_secs(60);

/// Claims that others overtake before this one gives up.
const CLAIMS_MAX: usize = 20;

/// A partition of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LaneId {
    pub incarnation: Incarnation,
    pub partition: Partition,
}

impl LaneId {
    /// The condition of its rows in the small tables.
    pub fn condition(self) -> String {
        format!("Incarnation = toUInt128('{}') AND Partition = {}", self.incarnation.0, self.partition)
    }

    /// The condition of its records.
    pub fn of_records(self) -> String {
        format!("QueueIncarnation = toUInt128('{}') AND QueuePartition = {}", self.incarnation.0, self.partition)
    }
}

/// What the owner of a partition knows of it.
#[derive(Debug)]
pub struct Owned {
    pub epoch: String,
    pub position: u64,
    /// Days that the server knows this epoch may write.
    pub days: BTreeSet<u32>,
    pub leftovers: Leftovers,
    pub ledger: BTreeMap<Arc<str>, LedgerRow>,
}

/// Records of writes that began at the position and were not done.
#[derive(Debug, Default)]
pub struct Leftovers {
    pub ids: HashSet<(Arc<str>, RecordId)>,
    /// The days that they lie in.
    pub days: BTreeSet<u32>,
}

/// What the small tables say of a partition.
#[derive(Debug, Clone, Row, Deserialize)]
pub struct LaneState {
    pub epoch: String,
    pub writer: String,
    /// Milliseconds since the last claim.
    pub age: i64,
    pub position: u64,
    pub position_epoch: String,
    pub ledger_projects: Vec<String>,
    pub ledger_counts: Vec<u64>,
}

/// What the small tables say now.
pub async fn state(server: &Connection, lane: LaneId) -> Result<LaneState, Failure> {
    let lane = lane.condition();
    server.one(&format!(
        "SELECT c.epoch AS epoch, c.writer AS writer, c.age AS age, p.position AS position, \
         p.position_epoch AS position_epoch, p.ledger_projects AS ledger_projects, p.ledger_counts AS ledger_counts \
         FROM (SELECT argMax(Epoch, _block_number) AS epoch, argMax(Writer, _block_number) AS writer, \
         toInt64(dateDiff('millisecond', argMax(Made, _block_number), now64(3))) AS age FROM {CLAIMS} WHERE {lane}) AS c \
         CROSS JOIN (SELECT max(Position) AS position, argMax(Epoch, Position) AS position_epoch, \
         argMax(LedgerProjects, Position) AS ledger_projects, argMax(LedgerCounts, Position) AS ledger_counts \
         FROM {POSITIONS} WHERE {lane}) AS p"
    ))
    .await
}

/// Makes this writer the owner of a partition that stands at `from`.
///
/// # Errors
/// [`WriteError::Moved`] when it stands elsewhere; [`WriteError::Unavailable`] when the server can't be asked or others
/// take it over again and again.
pub async fn acquire(
    shard: &Shard,
    writer: &str,
    lane: LaneId,
    from: Position,
    patience: Duration,
) -> Result<Owned, WriteError> {
    let server = &shard.server;
    for _ in 0..CLAIMS_MAX {
        wait_for_others(server, writer, lane, from, patience).await?;
        let epoch = random_name();
        claim(server, writer, lane, &epoch).await.map_err(unavailable)?;
        fence_earlier(server, lane, &epoch).await?;
        let now = state(server, lane).await.map_err(unavailable)?;
        if now.position != from.0 {
            return Err(WriteError::Moved { at: Position(now.position) });
        }
        if now.epoch != epoch {
            continue;
        }
        let leftovers = leftovers(shard, lane, &now).await.map_err(unavailable)?;
        if !leftovers.ids.is_empty() {
            let (rows, partition) = (leftovers.ids.len(), lane.partition);
            info!(%partition, position = %from, rows, "records of an unfinished write found; what the next one lacks is written, the rest removed");
        }
        let ledger = read_ledger(lane, &now.ledger_projects, &now.ledger_counts);
        let ledger = ledger.into_iter().map(|row| (row.project.clone(), row)).collect();
        return Ok(Owned { epoch, position: from.0, days: BTreeSet::new(), leftovers, ledger });
    }
    Err(WriteError::Unavailable(format!("other writers keep taking partition {} over", lane.partition)))
}

/// Leaves a writer alone that claimed the partition a moment ago: it is about to write. Without this two writers of one
/// range would stop each other for ever.
async fn wait_for_others(
    server: &Connection,
    writer: &str,
    lane: LaneId,
    from: Position,
    patience: Duration,
) -> Result<(), WriteError> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        let now = state(server, lane).await.map_err(unavailable)?;
        if now.position != from.0 {
            return Err(WriteError::Moved { at: Position(now.position) });
        }
        let is_free = now.epoch.is_empty() || now.writer == writer;
        // The server's clock may jump; ours can't.
        if is_free || u128::try_from(now.age).unwrap_or(0) >= patience.as_millis() || begun.elapsed() >= patience * 2 {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

async fn claim(server: &Connection, writer: &str, lane: LaneId, epoch: &str) -> Result<(), Failure> {
    let mut block = lane_block(lane);
    block.column("Epoch", "String").text(epoch);
    block.column("Writer", "String").text(writer);
    insert::plain(server, CLAIMS, block).await
}

/// Says that the owner may write records of `days` from now on; older days are forgotten.
pub async fn announce_days(
    server: &Connection,
    lane: LaneId,
    epoch: &str,
    days: &BTreeSet<u32>,
) -> Result<(), Failure> {
    let mut block = lane_block(lane);
    block.column("Epoch", "String").text(epoch);
    let mut column = block.column("Days", "Array(UInt32)");
    column.u64(days.len() as u64);
    days.iter().for_each(|day| column.u32(*day));
    insert::plain(server, DAYS, block).await
}

fn lane_block(lane: LaneId) -> Block {
    let mut block = Block::new(1, 256);
    block.column("Incarnation", "UInt128").u128(lane.incarnation.0);
    block.column("Partition", "UInt32").u32(lane.partition.0);
    block
}

#[derive(Debug, Row, Deserialize)]
struct Running {
    query_id: String,
}

/// Ends the statements of claims before `epoch` and returns when none is left, and no deletion of theirs.
async fn fence_earlier(server: &Connection, lane: LaneId, epoch: &str) -> Result<(), WriteError> {
    let lane_is = lane.condition();
    let statements = format!(
        "SELECT initial_query_id AS query_id FROM system.processes WHERE startsWith(initial_query_id, 'devlogs-') \
         AND substring(initial_query_id, 9, 32) IN (SELECT Epoch FROM {CLAIMS} WHERE {lane_is} AND _block_number < \
         (SELECT min(_block_number) FROM {CLAIMS} WHERE {lane_is} AND Epoch = '{epoch}'))"
    );
    let deletions = format!(
        "SELECT mutation_id AS query_id FROM system.mutations WHERE database = currentDatabase() AND table LIKE '{LOGS}%' \
         AND NOT is_done AND position(command, '{}') > 0",
        lane.incarnation.0
    );
    let begun = Instant::now();
    let mut pause = Duration::from_millis(5);
    let mut killed = 0;
    loop {
        let running: Vec<Running> = server.all(&statements).await.map_err(unavailable)?;
        // In this order: a statement that has ended leaves no deletion that is not listed.
        if running.is_empty() && server.all::<Running>(&deletions).await.map_err(unavailable)?.is_empty() {
            return Ok(());
        }
        if running.len() > killed {
            killed = running.len();
            warn!(partition = %lane.partition, statements = killed, "stopping the statements of an earlier writer");
            kill(server, &running).await?;
        }
        if begun.elapsed() > FENCE_TIME_MAX {
            return Err(WriteError::Unavailable("the inserts or deletions of an earlier writer do not end".to_owned()));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

async fn kill(server: &Connection, running: &[Running]) -> Result<(), WriteError> {
    let mut kill = String::from("KILL QUERY WHERE query_id IN (");
    for (index, Running { query_id }) in running.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(kill, "{comma}'{}'", query_id.replace(['\'', '\\'], ""));
    }
    server.execute(&format!("{kill}) ASYNC")).await.map_err(unavailable)
}

#[derive(Debug, Row, Deserialize)]
struct DayList {
    days: Vec<u32>,
}

#[derive(Debug, Row, Deserialize)]
struct Leftover {
    project: String,
    origin: u128,
    index: u32,
    day: String,
}

async fn leftovers(Shard { server, records, .. }: &Shard, lane: LaneId, now: &LaneState) -> Result<Leftovers, Failure> {
    let lane_is = lane.condition();
    // Of each claim since the last write that was done, the days it announced last.
    let days = format!(
        "SELECT groupUniqArrayArray(days) AS days FROM (SELECT argMax(Days, _block_number) AS days FROM {DAYS} \
         WHERE {lane_is} AND Epoch IN (SELECT Epoch FROM {CLAIMS} WHERE {lane_is} AND _block_number >= \
         (SELECT min(_block_number) FROM {CLAIMS} WHERE {lane_is} AND Epoch = '{}')) GROUP BY Epoch)",
        now.position_epoch
    );
    let DayList { days } = server.one(&days).await?;
    if days.is_empty() {
        return Ok(Leftovers::default());
    }
    let days: Vec<_> = days.iter().map(|day| format!("'{day}'")).collect();
    let rows: Vec<Leftover> = server
        .all(&format!(
            "SELECT CAST(Project, 'String') AS project, Origin AS origin, RecordIndex AS index, \
             CAST(_partition_id, 'String') AS day FROM {records} \
             WHERE _partition_id IN ({}) AND {} AND RangeFrom >= {}",
            days.join(", "),
            lane.of_records(),
            now.position
        ))
        .await?;
    let mut found = Leftovers::default();
    let mut projects: HashMap<String, Arc<str>> = HashMap::new();
    for row in rows {
        found.days.extend(row.day.parse::<u32>());
        let project = projects.entry(row.project).or_insert_with_key(|project| Arc::from(&**project)).clone();
        found.ids.insert((project, RecordId { origin: row.origin, index: row.index }));
    }
    Ok(found)
}

/// The row that makes a write done: the new position and the sums of the ledger.
pub async fn finish(
    server: &Connection,
    fence: &Fence<'_>,
    next: Position,
    ledger: &BTreeMap<Arc<str>, LedgerRow>,
) -> Result<(), Failure> {
    let mut block = lane_block(fence.lane);
    block.column("Position", "UInt64").u64(next.0);
    block.column("Epoch", "String").text(fence.epoch);
    let mut projects = block.column("LedgerProjects", "Array(String)");
    projects.u64(ledger.len() as u64);
    ledger.keys().for_each(|project| projects.text(project));
    let mut counts = block.column("LedgerCounts", "Array(UInt64)");
    counts.u64((ledger.len() * COUNTS) as u64);
    for row in ledger.values() {
        for count in [row.received, row.stored, row.dead_lettered, row.deduplicated, row.dropped, row.lost] {
            counts.u64(count);
        }
    }
    insert::fenced(server, POSITIONS, block, fence, &format!("done-{next}")).await
}

/// The ledger of a partition as [`finish`] wrote it.
pub fn read_ledger(lane: LaneId, projects: &[String], counts: &[u64]) -> Vec<LedgerRow> {
    let row = |(project, counts): (&String, &[u64])| {
        let &[received, stored, dead_lettered, deduplicated, dropped, lost] = counts else { return None };
        let empty = LedgerRow::new(Arc::from(&**project), lane.incarnation, lane.partition);
        Some(LedgerRow { received, stored, dead_lettered, deduplicated, dropped, lost, ..empty })
    };
    projects.iter().zip(counts.chunks(COUNTS)).filter_map(row).collect()
}

/// Any failure of the small tables: their values are ours, so the server can't reject them.
pub fn unavailable(failure: Failure) -> WriteError {
    match failure.into_write_error() {
        WriteError::Rejected { reason, .. } => WriteError::Unavailable(reason),
        other => other,
    }
}
