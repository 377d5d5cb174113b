//! Writing a range: records, keys, position, in this order. `lane` says why nothing is lost or doubled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use model::crash::crash_point;
use model::position::Position;
use store::{LedgerRow, SeenKey, WriteBatch, WriteError};
use tokio::sync::Mutex;
use tracing::warn;

use crate::ClickHouseStore;
use crate::columns::{self, Place};
use crate::connection::query_id;
use crate::error::Failure;
use crate::insert::{self, Fence};
use crate::lane::{self, LaneId, Owned};
use crate::native::Block;
use crate::schema::{self, CLAIMS, KEYS, LOGS};

/// Takeovers by others in the middle of one write before it gives up.
const TRIES_MAX: usize = 5;

/// Days that a writer keeps announced; a range of more days announces those alone.
const DAYS_MAX: usize = 8;

/// What this writer knows of a partition that it owns. Taken out while a write runs: one that fails or is dropped leaves
/// nothing behind, so the next one asks the server again.
pub type Slot = Arc<Mutex<Option<Owned>>>;

impl ClickHouseStore {
    pub(crate) async fn write_range(&self, range: WriteBatch) -> Result<(), WriteError> {
        let (begun, range) = (Instant::now(), Arc::new(range));
        let lane = LaneId { incarnation: range.incarnation, partition: range.partition };
        let slot = self.slot(lane);
        let mut slot = slot.lock().await;
        for tries in 0..TRIES_MAX {
            let owned = match slot.take() {
                Some(owned) if owned.position == range.from.0 => owned,
                known => match self.own(lane, range.from, known, tries, &mut slot).await? {
                    Some(owned) => owned,
                    None => continue,
                },
            };
            match self.write_owned(&range, lane, owned).await {
                Ok(owned) => {
                    *slot = Some(owned);
                    self.metrics.written(&range, begun.elapsed());
                    return Ok(());
                }
                Err(failure) if failure.is_fenced() => {
                    self.metrics.overtaken.inc();
                    warn!(partition = %lane.partition, "another writer took the partition over");
                }
                Err(failure) => return Err(self.rejected_or_unavailable(failure)),
            }
        }
        Err(WriteError::Unavailable(format!("other writers keep taking partition {} over", lane.partition)))
    }

    fn rejected_or_unavailable(&self, failure: Failure) -> WriteError {
        self.metrics.write_errors.inc();
        failure.into_write_error()
    }

    fn slot(&self, lane: LaneId) -> Slot {
        self.lanes.lock().entry(lane).or_default().clone()
    }

    /// Ownership of a partition that stands at `from`; `known` is another position that this writer has it at.
    async fn own(
        &self,
        lane: LaneId,
        from: Position,
        known: Option<Owned>,
        tries: usize,
        slot: &mut Option<Owned>,
    ) -> Result<Option<Owned>, WriteError> {
        if let Some(known) = known {
            let now = lane::state(&self.home, lane).await.map_err(lane::unavailable)?;
            if now.position != from.0 {
                if now.epoch == known.epoch {
                    *slot = Some(known);
                }
                return Err(WriteError::Moved { at: Position(now.position) });
            }
            return Ok(None);
        }
        self.metrics.claims.inc();
        // More each time, so that of several writers one gets through.
        let patience = self.config.takeover_patience * (1 << tries);
        lane::acquire(&self.home, &self.writer, lane, from, patience).await.map(Some)
    }

