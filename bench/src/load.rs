//! Sends requests: large ones as fast as they are taken, and small ones over many connections.
//!
//! One HTTP/1.1 connection for each sender, without a pool or redirects around it, so that the generator is far from
//! being the bottleneck; [`crate::null`] tells how far.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::process;

const RETRY_AFTER: Duration = Duration::from_millis(20);
const LATENCY_MAX_MICROS: u64 = 600_000_000;

/// Where and how requests are sent.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `HOST:PORT`.
    authority: String,
    path: String,
    content_type: &'static str,
    encoding: Option<&'static str>,
}

impl Endpoint {
    /// # Errors
    /// `url` is not `http://HOST:PORT/…`.
    pub fn new(url: &str, content_type: &'static str, encoding: Option<&'static str>) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").with_context(|| format!("{url} does not begin with http://"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Ok(Self { authority: authority.to_owned(), path: path.to_owned(), content_type, encoding })
    }
}

/// What sending came to.
#[derive(Debug)]
pub struct Sent {
    pub requests: u64,
    /// Bodies as sent.
    pub bytes: u64,
    /// Requests that were refused for the moment and sent again.
    pub retries: u64,
    pub wall: Duration,
    /// Of this program while it sent.
    pub own_cpu: f64,
    /// Microseconds from the first byte sent to the last of the answer, retries included.
    pub latency: Histogram<u64>,
}

impl Sent {
    /// Milliseconds.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// Posts each body once, over so many connections.
///
/// # Errors
/// A request is refused for good.
pub async fn send(endpoint: &Endpoint, bodies: &Arc<Vec<Bytes>>, connections: usize) -> anyhow::Result<Sent> {
    let run = Run::default();
    let started = Started::now()?;
    let senders = run.start(endpoint, bodies, connections, false).await?;
    finish(senders, &run, &started).await
}

/// Sends that go on until they are stopped.
#[derive(Debug)]
pub struct Background {
    run: Run,
    started: Started,
    senders: Senders,
}

impl Background {
    /// Posts the bodies over and over.
    ///
    /// # Errors
    /// The server can't be reached.
    pub async fn start(endpoint: &Endpoint, bodies: &Arc<Vec<Bytes>>, connections: usize) -> anyhow::Result<Self> {
        let run = Run::default();
        let started = Started::now()?;
        let senders = run.start(endpoint, bodies, connections, true).await?;
        Ok(Self { run, started, senders })
    }

    /// # Errors
    /// A request was refused for good.
    pub async fn stop(self) -> anyhow::Result<Sent> {
        self.run.stop.store(true, Ordering::Relaxed);
        finish(self.senders, &self.run, &self.started).await
    }
}

type Senders = JoinSet<anyhow::Result<Histogram<u64>>>;

#[derive(Debug)]
struct Started {
    at: Instant,
    own_cpu: f64,
}

impl Started {
    fn now() -> anyhow::Result<Self> {
        Ok(Self { at: Instant::now(), own_cpu: process::own_cpu_seconds()? })
    }
}

/// What the senders of a run share.
#[derive(Debug, Clone, Default)]
struct Run {
    next: Arc<AtomicUsize>,
    bytes: Arc<AtomicU64>,
    retries: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Run {
    async fn start(
        &self,
        endpoint: &Endpoint,
        bodies: &Arc<Vec<Bytes>>,
        connections: usize,
        again: bool,
    ) -> anyhow::Result<Senders> {
        ensure!(!bodies.is_empty(), "there is nothing to send");
        let mut senders = JoinSet::new();
        for _ in 0..connections {
            let connection = Connection::open(endpoint).await?;
            senders.spawn(self.clone().send(connection, bodies.clone(), again));
        }
        Ok(senders)
    }

    async fn send(
        self,
        mut connection: Connection,
        bodies: Arc<Vec<Bytes>>,
        again: bool,
    ) -> anyhow::Result<Histogram<u64>> {
        let mut latency = histogram()?;
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let number = if again { number % bodies.len() } else { number };
            let Some(body) = bodies.get(number) else { break };
            let since = Instant::now();
            while !connection.post(body).await? {
                self.retries.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(RETRY_AFTER).await;
            }
            latency.saturating_record(since.elapsed().as_micros() as u64);
            self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        }
        Ok(latency)
    }
}

async fn finish(mut senders: Senders, run: &Run, started: &Started) -> anyhow::Result<Sent> {
    let mut latency = histogram()?;
    while let Some(done) = senders.join_next().await {
        latency.add(done??)?;
    }
    Ok(Sent {
        requests: latency.len(),
        bytes: run.bytes.load(Ordering::Relaxed),
        retries: run.retries.load(Ordering::Relaxed),
        wall: started.at.elapsed(),
        own_cpu: process::own_cpu_seconds()? - started.own_cpu,
        latency,
    })
}

/// For microseconds.
///
/// # Errors
/// Never: the bounds are constants.
pub fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3)?)
}

struct Connection {
    endpoint: Endpoint,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        Ok(Self { endpoint: endpoint.clone(), sender: connect(&endpoint.authority).await? })
    }

    /// False when the server wants it later.
    async fn post(&mut self, body: &Bytes) -> anyhow::Result<bool> {
        if self.sender.ready().await.is_err() {
            self.sender = connect(&self.endpoint.authority).await?;
        }
        let mut request = Request::post(&self.endpoint.path)
            .header(header::HOST, &self.endpoint.authority)
            .header(header::CONTENT_TYPE, self.endpoint.content_type);
        if let Some(encoding) = self.endpoint.encoding {
            request = request.header(header::CONTENT_ENCODING, encoding);
        }
        let answer = self.sender.send_request(request.body(Full::new(body.clone()))?).await?;
        let status = answer.status();
        let text = answer.into_body().collect().await?.to_bytes();
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            return Ok(false);
        }
        ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&text));
        Ok(true)
    }
}

async fn connect(authority: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(authority).await.with_context(|| format!("can't reach {authority}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
