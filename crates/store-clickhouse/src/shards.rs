//! On which server a partition of the queue is kept.
//!
//! Without a cluster: on the configured one. In a cluster a partition lives on one shard, as a whole: its records, its
//! position and ledger, its claims, its idempotency keys. So a write touches one server, `lane`'s rules hold there as they
//! do on a single server, and a shard that is down stops its own partitions only. Queries see all shards through
//! `Distributed` tables.
//!
//! Two small tables say where things are:
//!
//! - `devlogs_shard`, on each server: the shard's random name. The row inserted first counts. It goes with the data, so
//!   addresses may change their order, and one that leads to a wrong server is noticed.
//! - `devlogs_lanes`, on the first server (`url`): the shard of each partition. The row inserted first counts, so of two
//!   nodes that place a new partition at once both follow one. It never changes; it is asked once by each process.
//!
//! A new partition goes to the shard that has the fewest of its queue. Which of equal ones it is hangs on the partition's
//! number, so that nodes that begin a queue at once spread it.

use std::collections::{BTreeSet, HashMap};

use clickhouse::Row;
use parking_lot::Mutex;
use serde::Deserialize;
use store::StoreError;

use crate::connection::{Connection, random_name};
use crate::error::Failure;
use crate::lane::LaneId;
use crate::schema::{LANES, LOCAL_LOGS, LOGS, SHARD, SHARDS};

/// The servers that keep records, one a shard.
#[derive(Debug)]
pub struct Shards {
    /// The first one is the configured server.
    all: Vec<Shard>,
    is_cluster: bool,
    placed: Mutex<HashMap<LaneId, usize>>,
}

/// A server with the partitions that are kept there.
#[derive(Debug)]
pub struct Shard {
    /// As `devlogs_shard` has it; empty without a cluster.
    name: String,
    pub server: Connection,
    /// The table of its own records.
    pub records: &'static str,
}

#[derive(Debug, Row, Deserialize)]
struct Named {
    name: String,
    is_first: u8,
}

#[derive(Debug, Row, Deserialize)]
struct Names {
    names: BTreeSet<String>,
}

#[derive(Debug, Row, Deserialize)]
struct Placed {
    shard: String,
}

/// How many partitions of a queue a shard has.
#[derive(Debug, Row, Deserialize)]
struct Load {
    shard: String,
    partitions: u64,
}

impl Shards {
    /// The only server.
    pub fn single(server: Connection) -> Self {
        let only = Shard { name: String::new(), server, records: LOGS };
        Self { all: vec![only], is_cluster: false, placed: Mutex::default() }
    }

    /// The shards of a cluster, whose tables are there; the first server is the configured one.
    ///
    /// # Errors
    /// The servers are not those of the cluster's shards, one each.
    pub async fn of_cluster(servers: Vec<Connection>) -> Result<Self, StoreError> {
        let failed = |failure: Failure| failure.into_store_error(None, false);
        let mut all = Vec::new();
        for server in servers {
            let Named { name, is_first } = name(&server, all.is_empty()).await.map_err(failed)?;
            if (is_first == 1) != all.is_empty() {
                return Err(StoreError::Invalid(
                    "the first server of this ClickHouse cluster was another one: `url` must stay, others are added to \
                     `cluster_urls`"
                        .to_owned(),
                ));
            }
            all.push(Shard { name, server, records: LOCAL_LOGS });
        }
        let configured: BTreeSet<_> = all.iter().map(|shard| shard.name.clone()).collect();
        let seen = format!(
            "SELECT groupUniqArray(name) AS names FROM (SELECT argMin(Name, _block_number) AS name FROM {SHARDS} \
             GROUP BY _shard_num)"
        );
        let Names { names: seen } = all[0].server.one(&seen).await.map_err(failed)?;
        if configured.len() != all.len() || configured != seen {
            return Err(StoreError::Invalid(format!(
                "`url` and `cluster_urls` must name one server of each shard of the ClickHouse cluster: {} addresses lead \
                 to {} shards, the cluster has {}",
                all.len(),
                configured.len(),
                seen.len()
            )));
        }
        Ok(Self { all, is_cluster: true, placed: Mutex::default() })
    }

    /// All of them, the configured one first.
    pub fn all(&self) -> &[Shard] {
        &self.all
    }

    /// The server of a partition; none when nothing was ever written of it.
    pub async fn find(&self, lane: LaneId) -> Result<Option<&Shard>, Failure> {
        if !self.is_cluster {
            return Ok(Some(&self.all[0]));
        }
        if let Some(place) = self.placed.lock().get(&lane) {
            return Ok(Some(&self.all[*place]));
        }
        let lookup = format!("SELECT argMin(Shard, _block_number) AS shard FROM {LANES} WHERE {}", lane.condition());
        let Placed { shard } = self.all[0].server.one(&lookup).await?;
        if shard.is_empty() {
            return Ok(None);
        }
        let Some(place) = self.all.iter().position(|known| known.name == shard) else {
            return Err(Failure::Unknown(format!(
                "partition {} is on a shard of ClickHouse that `cluster_urls` does not name",
                lane.partition
            )));
        };
        self.placed.lock().insert(lane, place);
        Ok(Some(&self.all[place]))
    }

    /// The server of a partition that is about to be written.
    pub async fn place(&self, lane: LaneId) -> Result<&Shard, Failure> {
        if let Some(shard) = self.find(lane).await? {
            return Ok(shard);
        }
        let loads = format!(
            "SELECT shard, count() AS partitions FROM (SELECT argMin(Shard, _block_number) AS shard FROM {LANES} \
             WHERE Incarnation = toUInt128('{}') GROUP BY Partition) GROUP BY shard",
            lane.incarnation.0
        );
        let first = &self.all[0].server;
        let loads: Vec<Load> = first.all(&loads).await?;
        let load = |shard: &Shard| loads.iter().find(|load| load.shard == shard.name).map_or(0, |load| load.partitions);
        let turn = (lane.incarnation.0 as usize).wrapping_add(lane.partition.0 as usize) % self.all.len();
        let in_turn = self.all[turn..].iter().chain(&self.all[..turn]);
        if let Some(lightest) = in_turn.min_by_key(|shard| load(shard)) {
            first
                .execute(&format!(
                    "INSERT INTO {LANES} (Incarnation, Partition, Shard) SETTINGS async_insert = 0 \
                     VALUES ('{}', {}, '{}')",
                    lane.incarnation.0, lane.partition, lightest.name
                ))
                .await?;
        }
        let placed = self.find(lane).await?;
        placed.ok_or_else(|| Failure::Unknown(format!("partition {} could not be placed", lane.partition)))
    }
}

/// The name of a server's shard, given to it if it has none.
async fn name(server: &Connection, is_first: bool) -> Result<Named, Failure> {
    let lookup =
        format!("SELECT argMin(Name, _block_number) AS name, argMin(IsFirst, _block_number) AS is_first FROM {SHARD}");
    let named: Named = server.one(&lookup).await?;
    if !named.name.is_empty() {
        return Ok(named);
    }
    let (name, is_first) = (random_name(), u8::from(is_first));
    let insert = format!("INSERT INTO {SHARD} (Name, IsFirst) SETTINGS async_insert = 0 VALUES ('{name}', {is_first})");
    server.execute(&insert).await?;
    server.one(&lookup).await
}
