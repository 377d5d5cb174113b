//! Keys, users, sessions, projects and dead letters, in SQLite or in a PostgreSQL that many nodes share.
//!
//! - [`Metadata`]: the open database; cheap to clone;
//! - [`database`]: what is the same and what differs between the two;
//! - [`bootstrap`]: the first admin and the first keys, made once;
//! - [`keys`]: API keys, looked up by a public prefix and compared by hash; [`known_keys`]: those that were read lately;
//! - [`users`]: sign-in and sessions;
//! - [`projects`]: what keys and records belong to;
//! - [`dead_letters`]: records that could not be stored.
//!
//! Secrets are stored as hashes only, and no type that holds one shows it in its `Debug` output. Times are nanoseconds
//! since the Unix epoch. What one node changes the others see at once, a revoked key within two seconds.

pub mod bootstrap;
mod database;
pub mod dead_letters;
pub mod keys;
mod known_keys;
mod passwords;
pub mod projects;
mod secret;
mod throttle;
pub mod users;

use std::sync::Arc;
use std::time::Duration;

pub use bootstrap::Secrets;
pub use dead_letters::{DeadLetter, ListedDeadLetter};
pub use keys::{KeyInfo, NewKey, Principal, Scope, Scopes};
pub use projects::{DEFAULT_PROJECT, Project};
pub use users::{NewSession, Session};

use database::{Database, Readers, Write};

/// The open metadata database.
#[derive(Debug, Clone)]
pub struct Metadata {
    inner: Arc<Inner>,
    key_grace: Duration,
}

/// How long keys are known without the database, unless told otherwise.
pub const KEY_GRACE: Duration = Duration::from_secs(15 * 60);

#[derive(Debug)]
struct Inner {
    database: Database,
    known_keys: known_keys::KnownKeys,
    passwords: passwords::Passwords,
    throttle: throttle::Throttle,
    letters: dead_letters::Room,
}

impl Metadata {
    /// Opens a database, making its tables or bringing them to this version if needed; many nodes may do so at once.
    /// `location` is `sqlite:PATH`, a path, or `postgres://USER:PASSWORD@HOST/DATABASE`, with `sslmode`, `sslrootcert`,
    /// `sslcert` and `sslkey` as parameters.
    ///
    /// # Errors
    /// Another kind of URL, a file that is no such database, one that a newer version has migrated; a server that does
    /// not answer ([`MetadataError::is_out_of_reach`]) or refuses.
    pub async fn open(location: &str) -> Result<Self, MetadataError> {
        let database = Database::open(location).await?;
        let letters = dead_letters::Room::default();
        Ok(Self {
            inner: Arc::new(Inner {
                letters: if database.is_shared() { letters.shared() } else { letters },
                database,
                known_keys: known_keys::KnownKeys::default(),
                passwords: passwords::Passwords::default(),
                throttle: throttle::Throttle::default(),
            }),
            key_grace: KEY_GRACE,
        })
    }

    /// How long a key that was read counts while the database is out of reach; zero: not at all.
    #[must_use]
    pub fn with_key_grace(mut self, grace: Duration) -> Self {
        self.key_grace = grace;
        self
    }

    /// Waits for what runs and closes the database.
    pub async fn close(&self) {
        self.inner.database.close().await;
    }

    fn readers(&self) -> Readers<'_> {
        self.inner.database.readers()
    }

    /// See [`Database::write`].
    async fn write(&self) -> Result<Write, MetadataError> {
        Ok(self.inner.database.write().await?)
    }
}

/// Nanoseconds since the Unix epoch.
fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// Why the metadata did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    #[error("{0}")]
    Open(String),
    /// What was asked for breaks a rule; says which.
    #[error("{0}")]
    Invalid(String),
    /// There already is one of this name.
    #[error("{0}")]
    Exists(String),
    /// There is as much as may be; says of what, and what to do.
    #[error("{0}")]
    Full(String),
    #[error("user or password is wrong")]
    WrongPassword,
    #[error("too many failed sign-ins; try again in {} s", retry_after.as_secs().max(1))]
    TooManySignIns { retry_after: Duration },
    #[error("no random numbers from the operating system: {0}")]
    Random(getrandom::Error),
    #[error("a password can't be hashed: {0}")]
    Hash(String),
    #[error("the metadata database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the first start's secrets can't be kept: {0}")]
    KeepSecrets(#[source] std::io::Error),
}

impl MetadataError {
    /// Whether the server does not answer, so that trying again may mend it.
    pub fn is_out_of_reach(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut) => true,
            // Starting up, shutting down, too many connections.
            Self::Database(sqlx::Error::Database(error)) => {
                matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03" | "53300"))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
