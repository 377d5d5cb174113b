//! Every key, its default and its documentation.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{Age, Size};

/// The whole configuration. Each key can be set as `DEVLOGS_<SECTION>__<KEY>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where everything durable lives.
    pub data_dir: PathBuf,
    pub collector: Collector,
    pub api: Api,
    pub ops: Ops,
    pub queue: Queue,
    pub processor: Processor,
    pub store: Store,
    pub metadata: Metadata,
    pub log: Log,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./devlogs-data"),
            collector: Collector::default(),
            api: Api::default(),
            ops: Ops::default(),
            queue: Queue::default(),
            processor: Processor::default(),
            store: Store::default(),
            metadata: Metadata::default(),
            log: Log::default(),
        }
    }
}

/// Where web applications send their logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Collector {
    /// Every HTTP protocol. Port 0 picks a free port.
    pub listen: SocketAddr,
    /// OTLP over gRPC.
    pub grpc_listen: SocketAddr,
    /// A request's body as sent.
    pub body_max: Size,
    /// A request's body after decompression.
    pub decoded_max: Size,
    /// Records in a request.
    pub records_max: usize,
    /// A record: message, names and values together.
    pub record_max: Size,
    /// Attributes and resource values of a record.
    pub attributes_max: usize,
    /// An attribute's name.
    pub name_max: Size,
    /// How deep objects and arrays may stand in each other.
    pub nesting_max: usize,
    /// Bodies held in memory by all requests together; more are answered 429.
    pub inflight_max: Size,
}

impl Default for Collector {
    fn default() -> Self {
        let limits = model::limits::Limits::default();
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4318)),
            grpc_listen: SocketAddr::from(([127, 0, 0, 1], 4317)),
            body_max: Size(limits.body_bytes_max as u64),
            decoded_max: Size(limits.decoded_bytes_max as u64),
            records_max: limits.records_max,
            record_max: Size(limits.record_bytes_max as u64),
            attributes_max: limits.attributes_max,
            name_max: Size(limits.name_bytes_max as u64),
            nesting_max: limits.nesting_max,
            inflight_max: Size::mib(256),
        }
    }
}

impl Collector {
    pub fn limits(&self) -> model::limits::Limits {
        model::limits::Limits {
            body_bytes_max: self.body_max.bytes(),
            decoded_bytes_max: self.decoded_max.bytes(),
            records_max: self.records_max,
            record_bytes_max: self.record_max.bytes(),
            attributes_max: self.attributes_max,
            name_bytes_max: self.name_max.bytes(),
            nesting_max: self.nesting_max,
        }
    }
}

/// The query API and the dashboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Port 0 picks a free port.
    pub listen: SocketAddr,
    /// How long a query may run.
    pub query_time_max: Age,
    /// What a query may hold in memory.
    pub query_memory_max: Size,
    /// Rows of a SQL answer, and groups of an aggregate.
    pub query_rows_max: usize,
    /// Queries that run at once; more wait shortly, then are answered 429.
    pub queries_max: usize,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            query_time_max: Age(Duration::from_secs(30)),
            query_memory_max: Size::mib(512),
            query_rows_max: 100_000,
            queries_max: 16,
        }
    }
}

/// Metrics and health.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ops {
    /// `/metrics`, `/healthz`, `/readyz`. Port 0 picks a free port.
    pub listen: SocketAddr,
}

impl Default for Ops {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)) }
    }
}

/// Which queue stands between collectors and processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueBackend {
    #[default]
    Embedded,
}

/// The durable queue between collectors and processors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    pub backend: QueueBackend,
    pub embedded: EmbeddedQueue,
}

/// The queue on local disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedQueue {
    /// Lanes that are written and processed side by side. May be raised later.
    pub partitions: u32,
    /// A segment file.
    pub segment: Size,
    /// Stored messages are kept for replay up to this size.
    pub retention_size: Size,
    /// Stored messages are kept for replay this long.
    pub retention_age: Age,
    /// Free space on the disk below which the collector answers 503.
    pub disk_free_min: Size,
}

impl Default for EmbeddedQueue {
    fn default() -> Self {
        Self {
            partitions: 2,
            segment: Size::mib(64),
            retention_size: Size::mib(1024),
            retention_age: Age(Duration::from_secs(24 * 3600)),
            disk_free_min: Size::mib(256),
        }
    }
}

/// How messages become stored records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Processor {
    /// Records in a batch.
    pub batch_rows: usize,
    /// Bytes in a batch.
    pub batch_size: Size,
}

impl Default for Processor {
    fn default() -> Self {
        Self { batch_rows: 32_768, batch_size: Size::mib(16) }
    }
}

/// Which store keeps the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreBackend {
    #[default]
    Embedded,
}

/// Where records are kept and searched.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    pub backend: StoreBackend,
    pub embedded: EmbeddedStore,
}

/// The columnar store on local disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedStore {
    /// Records held in memory before they are written to a segment file.
    pub flush_size: Size,
    /// How long records stay in memory only; they are safe in the queue meanwhile.
    pub flush_age: Age,
    /// Footers and filters of segment files kept in memory.
    pub cache_size: Size,
    /// Records older than this are deleted. Unset: never.
    pub retention_age: Option<Age>,
    /// The oldest records are deleted when all segments are larger than this. Unset: never.
    pub retention_size: Option<Size>,
}

impl Default for EmbeddedStore {
    fn default() -> Self {
        Self {
            flush_size: Size::mib(64),
            flush_age: Age(Duration::from_secs(60)),
            cache_size: Size::mib(64),
            retention_age: None,
            retention_size: None,
        }
    }
}

/// Keys, users, sessions and dead letters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metadata {
    /// `sqlite:PATH`. Unset: `metadata.sqlite` in the data directory.
    pub url: Option<String>,
}

/// The program's own log, on standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level, or filters such as `info,devlogs_queue=debug`.
    pub filter: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}
