//! A real TimescaleDB: PostgreSQL 17 and the extension, compiled to WebAssembly, behind a bridge that speaks the wire
//! protocol (`timescale/bridge.mjs` says what it can't do). Slow, one session: for SQL, not for load.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::install::{once, require, run};
use crate::postgres::psql;
use crate::process::{Server, free_port};
use crate::scratch;

const PACKAGE: &str = include_str!("../timescale/package.json");
const BRIDGE: &str = include_str!("../timescale/bridge.mjs");

/// Names the version, so that another one is installed anew.
const INSTALL: &str = "timescaledb-0.3.14-1";
const ADVICE: &str = "install Node.js 20 or newer with npm";

/// A running TimescaleDB with one database.
#[derive(Debug)]
pub struct Timescale {
    server: Server,
    port: u16,
    dir: TempDir,
}

impl Timescale {
    /// A new one with an empty database, on a free loopback port; about 3 s.
    ///
    /// # Panics
    /// When Node.js or the npm package can't be had, or it does not start.
    pub fn start() -> Self {
        let dir = scratch::dir("timescale");
        let copy = run(Command::new("cp").arg("-a").arg(prepared()).arg(dir.path().join("data")));
        copy.unwrap_or_else(|reason| panic!("{reason}"));
        let port = free_port();
        Self { server: serve(&installed(), &dir.path().join("data"), port, &dir.path().join("log")), port, dir }
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Runs SQL and returns what it answers: a line a row, `|` between columns.
    ///
    /// # Panics
    /// When it fails.
    pub fn psql(&self, sql: &str) -> String {
        psql(&self.url(), None, sql)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts a killed one again, on the same port and data.
    pub fn restart(&mut self) {
        let dir = self.dir.path();
        self.server = serve(&installed(), &dir.join("data"), self.port, &dir.join("log"));
    }
}

fn serve(program: &Path, data: &Path, port: u16, log: &Path) -> Server {
    let mut node = Command::new("node");
    node.current_dir(program).arg("bridge.mjs").arg(data).arg(port.to_string());
    Server::start("timescaledb", &node, log, || TcpStream::connect(("127.0.0.1", port)).is_ok())
}

/// The npm package; the bridge stands beside it, as it is in this build.
fn installed() -> PathBuf {
    require("node", ADVICE);
    require("npm", ADVICE);
    let dir = once(INSTALL, |dir| {
        fs::write(dir.join("package.json"), PACKAGE).map_err(|error| error.to_string())?;
        run(Command::new("npm").current_dir(dir).args(["install", "--no-audit", "--no-fund"]))
    });
    let bridge = dir.join("bridge.mjs");
    if fs::read(&bridge).ok().as_deref() != Some(BRIDGE.as_bytes()) {
        let new = dir.join(format!("bridge.{}", std::process::id()));
        fs::write(&new, BRIDGE).and_then(|()| fs::rename(&new, &bridge)).expect("a copy of the bridge");
    }
    dir
}

/// An empty database with the extension, made once, since that takes 8 to 14 s.
fn prepared() -> PathBuf {
    let program = installed();
    let dir = once(&format!("{INSTALL}-data"), |dir| {
        let mut server = serve(&program, &dir.join("data"), free_port(), &dir.join("log"));
        server.stop();
        Ok(())
    });
    dir.join("data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hypertable_survives_a_kill() {
        let mut server = Timescale::start();
        server.psql("CREATE TABLE kept (at timestamptz NOT NULL, n int)");
        server.psql("SELECT create_hypertable('kept', by_range('at', interval '1 day'))");
        server.psql("INSERT INTO kept SELECT now() - n * interval '1 hour', n FROM generate_series(1, 100) AS n");
        server.kill();
        server.restart();
        assert_eq!(server.psql("SELECT sum(n) FROM kept"), "5050");
        let chunks: u32 = server.psql("SELECT count(*) FROM show_chunks('kept')").parse().expect("a number");
        assert!(chunks >= 5, "{chunks} chunks");
    }
}
