//! Tables and their versions.
//!
//! | table | holds |
//! |---|---|
//! | `otel_logs` | the records: the OpenTelemetry ClickHouse exporter's columns and ours |
//! | `logs` | a view of it under the names that people type |
//! | `devlogs_claims` | who may write a partition of the queue: the row that was inserted last |
//! | `devlogs_days` | the days that the holder of a claim may have begun to write |
//! | `devlogs_positions` | how far each partition is stored, with its ledger |
//! | `devlogs_keys` | idempotency keys, for a day |
//! | `schema_migrations` | the versions that were applied |
//!
//! Every step can be repeated, so nodes that start at once do no harm to each other: each applies what it does not see
//! applied, and the rows of `schema_migrations` with the same version are one.
//!
//! In a cluster `otel_logs` is a `Distributed` table over `otel_logs_local` of every shard; the small tables are on the
//! server of the configured address only.

use clickhouse::Row;
use serde::Deserialize;
use store::StoreError;
use tracing::info;

use crate::config::ClickHouseConfig;
use crate::connection::Connection;
use crate::error::Failure;

pub const LOGS: &str = "otel_logs";
pub const CLAIMS: &str = "devlogs_claims";
pub const DAYS: &str = "devlogs_days";
pub const POSITIONS: &str = "devlogs_positions";
pub const KEYS: &str = "devlogs_keys";

/// The version that this program makes and reads.
const VERSION: u32 = 1;

/// How many of the last inserts a table knows by their tokens.
const DEDUPLICATION_WINDOW: u32 = 1_000;

/// The columns of the records, without indexes.
const COLUMNS: &str = "
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TimestampTime DateTime DEFAULT toDateTime(Timestamp),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    TraceFlags UInt8 DEFAULT 0,
    SeverityText LowCardinality(String) CODEC(ZSTD(1)),
    SeverityNumber UInt8 CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    Body String CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ScopeName String DEFAULT LogAttributes['otel.scope.name'] CODEC(ZSTD(1)),
    ScopeVersion LowCardinality(String) DEFAULT LogAttributes['otel.scope.version'] CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    EventName String DEFAULT LogAttributes['otel.event_name'] CODEC(ZSTD(1)),
    Project LowCardinality(String) CODEC(ZSTD(1)),
    Observed DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    HasHost UInt8 CODEC(ZSTD(1)),
    Host LowCardinality(String) CODEC(ZSTD(1)),
    Origin UInt128 CODEC(ZSTD(1)),
    RecordIndex UInt32 CODEC(Delta(4), ZSTD(1)),
    ResourceAttributeTypes Map(LowCardinality(String), UInt8) CODEC(ZSTD(1)),
    LogAttributeTypes Map(LowCardinality(String), UInt8) CODEC(ZSTD(1)),
    QueueIncarnation UInt128 CODEC(ZSTD(1)),
    QueuePartition UInt32 CODEC(ZSTD(1)),
    RangeFrom UInt64 CODEC(Delta(8), ZSTD(1)),
    RangeNext UInt64 CODEC(Delta(8), ZSTD(1)),
    Overflow UInt8 CODEC(ZSTD(1))";