    /// The inserts of a range. Any failure gives the ownership up, so that the next try looks at what is there.
    async fn write_owned(&self, range: &Arc<WriteBatch>, lane: LaneId, mut owned: Owned) -> Result<Owned, Failure> {
        let mut repeated = 0;
        let days = columns::by_day(&range.batches, self.span, |batch, row| {
            let is_there = !owned.leftovers.ids.is_empty()
                && owned.leftovers.ids.get_mut(&(batch.project.clone(), batch.ids[row])).is_some_and(|seen| {
                    *seen = true;
                    true
                });
            repeated += u64::from(is_there);
            !is_there
        });
        self.metrics.recovered_rows.inc_by(repeated);
        self.announce(lane, &mut owned, days.keys().copied()).await?;
        crash_point("clickhouse.after_days");
        let fence = Fence { lane, epoch: &owned.epoch };
        for (day, places) in days {
            let block = encode(range.clone(), places, day).await?;
            insert::fenced(&self.home, LOGS, block, &fence, &format!("{}-{}-{day}", range.from, range.next)).await?;
            crash_point("clickhouse.after_records");
        }
        if !range.keys.is_empty() {
            let block = keys(&range.keys, lane, range.next);
            insert::fenced(&self.home, KEYS, block, &fence, &format!("keys-{}", range.next)).await?;
            crash_point("clickhouse.after_keys");
        }
        if !owned.leftovers.ids.is_empty() && range.next.0 >= owned.leftovers.until {
            self.remove_strays(lane, &owned).await?;
        }
        for counts in &range.counts {
            let empty = || LedgerRow::new(counts.project.clone(), lane.incarnation, lane.partition);
            owned.ledger.entry(counts.project.clone()).or_insert_with(empty).add(counts);
        }
        crash_point("clickhouse.before_position");
        lane::finish(&self.home, &fence, range.next, &owned.ledger).await?;
        crash_point("clickhouse.after_position");
        owned.position = range.next.0;
        if owned.position >= owned.leftovers.until {
            owned.leftovers = lane::Leftovers::default();
        }
        Ok(owned)
    }

    /// Says which days will be written, unless the server knows.
    async fn announce(&self, lane: LaneId, owned: &mut Owned, days: impl Iterator<Item = u32>) -> Result<(), Failure> {
        let mut needed: BTreeSet<u32> = days.collect();
        needed.extend(&owned.leftovers.days);
        if needed.is_subset(&owned.days) {
            return Ok(());
        }
        if needed.len() + owned.days.len() <= DAYS_MAX {
            needed.extend(&owned.days);
        }
        lane::announce_days(&self.home, lane, &owned.epoch, &needed).await?;
        owned.days = needed;
        Ok(())
    }

    /// Runs a deletion and waits for it, on every server that has records.
    async fn delete(&self, sql: &str, epoch: &str) -> Result<(), Failure> {
        for server in std::iter::once(&self.home).chain(&self.others) {
            let query = server.client().query_raw(sql);
            let query = query
                .with_setting("query_id", query_id(epoch))
                .with_setting("lightweight_deletes_sync", "2")
                .with_setting("mutations_execute_subqueries_on_initiator", "1");
            server.within(query.execute()).await?;
        }
        Ok(())
    }

    /// Removes records of an unfinished write that the queue's messages did not bring again: other rules hold now, or
    /// the record was buried.
    async fn remove_strays(&self, lane: LaneId, owned: &Owned) -> Result<(), Failure> {
        let strays: Vec<_> = owned.leftovers.ids.iter().filter(|(_, seen)| !**seen).map(|((_, id), _)| *id).collect();
        for some in strays.chunks(1_000) {
            let ids: Vec<_> = some.iter().map(|id| format!("(toUInt128('{}'), {})", id.origin, id.index)).collect();
            // The owner is looked up when the statement begins, as for an insert; it deletes nothing if that is another.
            let delete = format!(
                "DELETE FROM {} WHERE {} AND RangeNext > {} AND (Origin, RecordIndex) IN ({}) \
                 AND (SELECT argMax(Epoch, _block_number) FROM {CLAIMS} WHERE {}) = '{}'",
                schema::local_name(&self.config),
                lane.of_records(),
                owned.position,
                ids.join(", "),
                lane.condition(),
                owned.epoch
            );
            self.delete(&delete, &owned.epoch).await?;
        }
        Ok(())
    }
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
