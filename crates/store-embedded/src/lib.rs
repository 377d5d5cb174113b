//! The embedded columnar store: Arrow in memory, Parquet on disk, a token filter for each block.
//!
//! The way of a record: [`columns`] turns a processor's batch into Arrow columns; [`chunk`] holds them in memory,
//! visible at once; a flush writes them as a [`segment`] and swaps the manifest; compaction merges segments.
//!
//! - [`engine`]: write, flush, compaction, retention; gives queries a [`chunk::Snapshot`];
//! - [`columns`]: the columns that chunks and segments share, records to columns and back;
//! - [`chunk`]: records in memory, and the parts that a query looks at;
//! - [`segment`]: a Parquet file of sorted blocks with an index of ours in it, read column by column;
//! - [`filter`]: which words, ids and text fields a block may hold;
//! - `merge`: sorted runs to one, block by block;
//! - `manifest`: what is durable: segments, positions, the ledger;
//! - `keys`: idempotency keys;
//! - `origins`: how many records a request became;
//! - [`query`]: search, histogram, aggregate, fields, values and SQL over a snapshot;
//! - [`verify`]: holds every file against the manifest;
//! - [`metrics`]: what the store counts about itself.

pub mod chunk;
pub mod columns;
pub mod engine;
pub mod filter;
mod keys;
mod manifest;
mod merge;
pub mod metrics;
mod origins;
pub mod query;
pub mod segment;
mod store_impl;
#[cfg(test)]
mod tests;
pub mod verify;

pub use engine::{EmbeddedStoreConfig, Engine};
pub use store_impl::EmbeddedStore;
