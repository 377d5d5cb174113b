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
//! In a cluster every server has all of them; `otel_logs` is a `Distributed` table over `otel_logs_local` of every shard,
//! and two tables more say where a partition of the queue is (`crate::shards`).

use clickhouse::Row;
use serde::Deserialize;
use store::StoreError;
use tracing::info;

use crate::config::ClickHouseConfig;
use crate::connection::Connection;
use crate::error::Failure;

pub const LOGS: &str = "otel_logs";
/// The records of one server of a cluster.
pub const LOCAL_LOGS: &str = "otel_logs_local";
pub const CLAIMS: &str = "devlogs_claims";
pub const DAYS: &str = "devlogs_days";
pub const POSITIONS: &str = "devlogs_positions";
pub const KEYS: &str = "devlogs_keys";
/// On the first server of a cluster: the shard of each partition.
pub const LANES: &str = "devlogs_lanes";
/// The name of a server's shard, and the names of all.
pub const SHARD: &str = "devlogs_shard";
pub const SHARDS: &str = "devlogs_shards";

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

/// Makes the database of a server and its tables, or brings them to this version.
///
/// # Errors
/// The server can't be reached, refuses, or has tables of a newer program.
pub async fn migrate(config: &ClickHouseConfig, server: &Connection) -> Result<(), StoreError> {
    let failed = |failure: Failure| failure.into_store_error(None, false);
    make_database(config, server).await.map_err(failed)?;
    let server = server.clone().in_database(&config.database);
    let (on_cluster, settings) = (on_cluster(config), settings(config, ""));
    let engine = engine(config, "ReplacingMergeTree", "schema_migrations", "");
    let applied = format!(
        "CREATE TABLE IF NOT EXISTS schema_migrations{on_cluster} (version UInt32, name String, applied DateTime DEFAULT \
         now()) ENGINE = {engine} ORDER BY version {settings}"
    );
    server.execute(&applied).await.map_err(failed)?;
    let version = "SELECT max(version) AS version FROM schema_migrations";
    let Version { version } = server.one(version).await.map_err(failed)?;
    if version > VERSION {
        return Err(StoreError::Invalid(format!(
            "the tables in ClickHouse have version {version}, this program knows {VERSION}; run the newer program"
        )));
    }
    if version < VERSION {
        make_records(config, &server).await.map_err(failed)?;
        make_small(config, &server).await.map_err(failed)?;
        if let Some(cluster) = &config.cluster {
            make_distributed(config, cluster, &server).await.map_err(failed)?;
        }
        server.execute(&view(&on_cluster)).await.map_err(failed)?;
        let done = format!(
            "INSERT INTO schema_migrations (version, name) SETTINGS async_insert = 0 VALUES ({VERSION}, 'first tables')"
        );
        server.execute(&done).await.map_err(failed)?;
        info!(version = VERSION, "tables made in clickhouse");
    }
    age(config, &server).await.map_err(failed)
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
async fn make_records(config: &ClickHouseConfig, server: &Connection) -> Result<(), Failure> {
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
    let name = records_name(config);
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

/// What shows the shards as one, and the tables that say where a partition is.
async fn make_distributed(config: &ClickHouseConfig, cluster: &str, server: &Connection) -> Result<(), Failure> {
    let (on_cluster, database) = (on_cluster(config), &config.database);
    let numbered = settings(config, ", enable_block_number_column = 1");
    let shard = engine(config, "MergeTree", SHARD, "");
    let lanes = engine(config, "MergeTree", LANES, "");
    let made = "Made DateTime64(3) DEFAULT now64(3)";
    let tables = [
        format!(
            "{SHARD}{on_cluster} (Name String, IsFirst UInt8, {made}) ENGINE = {shard} ORDER BY tuple() {numbered}"
        ),
        format!(
            "{LANES}{on_cluster} (Incarnation UInt128, Partition UInt32, Shard String, {made}) ENGINE = {lanes} \
             ORDER BY (Incarnation, Partition) {numbered}"
        ),
        format!("{SHARDS}{on_cluster} AS {SHARD} ENGINE = Distributed('{cluster}', '{database}', '{SHARD}')"),
        // Nobody inserts through it.
        format!(
            "{LOGS}{on_cluster} AS {local} ENGINE = Distributed('{cluster}', '{database}', '{local}')",
            local = records_name(config)
        ),
    ];
    for table in tables {
        server.execute(&format!("CREATE TABLE IF NOT EXISTS {table}")).await?;
    }
    Ok(())
}

/// Claims, positions and keys.
async fn make_small(config: &ClickHouseConfig, server: &Connection) -> Result<(), Failure> {
    let on_cluster = on_cluster(config);
    let lane = "Incarnation UInt128, Partition UInt32";
    let ordered = "ORDER BY (Incarnation, Partition)";
    let numbered = settings(config, ", enable_block_number_column = 1");
    let kept = "TTL toDateTime(Made) + INTERVAL 400 DAY";
    let table = |name: &str, columns: &str, kind: &str, arguments: &str, rest: &str| {
        let engine = engine(config, kind, name, arguments);
        format!("CREATE TABLE IF NOT EXISTS {name}{on_cluster} ({columns}) ENGINE = {engine} {rest}")
    };
    let made = "Made DateTime64(3) DEFAULT now64(3)";
    server
        .execute(&table(
            CLAIMS,
            &format!("{lane}, Epoch String, Writer String, {made}"),
            "MergeTree",
            "",
            &format!("{ordered} {kept} {numbered}"),
        ))
        .await?;
    server
        .execute(&table(
            DAYS,
            &format!("{lane}, Epoch String, Days Array(UInt32), {made}"),
            "MergeTree",
            "",
            &format!("{ordered} {kept} {numbered}"),
        ))
        .await?;
    server.execute(&table(
        POSITIONS,
        &format!(
            "{lane}, Position UInt64, Epoch String, LedgerProjects Array(String), LedgerCounts Array(UInt64), {made}"
        ),
        "ReplacingMergeTree",
        "Position",
        &format!("{ordered} {}", settings(config, "")),
    ))
    .await?;
    server
        .execute(&table(
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
        .await
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
    let (name, on_cluster) = (records_name(config), on_cluster(config));
    let made = format!(
        "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = '{name}' AND engine LIKE \
         '%MergeTree'"
    );
    let Some(Made { engine_full }) = server.all(&made).await?.pop() else {
        return Err(Failure::Unknown(
            "the tables in ClickHouse are those of a single server, or of a cluster, and the configuration is not; use \
             another `database`"
                .to_owned(),
        ));
    };
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

/// The table that has the records of one server.
pub fn records_name(config: &ClickHouseConfig) -> &'static str {
    if config.cluster.is_some() { LOCAL_LOGS } else { LOGS }
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
    let separator = if arguments.is_empty() { "" } else { ", " };
    let path = format!("/clickhouse/tables/{{shard}}/{}/{table}", config.database);
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
