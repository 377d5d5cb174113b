//! Writing a range: removals, records, keys, position, in this order. `lane` says why nothing is lost or doubled.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use model::crash::crash_point;
use model::position::Position;
use model::{Batch, RecordId};
use store::{LedgerRow, SeenKey, WriteBatch, WriteError};
use tokio::sync::Mutex;
use tracing::warn;

use crate::ClickHouseStore;
use crate::columns::{self, Place};
use crate::connection::{Connection, query_id};
use crate::error::Failure;
use crate::insert::{self, Fence};
use crate::lane::{self, LaneId, Leftovers, Owned};
use crate::native::Block;
use crate::schema::{CLAIMS, KEYS};
use crate::shards::Shard;

/// Takeovers by others in the middle of one write before it gives up.
const TRIES_MAX: usize = 5;

/// Days that a writer keeps announced; a range of more days announces those alone.
const DAYS_MAX: usize = 8;

/// Records that one deletion names; the server's limit of a statement's text is 256 KiB.
const STRAYS_MAX: usize = 500;

/// What this writer knows of a partition that it owns. Taken out while a write runs: one that fails or is dropped leaves
/// nothing behind, so the next one asks the server again.
pub type Slot = Arc<Mutex<Option<Owned>>>;

impl ClickHouseStore {
    pub(crate) async fn write_range(&self, range: WriteBatch) -> Result<(), WriteError> {
        let (begun, range) = (Instant::now(), Arc::new(range));
        let written = self.write_tried(&range).await;
        self.metrics.writes.count(&range, begun.elapsed(), &written);
        written
    }

    async fn write_tried(&self, range: &Arc<WriteBatch>) -> Result<(), WriteError> {
        let lane = LaneId { incarnation: range.incarnation, partition: range.partition };
        let shard = self.shards.place(lane).await.map_err(lane::unavailable)?;
        let slot = self.slot(lane);
        let mut slot = slot.lock().await;
        for tries in 0..TRIES_MAX {
            // More each time, so that of several writers one gets through.
            let patience = self.config.takeover_patience * (1 << tries);
            let owned = match slot.take() {
                Some(owned) if owned.position == range.from.0 => owned,
                known => {
                    still_there(shard, lane, range.from, known, &mut slot).await?;
                    self.metrics.claims.inc();
                    lane::acquire(shard, &self.writer, lane, range.from, patience).await?
                }
            };
            match self.write_owned(range, shard, lane, owned).await {
                Ok(owned) => {
                    *slot = Some(owned);
                    return Ok(());
                }
                Err(failure) if failure.is_fenced() => {
                    self.metrics.overtaken.inc();
                    warn!(partition = %lane.partition, "another writer took the partition over");
                }
                Err(failure) => return Err(failure.into_write_error()),
            }
        }
        Err(WriteError::Unavailable(format!("other writers keep taking partition {} over", lane.partition)))
    }

    fn slot(&self, lane: LaneId) -> Slot {
        self.lanes.lock().entry(lane).or_default().clone()
    }

    /// The inserts of a range. Any failure gives the ownership up, so that the next try looks at what is there.
    async fn write_owned(
        &self,
        range: &Arc<WriteBatch>,
        shard: &Shard,
        lane: LaneId,
        mut owned: Owned,
    ) -> Result<Owned, Failure> {
        let Shard { server, records, .. } = shard;
        let mut leftovers = std::mem::take(&mut owned.leftovers);
        let strays = strays(&mut leftovers, range);
        let mut recovered = 0;
        let days = columns::by_day(&range.batches, self.span, |batch, row| {
            let is_there =
                !leftovers.ids.is_empty() && leftovers.ids.contains(&(batch.project.clone(), batch.ids[row]));
            recovered += u64::from(is_there);
            !is_there
        });
        self.metrics.recovered_rows.inc_by(recovered);
        announce(server, lane, &mut owned, days.keys().copied().chain(leftovers.days)).await?;
        crash_point("clickhouse.after_days");
        remove(shard, lane, &owned, &strays).await?;
        let fence = Fence { lane, epoch: &owned.epoch };
        for (day, places) in days {
            let block = encode(range.clone(), places, day).await?;
            let token = format!("{}-{}-{day}", range.from, range.next);
            insert::fenced(server, records, block, &fence, &token).await?;
            crash_point("clickhouse.after_records");
        }
        if !range.keys.is_empty() {
            let block = keys(&range.keys, lane, range.next);
            insert::fenced(server, KEYS, block, &fence, &format!("keys-{}", range.next)).await?;
            crash_point("clickhouse.after_keys");
        }
        for counts in &range.counts {
            let empty = || LedgerRow::new(counts.project.clone(), lane.incarnation, lane.partition);
            owned.ledger.entry(counts.project.clone()).or_insert_with(empty).add(counts);
        }
        crash_point("clickhouse.before_position");
        lane::finish(server, &fence, range.next, &owned.ledger).await?;
        crash_point("clickhouse.after_position");
        owned.position = range.next.0;
        Ok(owned)
    }
}

