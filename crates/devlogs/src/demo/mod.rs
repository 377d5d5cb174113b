//! `serve --demo`: three simulated web applications, so that a new user sees a living dashboard.
//!
//! They are clients like any other: [`shop`] makes orders that pass through all three, and each application sends its
//! own lines over HTTP to the collector in a format of its own. On an empty store they first fill the last hour.

mod lines;
mod shop;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

use shop::Shop;

/// How far back an empty store is filled.
const HISTORY: Duration = Duration::from_secs(3600);
/// How often the applications send.
const TICK: Duration = Duration::from_millis(400);
/// Records in a request while the history is filled.
const HISTORY_BATCH: usize = 2_000;

/// Where the applications send.
#[derive(Debug, Clone)]
pub struct Target {
    /// Such as `http://127.0.0.1:4318`.
    pub collector: String,
    pub key: Option<String>,
}

/// Runs the applications until they are told to stop. `fill`: begin with the last hour.
///
/// # Errors
/// The collector refused the lines; while it is only out of reach, they wait.
pub async fn run(target: Target, fill: bool, stop: CancellationToken) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().context("no HTTP client")?;
    let mut shop = Shop::new(fastrand::u64(..));
    let mut clock = now();
    if fill {
        clock -= HISTORY.as_nanos() as i64;
    }
    let mut lines = Vec::new();
    while !stop.is_cancelled() {
        let behind = now() - clock > TICK.as_nanos() as i64 * 2;
        clock += TICK.as_nanos() as i64;
        shop.tick(clock, TICK, &mut lines);
        if behind && lines.len() < HISTORY_BATCH {
            continue;
        }
        for (path, content_type, body) in lines::requests(&std::mem::take(&mut lines)) {
            post(&client, &target, path, content_type, body, &stop).await?;
        }
        if !behind {
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = stop.cancelled() => {}
            }
        }
    }
    Ok(())
}

async fn post(
    client: &reqwest::Client,
    target: &Target,
    path: &str,
    content_type: &str,
    body: String,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    // One key for all attempts: a repeated request stores nothing twice.
    let key = format!("demo-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    loop {
        let mut request = client
            .post(format!("{}{path}", target.collector))
            .header("content-type", content_type)
            .header("idempotency-key", &key)
            .body(body.clone());
        if let Some(key) = &target.key {
            request = request.bearer_auth(key);
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) if answer.status().is_client_error() && answer.status() != 429 => {
                bail!("the collector refused the demo's lines: {}", answer.text().await.unwrap_or_default());
            }
            _ => tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = stop.cancelled() => return Ok(()),
            },
        }
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as i64)
}
