//! Connections: two bounded pools, so that slow queries never keep a writer waiting.

use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use store::StoreError;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::config::PostgresConfig;
use crate::error::describe;
use crate::tls::Tls;

/// What every session sets. Commits wait for the disk, whatever the server's default. Plans are made for the values of
/// a query, because only they tell which partitions and indexes it needs.
const SESSION: &str = "\
    SET TIME ZONE 'UTC';
    SET client_min_messages = warning;
    SET plan_cache_mode = force_custom_plan;
    SET jit = off;
    SET idle_in_transaction_session_timeout = '120s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// What no connection may wait for.
const POOL_WAIT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(crate) struct Pools {
    pub(crate) write: Pool,
    pub(crate) query: Pool,
    /// For cancelling, which is a connection of its own.
    pub(crate) tls: Tls,
}

impl Pools {
    /// # Errors
    /// [`StoreError::Invalid`] for an address or files that can't be used. Connects to nothing.
    pub(crate) fn new(config: &PostgresConfig) -> Result<Self, StoreError> {
        let (address, wants_tls) = parse(config)?;
        let tls = if wants_tls {
            let unusable = |error| StoreError::Invalid(format!("TLS to PostgreSQL can't be set up: {error}"));
            Tls::new(config.tls.clone()).map_err(unusable)?
        } else {
            Tls::off()
        };
        let pool = |size: usize| {
            let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
            let manager = Manager::from_config(address.clone(), tls.clone(), recycling);
            Pool::builder(manager)
                .max_size(size.max(1))
                .runtime(Runtime::Tokio1)
                .wait_timeout(Some(POOL_WAIT_MAX))
                .create_timeout(Some(config.connect_timeout))
                .recycle_timeout(Some(config.connect_timeout))
                .post_create(Hook::async_fn(|client, _| {
                    Box::pin(async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) })
                }))
                .build()
                .map_err(|error| StoreError::Internal(format!("the connection pool can't be made: {error}")))
        };
        Ok(Self { write: pool(config.write_connections)?, query: pool(config.query_connections)?, tls })
    }

    pub(crate) fn close(&self) {
        self.write.close();
        self.query.close();
    }
}

/// A connection of a pool.
///
/// # Errors
/// Why there is none, without credentials.
pub(crate) async fn connection(pool: &Pool) -> Result<Object, String> {
    pool.get().await.map_err(|error| match error {
        PoolError::Timeout(kind) => format!("no connection to PostgreSQL in time ({kind:?})"),
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => describe(&error),
        PoolError::Closed => "the store is closed".to_owned(),
        other => other.to_string(),
    })
}

/// The address without `sslmode`, and whether to use TLS.
fn parse(config: &PostgresConfig) -> Result<(Config, bool), StoreError> {
    let invalid = |reason: &str| StoreError::Invalid(format!("the address of PostgreSQL can't be used: {reason}"));
    let (url, mode) = split_mode(&config.url);
    let mut address: Config = url.parse().map_err(|error| invalid(&describe(&error)))?;
    let is_local = |host: &Host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    let wants_tls = match mode.as_deref() {
        Some("disable") => false,
        Some("require" | "verify-ca" | "verify-full") => true,
        None => !address.get_hosts().iter().all(is_local),
        Some("allow" | "prefer") => {
            return Err(invalid("sslmode=allow and sslmode=prefer protect from nobody; use verify-full or disable"));
        }
        Some(_) => return Err(invalid("sslmode is one of disable, require, verify-ca, verify-full")),
    };
    address.ssl_mode(if wants_tls { SslMode::Require } else { SslMode::Disable });
    address.application_name(&config.application_name);
    address.connect_timeout(config.connect_timeout);
    address.keepalives_idle(Duration::from_secs(30));
    Ok((address, wants_tls))
}

/// Takes `sslmode` out of a URL's parameters, since the client library knows half of its values only.
fn split_mode(url: &str) -> (String, Option<String>) {
    let Some((base, parameters)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (modes, rest): (Vec<&str>, Vec<&str>) =
        parameters.split('&').filter(|one| !one.is_empty()).partition(|one| one.starts_with("sslmode="));
    let mode = modes.last().and_then(|one| one.strip_prefix("sslmode=")).map(str::to_owned);
    let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    (url, mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(url: &str) -> Result<bool, String> {
        let config = PostgresConfig { url: url.to_owned(), ..PostgresConfig::default() };
        parse(&config).map(|(_, tls)| tls).map_err(|error| error.to_string())
    }

    #[test]
    fn other_machines_are_reached_by_tls_unless_said_otherwise() {
        assert_eq!(tls("postgres://u:p@127.0.0.1:5432/logs"), Ok(false));
        assert_eq!(tls("postgres://u:p@localhost/logs"), Ok(false));
        assert_eq!(tls("postgres://u:p@db.example.com/logs"), Ok(true));
        assert_eq!(tls("postgres://u:p@db.example.com/logs?sslmode=disable"), Ok(false));
        assert_eq!(tls("postgres://u:p@127.0.0.1/logs?connect_timeout=3&sslmode=verify-full"), Ok(true));
        assert!(tls("postgres://u:p@db.example.com/logs?sslmode=prefer").is_err());
        assert!(tls("postgres://u:p@db.example.com/logs?sslmode=yes").is_err());
    }

    #[test]
    fn no_error_and_no_debug_text_shows_the_password() {
        for url in [
            "postgres://u:secret@h/l?sslmode=maybe",
            "postgres://u:secret@h:port/l",
            "postgres://u:secret@h/l?secret=1x",
        ] {
            let config = PostgresConfig { url: url.to_owned(), ..PostgresConfig::default() };
            assert!(!format!("{config:?}").contains("cret@"), "{config:?}");
            let error = parse(&config).expect_err("an address with a mistake").to_string();
            assert!(!error.contains("cret@"), "{error}");
        }
    }
}
