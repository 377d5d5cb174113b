//! `[store]`: where records are kept and searched.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::secret::{Secret, SecretUrl};
use crate::config::units::{Age, Size};

/// Which store keeps the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreBackend {
    #[default]
    Embedded,
    Clickhouse,
    /// TimescaleDB, or PostgreSQL without it.
    Timescale,
}

/// Where records are kept and searched.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    pub backend: StoreBackend,
    pub embedded: EmbeddedStore,
    pub clickhouse: ClickhouseStore,
    pub timescale: TimescaleStore,
}

/// The columnar store on local disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedStore {
    /// Records held in memory before they are written to a segment file.
    pub flush_size: Size,
    /// How long records stay in memory only; they are safe in the queue meanwhile.
    pub flush_age: Age,
    /// Indexes, footers and message templates of segment files kept in memory.
    pub cache_size: Size,
    /// Records older than this are deleted. Unset: never.
    pub retention_age: Option<Age>,
    /// The oldest records are deleted when all segments are larger than this. Unset: never.
    pub retention_size: Option<Size>,
}

impl Default for EmbeddedStore {
    fn default() -> Self {
        Self {
            flush_size: Size::mib(32),
            flush_age: Age(Duration::from_secs(60)),
            cache_size: Size::mib(128),
            retention_age: None,
            retention_size: None,
        }
    }
}

/// ClickHouse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClickhouseStore {
    /// The HTTP interface; `https://` speaks TLS. Every processor must name the same server.
    pub url: String,
    /// Made when it is missing.
    pub database: String,
    pub user: String,
    pub password: Option<Secret>,
    /// Runs users' SQL, so that the server itself refuses what it may not do. Unset: `user`, in read-only mode.
    pub sql_user: Option<String>,
    pub sql_password: Option<Secret>,
    /// A cluster of the server's configuration: records are kept on all its shards.
    pub cluster: Option<String>,
    /// HTTP interfaces of the cluster's other shards, one server of each.
    pub cluster_urls: Vec<String>,
    /// Replicated tables, for servers with Keeper. Experimental.
    pub replicated: bool,
    /// Records older than this, in whole days, are deleted. Unset: never.
    pub retention_age: Option<Age>,
    /// A storage policy of the server's configuration.
    pub storage_policy: Option<String>,
    /// Records older than this, in whole days, are moved to `tier_volume`. Unset: never.
    pub tier_after: Option<Age>,
    /// A volume of the storage policy.
    pub tier_volume: Option<String>,
    /// Wait until the disk has what was written, so that it survives a power cut.
    pub fsync: bool,
    /// Certificates of authorities that the server's is checked against (PEM). Unset: the web's.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key (PEM), where the server asks for one.
    pub cert: Option<PathBuf>,
    pub cert_key: Option<PathBuf>,
}

impl Default for ClickhouseStore {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8123".to_owned(),
            database: "devlogs".to_owned(),
            user: "default".to_owned(),
            password: None,
            sql_user: None,
            sql_password: None,
            cluster: None,
            cluster_urls: Vec::new(),
            replicated: false,
            retention_age: None,
            storage_policy: None,
            tier_after: None,
            tier_volume: None,
            fsync: true,
            ca: None,
            cert: None,
            cert_key: None,
        }
    }
}

/// TimescaleDB, or PostgreSQL without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimescaleStore {
    /// `postgres://USER:PASSWORD@HOST/DATABASE`; must be set. `sslmode` is `disable`, or any other word for TLS with the
    /// certificate and name checked, which is what other machines than this one get without it.
    pub url: Option<SecretUrl>,
    /// Connections for writing: each partition that is written at the same moment uses one.
    pub write_connections: usize,
    /// Connections for queries; more queries than that wait for each other.
    pub query_connections: usize,
    /// Chunks older than this are compressed, where TimescaleDB is there. `0s`: never.
    pub compress_after: Age,
    /// Records older than this are deleted. Unset: never.
    pub retention_age: Option<Age>,
    /// The role that runs users' SQL; the user of `url` must be a member of it. Unset: `devlogs_sql`, which is made if
    /// that is permitted.
    pub sql_role: Option<String>,
    /// Certificates of authorities that the server's is checked against (PEM). Unset: the system's.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key (PEM), where the server asks for one.
    pub cert: Option<PathBuf>,
    pub cert_key: Option<PathBuf>,
}

impl Default for TimescaleStore {
    fn default() -> Self {
        Self {
            url: None,
            write_connections: 4,
            query_connections: 12,
            compress_after: Age(Duration::from_secs(2 * 86_400)),
            retention_age: None,
            sql_role: None,
            ca: None,
            cert: None,
            cert_key: None,
        }
    }
}
