//! Starts the real binary on free ports in a folder of its own, and stops it.

use std::path::Path;
use std::process::Stdio;
use std::sync::Once;
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// How long a server may take to say that it is ready, and a test may wait for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running server; killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) collector: String,
    pub(crate) grpc: String,
    pub(crate) api: String,
    pub(crate) ops: String,
    /// The whole line that the server printed when it was ready.
    pub(crate) ready: Value,
    pub(crate) http: reqwest::Client,
    /// The key of live tails.
    pub(crate) key: Option<String>,
}

/// Held by tests that take the whole machine, or that other tests of the kind would starve.
pub(crate) async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    MACHINE.lock().await
}

/// What a server is started with.
pub(crate) struct Options<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) arguments: &'a [&'a str],
    pub(crate) environment: &'a [(&'a str, &'a str)],
}

impl<'a> Options<'a> {
    /// In development mode: no keys.
    pub(crate) fn dev(dir: &'a Path) -> Self {
        Self { dir, arguments: &["--dev"], environment: &[] }
    }
}

pub(crate) fn http() -> reqwest::Client {
    client_builder().build().expect("an HTTP client")
}

/// A client that sends a key with each request, unless the request has one.
pub(crate) fn http_with_key(key: &str) -> reqwest::Client {
    let value = format!("Bearer {key}").parse().expect("a header's value");
    let headers = [(reqwest::header::AUTHORIZATION, value)].into_iter().collect();
    client_builder().default_headers(headers).build().expect("an HTTP client")
}

fn client_builder() -> reqwest::ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder().timeout(PATIENCE)
}

/// The binary with free ports and no settings of the caller's environment.
pub(crate) fn devlogs() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_devlogs"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DEVLOGS_")) {
        command.env_remove(name);
    }
    command.kill_on_drop(true);
    command
}

pub(crate) fn serve(options: &Options<'_>) -> Command {
    let mut command = devlogs();
    command.arg("serve").arg("--data-dir").arg(options.dir).args(options.arguments);
    for key in ["COLLECTOR__LISTEN", "COLLECTOR__GRPC_LISTEN", "API__LISTEN", "OPS__LISTEN"] {
        command.env(format!("DEVLOGS_{key}"), "127.0.0.1:0");
    }
    command.env("DEVLOGS_LOG__FILTER", "warn");
    command.envs(options.environment.iter().copied());
    command
}

impl Server {
    pub(crate) async fn start(options: Options<'_>) -> Self {
        Self::try_start(options).await.expect("the server starts")
    }

    /// None when the process ends before it is ready.
    pub(crate) async fn try_start(options: Options<'_>) -> Option<Self> {
        let mut child = serve(&options).stdout(Stdio::piped()).spawn().expect("the binary runs");
        let stdout = child.stdout.take().expect("piped");
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line))
            .await
            .expect("ready in time")
            .expect("readable");
        if line.is_empty() {
            return None;
        }
        let ready: Value = serde_json::from_str(&line).expect("one line of JSON");
        assert_eq!(ready["ready"], true);
        let url = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        Some(Self {
            child,
            collector: url("collector"),
            grpc: url("grpc"),
            api: url("api"),
            ops: url("ops"),
            ready,
            http: http(),
            key: None,
        })
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// SIGTERM; returns how long the process took, and its exit code.
    pub(crate) async fn stop(mut self) -> (Duration, Option<i32>) {
        let since = Instant::now();
        let pid = rustix::process::Pid::from_raw(self.child.id().expect("running") as i32).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("stops in time").expect("waited");
        (since.elapsed(), status.code())
    }

    pub(crate) async fn ingest(&self, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request = self.http.post(format!("{}/v1/ingest", self.collector));
        answer(request.header("content-type", "application/json").body(body)).await
    }

    pub(crate) async fn get(&self, path_and_query: &str) -> (u16, Value) {
        answer(self.http.get(format!("{}{path_and_query}", self.api))).await
    }

    /// Records that match in all of time, newest first.
    pub(crate) async fn search(&self, query: &str) -> Vec<Value> {
        let search = json!({ "q": query, "from": 0, "to": "2262-01-01T00:00:00Z", "limit": 10_000 });
        let request = self.http.post(format!("{}/api/v1/search", self.api)).json(&search);
        let (status, body) = answer(request).await;
        assert_eq!(status, 200, "{body}");
        body["records"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until a search finds this many records.
    pub(crate) async fn search_until(&self, query: &str, count: usize) -> Vec<Value> {
        let since = Instant::now();
        loop {
            let records = self.search(query).await;
            if records.len() >= count {
                return records;
            }
            assert!(since.elapsed() < PATIENCE, "{} of {count} records match {query:?}", records.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Status and JSON body (null when it is none).
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Runs a client command to its end: exit code, standard output, standard error.
pub(crate) async fn client(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = devlogs()
        .args(arguments)
        .env("DEVLOGS_URL", &server.api)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the binary runs");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

pub(crate) type Tail = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// A live tail that is in force.
pub(crate) async fn tail(server: &Server, query: &str) -> Tail {
    let url = format!("{}/api/v1/tail", server.api.replacen("http", "ws", 1));
    let mut request = url.into_client_request().expect("an address");
    if let Some(key) = &server.key {
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().expect("a header's value"));
    }
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("connected");
    socket.send(Message::text(json!({ "q": query }).to_string())).await.expect("sent");
    assert_eq!(next_frame(&mut socket).await["type"], "ready");
    socket
}

/// The next frame of a live tail.
pub(crate) async fn next_frame(socket: &mut Tail) -> Value {
    loop {
        let message =
            tokio::time::timeout(PATIENCE, socket.next()).await.expect("in time").expect("open").expect("whole");
        if let Message::Text(text) = message {
            return serde_json::from_str(&text).expect("JSON");
        }
    }
}
