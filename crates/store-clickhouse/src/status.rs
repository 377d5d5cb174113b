//! The small questions: progress, keys, the ledger, sizes, health.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clickhouse::Row;
use futures::future::{join_all, try_join_all};
use model::position::{Incarnation, Partition, Position};
use serde::Deserialize;
use store::{LedgerRow, StoreError, StoreStatus};

use crate::ClickHouseStore;
use crate::error::Failure;
use crate::lane::{self, LaneId};
use crate::schema::{KEYS, LOGS, POSITIONS};
use crate::shards::Shard;

/// How long an idempotency key is remembered.
const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3_600);

#[derive(Debug, Row, Deserialize)]
struct Place {
    position: u64,
}

#[derive(Debug, Row, Deserialize)]
struct Seen {
    body: u128,
    incarnation: u128,
    partition: u32,
    next: u64,
}

#[derive(Debug, Row, Deserialize)]
struct Sums {
    incarnation: u128,
    partition: u32,
    projects: Vec<String>,
    counts: Vec<u64>,
}

#[derive(Debug, Row, Deserialize)]
struct Rows {
    project: String,
    rows: u64,
}

#[derive(Debug, Row, Deserialize)]
struct Parts {
    rows: u64,
    bytes: u64,
    parts: u64,
}

#[derive(Debug, Row, Deserialize)]
struct Times {
    oldest: i64,
    newest: i64,
}

#[derive(Debug, Row, Deserialize)]
struct Checked {
    part_path: String,
    is_passed: u8,
    message: String,
}

impl ClickHouseStore {
    pub(crate) async fn position(&self, lane: LaneId) -> Result<Position, StoreError> {
        let position = async {
            match self.shards.find(lane).await? {
                Some(shard) => position(shard, lane).await,
                None => Ok(Position(0)),
            }
        };
        position.await.map_err(own)
    }

    /// A key stands on the shard of the partition that it came through, which nobody here knows: only all of them can say
    /// that there is none.
    pub(crate) async fn body_of_key(&self, project: &str, key: u128) -> Result<Option<u128>, StoreError> {
        let looks = self.shards.all().iter().map(|shard| body_of_key(shard, project, key));
        let mut missing = Ok(None);
        for look in join_all(looks).await {
            match look {
                Ok(Some(body)) => return Ok(Some(body)),
                Ok(None) => {}
                Err(failure) => missing = Err(own(failure)),
            }
        }
        missing
    }

    pub(crate) async fn ledger_rows(&self) -> Result<Vec<LedgerRow>, StoreError> {
        let sql = format!(
            "SELECT Incarnation AS incarnation, Partition AS partition, argMax(LedgerProjects, Position) AS projects, \
             argMax(LedgerCounts, Position) AS counts FROM {POSITIONS} GROUP BY Incarnation, Partition"
        );
        let looks = self.shards.all().iter().map(|shard| shard.server.all::<Sums>(&sql));
        let mut sums: Vec<_> = try_join_all(looks).await.map_err(own)?.into_iter().flatten().collect();
        sums.sort_by_key(|sums| (sums.incarnation, sums.partition));
        let mut ledger = Vec::new();
        for sums in sums {
            let lane = LaneId { incarnation: Incarnation(sums.incarnation), partition: Partition(sums.partition) };
            ledger.extend(lane::read_ledger(lane, &sums.projects, &sums.counts));
        }
        if self.config.retention_days.is_some() {
            let rows =
                format!("SELECT CAST(Project, 'String') AS project, count() AS rows FROM {LOGS} GROUP BY Project");
            let rows: Vec<Rows> = self.home.all(&rows).await.map_err(own)?;
            ledger.extend(expired(&ledger, rows));
        }
        Ok(ledger)
    }

