//! A real Apache Kafka, without ZooKeeper: every node is broker and controller.
//!
//! [`Kafka::shared`] is one node for all tests of a binary, each with topics and groups of its own. [`Kafka::start`]
//! is one, three or more nodes of one's own, to be killed, frozen and started again on the same data.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::install::{once, require, run};
use crate::process::{Server, free_port};
use crate::scratch;

const POM: &str = include_str!("../kafka/pom.xml");

/// What a node says when it serves clients.
const STARTED: &str = "Kafka Server started";

/// 16 random bytes in URL-safe base64, as a cluster's name must be. Data directories are never shared.
const CLUSTER_ID: &str = "ZGV2bG9ncy10ZXN0LWthZg";

/// Compiled quickly rather than well, in little memory.
const JVM: [&str; 9] = [
    "-Xms96m",
    "-Xmx448m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
];

/// What a cluster is started with.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// One, or an odd number that keeps a majority when one is killed.
    pub nodes: u32,
    /// `name=value` of `server.properties`; they win over the tests' own.
    pub settings: Vec<String>,
    /// Adds a listener with TLS and one with TLS and SASL.
    pub secure: Option<Secure>,
    /// Further listeners of a single node: the port, and the port of a proxy before it, which clients are told.
    pub behind_proxies: Vec<(u16, u16)>,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { nodes: 1, settings: Vec::new(), secure: None, behind_proxies: Vec::new() }
    }
}

/// For the listeners with TLS. Texts are PEM.
#[derive(Debug, Clone)]
pub struct Secure {
    /// The brokers' private key (PKCS#8) and certificate for 127.0.0.1.
    pub key_and_cert: String,
    /// Who signs certificates. The listener without SASL asks clients for one.
    pub ca: String,
    /// May sign in with PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
    pub user: String,
    /// Letters and digits.
    pub password: String,
}

/// A listener of every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    Plain,
    Tls,
    SaslTls,
}

/// A running cluster.
#[derive(Debug)]
pub struct Kafka {
    nodes: Vec<Node>,
    /// `1/`, `2/` … with `server.properties`, `data/` and `log`; certificates beside them.
    _dir: TempDir,
}

#[derive(Debug)]
struct Node {
    server: Server,
    dir: PathBuf,
    ports: Ports,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    controller: u16,
    plain: u16,
    tls: u16,
    sasl_tls: u16,
}

impl Kafka {
    /// The one node that all tests of this program share.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Kafka> = LazyLock::new(|| Kafka::start(&KafkaOptions::default()));
        &SHARED
    }

    /// A new cluster on free loopback ports.
    ///
    /// # Panics
    /// When Java or Maven is missing, or the nodes do not start.
    pub fn start(options: &KafkaOptions) -> Self {
        let dir = scratch::dir("kafka");
        if let Some(secure) = &options.secure {
            fs::write(dir.path().join("broker.pem"), &secure.key_and_cert).expect("a file for certificates");
            fs::write(dir.path().join("ca.pem"), &secure.ca).expect("a file for certificates");
        }
        let port = |_| free_port();
        let ports: Vec<Ports> = (0..options.nodes)
            .map(|node| Ports { controller: port(node), plain: port(node), tls: port(node), sasl_tls: port(node) })
            .collect();
        let start = |index: usize| {
            let node_dir = dir.path().join((index + 1).to_string());
            format(&node_dir, &properties(options, &ports, index, dir.path()), options.secure.as_ref());
            Node { server: serve(&node_dir, ports[index]), dir: node_dir, ports: ports[index] }
        };
        // No node is ready before most of them run.
        let nodes = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..ports.len()).map(|index| scope.spawn(move || start(index))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a node that starts")).collect()
        });
        Self { nodes, _dir: dir }
    }

    /// Addresses to begin with, without TLS.
    pub fn brokers(&self) -> String {
        self.brokers_at(Listener::Plain)
    }

    pub fn brokers_at(&self, listener: Listener) -> String {
        let port = |ports: Ports| match listener {
            Listener::Plain => ports.plain,
            Listener::Tls => ports.tls,
            Listener::SaslTls => ports.sasl_tls,
        };
        let addresses: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", port(node.ports))).collect();
        addresses.join(",")
    }

    /// SIGKILL to a node, counted from 1 as Kafka does.
    pub fn kill(&mut self, node: u32) {
        self.node(node).server.kill();
    }

    /// Starts a killed or stopped node again, on the same ports and data.
    pub fn restart(&mut self, node: u32) {
        let node = self.node(node);
        node.server = serve(&node.dir, node.ports);
    }

    /// An orderly end: leaders move to other nodes first.
    pub fn stop(&mut self, node: u32) {
        self.node(node).server.stop();
    }

    /// SIGSTOP: connections stay, nothing answers.
    pub fn freeze(&mut self, node: u32) {
        self.node(node).server.freeze();
    }

    pub fn thaw(&mut self, node: u32) {
        self.node(node).server.thaw();
    }

    fn node(&mut self, node: u32) -> &mut Node {
        &mut self.nodes[node as usize - 1]
    }
}

