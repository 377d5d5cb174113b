//! ClickHouse behind the store seam.
