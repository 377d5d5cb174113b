//! `[store]`.

use std::sync::Arc;

use anyhow::Context;
use prometheus_client::registry::Registry;
use store::{Store, StoreError};
use store_clickhouse::{ClickHouseConfig, ClickHouseStore};
use store_embedded::{EmbeddedStore, EmbeddedStoreConfig};
use store_postgres::{PostgresConfig, PostgresStore, PostgresTls};

use super::{in_data_dir, patiently};
use crate::config::Settings;
use crate::config::secret::{Secret, SecretUrl};
use crate::config::settings::StoreBackend;
use crate::config::units::Age;

/// Writes go on while a flush runs.
const MEMORY_PER_FLUSH: usize = 2;

/// # Errors
/// What waiting does not mend.
pub async fn open_store(settings: &Settings, registry: &mut Registry) -> anyhow::Result<Arc<dyn Store>> {
    let out_of_reach = |error: &StoreError| matches!(error, StoreError::Unavailable(_));
    match settings.store.backend {
        StoreBackend::Embedded => {
            let store = EmbeddedStore::open(embedded(settings)).await.with_context(|| in_data_dir(settings))?;
            store.engine().metrics().register(registry);
            Ok(Arc::new(store))
        }
        StoreBackend::Clickhouse => {
            let open = || ClickHouseStore::open(clickhouse(settings));
            let store = patiently("ClickHouse (`store.clickhouse`)", out_of_reach, open).await?;
            store.metrics().register(registry);
            Ok(Arc::new(store))
        }
        StoreBackend::Timescale => {
            let open = || PostgresStore::open(timescale(settings));
            let store = patiently("PostgreSQL (`store.timescale`)", out_of_reach, open).await?;
            store.metrics().register(registry);
            Ok(Arc::new(store))
        }
    }
}

fn embedded(settings: &Settings) -> EmbeddedStoreConfig {
    let store = &settings.store.embedded;
    EmbeddedStoreConfig {
        flush_bytes: store.flush_size.bytes(),
        memory_bytes: store.flush_size.bytes().saturating_mul(MEMORY_PER_FLUSH),
        flush_age: store.flush_age.0,
        cache_bytes: store.cache_size.bytes(),
        retention_age: store.retention_age.map(|age| age.0),
        retention_bytes: store.retention_size.map(|size| size.0),
        ..EmbeddedStoreConfig::new(settings.data_dir.join("store"))
    }
}

fn clickhouse(settings: &Settings) -> ClickHouseConfig {
    let clickhouse = settings.store.clickhouse.clone();
    let password = |secret: &Option<Secret>| secret.as_ref().map_or("", Secret::reveal).to_owned();
    ClickHouseConfig {
        password: password(&clickhouse.password),
        sql_password: password(&clickhouse.sql_password),
        url: clickhouse.url,
        database: clickhouse.database,
        user: clickhouse.user,
        sql_user: clickhouse.sql_user,
        cluster: clickhouse.cluster,
        cluster_urls: clickhouse.cluster_urls,
        replicated: clickhouse.replicated,
        ca_file: clickhouse.ca,
        client_cert_file: clickhouse.cert,
        client_key_file: clickhouse.cert_key,
        retention_days: clickhouse.retention_age.map(whole_days),
        storage_policy: clickhouse.storage_policy,
        tier_after_days: clickhouse.tier_after.map(whole_days),
        tier_volume: clickhouse.tier_volume,
        fsync: clickhouse.fsync,
        ..ClickHouseConfig::default()
    }
}

/// Nothing goes before its time: part of a day counts as a day.
fn whole_days(age: Age) -> u32 {
    u32::try_from(age.0.as_secs().div_ceil(86_400)).unwrap_or(u32::MAX)
}

fn timescale(settings: &Settings) -> PostgresConfig {
    let timescale = settings.store.timescale.clone();
    PostgresConfig {
        url: timescale.url.as_ref().map_or("", SecretUrl::reveal).to_owned(),
        tls: PostgresTls { ca_file: timescale.ca, cert_file: timescale.cert, key_file: timescale.cert_key },
        write_connections: timescale.write_connections,
        query_connections: timescale.query_connections,
        retention: timescale.retention_age.map(|age| age.0),
        compress_after: Some(timescale.compress_after.0).filter(|age| !age.is_zero()),
        sql_role: timescale.sql_role,
        ..PostgresConfig::default()
    }
}