/// This writer knows the partition at another position than `from`: where does it stand?
async fn still_there(
    shard: &Shard,
    lane: LaneId,
    from: Position,
    known: Option<Owned>,
    slot: &mut Option<Owned>,
) -> Result<(), WriteError> {
    let Some(known) = known else { return Ok(()) };
    let now = lane::state(&shard.server, lane).await.map_err(lane::unavailable)?;
    if now.position == from.0 {
        return Ok(());
    }
    if now.epoch == known.epoch {
        *slot = Some(known);
    }
    Err(WriteError::Moved { at: Position(now.position) })
}

/// Says which days will be written, unless the server knows.
async fn announce(
    server: &Connection,
    lane: LaneId,
    owned: &mut Owned,
    days: impl Iterator<Item = u32>,
) -> Result<(), Failure> {
    let mut needed: BTreeSet<u32> = days.collect();
    if needed.is_subset(&owned.days) {
        return Ok(());
    }
    if needed.len() + owned.days.len() <= DAYS_MAX {
        needed.extend(&owned.days);
    }
    lane::announce_days(server, lane, &owned.epoch, &needed).await?;
    owned.days = needed;
    Ok(())
}

/// Removes records of an unfinished write, and returns when they are gone. Inserts come after it: the server deletes from
/// what was there when the deletion began.
async fn remove(
    Shard { server, records, .. }: &Shard,
    lane: LaneId,
    owned: &Owned,
    strays: &Strays,
) -> Result<(), Failure> {
    let which = match strays {
        Strays::All => String::new(),
        Strays::Some(some) if some.is_empty() => return Ok(()),
        Strays::Some(some) => {
            let some: Vec<_> = some.iter().map(literal).collect();
            format!("AND (CAST(Project, 'String'), Origin, RecordIndex) IN ({})", some.join(", "))
        }
    };
    // The owner is looked up when the statement begins, as for an insert; it deletes nothing if that is another.
    let delete = format!(
        "DELETE FROM {records} WHERE {} AND RangeFrom >= {} {which} \
         AND (SELECT argMax(Epoch, _block_number) FROM {CLAIMS} WHERE {}) = '{}'",
        lane.of_records(),
        owned.position,
        lane.condition(),
        owned.epoch
    );
    let query = server.client().query_raw(&delete);
    let query = query
        .with_setting("query_id", query_id(&owned.epoch))
        .with_setting("lightweight_deletes_sync", "2")
        .with_setting("mutations_execute_subqueries_on_initiator", "1");
    server.within(query.execute()).await
}

/// Leftovers to remove.
enum Strays {
    All,
    Some(Vec<(Arc<str>, RecordId)>),
}

/// The leftovers that the range does not hold: it is shorter, other rules hold now, or the record was buried. Where these
/// are too many to be named all leftovers go, and `leftovers` is empty then: the range is written as a whole.
fn strays(leftovers: &mut Leftovers, range: &WriteBatch) -> Strays {
    if leftovers.ids.is_empty() {
        return Strays::Some(Vec::new());
    }
    let of = |batch: &Batch| -> Vec<_> { batch.ids.iter().map(|id| (batch.project.clone(), *id)).collect() };
    let held: HashSet<_> = range.batches.iter().flat_map(of).collect();
    let strays: Vec<_> = leftovers.ids.difference(&held).cloned().collect();
    if strays.len() <= STRAYS_MAX {
        return Strays::Some(strays);
    }
    leftovers.ids.clear();
    Strays::All
}

/// A record as the server compares it.
fn literal((project, id): &(Arc<str>, RecordId)) -> String {
    let project = project.replace('\\', "\\\\").replace('\'', "\\'");
    format!("('{project}', toUInt128('{}'), {})", id.origin, id.index)
}

/// Encodes off the async threads: a large block takes tens of milliseconds.
async fn encode(range: Arc<WriteBatch>, places: Vec<Place>, day: u32) -> Result<Block, Failure> {
    let encoded = tokio::task::spawn_blocking(move || columns::block(&range, &places, day)).await;
    encoded.map_err(|error| Failure::Network(format!("encoding records failed: {error}")))
}

fn keys(keys: &[SeenKey], lane: LaneId, next: Position) -> Block {
    let mut block = Block::new(keys.len(), keys.len() * 128);
    let mut column = block.column("Project", "String");
    keys.iter().for_each(|key| column.text(&key.project));
    let mut column = block.column("Key", "UInt128");
    keys.iter().for_each(|key| column.u128(key.key));
    let mut column = block.column("Body", "UInt128");
    keys.iter().for_each(|key| column.u128(key.body));
    let mut column = block.column("Received", "DateTime64(9)");
    keys.iter().for_each(|key| column.i64(key.received));
    let mut column = block.column("Incarnation", "UInt128");
    keys.iter().for_each(|_| column.u128(lane.incarnation.0));
    let mut column = block.column("Partition", "UInt32");
    keys.iter().for_each(|_| column.u32(lane.partition.0));
    let mut column = block.column("RangeNext", "UInt64");
    keys.iter().for_each(|_| column.u64(next.0));
    block
}
