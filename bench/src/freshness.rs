//! How soon a record is there: sent → searchable, acknowledged → live tail.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::target::Target;

const POLL: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(20);

/// Microseconds.
#[derive(Debug)]
pub struct Freshness {
    pub searchable: Histogram<u64>,
    pub tail: Histogram<u64>,
}

/// Sends `probes` records one after the other.
///
/// # Errors
/// A record does not come.
pub async fn measure(target: &Target, probes: usize) -> anyhow::Result<Freshness> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let tail_url = format!("{}/api/v1/tail", target.api.replacen("http", "ws", 1));
    let (mut tail, _) = tokio_tungstenite::connect_async(tail_url).await.context("no live tail")?;
    tail.send(Message::text(json!({"q": "service:freshness-probe"}).to_string())).await?;
    let mut searchable = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    let mut in_tail = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    wait_for(&mut tail, |frame| frame["type"] == "ready").await?;
    for _ in 0..probes {
        let id = format!("{:016x}", fastrand::u64(..));
        let record = json!({"service": "freshness-probe", "message": format!("probe {id}")});
        let sent = Instant::now();
        let answer = client.post(format!("{}/v1/ingest", target.collector)).json(&record).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        let acknowledged = Instant::now();
        let is_there = |frame: &Value| {
            let records = frame["records"].as_array();
            records
                .is_some_and(|all| all.iter().any(|one| one["message"].as_str().is_some_and(|text| text.contains(&id))))
        };
        let (seen, found) = tokio::join!(
            async {
                wait_for(&mut tail, is_there).await?;
                anyhow::Ok(acknowledged.elapsed())
            },
            async {
                wait_until_searchable(&client, &target.api, &id).await?;
                anyhow::Ok(sent.elapsed())
            }
        );
        in_tail.saturating_record(seen?.as_micros().max(1) as u64);
        searchable.saturating_record(found?.as_micros() as u64);
    }
    Ok(Freshness { searchable, tail: in_tail })
}

type Tail = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn wait_for(tail: &mut Tail, is_there: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
    let seen = async {
        while let Some(frame) = tail.next().await {
            if let Message::Text(text) = frame?
                && is_there(&serde_json::from_str(&text)?)
            {
                return Ok(());
            }
        }
        anyhow::bail!("the live tail ended")
    };
    tokio::time::timeout(PATIENCE, seen).await.context("it does not come in the live tail")?
}

async fn wait_until_searchable(client: &reqwest::Client, api: &str, id: &str) -> anyhow::Result<()> {
    let question = json!({"q": format!("service:freshness-probe {id}"), "from": "-5m", "limit": 1});
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        let answer = client.post(format!("{api}/api/v1/search")).json(&question).send().await?;
        let answer: Value = serde_json::from_str(&answer.text().await?)?;
        if answer["records"].as_array().is_some_and(|records| !records.is_empty()) {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    anyhow::bail!("it does not become searchable")
}
