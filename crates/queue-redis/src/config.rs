//! What the queue on Redis can be told.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

const PARTITIONS_MAX: u32 = 1024;
/// Redis takes no value above 512 MiB unless it is configured otherwise.
const MESSAGE_BYTES_LIMIT: usize = 256 << 20;
const PREFIX_BYTES_MAX: usize = 64;
const LEASE_MIN: Duration = Duration::from_secs(1);

/// What an acknowledgement is worth, and who vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Acknowledged is on disk. Redis is asked for its settings, and refused unless it writes so.
    #[default]
    Always,
    /// The same, stated by the operator: for a Redis that does not let clients read its settings.
    AlwaysStated,
    /// Redis writes to disk once a second: a crash of its machine loses what was acknowledged in the last two seconds.
    Everysec,
}

impl Durability {
    pub const NAMES: [&'static str; 3] = ["always", "always-stated", "everysec"];
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "always" => Ok(Self::Always),
            "always-stated" => Ok(Self::AlwaysStated),
            "everysec" => Ok(Self::Everysec),
            other => Err(format!("durability is one of {}, not {other:?}", Self::NAMES.join(", "))),
        }
    }
}

/// Sizes are bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// `redis://HOST:PORT/DATABASE`, `rediss://…` with TLS, or `unix:///PATH`. A user and a password may stand in it.
    pub url: String,
    /// Beside the url; either overrides what stands there.
    pub user: Option<String>,
    pub password: Option<String>,
    /// PEM files, read again for every new connection. Without a CA those of the system count.
    pub tls_ca: Option<PathBuf>,
    /// The client's certificate and its key, both or neither.
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Every key begins with it: installations that share a Redis take different ones.
    pub prefix: String,
    /// May be raised later. A lower number than the queue was made with has no effect.
    pub partitions: u32,
    pub durability: Durability,
    /// Messages that every group has passed are kept up to this much, over all partitions, as payload bytes. When
    /// messages that some group has not passed take this much, no more are taken. Redis needs about a fifth more.
    pub retention_bytes: u64,
    /// Messages that every group has passed are deleted when they are older, if this is set.
    pub retention_age: Option<Duration>,
    /// Messages on their way to Redis, over all partitions; who appends more waits.
    pub buffer_bytes_max: usize,
    /// The largest payload of a message.
    pub message_bytes_max: usize,
    /// A member of a group that was not heard of for this long loses its partitions to the others.
    pub lease: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long Redis may take to answer. An append that has no answer by then has an unknown outcome.
    pub response_timeout: Duration,
    /// Connections for readers that wait; each waiting read takes one.
    pub readers_max: usize,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1/".to_owned(),
            user: None,
            password: None,
            tls_ca: None,
            tls_certificate: None,
            tls_key: None,
            prefix: "devlogs".to_owned(),
            partitions: 4,
            durability: Durability::Always,
            retention_bytes: 1 << 30,
            retention_age: Some(Duration::from_secs(24 * 60 * 60)),
            buffer_bytes_max: 128 << 20,
            message_bytes_max: 64 << 20,
            lease: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(10),
            readers_max: 256,
        }
    }
}

/// Never shows secrets: a url may hold a password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("prefix", &self.prefix)
            .field("partitions", &self.partitions)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

impl RedisConfig {
    /// The error names the setting and what it may be.
    pub(crate) fn check(&self) -> io::Result<()> {
        let wrong = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        if !(1..=PARTITIONS_MAX).contains(&self.partitions) {
            return wrong(format!("partitions must be from 1 to {PARTITIONS_MAX}, not {}", self.partitions));
        }
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=PREFIX_BYTES_MAX).contains(&self.prefix.len()) || !self.prefix.bytes().all(letters) {
            return wrong(format!("prefix must have 1 to {PREFIX_BYTES_MAX} letters, digits, `-`, `_` and `.`"));
        }
        if !(1..=MESSAGE_BYTES_LIMIT).contains(&self.message_bytes_max) {
            let most = MESSAGE_BYTES_LIMIT;
            return wrong(format!("message_bytes_max must be from 1 to {most}, not {}", self.message_bytes_max));
        }
        if self.retention_bytes < 1 || self.buffer_bytes_max < 1 || self.readers_max < 1 {
            return wrong("retention_bytes, buffer_bytes_max and readers_max must be at least 1".to_owned());
        }
        if self.lease < LEASE_MIN {
            return wrong(format!("lease must be at least {LEASE_MIN:?}, not {:?}", self.lease));
        }
        if self.connect_timeout.is_zero() || self.response_timeout.is_zero() {
            return wrong("connect_timeout and response_timeout must be more than nothing".to_owned());
        }
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return wrong("tls_certificate and tls_key belong together".to_owned());
        }
        let tls = self.url.starts_with("rediss://");
        if !tls && (self.tls_ca.is_some() || self.tls_certificate.is_some()) {
            return wrong("tls_ca and tls_certificate need a url that begins with rediss://".to_owned());
        }
        Ok(())
    }
}