const INDEXES: &str = "
    INDEX idx_service ServiceName TYPE set(100) GRANULARITY 1,
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_origin Origin TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_log_attr_key mapKeys(LogAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_log_attr_value mapValues(LogAttributes) TYPE bloom_filter(0.01) GRANULARITY 1";

/// The day of a record, and what `crate::columns` takes for it.
const PARTITION: &str = "if(Overflow = 1, 0, toYYYYMMDD(Timestamp, 'UTC'))";

/// The time that ages a record: a wrong clock must neither keep it for ever nor remove it at once.
const AGED: &str = "toDateTime(if(Overflow = 1, Observed, Timestamp))";

#[derive(Debug, Row, Deserialize)]
struct Version {
    version: u32,
}

/// Makes the database and its tables, or brings them to this version.
///
/// # Errors
/// The server can't be reached, refuses, or has tables of a newer program.
pub async fn migrate(config: &ClickHouseConfig, server: &Connection) -> Result<(), StoreError> {
    let mut servers = vec![server.clone()];
    if !config.replicated {
        for url in &config.cluster_urls {
            servers.push(Connection::new(config, url)?);
        }
    }
    let failed = |failure: Failure| failure.into_store_error(None, false);
    for server in &servers {
        make_database(config, server).await.map_err(failed)?;
    }
    let home = server.clone().in_database(&config.database);
    let settings = settings(config, "");
    let applied = format!(
        "CREATE TABLE IF NOT EXISTS schema_migrations (version UInt32, name String, applied DateTime DEFAULT now()) \
         ENGINE = ReplacingMergeTree ORDER BY version {settings}"
    );
    home.execute(&applied).await.map_err(failed)?;
    let version = "SELECT max(version) AS version FROM schema_migrations";
    let Version { version } = home.one(version).await.map_err(failed)?;
    if version > VERSION {
        return Err(StoreError::Invalid(format!(
            "the tables in ClickHouse have version {version}, this program knows {VERSION}; run the newer program"
        )));
    }
    if version < VERSION {
        for server in &servers {
            let server = server.clone().in_database(&config.database);
            make_local(config, &server).await.map_err(failed)?;
        }
        make_home(config, &home).await.map_err(failed)?;
        let done = format!(
            "INSERT INTO schema_migrations (version, name) SETTINGS async_insert = 0 VALUES ({VERSION}, 'first tables')"
        );
        home.execute(&done).await.map_err(failed)?;
        info!(version = VERSION, "tables made in clickhouse");
    }
    for server in &servers {
        let server = server.clone().in_database(&config.database);
        age(config, &server).await.map_err(failed)?;
    }
    Ok(())
}

async fn make_database(config: &ClickHouseConfig, server: &Connection) -> Result<(), Failure> {
    let database = &config.database;
    let there = format!("SELECT toUInt32(count()) AS version FROM system.databases WHERE name = '{database}'");
    // A user without the right to make databases gets on with one that is there.
    if server.one::<Version>(&there).await?.version == 0 {
        server.execute(&format!("CREATE DATABASE IF NOT EXISTS {database}{}", on_cluster(config))).await?;
    }
    Ok(())
}

/// The table of records of one server.
async fn make_local(config: &ClickHouseConfig, server: &Connection) -> Result<(), Failure> {
    let has_text_index =
        "SELECT toUInt32(count()) AS version FROM system.data_skipping_index_types WHERE name = 'text'";
    // Servers without the table of index types are older than the text index.
    let has_text_index = server.one::<Version>(has_text_index).await.is_ok_and(|found| found.version > 0);
    let text = "INDEX idx_words lower(Body) TYPE text(tokenizer = 'splitByNonAlpha')";
    let tokens = "INDEX idx_words lower(Body) TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 1";
    if has_text_index {
        let made = server.execute(&table(config, text)).await;
        // 26.x has it for everybody; before it was experimental and is refused as a setting (344), type or syntax.
        match made {
            Err(Failure::Server { code: 36 | 62 | 80 | 344, .. }) => {}
            other => return other,
        }
    }
    server.execute(&table(config, tokens)).await
}

fn table(config: &ClickHouseConfig, words: &str) -> String {
    let name = local_name(config);
    let policy = config.storage_policy.as_ref().map(|policy| format!(", storage_policy = '{policy}'"));
    let settings = settings(
        config,
        &format!(", ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1{}", policy.unwrap_or_default()),
    );
    format!(
        "CREATE TABLE IF NOT EXISTS {name}{} ({COLUMNS},{INDEXES},
    {words}
) ENGINE = {} PARTITION BY {PARTITION} ORDER BY (Project, Timestamp, Origin, RecordIndex) {settings}",
        on_cluster(config),
        engine(config, "MergeTree", name, ""),
    )
}

/// The small tables and the view, on the configured server.
async fn make_home(config: &ClickHouseConfig, home: &Connection) -> Result<(), Failure> {
    let on_cluster = on_cluster(config);
    if let Some(cluster) = &config.cluster {
        let database = &config.database;
        // All records of a request are on one shard; requests are spread.
        home.execute(&format!(
            "CREATE TABLE IF NOT EXISTS {LOGS}{on_cluster} AS {local} \
             ENGINE = Distributed('{cluster}', '{database}', '{local}', cityHash64(Origin))",
            local = local_name(config)
        ))
        .await?;
    }
    let lane = "Incarnation UInt128, Partition UInt32";
    let ordered = "ORDER BY (Incarnation, Partition)";
    let numbered = settings(config, ", enable_block_number_column = 1");
    let kept = "TTL toDateTime(Made) + INTERVAL 400 DAY";
    let table = |name: &str, columns: &str, kind: &str, arguments: &str, rest: &str| {
        let engine = engine(config, kind, name, arguments);
        format!("CREATE TABLE IF NOT EXISTS {name}{on_cluster} ({columns}) ENGINE = {engine} {rest}")
    };
    let made = "Made DateTime64(3) DEFAULT now64(3)";
    home.execute(&table(
        CLAIMS,
        &format!("{lane}, Epoch String, Writer String, {made}"),
        "MergeTree",
        "",
        &format!("{ordered} {kept} {numbered}"),
    ))
    .await?;
    home.execute(&table(
        DAYS,
        &format!("{lane}, Epoch String, Days Array(UInt32), {made}"),
        "MergeTree",
        "",
        &format!("{ordered} {kept} {numbered}"),
    ))
    .await?;
    home.execute(&table(
        POSITIONS,
        &format!(
            "{lane}, Position UInt64, Epoch String, LedgerProjects Array(String), LedgerCounts Array(UInt64), {made}"
        ),
        "ReplacingMergeTree",
        "Position",
        &format!("{ordered} {}", settings(config, "")),
    ))
    .await?;
    home.execute(&table(
        KEYS,
        &format!("Project String, Key UInt128, Body UInt128, Received DateTime64(9), {lane}, RangeNext UInt64"),
        "MergeTree",
        "",
        &format!(
            "PARTITION BY toYYYYMMDD(Received, 'UTC') ORDER BY (Project, Key) \
             TTL toDateTime(Received) + INTERVAL 25 HOUR {}",
            settings(config, ", ttl_only_drop_parts = 1")
        ),
    ))
    .await?;
    home.execute(&view(&on_cluster)).await
}

