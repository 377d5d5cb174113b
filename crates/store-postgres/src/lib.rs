//! TimescaleDB and PostgreSQL behind the store seam.
//!
//! - [`PostgresConfig`]: what the operator sets; `connect`, `tls` and `lease`: bounded pools, TLS, connections on loan;
//! - `migrate`: the tables by numbered migrations; `layout`: how the records are divided by time;
//! - `write` and `encode`: rows, keys, ledger and position in one transaction, rows by binary COPY;
//! - `query`: runs what the planner wrote and reads its rows; `sql`: statements of users;
//! - `facts`: positions, keys, ledger, sizes; `maintenance`: retention, compression, partitions ahead.
//!
//! Tables: `devlogs_records` (a hypertable, or a partition a day), `devlogs_overflow` (times too far from the clock),
//! the view `logs` over both, which is all that queries see; `devlogs_positions`, `devlogs_keys`, `devlogs_ledger`,
//! `devlogs_expired`, `devlogs_migrations`. `migrations/1.sql` has the columns.
//!
//! Exactly once: a batch moves its partition's position by compare-and-set in the transaction that stores its rows, so
//! both are there or neither. It is durable when it is committed; [`store::Store::flush`] has nothing to do.

mod config;
mod connect;
mod encode;
mod error;
mod facts;
mod layout;
mod lease;
mod maintenance;
mod metrics;
mod micros;
mod migrate;
mod query;
mod sql;
mod store_impl;
mod tls;
mod write;

#[cfg(test)]
mod tests;

pub use config::{PostgresConfig, PostgresTls};
pub use metrics::Metrics;
pub use store_impl::PostgresStore;
