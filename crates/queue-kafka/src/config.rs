//! What the queue on Kafka can be told.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;

const TOPIC_BYTES_MAX: usize = 249;
const PARTITIONS_MAX: u32 = 10_000;
/// librdkafka's own bounds of `message.max.bytes`.
const MESSAGE_BYTES: std::ops::RangeInclusive<usize> = 1_000..=1_000_000_000 - RECORD_OVERHEAD_BYTES;
/// Headers and framing of a record and its batch: no header of ours is longer than a project's name.
pub(crate) const RECORD_OVERHEAD_BYTES: usize = 64 << 10;

const BATCH_BYTES_MAX: usize = 1_000_000;
const SOCKET_TIME_MAX: Duration = Duration::from_secs(10);

/// Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `HOST:PORT` of some brokers, separated by commas.
    pub brokers: String,
    /// Made if it is not there.
    pub topic: String,
    /// Of a topic that is made here. A topic that exists keeps its own number; when that grows, it is followed.
    pub partitions: u32,
    /// Copies of each partition of a topic that is made here. None: three, or as many as there are brokers.
    pub replication: Option<u16>,
    /// How long messages are kept, in a topic that is made here. A topic that keeps them shorter is refused.
    pub retention_age: Duration,
    /// Uses a topic whose settings can lose messages; each danger is logged.
    pub accept_topic_settings: bool,
    pub compression: Compression,
    /// How long an append waits for the brokers before it fails.
    pub delivery_timeout: Duration,
    /// Where dead letters are shown, made if it is not there. None: nowhere.
    pub letters_topic: Option<String>,
    /// The project of messages that other producers put on the topic. None: they are counted and left out.
    pub foreign_project: Option<String>,
    /// What the names of consumer groups in Kafka begin with. Installations that share a topic need different ones.
    pub group_prefix: String,
    /// The group, as given to `join`, whose lag closes the queue before retention takes what it has not read.
    pub watched_group: String,
    /// After this time without a sign of a member, its partitions are given to others.
    pub session_timeout: Duration,
    /// The largest payload of a message. A topic that takes less lowers it.
    pub message_bytes_max: usize,
    /// Messages on their way to the brokers; who appends more waits.
    pub buffer_bytes_max: usize,
    /// Fetched ahead for each reader of a partition.
    pub read_ahead_bytes: usize,
    /// How long opening waits for the brokers.
    pub open_timeout: Duration,
    /// Speak TLS to the brokers.
    pub tls: Option<Tls>,
    /// Sign in with a name and a password. Without TLS they go over the network in the clear (`PLAIN`) or hashed.
    pub sasl: Option<Sasl>,
}

/// How batches are compressed. Brokers and readers take all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Lz4,
    Zstd,
}

/// Files are PEM. When they change, clients that read them anew take the place of those that run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Authorities that the brokers' certificates are checked against. None: the system's.
    pub ca: Option<PathBuf>,
    /// Our own certificate and its key, where the brokers ask for one.
    pub cert: Option<PathBuf>,
    pub cert_key: Option<PathBuf>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Sasl {
    pub mechanism: Mechanism,
    pub user: String,
    pub password: String,
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl").field("mechanism", &self.mechanism).field("user", &self.user).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".to_owned(),
            topic: "otlp_logs".to_owned(),
            partitions: 6,
            replication: None,
            retention_age: Duration::from_secs(24 * 60 * 60),
            accept_topic_settings: false,
            compression: Compression::Zstd,
            delivery_timeout: Duration::from_secs(10),
            letters_topic: Some("otlp_logs_dead_letters".to_owned()),
            foreign_project: None,
            group_prefix: "devlogs-".to_owned(),
            watched_group: "processor".to_owned(),
            session_timeout: Duration::from_secs(10),
            message_bytes_max: 64 << 20,
            buffer_bytes_max: 128 << 20,
            read_ahead_bytes: 8 << 20,
            open_timeout: Duration::from_secs(30),
            tls: None,
            sasl: None,
        }
    }
}