    pub(crate) async fn sizes(&self) -> Result<StoreStatus, StoreError> {
        let parts = try_join_all(self.shards.all().iter().map(parts)).await.map_err(own)?;
        let sum = |count: fn(&Parts) -> u64| parts.iter().map(count).sum::<u64>();
        let rows = sum(|parts| parts.rows);
        let times: Times = self
            .home
            .one(&format!(
                "SELECT toUnixTimestamp64Nano(min(Timestamp)) AS oldest, toUnixTimestamp64Nano(max(Timestamp)) AS newest \
                 FROM {LOGS}"
            ))
            .await
            .map_err(own)?;
        let time = |time: i64| (rows > 0).then_some(time);
        Ok(StoreStatus {
            backend: "clickhouse",
            rows,
            bytes: sum(|parts| parts.bytes),
            segments: sum(|parts| parts.parts),
            buffered_rows: 0,
            oldest: time(times.oldest),
            newest: time(times.newest),
        })
    }

    /// Checks the sums of every part, on every server.
    pub(crate) async fn damage(&self) -> Result<Vec<String>, StoreError> {
        let mut damage = Vec::new();
        for Shard { server, records, .. } in self.shards.all() {
            let sql = format!("CHECK TABLE {records} SETTINGS check_query_single_value_result = 0");
            let parts = server.client().query_raw(&sql).fetch_all::<Checked>().await;
            let parts = parts.map_err(|error| own(server.failure(&error)))?;
            let damaged = parts.into_iter().filter(|part| part.is_passed == 0);
            damage.extend(damaged.map(|part| format!("part {} is damaged: {}", part.part_path, part.message)));
        }
        Ok(damage)
    }
}

/// A question of ours failed.
fn own(failure: Failure) -> StoreError {
    failure.into_store_error(None, false)
}

async fn position(shard: &Shard, lane: LaneId) -> Result<Position, Failure> {
    let sql = format!("SELECT max(Position) AS position FROM {POSITIONS} WHERE {}", lane.condition());
    let place: Place = shard.server.one(&sql).await?;
    Ok(Position(place.position))
}

/// Keys are inserted before the write that they belong to is done; they count once it is.
async fn body_of_key(shard: &Shard, project: &str, key: u128) -> Result<Option<u128>, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let oldest = now.saturating_sub(KEY_LIFETIME).as_nanos();
    let query = shard.server.client().query_raw(&format!(
        "SELECT Body AS body, Incarnation AS incarnation, Partition AS partition, RangeNext AS next FROM {KEYS} \
         WHERE Project = {{project:String}} AND Key = toUInt128('{key}') \
         AND Received > fromUnixTimestamp64Nano({oldest}) ORDER BY Received DESC LIMIT 100"
    ));
    let project = store_sql::Param::Text(project.to_owned()).to_clickhouse();
    let query = query.with_setting("param_project", project);
    let mut positions: HashMap<LaneId, Position> = HashMap::new();
    for seen in shard.server.within(query.fetch_all::<Seen>()).await? {
        let lane = LaneId { incarnation: Incarnation(seen.incarnation), partition: Partition(seen.partition) };
        let at = match positions.get(&lane) {
            Some(at) => *at,
            None => position(shard, lane).await?,
        };
        positions.insert(lane, at);
        if at.0 >= seen.next {
            return Ok(Some(seen.body));
        }
    }
    Ok(None)
}

async fn parts(Shard { server, records, .. }: &Shard) -> Result<Parts, Failure> {
    let sql = format!(
        "SELECT sum(rows) AS rows, sum(bytes_on_disk) AS bytes, count() AS parts FROM system.parts \
         WHERE active AND database = currentDatabase() AND table = '{records}'"
    );
    server.one(&sql).await
}

/// What is stored by the ledger and not there any more; the server does not say from which partitions it came.
fn expired(ledger: &[LedgerRow], rows: Vec<Rows>) -> Vec<LedgerRow> {
    let mut stored: HashMap<&str, u64> = HashMap::new();
    for row in ledger {
        *stored.entry(&row.project).or_default() += row.stored;
    }
    for Rows { project, rows } in rows {
        if let Some(stored) = stored.get_mut(&*project) {
            *stored = stored.saturating_sub(rows);
        }
    }
    let row = |(project, gone): (&str, u64)| LedgerRow {
        expired: gone,
        ..LedgerRow::new(Arc::from(project), Incarnation(0), Partition(0))
    };
    let mut gone: Vec<_> = stored.into_iter().filter(|(_, gone)| *gone > 0).map(row).collect();
    gone.sort_by(|a, b| a.project.cmp(&b.project));
    gone
}
