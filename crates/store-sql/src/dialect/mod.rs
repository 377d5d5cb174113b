//! What differs between the databases.

pub mod clickhouse;
pub mod postgres;
