//! Sends records: large requests as fast as they are taken, and small ones over many connections.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use reqwest::Client;

/// How a body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Plain,
    Zstd,
}

/// What sending came to.
#[derive(Debug)]
pub struct Sent {
    pub requests: u64,
    pub wall: Duration,
    /// Microseconds from the first byte sent to the last of the answer.
    pub latency: Histogram<u64>,
}

impl Sent {
    /// Milliseconds.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// Cuts NDJSON into bodies of about `bytes` at line ends.
///
/// # Errors
/// The file can't be read.
pub fn bodies(file: &Path, bytes: usize, encoding: Encoding) -> anyhow::Result<Vec<Bytes>> {
    let text = Bytes::from(std::fs::read(file).with_context(|| file.display().to_string())?);
    let mut bodies = Vec::new();
    let mut from = 0;
    while from < text.len() {
        let to = (from + bytes).min(text.len());
        let to = text[to..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| to + at + 1);
        bodies.push(encode(text.slice(from..to), encoding)?);
        from = to;
    }
    Ok(bodies)
}

/// Bodies of exactly `records` lines, at most `count` of them.
///
/// # Errors
/// The file can't be read.
pub fn small_bodies(file: &Path, records: usize, count: usize) -> anyhow::Result<Vec<Bytes>> {
    let text = Bytes::from(std::fs::read(file).with_context(|| file.display().to_string())?);
    let mut bodies = Vec::new();
    let (mut from, mut lines) = (0, 0);
    for (at, byte) in text.iter().enumerate() {
        if *byte == b'\n' {
            lines += 1;
            if lines == records {
                bodies.push(text.slice(from..=at));
                (from, lines) = (at + 1, 0);
                if bodies.len() == count {
                    break;
                }
            }
        }
    }
    Ok(bodies)
}

fn encode(body: Bytes, encoding: Encoding) -> anyhow::Result<Bytes> {
    Ok(match encoding {
        Encoding::Plain => body,
        Encoding::Zstd => Bytes::from(zstd::encode_all(&body[..], 1)?),
    })
}

/// Posts each body once, over `connections` at a time. Refusals with `Retry-After` are tried again.
///
/// # Errors
/// A request is refused for good.
pub async fn send(
    url: String,
    bodies: Arc<Vec<Bytes>>,
    connections: usize,
    encoding: Encoding,
) -> anyhow::Result<Sent> {
    let next = Arc::new(AtomicUsize::new(0));
    let since = Instant::now();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (url, bodies, next) = (url.clone(), bodies.clone(), next.clone());
        // A client of its own each: one connection.
        senders.spawn(async move {
            let client = Client::builder().pool_max_idle_per_host(1).no_proxy().build()?;
            let mut latency = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3)?;
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                latency.saturating_record(post(&client, &url, body, encoding).await?.as_micros() as u64);
            }
            anyhow::Ok(latency)
        });
    }
    let mut latency = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3)?;
    while let Some(done) = senders.join_next().await {
        latency.add(done??)?;
    }
    Ok(Sent { requests: bodies.len() as u64, wall: since.elapsed(), latency })
}

async fn post(client: &Client, url: &str, body: &Bytes, encoding: Encoding) -> anyhow::Result<Duration> {
    loop {
        let mut request = client.post(url).header("content-type", "application/x-ndjson").body(body.clone());
        if encoding == Encoding::Zstd {
            request = request.header("content-encoding", "zstd");
        }
        let since = Instant::now();
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if status == 429 || status == 503 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        ensure!(status.is_success(), "{status}: {text}");
        return Ok(since.elapsed());
    }
}
