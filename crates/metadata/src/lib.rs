//! Keys, users, sessions, projects and dead letters, in SQLite.
//!
//! - [`Metadata`]: the open database; cheap to clone;
//! - [`bootstrap`]: the first admin and the first keys, made once;
//! - [`keys`]: API keys, looked up by a public prefix and compared by hash;
//! - [`users`]: sign-in and sessions;
//! - [`projects`]: what keys and records belong to;
//! - [`dead_letters`]: records that could not be stored.
//!
//! Secrets are stored as hashes only, and no type that holds one shows it in its `Debug` output. Times are nanoseconds
//! since the Unix epoch. SQLite runs in WAL mode with one writing connection, so that writers queue here and not in
//! SQLite's busy loop, and a few reading ones.

pub mod bootstrap;
pub mod dead_letters;
pub mod keys;
mod passwords;
pub mod projects;
mod secret;
mod throttle;
pub mod users;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Transaction};

pub use bootstrap::Secrets;
pub use dead_letters::{DeadLetter, ListedDeadLetter};
pub use keys::{KeyInfo, NewKey, Principal, Scope, Scopes};
pub use projects::{DEFAULT_PROJECT, Project};
pub use users::{NewSession, Session};

/// How long a statement waits for another process's lock before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const READERS_MAX: u32 = 4;

/// The open metadata database.
#[derive(Debug, Clone)]
pub struct Metadata {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    readers: SqlitePool,
    writer: SqlitePool,
    keys: keys::Cache,
    passwords: passwords::Passwords,
    throttle: throttle::Throttle,
    letters: dead_letters::Room,
}

impl Metadata {
    /// Opens a database, making and migrating it if needed. `location` is `sqlite:PATH` or a path.
    ///
    /// # Errors
    /// Another kind of URL, a file that is no such database, or one that a newer version has migrated.
    pub async fn open(location: &str) -> Result<Self, MetadataError> {
        let path = sqlite_path(location)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(folder)
                .await
                .map_err(|error| MetadataError::Open(format!("can't make the folder {}: {error}", folder.display())))?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A power cut must not bring back a revoked key or lose a dead letter whose message was committed.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        migrate(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .idle_timeout(Duration::from_secs(60))
            .connect_with(options.create_if_missing(false))
            .await?;
        Ok(Self {
            inner: Arc::new(Inner {
                readers,
                writer,
                keys: keys::Cache::default(),
                passwords: passwords::Passwords::default(),
                throttle: throttle::Throttle::default(),
                letters: dead_letters::Room::default(),
            }),
        })
    }

    /// Waits for what runs and closes the database.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    fn readers(&self) -> &SqlitePool {
        &self.inner.readers
    }

    /// A transaction that holds the write lock from its start, so that what it reads stays true until it commits.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>, MetadataError> {
        Ok(self.inner.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

fn sqlite_path(location: &str) -> Result<&Path, MetadataError> {
    let path = match location.split_once(':') {
        Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
        Some((scheme, _)) if scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            return Err(MetadataError::Open(format!(
                "metadata.url begins with `{scheme}:`; this version takes `sqlite:PATH` only"
            )));
        }
        _ => location,
    };
    if path.is_empty() {
        return Err(MetadataError::Open("metadata.url names no file; write `sqlite:PATH`".into()));
    }
    Ok(Path::new(path))
}

/// All migrations run under one write lock, so that several processes may start at once.
async fn migrate(writer: &SqlitePool) -> Result<(), MetadataError> {
    let mut connection = writer.acquire().await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::migrate!().run_direct(None, &mut *transaction, false).await.map_err(|error| {
        MetadataError::Open(format!("the metadata database can't be brought to this version: {error}"))
    })?;
    transaction.commit().await?;
    Ok(())
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

#[cfg(test)]
mod tests;
