//! The tables, by numbered migrations. Many nodes may start at once: each step is one transaction under one lock.

use deadpool_postgres::Object;
use store::StoreError;

use crate::config::PostgresConfig;
use crate::error::query_error;
use crate::layout::Layout;

/// Of the transaction lock that migrations and rounds of maintenance take, so that only one node does either.
pub(crate) const LOCK: i64 = 0x6465_766c_6f67_7300;

/// The role of user-written SQL, when the operator names none.
pub(crate) const SQL_ROLE: &str = "devlogs_sql";

/// In order; the number of a migration is its place, from 1. A released one is never changed.
pub(crate) const MIGRATIONS: [&str; 2] = [include_str!("migrations/1.sql"), include_str!("migrations/2.sql")];

/// Brings the tables to this version and says how records are kept.
///
/// # Errors
/// [`StoreError::Invalid`] when the database can't serve, [`StoreError::Unavailable`] when it can't be reached.
pub(crate) async fn migrate(client: &mut Object, config: &PostgresConfig) -> Result<Layout, StoreError> {
    let failed = |error| query_error(&error, config.connect_timeout);
    check_server(client).await?;
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
    let versions = "CREATE TABLE IF NOT EXISTS devlogs_migrations (\
                    version int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())";
    transaction.batch_execute(versions).await.map_err(failed)?;
    let row = transaction.query_one("SELECT coalesce(max(version), 0) FROM devlogs_migrations", &[]).await;
    let version: i32 = row.map_err(failed)?.get(0);
    let done = usize::try_from(version).unwrap_or_default();
    if done > MIGRATIONS.len() {
        return Err(StoreError::Invalid(format!(
            "the database was made by a newer version of this program (its tables are at version {done}, this program \
             knows {}); run that version",
            MIGRATIONS.len()
        )));
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        transaction.batch_execute(migration).await.map_err(failed)?;
        if index == 0 {
            Layout::create(&transaction, config).await.map_err(failed)?;
        }
        let number = index as i32 + 1;
        transaction.execute("INSERT INTO devlogs_migrations VALUES ($1)", &[&number]).await.map_err(failed)?;
        tracing::info!(version = number, "tables migrated");
    }
    // What this version's queries call, and who may run those of users.
    transaction.batch_execute(store_sql::dialect::postgres::FUNCTIONS).await.map_err(failed)?;
    transaction.batch_execute(include_str!("migrations/role.sql")).await.map_err(failed)?;
    let layout = Layout::find(&transaction, config).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(layout)
}

/// What can't be mended by a migration.
async fn check_server(client: &Object) -> Result<(), StoreError> {
    let settings = "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), \
                    current_setting('fsync')";
    let row = client.query_one(settings, &[]).await.map_err(|error| query_error(&error, Default::default()))?;
    let (version, encoding, fsync): (i32, &str, &str) = (row.get(0), row.get(1), row.get(2));
    if version < 140_000 {
        return Err(StoreError::Invalid(format!(
            "PostgreSQL {} is too old; version 14 or newer is needed",
            version / 10_000
        )));
    }
    if encoding != "UTF8" {
        return Err(StoreError::Invalid(format!(
            "the database's encoding is {encoding}, which can't hold every character; make one with ENCODING 'UTF8'"
        )));
    }
    if fsync != "on" {
        tracing::warn!("fsync is off at the server: what it confirms does not survive a power cut");
    }
    Ok(())
}