/// What SQL of users and other programs see: the names of the search syntax.
fn view(on_cluster: &str) -> String {
    format!(
        "CREATE OR REPLACE VIEW logs{on_cluster} AS SELECT \
         concat(lower(leftPad(hex(Origin), 32, '0')), lower(leftPad(hex(RecordIndex), 8, '0'))) AS id, \
         Timestamp AS timestamp, Observed AS observed_timestamp, Project AS project, ServiceName AS service, \
         if(HasHost = 1, CAST(Host, 'Nullable(String)'), NULL) AS host, \
         nullIf(SeverityText, '') AS level, nullIf(SeverityNumber, 0) AS severity_number, Body AS message, \
         nullIf(TraceId, '') AS trace_id, nullIf(SpanId, '') AS span_id, \
         LogAttributes AS attributes, ResourceAttributes AS resource FROM {LOGS}"
    )
}

/// Retention and tiering as configured now; both may change at any start.
async fn age(config: &ClickHouseConfig, server: &Connection) -> Result<(), Failure> {
    let mut rules = Vec::new();
    if let Some(days) = config.retention_days {
        rules.push(format!("{AGED} + toIntervalDay({days})"));
    }
    if let (Some(days), Some(volume)) = (config.tier_after_days, &config.tier_volume) {
        rules.push(format!("{AGED} + toIntervalDay({days}) TO VOLUME '{volume}'"));
    }
    let (name, on_cluster) = (local_name(config), on_cluster(config));
    let made = format!("SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = '{name}'");
    let Made { engine_full } = server.one(&made).await?;
    let rules = rules.join(", ");
    // The server prints the rules as they are written here; the same rules set again would rewrite every part.
    let known = engine_full.split_once(" TTL ").map_or("", |(_, rest)| rest);
    let known = known.split_once(" SETTINGS ").map_or(known, |(rules, _)| rules);
    if known == rules {
        return Ok(());
    }
    if rules.is_empty() {
        return server.execute(&format!("ALTER TABLE {name}{on_cluster} REMOVE TTL")).await;
    }
    server.execute(&format!("ALTER TABLE {name}{on_cluster} MODIFY TTL {rules}")).await
}

#[derive(Debug, Row, Deserialize)]
struct Made {
    engine_full: String,
}

pub fn local_name(config: &ClickHouseConfig) -> &'static str {
    if config.cluster.is_some() { "otel_logs_local" } else { LOGS }
}

fn on_cluster(config: &ClickHouseConfig) -> String {
    match &config.cluster {
        Some(cluster) if config.replicated => format!(" ON CLUSTER '{cluster}'"),
        _ => String::new(),
    }
}

fn engine(config: &ClickHouseConfig, kind: &str, table: &str, arguments: &str) -> String {
    if !config.replicated {
        return format!("{kind}({arguments})");
    }
    // Records are on every shard, the small tables are one for the whole cluster.
    let shard = if table == local_name(config) { "{shard}" } else { "all" };
    let separator = if arguments.is_empty() { "" } else { ", " };
    let path = format!("/clickhouse/tables/{shard}/{}/{table}", config.database);
    format!("Replicated{kind}('{path}', '{{replica}}'{separator}{arguments})")
}

fn settings(config: &ClickHouseConfig, more: &str) -> String {
    let window =
        if config.replicated { "replicated_deduplication_window" } else { "non_replicated_deduplication_window" };
    let fsync = u8::from(config.fsync);
    format!(
        "SETTINGS {window} = {DEDUPLICATION_WINDOW}, fsync_after_insert = {fsync}, fsync_part_directory = {fsync}{more}"
    )
}
