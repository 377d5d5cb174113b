//! Records in ClickHouse, over its HTTP interface.
//!
//! The way of a range of records: `write` takes the ownership of its partition (`lane`), [`columns`] turns batches into
//! one [`native`] block a day, `insert` sends it behind a fence, and the position row makes it done.
//!
//! - [`config`]: where the server is and how long things may take;
//! - [`connection`]: clients, TLS, deadlines; [`error`]: what the server's codes mean;
//! - `schema`: tables and their versions; `shards`: on which server a partition of the queue is;
//! - `lane`: who may write, and why nothing is lost or doubled;
//! - `read`: queries, planned by `store_sql`; `sql`: statements of users;
//! - `status`: progress, keys, the ledger, sizes, health; [`metrics`].

pub mod columns;
pub mod config;
pub mod connection;
pub mod error;
mod insert;
mod lane;
pub mod metrics;
pub mod native;
mod read;
mod rows;
mod schema;
mod shards;
mod sql;
mod status;
mod store_impl;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use store::StoreError;

pub use config::ClickHouseConfig;

use columns::Span;
use connection::{Connection, random_name};
use lane::LaneId;
use metrics::Metrics;
use shards::Shards;

/// A store in a ClickHouse server or cluster. Cheap to share, not to make: opening it looks at the tables.
#[derive(Debug)]
pub struct ClickHouseStore {
    config: ClickHouseConfig,
    /// The configured server, which sees all records.
    home: Connection,
    /// Where they are written.
    shards: Shards,
    /// For statements of users.
    foreign: Connection,
    /// Random; tells claims of this process from others.
    writer: String,
    lanes: Mutex<HashMap<LaneId, write::Slot>>,
    span: Span,
    metrics: Arc<Metrics>,
}

impl ClickHouseStore {
    /// Connects, and makes the tables or brings them to this version.
    ///
    /// # Errors
    /// The configuration can't work, the server can't be reached or refuses, or the tables are those of a newer program.
    pub async fn open(config: ClickHouseConfig) -> Result<Self, StoreError> {
        config.check()?;
        let mut servers = Vec::new();
        for url in std::iter::once(&config.url).chain(&config.cluster_urls) {
            let server = Connection::new(&config, url)?;
            schema::migrate(&config, &server).await?;
            servers.push(server.in_database(&config.database));
        }
        let home = servers[0].clone();
        let foreign = match &config.sql_user {
            Some(user) => home.clone().as_user(user, &config.sql_password),
            None => home.clone(),
        };
        let shards = match config.cluster {
            Some(_) => Shards::of_cluster(servers).await?,
            None => Shards::single(home.clone()),
        };
        let nanos = |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        Ok(Self {
            span: Span { past: nanos(config.past_max), future: nanos(config.future_max) },
            shards,
            home,
            foreign,
            writer: random_name(),
            lanes: Mutex::default(),
            metrics: Arc::default(),
            config,
        })
    }

    /// What it counts about itself, to be registered.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }
}
