//! Every key, its default and its documentation.

pub mod queue;
pub mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use model::limits::NESTING_MAX;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::secret::SecretUrl;
use super::tls::{ClientAuth, Tls};
use super::units::{Age, Size};
pub use queue::{Queue, QueueBackend};
pub use store::{Store, StoreBackend};

/// The whole configuration. Each key can be set as `DEVLOGS_<SECTION>__<KEY>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where everything durable lives.
    pub data_dir: PathBuf,
    pub collector: Collector,
    pub api: Api,
    pub ops: Ops,
    pub tls: Tls,
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
            tls: Tls::default(),
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
    /// `tls.client_auth` for these two.
    pub client_auth: Option<ClientAuth>,
    /// A request's body as sent.
    pub body_max: Size,
    /// A request's body after decompression.
    pub decoded_max: Size,
    /// Records in a request.
    #[serde(deserialize_with = "within::<_, 1, { usize::MAX }>")]
    pub records_max: usize,
    /// A record: message, names and values together.
    pub record_max: Size,
    /// Attributes and resource values of a record.
    pub attributes_max: usize,
    /// An attribute's name.
    pub name_max: Size,
    /// How deep objects and arrays may stand in each other, at most 100.
    #[serde(deserialize_with = "within::<_, 0, NESTING_MAX>")]
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
            client_auth: None,
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

/// A number within its bounds.
fn within<'de, D: Deserializer<'de>, const LOW: usize, const HIGH: usize>(deserializer: D) -> Result<usize, D::Error> {
    let number = usize::deserialize(deserializer)?;
    if (LOW..=HIGH).contains(&number) {
        return Ok(number);
    }
    Err(D::Error::custom(match HIGH {
        usize::MAX => format!("must be at least {LOW}"),
        _ => format!("must be from {LOW} to {HIGH}"),
    }))
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
    /// `tls.client_auth` for this one.
    pub client_auth: Option<ClientAuth>,
    /// How long a query may run.
    pub query_time_max: Age,
    /// What a query may hold in memory.
    pub query_memory_max: Size,
    /// Rows of a SQL answer, and groups of an aggregate.
    #[serde(deserialize_with = "within::<_, 1, { usize::MAX }>")]
    pub query_rows_max: usize,
    /// Queries that run at once; more wait shortly, then are answered 429.
    #[serde(deserialize_with = "within::<_, 1, { usize::MAX }>")]
    pub queries_max: usize,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            client_auth: None,
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
    /// `tls.client_auth` for this one.
    pub client_auth: Option<ClientAuth>,
}

impl Default for Ops {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)), client_auth: None }
    }
}

/// How messages become stored records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Processor {
    /// Records in a batch.
    #[serde(deserialize_with = "within::<_, 1, { usize::MAX }>")]
    pub batch_rows: usize,
    /// Bytes in a batch.
    pub batch_size: Size,
}

impl Default for Processor {
    fn default() -> Self {
        Self { batch_rows: 32_768, batch_size: Size::mib(16) }
    }
}

/// Keys, users, sessions and dead letters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metadata {
    /// `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE` to share it between nodes. Unset: `metadata.sqlite` in
    /// the data directory.
    pub url: Option<SecretUrl>,
    /// How long a key that was good when it was last read still opens the collector while the metadata does not answer.
    /// `0s`: not at all. A revoked key is refused within two seconds whenever the metadata answers.
    pub key_grace: Age,
}

impl Default for Metadata {
    fn default() -> Self {
        Self { url: None, key_grace: Age(metadata::KEY_GRACE) }
    }
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
