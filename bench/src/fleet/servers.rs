//! The servers that a fleet shares, started when they are first needed.

use std::sync::atomic::{AtomicU32, Ordering};

use test_backends::clickhouse::{self, ClickHouse};
use test_backends::kafka::{Kafka, KafkaOptions};
use test_backends::postgres::{Postgres, PostgresOptions};
use test_backends::redis::{Options as RedisOptions, Redis};

use super::Pair;
use crate::process::Process;

/// What makes PostgreSQL durable and gives it room; the tests' own settings trade the first for speed.
const POSTGRES: [&str; 6] = [
    "fsync=on",
    "synchronous_commit=on",
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "maintenance_work_mem=256MB",
    "wal_compression=on",
];

#[derive(Debug, Default)]
pub(super) struct Servers {
    pub(super) kafka: Option<Kafka>,
    pub(super) redis: Option<Redis>,
    pub(super) clickhouse: Option<ClickHouse>,
    pub(super) postgres: Option<Postgres>,
}

/// What the nodes of one run are told, and where their data is.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) environment: Vec<(&'static str, String)>,
    /// The topic or prefix.
    pub(super) queue: String,
    pub(super) partitions: u32,
    /// The database of the store.
    pub(super) database: String,
}

impl Servers {
    /// An empty queue, store and metadata for one run.
    ///
    /// # Panics
    /// When a server can't be had; says how to get it.
    pub(super) fn settings(&mut self, pair: Pair, partitions: u32) -> Settings {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let queue = format!("bench_{}", RUNS.fetch_add(1, Ordering::Relaxed));
        let mut environment = Vec::new();
        if pair.on_kafka() {
            let kafka = self.kafka.get_or_insert_with(|| Kafka::start(&KafkaOptions::default()));
            environment.extend([
                ("DEVLOGS_QUEUE__BACKEND", "kafka".to_owned()),
                ("DEVLOGS_QUEUE__KAFKA__BROKERS", kafka.brokers()),
                ("DEVLOGS_QUEUE__KAFKA__TOPIC", queue.clone()),
                ("DEVLOGS_QUEUE__KAFKA__PARTITIONS", partitions.to_string()),
            ]);
        } else {
            let redis = self.redis.get_or_insert_with(|| Redis::start(RedisOptions::default()));
            environment.extend([
                ("DEVLOGS_QUEUE__BACKEND", "redis".to_owned()),
                ("DEVLOGS_QUEUE__REDIS__URL", redis.url()),
                ("DEVLOGS_QUEUE__REDIS__PREFIX", queue.clone()),
                ("DEVLOGS_QUEUE__REDIS__PARTITIONS", partitions.to_string()),
                ("DEVLOGS_QUEUE__REDIS__RETENTION_SIZE", "4GiB".to_owned()),
            ]);
        }
        let postgres = self.postgres.get_or_insert_with(|| {
            let settings = POSTGRES.map(str::to_owned).to_vec();
            Postgres::start(PostgresOptions { settings, ..PostgresOptions::default() })
        });
        environment.push(("DEVLOGS_METADATA__URL", postgres.database()));
        let database = if pair.in_clickhouse() {
            let server = self.clickhouse.get_or_insert_with(ClickHouse::start);
            let database = server.database();
            environment.extend([
                ("DEVLOGS_STORE__BACKEND", "clickhouse".to_owned()),
                ("DEVLOGS_STORE__CLICKHOUSE__URL", server.url()),
                ("DEVLOGS_STORE__CLICKHOUSE__DATABASE", database.clone()),
                ("DEVLOGS_STORE__CLICKHOUSE__USER", clickhouse::USER.0.to_owned()),
                ("DEVLOGS_STORE__CLICKHOUSE__PASSWORD", clickhouse::USER.1.to_owned()),
            ]);
            database
        } else {
            let url = postgres.database();
            environment.push(("DEVLOGS_STORE__BACKEND", "timescale".to_owned()));
            environment.push(("DEVLOGS_STORE__TIMESCALE__URL", url.clone()));
            database_of(&url)
        };
        Settings { environment, queue, partitions, database }
    }

    /// Seconds that the queue's server used.
    pub(super) fn queue_cpu(&self, pair: Pair) -> f64 {
        let port = if pair.on_kafka() {
            self.kafka.as_ref().and_then(|kafka| kafka.brokers().rsplit_once(':')?.1.parse().ok())
        } else {
            self.redis.as_ref().map(Redis::port)
        };
        cpu(port)
    }

    /// Seconds that the store's server used. PostgreSQL serves the metadata too, which is next to nothing.
    pub(super) fn store_cpu(&self, pair: Pair) -> f64 {
        let port = if pair.in_clickhouse() {
            self.clickhouse.as_ref().map(ClickHouse::http_port)
        } else {
            let url = self.postgres.as_ref().map(|postgres| postgres.url("postgres"));
            url.and_then(|url| reqwest::Url::parse(&url).ok()?.port())
        };
        cpu(port)
    }
}

fn cpu(port: Option<u16>) -> f64 {
    port.and_then(Process::listening_on).map_or(f64::NAN, Process::tree_cpu_seconds)
}

/// The last part of `postgres://…/NAME`, without parameters.
fn database_of(url: &str) -> String {
    let name = url.rsplit_once('/').map_or(url, |parts| parts.1);
    name.split('?').next().unwrap_or(name).to_owned()
}