/// Kafka's libraries, from Maven Central.
fn libraries() -> PathBuf {
    once("kafka-4.4.0", |dir| {
        require("java", "install Java 17 or newer (Debian and Ubuntu: apt-get install openjdk-17-jre-headless)");
        require("mvn", "install Maven (Debian and Ubuntu: apt-get install maven)");
        let pom = dir.join("pom.xml");
        fs::write(&pom, POM).map_err(|error| error.to_string())?;
        let mut mvn = Command::new("mvn");
        mvn.args(["-B", "-q", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=lib"]);
        run(mvn.arg("-f").arg(pom).current_dir(dir))
    })
}

fn java(main: &str) -> Command {
    let mut java = Command::new("java");
    java.args(JVM).arg("-cp").arg(libraries().join("lib/*")).arg(main);
    java
}

fn format(dir: &Path, properties: &str, secure: Option<&Secure>) {
    fs::create_dir_all(dir).expect("a directory for a node");
    let file = dir.join("server.properties");
    fs::write(&file, properties).expect("a node's settings");
    let mut tool = java("kafka.tools.StorageTool");
    tool.args(["format", "-t", CLUSTER_ID, "-c"]).arg(file);
    if let Some(Secure { user, password, .. }) = secure {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            tool.args(["--add-scram", &format!("{mechanism}=[name={user},password={password}]")]);
        }
    }
    run(&mut tool).unwrap_or_else(|reason| panic!("{reason}"));
}

fn serve(dir: &Path, ports: Ports) -> Server {
    let log = dir.join("log");
    let before = fs::metadata(&log).map_or(0, |log| log.len() as usize);
    let mut kafka = java("kafka.Kafka");
    kafka.arg(dir.join("server.properties")).current_dir(dir);
    let said = log.clone();
    Server::start("kafka", &kafka, &log, move || {
        let text = fs::read(&said).unwrap_or_default();
        let new = text.get(before..).unwrap_or_default();
        String::from_utf8_lossy(new).contains(STARTED) && TcpStream::connect(("127.0.0.1", ports.plain)).is_ok()
    })
}

/// `server.properties` of a node. Later lines win.
fn properties(options: &KafkaOptions, ports: &[Ports], index: usize, dir: &Path) -> String {
    let Ports { controller, plain, tls, sasl_tls } = ports[index];
    let voters: Vec<String> =
        ports.iter().zip(1..).map(|(ports, id)| format!("{id}@127.0.0.1:{}", ports.controller)).collect();
    let copies = options.nodes.min(3);
    let in_sync = if copies > 2 { 2 } else { 1 };
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{plain}");
    if options.secure.is_some() {
        let _ = write!(listeners, ",SSL://127.0.0.1:{tls},SASL_SSL://127.0.0.1:{sasl_tls}");
    }
    let (mut advertised, mut protocols) = (listeners.clone(), String::new());
    for (number, (port, proxy)) in options.behind_proxies.iter().enumerate() {
        let _ = write!(listeners, ",PROXIED{number}://127.0.0.1:{port}");
        let _ = write!(advertised, ",PROXIED{number}://127.0.0.1:{proxy}");
        let _ = write!(protocols, ",PROXIED{number}:PLAINTEXT");
    }
    let mut text = format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={advertised}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL{protocols}
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor={copies}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=3
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.fetch.timeout.ms=1500
controller.quorum.election.timeout.ms=700
num.network.threads=2
num.io.threads=2
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
log.cleaner.dedupe.buffer.size=4194304
",
        id = index + 1,
        voters = voters.join(","),
        data = dir.join((index + 1).to_string()).join("data").display(),
    );
    if let Some(Secure { user, password, .. }) = &options.secure {
        let module = "org.apache.kafka.common.security";
        let _ = write!(
            text,
            "ssl.keystore.type=PEM
ssl.keystore.location={dir}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={dir}/ca.pem
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_{user}=\"{password}\";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
",
            dir = dir.display(),
        );
    }
    for setting in &options.settings {
        let _ = writeln!(text, "{setting}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_node_starts_again() {
        let mut kafka = Kafka::start(&KafkaOptions::default());
        let brokers = kafka.brokers();
        kafka.kill(1);
        assert!(TcpStream::connect(&brokers).is_err());
        kafka.restart(1);
        assert_eq!(kafka.brokers(), brokers);
        assert!(TcpStream::connect(&brokers).is_ok());
    }
}
