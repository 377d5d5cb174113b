//! Starts the real servers that tests run against: Kafka, Redis, ClickHouse, PostgreSQL, TimescaleDB.