impl KafkaConfig {
    /// The error names the setting and what it may be.
    pub(crate) fn check(&self) -> io::Result<()> {
        let wrong = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        if self.brokers.trim().is_empty() {
            return wrong("brokers must name at least one HOST:PORT".to_owned());
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        for topic in [Some(&self.topic), self.letters_topic.as_ref()].into_iter().flatten() {
            if !(1..=TOPIC_BYTES_MAX).contains(&topic.len()) || !topic.bytes().all(legal) {
                return wrong(format!(
                    "topic {topic:?} must have 1 to {TOPIC_BYTES_MAX} letters, digits, `.`, `_` and `-`"
                ));
            }
        }
        if self.letters_topic.as_ref() == Some(&self.topic) {
            return wrong("letters_topic must be another topic than the messages'".to_owned());
        }
        if !(1..=PARTITIONS_MAX).contains(&self.partitions) {
            return wrong(format!("partitions must be from 1 to {PARTITIONS_MAX}, not {}", self.partitions));
        }
        if self.replication == Some(0) {
            return wrong("replication must be at least 1".to_owned());
        }
        for (name, time) in [("delivery_timeout", self.delivery_timeout), ("open_timeout", self.open_timeout)] {
            if time < Duration::from_secs(1) || time > Duration::from_secs(900) {
                return wrong(format!("{name} must be from 1 second to 15 minutes, not {time:?}"));
            }
        }
        if self.session_timeout < Duration::from_secs(6) || self.session_timeout > Duration::from_secs(1800) {
            return wrong(format!("session_timeout must be from 6 s to 30 min, not {:?}", self.session_timeout));
        }
        if !MESSAGE_BYTES.contains(&self.message_bytes_max) {
            let (least, most) = MESSAGE_BYTES.into_inner();
            return wrong(format!("message_bytes_max must be from {least} to {most}, not {}", self.message_bytes_max));
        }
        if !(1..=1 << 30).contains(&self.buffer_bytes_max) || !(1..=1 << 30).contains(&self.read_ahead_bytes) {
            return wrong("buffer_bytes_max and read_ahead_bytes must be from 1 byte to 1 GiB".to_owned());
        }
        if self.foreign_project.as_deref() == Some("") {
            return wrong("foreign_project must be a project's name, or be left out".to_owned());
        }
        if let Some(tls) = &self.tls
            && tls.cert.is_some() != tls.cert_key.is_some()
        {
            return wrong("cert and cert_key belong together: set both or none".to_owned());
        }
        if let Some(sasl) = &self.sasl
            && (sasl.user.is_empty() || sasl.password.is_empty())
        {
            return wrong("sasl needs a user and a password".to_owned());
        }
        Ok(())
    }

    /// What all clients share: where the brokers are and who we are.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "devlogs")
            .set("allow.auto.create.topics", "false")
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "1000")
            .set("retry.backoff.ms", "100")
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("topic.metadata.refresh.fast.interval.ms", "100")
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("socket.timeout.ms", SOCKET_TIME_MAX.as_millis().to_string())
            .set("socket.nagle.disable", "true")
            .set("socket.keepalive.enable", "true");
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        client.set("security.protocol", protocol);
        if let Some(tls) = &self.tls {
            let files = [
                ("ssl.ca.location", &tls.ca),
                ("ssl.certificate.location", &tls.cert),
                ("ssl.key.location", &tls.cert_key),
            ];
            for (name, file) in files {
                if let Some(file) = file {
                    client.set(name, file.to_string_lossy());
                }
            }
            // The broker's certificate must be for the name that we called.
            client.set("ssl.endpoint.identification.algorithm", "https");
        }
        if let Some(sasl) = &self.sasl {
            let mechanism = match sasl.mechanism {
                Mechanism::Plain => "PLAIN",
                Mechanism::ScramSha256 => "SCRAM-SHA-256",
                Mechanism::ScramSha512 => "SCRAM-SHA-512",
            };
            client.set("sasl.mechanism", mechanism).set("sasl.username", &sasl.user);
            client.set("sasl.password", &sasl.password);
        }
        client
    }

    /// What the producer is told. Retries never double or reorder.
    ///
    /// `message_bytes_max`: the largest payload that the topic takes; its bound is for a batch.
    pub(crate) fn producer(&self, message_bytes_max: usize) -> ClientConfig {
        let delivery = self.delivery_timeout.as_millis();
        let compression = match self.compression {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        };
        let mut client = self.client();
        if self.compression == Compression::Zstd {
            // Half the time of librdkafka's own choice, 3, for a tenth more bytes.
            client.set("compression.level", "1");
        }
        client
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.codec", compression)
            .set("linger.ms", "2")
            .set("batch.size", message_bytes_max.min(BATCH_BYTES_MAX).to_string())
            .set("message.max.bytes", (self.message_bytes_max + RECORD_OVERHEAD_BYTES).to_string())
            .set("message.timeout.ms", delivery.to_string())
            .set("request.timeout.ms", (delivery / 3).clamp(1_000, 30_000).to_string())
            // The bound is `buffer_bytes_max`, which counts before librdkafka does; these only have to be larger.
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", (2 << 20).to_string());
        client
    }

    /// What the producer of requests in parts is told. A transaction that its process left open keeps readers of its
    /// partition waiting until the brokers end it.
    pub(crate) fn transactional(&self, message_bytes_max: usize, id: &str) -> ClientConfig {
        let timeout = self.delivery_timeout.max(SOCKET_TIME_MAX);
        let mut client = self.producer(message_bytes_max);
        client
            .set("transactional.id", format!("{}{id}", self.group_prefix))
            .set("transaction.timeout.ms", timeout.as_millis().to_string());
        client
    }

    /// What consumers are told that read from positions. They commit nothing.
    pub(crate) fn reader(&self) -> ClientConfig {
        let message = self.message_bytes_max + RECORD_OVERHEAD_BYTES;
        let ahead = self.read_ahead_bytes;
        let mut client = self.client();
        client
            // librdkafka assigns partitions only to consumers with a group; this one has no members.
            .set("group.id", format!("{}reader", self.group_prefix))
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("check.crcs", "true")
            .set("message.max.bytes", message.to_string())
            .set("fetch.message.max.bytes", ahead.min(message).to_string())
            .set("fetch.max.bytes", (message.max(ahead) * 2).min(1 << 30).to_string())
            .set("receive.message.max.bytes", ((message.max(ahead) * 2).min(1 << 30) + 1_024).to_string())
            .set("queued.max.messages.kbytes", (ahead >> 10).max(1).to_string())
            .set("queued.min.messages", "10000000")
            // A partition that is assigned while a fetch waits has to wait as long.
            .set("fetch.wait.max.ms", "100")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "100");
        client
    }

    /// What members of consumer groups are told. They hold partitions and commit; they do not read.
    pub(crate) fn member(&self, group: &str) -> ClientConfig {
        let mut client = self.client();
        client
            .set("group.id", self.group_id(group))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "latest")
            .set("session.timeout.ms", self.session_timeout.as_millis().to_string())
            .set("heartbeat.interval.ms", "1000")
            // A partition that is given to us is paused before much of it can come.
            .set("queued.max.messages.kbytes", "64")
            .set("fetch.message.max.bytes", "1024");
        client
    }

    pub(crate) fn group_id(&self, group: &str) -> String {
        format!("{}{group}", self.group_prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_named() {
        let wrong = |change: fn(&mut KafkaConfig)| {
            let mut config = KafkaConfig::default();
            change(&mut config);
            config.check().expect_err("the setting is wrong").to_string()
        };
        assert!(wrong(|config| config.topic = "a b".to_owned()).contains("topic"));
        assert!(wrong(|config| config.partitions = 0).contains("partitions"));
        assert!(wrong(|config| config.delivery_timeout = Duration::ZERO).contains("delivery_timeout"));
        assert!(wrong(|config| config.message_bytes_max = 1).contains("message_bytes_max"));
        let half = Tls { cert: Some(PathBuf::from("a")), ..Tls::default() };
        let config = KafkaConfig { tls: Some(half), ..KafkaConfig::default() };
        assert!(config.check().expect_err("no key").to_string().contains("cert_key"));
        assert!(KafkaConfig::default().check().is_ok());
    }

    #[test]
    fn a_password_is_not_shown() {
        let sasl = Sasl { mechanism: Mechanism::Plain, user: "ann".to_owned(), password: "secret-word".to_owned() };
        let config = KafkaConfig { sasl: Some(sasl), ..KafkaConfig::default() };
        assert!(!format!("{config:?}").contains("secret-word"));
    }
}
