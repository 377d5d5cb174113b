//! The database behind the metadata: a file of SQLite, or a PostgreSQL that many nodes share.
//!
//! Each query is one text that both understand: parameters are `$1`, reserved names are quoted, numbers are 64 bits
//! wide. [`on`] runs it on whichever it is.
//!
//! Writes that depend on what they read go through [`Database::write`]: one at a time, in SQLite by its write lock, in
//! PostgreSQL by an advisory lock of the transaction. So both have the same semantics, and many nodes may start at once.

use std::borrow::Cow;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use sqlx::error::DatabaseError;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor, Postgres, Sqlite, Transaction};

use crate::MetadataError;

/// How long a statement waits for another process's lock, and a caller for a connection, before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_millis(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const READERS_MAX: u32 = 4;
const CONNECTIONS_MAX: u32 = 10;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Something of one database or of the other.
#[derive(Debug)]
pub(crate) enum Either<S, P> {
    Sqlite(S),
    Postgres(P),
}

/// Runs one expression on either.
macro_rules! on {
    ($either:expr, $connection:ident => $body:expr) => {
        match $either {
            $crate::database::Either::Sqlite($connection) => $body,
            $crate::database::Either::Postgres($connection) => $body,
        }
    };
}
pub(crate) use on;

pub(crate) type Readers<'a> = Either<&'a SqlitePool, &'a PgPool>;
/// A transaction that is the only one of its kind, on all nodes, until it ends.
pub(crate) type Write = Either<Transaction<'static, Sqlite>, Transaction<'static, Postgres>>;

#[derive(Debug)]
pub(crate) struct SqliteFile {
    readers: SqlitePool,
    writer: SqlitePool,
}

pub(crate) type Database = Either<SqliteFile, PgPool>;

impl Database {
    /// Opens, makes and migrates. See [`crate::Metadata::open`].
    pub(crate) async fn open(location: &str) -> Result<Self, MetadataError> {
        if location.starts_with("postgres://") || location.starts_with("postgresql://") {
            return Ok(Self::Postgres(open_postgres(location).await?));
        }
        Ok(Self::Sqlite(open_sqlite(sqlite_path(location)?).await?))
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(file) => {
                file.readers.close().await;
                file.writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    pub(crate) fn readers(&self) -> Readers<'_> {
        match self {
            Self::Sqlite(file) => Either::Sqlite(&file.readers),
            Self::Postgres(pool) => Either::Postgres(pool),
        }
    }

    /// For a single statement that changes something.
    pub(crate) fn writer(&self) -> Readers<'_> {
        match self {
            Self::Sqlite(file) => Either::Sqlite(&file.writer),
            Self::Postgres(pool) => Either::Postgres(pool),
        }
    }

    /// A transaction that holds the write lock from its start, so that what it reads stays true until it commits.
    pub(crate) async fn write(&self) -> Result<Write, sqlx::Error> {
        match self {
            Self::Sqlite(file) => Ok(Either::Sqlite(file.writer.begin_with("BEGIN IMMEDIATE").await?)),
            Self::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                lock(&mut transaction).await?;
                Ok(Either::Postgres(transaction))
            }
        }
    }

    /// Whether other nodes may change it while this one holds it open.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

impl Write {
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        on!(self, transaction => transaction.commit().await)
    }
}

/// What a client sent, as a text that both databases take: PostgreSQL refuses NUL. No name that is stored has U+FFFD.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// SQLite runs in WAL mode with one writing connection, so that writers queue here and not in its busy loop.
async fn open_sqlite(path: &Path) -> Result<SqliteFile, MetadataError> {
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
    let writer = connect_sqlite(&options).await?;
    let mut connection = writer.acquire().await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    SQLITE.run_direct(None, &mut *transaction, false).await.map_err(|error| not_migrated(&error))?;
    transaction.commit().await?;
    drop(connection);
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .idle_timeout(IDLE_TIMEOUT)
        .connect_with(options.create_if_missing(false))
        .await?;
    Ok(SqliteFile { readers, writer })
}

/// The first connection turns a new file to WAL, and SQLite does not wait for others that do so at the same moment.
async fn connect_sqlite(options: &SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let since = Instant::now();
    loop {
        match SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await {
            Err(sqlx::Error::Database(error)) if is_busy(&*error) && since.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            connected => return connected,
        }
    }
}

/// `SQLITE_BUSY` and its extended codes.
fn is_busy(error: &dyn DatabaseError) -> bool {
    error.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

async fn open_postgres(url: &str) -> Result<PgPool, MetadataError> {
    // The url itself is not shown: it may hold a password.
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| MetadataError::Open(format!("metadata.url can't be read: {error}")))?
        .application_name("devlogs");
    // Not through the pool, which would try again and hide why.
    let connect = tokio::time::timeout(BUSY_TIMEOUT, PgConnection::connect_with(&options));
    let mut connection = connect.await.map_err(|_| sqlx::Error::PoolTimedOut)??;
    limit(&mut connection).await?;
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    POSTGRES.run_direct(None, &mut *transaction, false).await.map_err(|error| not_migrated(&error))?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(BUSY_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .after_connect(|connection, _| Box::pin(limit(connection)))
        .connect_lazy_with(options))
}

/// Bounds on what a node can hold up: one that stops in the middle of a transaction lets go of its locks.
async fn limit(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    const LIMITS: &str = "SET lock_timeout = '10s'; SET statement_timeout = '30s'; \
                          SET idle_in_transaction_session_timeout = '30s'";
    connection.execute(sqlx::raw_sql(LIMITS)).await?;
    Ok(())
}

/// All writers of the metadata take this lock; it ends with the transaction. The number only has to be nobody else's.
async fn lock(transaction: &mut Transaction<'_, Postgres>) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(7230190318551204)").execute(&mut **transaction).await?;
    Ok(())
}

fn not_migrated(error: &sqlx::migrate::MigrateError) -> MetadataError {
    MetadataError::Open(format!("the metadata database can't be brought to this version: {error}"))
}

fn sqlite_path(location: &str) -> Result<&Path, MetadataError> {
    let path = match location.split_once(':') {
        Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
        Some((scheme, _)) if scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            return Err(MetadataError::Open(format!(
                "metadata.url begins with `{scheme}:`; it is `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`"
            )));
        }
        _ => location,
    };
    if path.is_empty() {
        return Err(MetadataError::Open("metadata.url names no file; write `sqlite:PATH`".into()));
    }
    Ok(Path::new(path))
}
