//! Several processes of each role on shared servers.

use serde_json::Value;
use tempfile::TempDir;
use test_backends::clickhouse::{self, ClickHouse};
use test_backends::kafka::Kafka;
use test_backends::postgres::Postgres;
use test_backends::redis::Redis;

use crate::harness::{Options, Server, folder, http, http_with_key};
use crate::load::Load;

pub(crate) const COLLECTOR: &str = "collector";
pub(crate) const PROCESSOR: &str = "processor";
pub(crate) const API: &str = "api";

/// What nodes are told about the servers that they share.
pub(crate) type Environment = Vec<(&'static str, String)>;

/// The value of a setting.
pub(crate) fn told<'a>(environment: &'a Environment, name: &str) -> &'a str {
    &environment.iter().find(|(other, _)| *other == name).expect("a setting of this name").1
}

pub(crate) fn on_kafka(kafka: &Kafka) -> Environment {
    vec![
        ("DEVLOGS_QUEUE__BACKEND", "kafka".to_owned()),
        ("DEVLOGS_QUEUE__KAFKA__BROKERS", kafka.brokers()),
        ("DEVLOGS_QUEUE__KAFKA__PARTITIONS", "4".to_owned()),
        ("DEVLOGS_QUEUE__KAFKA__SESSION_TIMEOUT", "6s".to_owned()),
    ]
}

pub(crate) fn on_redis(redis: &Redis) -> Environment {
    vec![
        ("DEVLOGS_QUEUE__BACKEND", "redis".to_owned()),
        ("DEVLOGS_QUEUE__REDIS__URL", redis.url()),
        ("DEVLOGS_QUEUE__REDIS__LEASE", "2s".to_owned()),
    ]
}

pub(crate) fn in_clickhouse(server: &ClickHouse) -> Environment {
    vec![
        ("DEVLOGS_STORE__BACKEND", "clickhouse".to_owned()),
        ("DEVLOGS_STORE__CLICKHOUSE__URL", server.url()),
        ("DEVLOGS_STORE__CLICKHOUSE__DATABASE", server.database()),
        ("DEVLOGS_STORE__CLICKHOUSE__USER", clickhouse::USER.0.to_owned()),
        ("DEVLOGS_STORE__CLICKHOUSE__PASSWORD", clickhouse::USER.1.to_owned()),
    ]
}

pub(crate) fn in_postgres(server: &Postgres) -> Environment {
    vec![("DEVLOGS_STORE__BACKEND", "timescale".to_owned()), ("DEVLOGS_STORE__TIMESCALE__URL", server.database())]
}

pub(crate) fn metadata_in(server: &Postgres) -> Environment {
    vec![("DEVLOGS_METADATA__URL", server.database())]
}

/// The nodes that run.
pub(crate) struct Fleet {
    dir: TempDir,
    environment: Environment,
    /// What nodes of one role are told besides.
    of_role: Vec<(&'static str, Environment)>,
    arguments: &'static [&'static str],
    /// The first admin's key, when keys are asked for.
    key: Option<String>,
    nodes: Vec<(&'static str, Server)>,
    started: usize,
}

impl Fleet {
    /// Without nodes yet; in development mode, where nobody needs a key, if `dev`.
    pub(crate) fn new(dev: bool, environment: impl IntoIterator<Item = Environment>) -> Self {
        let arguments: &[&str] = if dev { &["--dev"] } else { &[] };
        let environment = environment.into_iter().flatten().collect();
        Self { dir: folder(), environment, of_role: Vec::new(), arguments, key: None, nodes: Vec::new(), started: 0 }
    }

    /// Nodes of a role that start from now on are told this too.
    pub(crate) fn tell(&mut self, role: &'static str, environment: Environment) {
        self.of_role.push((role, environment));
    }

    /// A client with the key that opens everything.
    pub(crate) fn client(&self) -> reqwest::Client {
        self.key.as_deref().map_or_else(http, http_with_key)
    }

    /// Starts a node of one role and waits until it is ready.
    pub(crate) async fn add(&mut self, role: &'static str) -> &Server {
        self.started += 1;
        let dir = self.dir.path().join(self.started.to_string());
        let arguments: Vec<_> = self.arguments.iter().copied().chain(["--roles", role]).collect();
        let of_role = self.of_role.iter().filter(|(of, _)| *of == role).flat_map(|(_, told)| told);
        let environment: Vec<_> =
            self.environment.iter().chain(of_role).map(|(name, value)| (*name, &**value)).collect();
        let mut server = Server::start(Options { dir: &dir, arguments: &arguments, environment: &environment }).await;
        if let Some(file) = server.ready["secrets_file"].as_str() {
            let secrets: Value = serde_json::from_slice(&std::fs::read(file).expect("readable")).expect("JSON");
            self.key = secrets["admin_key"].as_str().map(str::to_owned);
        }
        server.http = self.client();
        server.key = self.key.clone();
        self.nodes.push((role, server));
        &self.nodes[self.nodes.len() - 1].1
    }

    /// The oldest node of a role.
    pub(crate) fn node(&self, role: &str) -> &Server {
        &self.nodes.iter().find(|(other, _)| *other == role).expect("a node of this role").1
    }

    /// SIGKILL to the oldest node of a role.
    pub(crate) async fn kill(&mut self, role: &str) {
        self.remove(role).kill().await;
    }

    /// SIGTERM to the oldest node of a role.
    pub(crate) async fn stop(&mut self, role: &str) {
        assert_eq!(self.remove(role).stop().await.1, Some(0), "a {role} does not stop cleanly");
    }

    fn remove(&mut self, role: &str) -> Server {
        let index = self.nodes.iter().position(|(other, _)| *other == role).expect("a node of this role");
        self.nodes.remove(index).1
    }

    /// Lets clients send to the collectors that run now.
    pub(crate) fn take(&self, load: &Load) {
        let collectors = self.nodes.iter().filter(|(role, _)| *role == COLLECTOR);
        load.send_to(collectors.map(|(_, server)| server.collector.clone()).collect());
    }
}
