//! The example applications ship what they log, with standard libraries only.
//!
//! `scripts/test` installs what they need (Node packages, a Python environment) and builds the Rust one.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::harness::{Options, PATIENCE, Server, folder};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

#[tokio::test(flavor = "multi_thread")]
async fn node_with_pino() {
    let mut command = Command::new("node");
    command.arg("server.js").current_dir(examples().join("node-pino"));
    let server = Example::new(command, "checkout").await;
    server.visit("GET", "/", 200).await;
    server.visit("POST", "/orders", 201).await;
    server.visit("GET", "/fail", 500).await;
    let found = server.found("service:checkout level:error http.status_code:500", 1).await;
    assert_eq!(found[0]["message"], "GET /fail 500");
    server.found("service:checkout \"POST /orders\" http.method:POST level:info duration_ms>=0", 1).await;
    server.found("service:checkout \"order accepted\" level:debug", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_with_opentelemetry() {
    let folder = examples().join("python-otel");
    let mut command = Command::new(folder.join(".venv/bin/python"));
    command.arg("server.py").current_dir(&folder);
    let server = Example::new(command, "billing").await;
    server.visit("GET", "/invoices/1", 200).await;
    server.visit("GET", "/invoices/0", 500).await;
    server.visit("GET", "/nowhere", 404).await;
    let found =
        server.found("service:billing level:error http.status_code:500 exception.type:ZeroDivisionError", 1).await;
    assert_eq!(found[0]["message"], "invoice 0 has no lines");
    server.found("service:billing rendered invoice:1 resource.service.version:\"1.0.0\"", 1).await;
    server.found("service:billing level:warn \"no page\"", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_with_tracing() {
    let binary = Path::new(env!("CARGO_BIN_EXE_devlogs")).with_file_name("example-rust-tracing");
    let server = Example::new(Command::new(binary), "inventory").await;
    server.visit("GET", "/items/5", 200).await;
    server.visit("GET", "/items/5000", 404).await;
    server.visit("POST", "/items/7/reserve", 409).await;
    let found = server.found("service:inventory level:error item.id:7", 1).await;
    assert_eq!(found[0]["message"], "reservation failed: out of stock");
    server.found("service:inventory level:warn \"no such item\" http.status_code:404", 1).await;
}

/// An example application and the server that it ships to.
struct Example {
    devlogs: Server,
    application: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Example {
    async fn new(mut command: Command, name: &str) -> Self {
        let dir = folder();
        let devlogs = Server::start(Options::dev(dir.path())).await;
        let port = free_port();
        let endpoint = if name == "inventory" { &devlogs.grpc } else { &devlogs.collector };
        let application = command
            .env("PORT", port.to_string())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env("OTEL_BLRP_SCHEDULE_DELAY", "100")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}; scripts/test installs what it needs"));
        let example = Self { devlogs, application, port, _dir: dir };
        example.found(&format!("service:{name} \"{name} listens\""), 1).await;
        example
    }

    async fn visit(&self, method: &str, path: &str, status: u16) {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let method = method.parse().expect("a method");
        let answer = self.devlogs.http.request(method, url).send().await.expect("the application answers");
        assert_eq!(answer.status().as_u16(), status, "{path}");
    }

    async fn found(&self, query: &str, count: usize) -> Vec<serde_json::Value> {
        let since = Instant::now();
        loop {
            let records = self.devlogs.search(query).await;
            if records.len() >= count {
                return records;
            }
            if since.elapsed() > PATIENCE {
                let all = self.devlogs.search("").await;
                let running = self.application.id();
                panic!("{query:?} finds nothing (application {running:?}); all there is: {all:#?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}
