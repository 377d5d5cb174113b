//! TimescaleDB and PostgreSQL behind the store seam.
