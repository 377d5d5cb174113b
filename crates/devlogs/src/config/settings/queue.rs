//! `[queue]`: which queue stands between collectors and processors.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::secret::{Secret, SecretUrl};
use crate::config::units::{Age, Size};

/// Which queue stands between collectors and processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueBackend {
    #[default]
    Embedded,
    Kafka,
    Redis,
}

/// The durable queue between collectors and processors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    pub backend: QueueBackend,
    pub embedded: EmbeddedQueue,
    pub kafka: KafkaQueue,
    pub redis: RedisQueue,
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

/// Apache Kafka.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaQueue {
    /// `HOST:PORT`, several with commas.
    pub brokers: String,
    pub topic: String,
    /// Of a topic that is made here; one that exists keeps its own.
    pub partitions: u32,
    /// Copies of each partition of a topic that is made here. Unset: three, or as many as there are brokers.
    pub replication: Option<u16>,
    /// Stored messages are kept for replay this long, in a topic that is made here.
    pub retention_age: Age,
    /// The largest message of a topic that is made here; larger requests go in parts, under a transaction. Unset: as large as
    /// a request can be. A topic that exists keeps its own.
    pub message_max: Option<Size>,
    /// Show dead letters in the topic `<topic>_dead_letters`, for others to watch.
    pub dead_letters_topic: bool,
    /// Use a topic whose settings can lose messages. Otherwise it is refused, with what to change.
    pub accept_topic_settings: bool,
    pub compression: KafkaCompression,
    /// How long a message may wait for the broker before the collector answers 503.
    pub delivery_timeout: Age,
    /// The project of messages that other producers put on the topic. Unset: they are counted and left out.
    pub foreign_project: Option<String>,
    /// What the names of consumer groups begin with. Installations that share a topic need different ones.
    pub group_prefix: String,
    /// After this long without a sign of a processor, its partitions are given to others.
    pub session_timeout: Age,
    /// Speak TLS to the brokers.
    pub tls: bool,
    /// Certificates of authorities that the brokers' are checked against (PEM). Unset: the system's.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key (PEM), where the brokers ask for one.
    pub cert: Option<PathBuf>,
    pub cert_key: Option<PathBuf>,
    pub sasl_mechanism: Option<KafkaSasl>,
    pub sasl_user: Option<String>,
    pub sasl_password: Option<Secret>,
}

impl Default for KafkaQueue {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".to_owned(),
            topic: "otlp_logs".to_owned(),
            partitions: 6,
            replication: None,
            retention_age: Age(Duration::from_secs(24 * 3600)),
            message_max: None,
            dead_letters_topic: true,
            accept_topic_settings: false,
            compression: KafkaCompression::Zstd,
            delivery_timeout: Age(Duration::from_secs(10)),
            foreign_project: None,
            group_prefix: "devlogs-".to_owned(),
            session_timeout: Age(Duration::from_secs(10)),
            tls: false,
            ca: None,
            cert: None,
            cert_key: None,
            sasl_mechanism: None,
            sasl_user: None,
            sasl_password: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KafkaCompression {
    None,
    Lz4,
    Zstd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KafkaSasl {
    #[serde(rename = "plain")]
    Plain,
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// Redis Streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedisQueue {
    /// `redis://[:PASSWORD@]HOST[:PORT]/[DATABASE]`; `rediss://` speaks TLS.
    pub url: SecretUrl,
    /// What every name of ours in Redis begins with.
    pub prefix: String,
    /// Streams. May be raised later.
    pub partitions: u32,
    /// Stored messages are kept for replay up to this size.
    pub retention_size: Size,
    /// Stored messages are kept for replay this long.
    pub retention_age: Age,
    /// What an acknowledged message survives. Redis must be set to it.
    pub durability: RedisDurability,
    /// After this long without a sign of a processor, its streams are given to others.
    pub lease: Age,
    /// Certificates of authorities that the server's is checked against (PEM). Unset: the system's.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key (PEM), where the server asks for one.
    pub cert: Option<PathBuf>,
    pub cert_key: Option<PathBuf>,
}

impl Default for RedisQueue {
    fn default() -> Self {
        Self {
            url: SecretUrl::from("redis://127.0.0.1/"),
            prefix: "devlogs".to_owned(),
            partitions: 4,
            retention_size: Size::mib(1024),
            retention_age: Age(Duration::from_secs(24 * 3600)),
            durability: RedisDurability::Always,
            lease: Age(Duration::from_secs(5)),
            ca: None,
            cert: None,
            cert_key: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RedisDurability {
    /// `appendfsync always`: a crash or a power cut loses nothing.
    Always,
    /// The same, stated by the operator, for a Redis that does not let clients read its settings.
    #[serde(rename = "always-stated")]
    AlwaysStated,
    /// `appendfsync everysec`: a crash of its machine may lose what was acknowledged in the last two seconds.
    Everysec,
}
