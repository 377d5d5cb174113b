//! What the operator sets.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How to reach the database and what to do with records there.
#[derive(Clone)]
pub struct PostgresConfig {
    /// `postgres://user:password@host:port/database`, with libpq's parameters. `sslmode` is `disable`, or `require`,
    /// `verify-ca` or `verify-full`, which all mean the same here: TLS, and the server's certificate and name are
    /// checked. Without it: `disable` on this machine (loopback, Unix socket), else `verify-full`.
    pub url: String,
    pub tls: PostgresTls,
    /// Connections for writing. Each partition that is written at the same moment uses one.
    pub write_connections: usize,
    /// Connections for queries; more queries than that wait for each other.
    pub query_connections: usize,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// How long making a connection may take, with TLS and login.
    pub connect_timeout: Duration,
    /// How long one batch may take, to its commit.
    pub write_timeout: Duration,
    /// Records older than that are removed, whole days or chunks at once. None: kept for ever.
    pub retention: Option<Duration>,
    /// The time range of a chunk of the hypertable (TimescaleDB). Plain PostgreSQL has a partition a day.
    pub chunk_interval: Duration,
    /// Chunks older than that are compressed (TimescaleDB with its Community licence). None: never.
    pub compress_after: Option<Duration>,
    /// Records further than that before the time of writing go to the overflow table.
    pub late_max: Duration,
    /// Records further than that after the time of writing go to the overflow table.
    pub early_max: Duration,
    /// The role that runs the statements of `POST /api/v1/sql`; the login role must be a member of it. None: the role
    /// `devlogs_sql`, if the migration could make it, else the login role itself.
    pub sql_role: Option<String>,
    /// Between two rounds of retention, compression and making partitions ahead. Every node may have rounds, one at a
    /// time works. Zero: none on this node.
    pub maintenance_interval: Duration,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            tls: PostgresTls::default(),
            write_connections: 4,
            query_connections: 12,
            application_name: "devlogs".to_owned(),
            connect_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            retention: None,
            chunk_interval: DAY,
            compress_after: Some(2 * DAY),
            late_max: 400 * DAY,
            early_max: DAY,
            sql_role: None,
            maintenance_interval: Duration::from_secs(300),
        }
    }
}

/// Files in PEM. They are read for each new connection, so renewed certificates are taken up by themselves.
#[derive(Debug, Clone, Default)]
pub struct PostgresTls {
    /// The authorities that the server's certificate may come from. None: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// This program's certificate, when the server asks for one; with `key_file`.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

/// Leaves out the address, since it may hold a password.
impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("tls", &self.tls)
            .field("write_connections", &self.write_connections)
            .field("query_connections", &self.query_connections)
            .field("retention", &self.retention)
            .field("chunk_interval", &self.chunk_interval)
            .field("compress_after", &self.compress_after)
            .field("sql_role", &self.sql_role)
            .finish_non_exhaustive()
    }
}
