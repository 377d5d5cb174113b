use axum::Extension;
use axum::routing::{get, post};
use prometheus_client::registry::Registry;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::auth::Auth;
use crate::ops::Health;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn state() -> ServerState {
    ServerState {
        auth: Arc::new(Auth::Open),
        metrics: Arc::new(Metrics::register(&mut Registry::default())),
        health: Arc::new(Health::default()),
    }
}

async fn start(config: EdgeConfig) -> Running {
    let routes = Router::new()
        .route("/ok", get(|| async { "ok" }))
        .route("/panic", get(panic_on_purpose))
        .route("/whoami", get(name_client))
        .route("/echo", post(|body: String| async { body }))
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "done"
            }),
        );
    let state = state();
    let router = finish(routes, &state);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(run(listener, None, router, config, state.metrics, async {
        stopped.await.ok();
    }));
    Running { address, stop, task }
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn unknown_paths_wrong_methods_and_panics_are_problems() {
    let server = start(EdgeConfig::default()).await;
    assert!(exchange(server.address, &request("GET", "/ok")).await.ends_with("\r\n\r\nok"));
    for (method, path, status, code) in [
        ("GET", "/nothing", "404", "not_found"),
        ("GET", "/loki/api/v1/push", "404", "not_found"),
        ("DELETE", "/ok", "405", "method_not_allowed"),
        ("GET", "/panic", "500", "internal"),
    ] {
        let answer = exchange(server.address, &request(method, path)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{answer}");
        assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
        assert!(answer.contains("x-request-id: "), "{answer}");
        assert!(!answer.contains("on purpose"), "{answer}");
    }
    let foreign = exchange(server.address, "GET /ok HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").await;
    assert!(foreign.starts_with("HTTP/1.1 403 "), "{foreign}");
}

/// As clients do that send everything before they read: curl does not, most libraries do.
#[tokio::test]
async fn a_client_that_is_refused_may_send_its_body_to_the_end_first() {
    const BODY_BYTES: usize = 20 << 20;
    let server = start(EdgeConfig::default()).await;
    for (path, status) in [("/nothing", "404"), ("/echo", "413")] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {BODY_BYTES}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; BODY_BYTES]).await.unwrap();
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), format!("HTTP/1.1 {status}"));
    }
    // Who asks before sending is told at once.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /nothing HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 404");
}

#[tokio::test]
async fn requests_know_the_address_of_their_client() {
    let server = start(EdgeConfig::default()).await;
    for client in ["127.0.0.1:0", "127.0.0.2:0"] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(client.parse().unwrap()).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        let own = stream.local_addr().unwrap();
        stream.write_all(request("GET", "/whoami").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with(&format!("\r\n\r\n{own}")), "{answer}");
    }
}

#[tokio::test]
async fn a_drain_finishes_what_runs_and_takes_nothing_new() {
    let server = start(EdgeConfig::default()).await;
    let running = tokio::spawn(exchange(server.address, "GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    // A connection that asks nothing must not hold the drain up.
    let idle = TcpStream::connect(server.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    server.stop.send(()).unwrap();
    assert!(running.await.unwrap().ends_with("done"));
    server.task.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(TcpStream::connect(server.address).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_cut() {
    let config = EdgeConfig { drain_time_max: Duration::from_millis(100), ..EdgeConfig::default() };
    let server = start(config).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nab").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(2), server.task).await.expect("the drain is bounded").unwrap();
}

#[tokio::test]
async fn connections_over_the_limit_are_told_so() {
    let server = start(EdgeConfig { connections_max: 1, ..EdgeConfig::default() }).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"GET /ok HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    first.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let mut second = TcpStream::connect(server.address).await.unwrap();
    let mut answer = String::new();
    second.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    serde_json::from_str::<serde_json::Value>(body).unwrap();
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let config = EdgeConfig {
        header_time_max: Duration::from_millis(100),
        idle_time_max: Duration::from_millis(200),
        ..EdgeConfig::default()
    };
    let server = start(config).await;
    for sent in [
        "",
        "GE",
        "PRI * HT",
        "GET /ok HTTP/1.1\r\nhost: loc",
        "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nab",
    ] {
        let closed = tokio::time::timeout(Duration::from_secs(2), exchange(server.address, sent)).await;
        assert!(closed.is_ok(), "{sent:?} kept the connection open");
    }
}

async fn panic_on_purpose() -> &'static str {
    panic!("on purpose")
}

async fn name_client(Extension(ConnectInfo(address)): Extension<ConnectInfo<SocketAddr>>) -> String {
    address.to_string()
}
