//! Connections: accept, bound, serve HTTP/1.1 and HTTP/2 with TLS or without, drain.
//!
//! [`run`] takes a bound listener and a future that ends it, so that the binary passes a signal and a test its own.
//! [`finish`] puts around a router what every listener has: request ids and the log line of an error, panics and
//! unknown paths as problems, and the guards of `--dev` and of client certificates. [`idle`] closes connections on which
//! nothing moves, `handshake` bounds those that do not speak yet, `read_out` lets clients finish before they are refused.

mod handshake;
pub mod idle;
mod read_out;

use std::any::Any;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use http::HeaderValue;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::ServerState;
use crate::auth::refuse_foreign;
use crate::error::{ApiError, Code};
use crate::metrics::Metrics;
use crate::tls::{Peer, TlsListener, peer};
use handshake::{Handshakes, Secured};
use idle::IdleIo;

/// The header that ties an answer to a line of our log.
pub const REQUEST_ID: &str = "x-request-id";

/// What a listener allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeConfig {
    /// Open connections; one more gets a 503 and is closed.
    pub connections_max: usize,
    /// For the first bytes of a connection, and for each request's head.
    pub header_time_max: Duration,
    /// For a TLS handshake.
    pub handshake_time_max: Duration,
    /// TLS handshakes under way; one more pushes the oldest out.
    pub handshakes_max: usize,
    /// A connection on which nothing moves for this long is closed.
    pub idle_time_max: Duration,
    /// HTTP/2 streams of a connection.
    pub streams_max: u32,
    /// For requests under way when the listener ends; connections that are still open then are cut.
    pub drain_time_max: Duration,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            header_time_max: Duration::from_secs(60),
            handshake_time_max: Duration::from_secs(10),
            handshakes_max: 1024,
            idle_time_max: Duration::from_secs(300),
            streams_max: 128,
            drain_time_max: Duration::from_secs(5),
        }
    }
}

/// Serves connections until `shutdown` ends, then stops accepting and lets running requests finish. Each request has
/// the address of its client as the extension `ConnectInfo<SocketAddr>`, and with `tls` the certificate that the client
/// showed, if any, as `Arc<Peer>`.
pub async fn run(
    listener: TcpListener,
    tls: Option<TlsListener>,
    router: Router,
    config: EdgeConfig,
    metrics: Arc<Metrics>,
    shutdown: impl Future<Output = ()>,
) {
    let mut handshakes = tls.map(|tls| Handshakes::new(tls, &config, metrics.clone()));
    let mut server = Server::new(router, config, metrics);
    tokio::pin!(shutdown);
    loop {
        let (stream, address) = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = server.connections.join_next() => continue,
            Some(secured) = next(&mut handshakes) => {
                server.serve(secured.stream, secured.address, secured.peer);
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            },
        };
        // Answers are small and complete when they are written: waiting for more only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        match &mut handshakes {
            Some(handshakes) => handshakes.begin(stream, address),
            None => server.serve(stream, address, None),
        }
    }
    drop((listener, handshakes));
    server.drain().await;
}

async fn next(handshakes: &mut Option<Handshakes>) -> Option<Secured> {
    handshakes.as_mut()?.next().await
}

/// A listener's open connections.
struct Server {
    router: Router,
    config: EdgeConfig,
    metrics: Arc<Metrics>,
    builder: auto::Builder<TokioExecutor>,
    graceful: GracefulShutdown,
    slots: Arc<Semaphore>,
    connections: JoinSet<()>,
}

impl Server {
    fn new(router: Router, config: EdgeConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            router,
            builder: builder(&config),
            graceful: GracefulShutdown::new(),
            slots: Arc::new(Semaphore::new(config.connections_max)),
            connections: JoinSet::new(),
            config,
            metrics,
        }
    }

    fn serve<S>(&mut self, stream: S, address: SocketAddr, peer: Option<Arc<Peer>>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            self.metrics.connection_refused();
            tokio::spawn(refuse(stream));
            return;
        };
        let stream = IdleIo::new(stream, self.config.header_time_max, self.config.idle_time_max);
        let service = self.router.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(address));
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            request
        });
        let service = TowerToHyperService::new(service);
        let connection = self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = self.graceful.watch(connection);
        let open = Open::new(self.metrics.clone());
        self.connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
            drop((slot, open));
        });
    }

    async fn drain(mut self) {
        if tokio::time::timeout(self.config.drain_time_max, self.graceful.shutdown()).await.is_err() {
            let connections = self.connections.len();
            tracing::warn!(connections, "requests were cut: they took longer than the drain allows");
        }
        self.connections.shutdown().await;
    }
}

