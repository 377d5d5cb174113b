//! The small questions: progress, keys, the ledger, sizes, health.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clickhouse::Row;
use model::position::{Incarnation, Partition, Position};
use serde::Deserialize;
use store::{LedgerRow, StoreError, StoreStatus};

use crate::ClickHouseStore;
use crate::lane::{self, LaneId};
use crate::schema::{KEYS, LOGS, POSITIONS, local_name};

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
        let sql = format!("SELECT max(Position) AS position FROM {POSITIONS} WHERE {}", lane.condition());
        let place: Place = self.home.one(&sql).await.map_err(|failure| failure.into_store_error(None, false))?;
        Ok(Position(place.position))
    }

    /// Keys are inserted before the write that they belong to is done; they count once it is.
    pub(crate) async fn body_of_key(&self, project: &str, key: u128) -> Result<Option<u128>, StoreError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let oldest = now.saturating_sub(KEY_LIFETIME).as_nanos();
        let query = self.home.client().query_raw(&format!(
            "SELECT Body AS body, Incarnation AS incarnation, Partition AS partition, RangeNext AS next FROM {KEYS} \
             WHERE Project = {{project:String}} AND Key = toUInt128('{key}') \
             AND Received > fromUnixTimestamp64Nano({oldest}) ORDER BY Received DESC LIMIT 100"
        ));
        let project = store_sql::Param::Text(project.to_owned()).to_clickhouse();
        let query = query.with_setting("param_project", project);
        let found = self.home.within(query.fetch_all::<Seen>()).await;
        let mut positions: HashMap<LaneId, Position> = HashMap::new();
        for seen in found.map_err(|failure| failure.into_store_error(None, false))? {
            let lane = LaneId { incarnation: Incarnation(seen.incarnation), partition: Partition(seen.partition) };
            let at = match positions.get(&lane) {
                Some(at) => *at,
                None => self.position(lane).await?,
            };
            positions.insert(lane, at);
            if at.0 >= seen.next {
                return Ok(Some(seen.body));
            }
        }
        Ok(None)
    }

    pub(crate) async fn ledger_rows(&self) -> Result<Vec<LedgerRow>, StoreError> {
        let failed = |failure: crate::error::Failure| failure.into_store_error(None, false);
        let sql = format!(
            "SELECT Incarnation AS incarnation, Partition AS partition, argMax(LedgerProjects, Position) AS projects, \
             argMax(LedgerCounts, Position) AS counts FROM {POSITIONS} GROUP BY Incarnation, Partition \
             ORDER BY Incarnation, Partition"
        );
        let mut ledger = Vec::new();
        for sums in self.home.all::<Sums>(&sql).await.map_err(failed)? {
            let lane = LaneId { incarnation: Incarnation(sums.incarnation), partition: Partition(sums.partition) };
            ledger.extend(lane::read_ledger(lane, &sums.projects, &sums.counts));
        }
        if self.config.retention_days.is_some() {
            let rows =
                format!("SELECT CAST(Project, 'String') AS project, count() AS rows FROM {LOGS} GROUP BY Project");
            let rows: Vec<Rows> = self.home.all(&rows).await.map_err(failed)?;
            ledger.extend(expired(&ledger, rows));
        }
        Ok(ledger)
    }

    pub(crate) async fn sizes(&self) -> Result<StoreStatus, StoreError> {
        let failed = |failure: crate::error::Failure| failure.into_store_error(None, false);
        let parts: Parts = self
            .home
            .one(&format!(
                "SELECT sum(rows) AS rows, sum(bytes_on_disk) AS bytes, count() AS parts FROM {} \
                 WHERE active AND database = currentDatabase() AND table = '{}'",
                self.home.system("parts"),
                local_name(&self.config)
            ))
            .await
            .map_err(failed)?;
        let times: Times = self
            .home
            .one(&format!(
                "SELECT toUnixTimestamp64Nano(min(Timestamp)) AS oldest, toUnixTimestamp64Nano(max(Timestamp)) AS newest \
                 FROM {LOGS}"
            ))
            .await
            .map_err(failed)?;
        let time = |time: i64| (parts.rows > 0).then_some(time);
        Ok(StoreStatus {
            backend: "clickhouse",
            rows: parts.rows,
            bytes: parts.bytes,
            segments: parts.parts,
            buffered_rows: 0,
            oldest: time(times.oldest),
            newest: time(times.newest),
        })
    }

    /// Checks the sums of every part, on every server.
    pub(crate) async fn damage(&self) -> Result<Vec<String>, StoreError> {
        let mut damage = Vec::new();
        for server in std::iter::once(&self.home).chain(&self.others) {
            let sql = format!("CHECK TABLE {} SETTINGS check_query_single_value_result = 0", local_name(&self.config));
            let parts = server.client().query_raw(&sql).fetch_all::<Checked>().await;
            let parts = parts.map_err(|error| server.failure(&error).into_store_error(None, false))?;
            let damaged = parts.into_iter().filter(|part| part.is_passed == 0);
            damage.extend(damaged.map(|part| format!("part {} is damaged: {}", part.part_path, part.message)));
        }
        Ok(damage)
    }
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
