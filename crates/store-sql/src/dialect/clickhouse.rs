//! ClickHouse, version 26 and newer.
//!
//! The table is `otel_logs` in the connection's database: the OpenTelemetry exporter's columns and ours. The planner
//! reads these:
//!
//! | column | type | |
//! |---|---|---|
//! | `Timestamp` | `DateTime64(9)` | |
//! | `TraceId`, `SpanId` | `String` | lower-case hexadecimal, `''` for none |
//! | `SeverityNumber` | `UInt8` | 0 for none |
//! | `ServiceName` | `LowCardinality(String)` | |
//! | `Body` | `String` | the message |
//! | `ResourceAttributes`, `LogAttributes` | `Map(LowCardinality(String), String)` | texts by [`crate::cell::encode`] |
//! | `ResourceAttributeTypes`, `LogAttributeTypes` | `Map(LowCardinality(String), UInt8)` | tags by the same, the same keys |
//! | `Project` | `LowCardinality(String)` | |
//! | `Observed` | `DateTime64(9)` | |
//! | `HasHost` | `UInt8` | 1 when the record has a host |
//! | `Host` | `LowCardinality(String)` | `''` for none |
//! | `Origin` | `UInt128` | of the record's id |
//! | `RecordIndex` | `UInt32` | of the record's id |
//!
//! An index of words stands on `lower(Body)` (folded; ClickHouse's `lower` folds ASCII only): a `text` index with
//! `tokenizer = 'splitByNonAlpha'`, or `tokenbf_v1`. Both serve `hasToken(lower(Body), …)`, which the planner writes.
//! A bloom filter on `mapValues(LogAttributes)` and `mapValues(ResourceAttributes)` serves `LogAttributes['x'] = 'v'`.
//!
//! Every number in an answer is `Int64`, every text `String`, so that one row type reads both databases.