fn builder(config: &EdgeConfig) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(config.header_time_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.streams_max)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Out of file descriptors, accepting again at once would spin; a client that hung up is nothing.
async fn pause_after(error: &io::Error) {
    let gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !gone {
        tracing::error!(%error, "a connection can't be accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Tells a client over the limit so, instead of leaving it in the kernel's queue.
async fn refuse(mut stream: impl AsyncWrite + Unpin) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
        retry-after: 1\r\nconnection: close\r\ncontent-length: 84\r\n\r\n\
        {\"status\":503,\"code\":\"unavailable\",\"title\":\"Too many connections\",\"retry_after\":1  }";
    let answer = async {
        stream.write_all(ANSWER).await?;
        stream.shutdown().await
    };
    let written = tokio::time::timeout(Duration::from_secs(1), answer).await;
    tracing::debug!(sent = written.is_ok(), "connection over the limit");
}

/// Counts an open connection for as long as it lives.
#[derive(Debug)]
struct Open(Arc<Metrics>);

impl Open {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.connection_opened();
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

/// Puts around a listener's routes what every listener has: problems for unknown paths and methods, and [`wrap`].
/// Call it once, last.
pub fn finish(router: Router, state: &ServerState) -> Router {
    wrap(router.fallback(not_found).method_not_allowed_fallback(method_not_allowed), state)
}

/// Puts around a router the guards of `--dev` and of client certificates, the net under panics, request ids and the log.
/// One layer does it all: each costs every request some allocations and copies.
pub fn wrap(router: Router, state: &ServerState) -> Router {
    router.layer(from_fn_with_state(Around::new(state.auth.is_open()), around))
}

async fn not_found(request: Request) -> ApiError {
    ApiError::new(Code::NotFound, format!("there is nothing at `{}`", request.uri().path()))
}

async fn method_not_allowed(request: Request) -> ApiError {
    ApiError::new(Code::MethodNotAllowed, format!("`{}` does not take {}", request.uri().path(), request.method()))
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    ApiError::internal(format!("panic: {}", message.unwrap_or_default())).into_response()
}

/// What [`around`] knows.
#[derive(Debug, Clone)]
struct Around {
    loopback_only: bool,
    /// Request ids are unique in the process, and unlikely to meet another process's.
    next_id: Arc<AtomicU64>,
}

impl Around {
    fn new(loopback_only: bool) -> Self {
        Self { loopback_only, next_id: Arc::new(AtomicU64::new(getrandom::u64().unwrap_or_default())) }
    }

    fn refuse(&self, request: &Request) -> Option<Response> {
        let foreign = || refuse_foreign(request).map(ApiError::into_response);
        peer::refuse(request).or_else(|| if self.loopback_only { foreign() } else { None })
    }
}

/// Gives each answer an id, and writes the log line of one that is an error.
async fn around(State(around): State<Around>, request: Request<Body>, next: Next) -> Response {
    let id = format!("{:016x}", around.next_id.fetch_add(1, Ordering::Relaxed));
    let started = Instant::now();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = match around.refuse(&request) {
        Some(refusal) => refusal,
        None => {
            let answer = AssertUnwindSafe(read_out::run(request, next)).catch_unwind();
            answer.await.unwrap_or_else(|panic| panicked(&*panic))
        }
    };
    if let Some(error) = response.extensions().get::<Arc<ApiError>>() {
        let (code, status, path) = (error.code().as_str(), error.status().as_u16(), uri.path());
        let (detail, internal) = (error.detail(), error.internal_message().unwrap_or_default());
        let elapsed_ms = started.elapsed().as_millis() as u64;
        if error.code() == Code::Internal {
            tracing::error!(id, %method, path, status, code, detail, internal, elapsed_ms, "request failed");
        } else if error.status().is_server_error() {
            tracing::warn!(id, %method, path, status, code, detail, internal, elapsed_ms, "request failed");
        } else {
            tracing::debug!(id, %method, path, status, code, detail, internal, elapsed_ms, "request refused");
        }
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests;
