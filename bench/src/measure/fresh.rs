//! How soon a record is there: sent → searchable, acknowledged → live tail; alone and beside full ingest.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::Bench;
use crate::BULK_BYTES;
use crate::corpus::Form;
use crate::engine::{Engine, Kind};
use crate::load::{self, Background};
use crate::report::{Report, Section};
use crate::target::Target;

const POLL: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(30);
/// For the senders to fill the server's buffers.
const WARM_UP: Duration = Duration::from_secs(2);

/// Microseconds.
#[derive(Debug)]
struct Freshness {
    acknowledged: Histogram<u64>,
    searchable: Histogram<u64>,
    tail: Histogram<u64>,
}

/// # Errors
/// A record does not come.
pub async fn measure(bench: &Bench, report: &mut Report, target: &Target) -> anyhow::Result<()> {
    let columns = ["server", "what", "p50 ms", "p99 ms", "most ms"];
    let mut section = Section::new("How soon a record is there", &columns);
    let engine = Engine::new(Kind::Devlogs, &target.api)?;
    target.settle().await?;
    let idle = probe(target, &engine, if bench.quick { 100 } else { 500 }).await?;
    add(report, &mut section, "idle", &idle);
    let endpoint = engine.ingest(&target.collector, Form::Json)?;
    let bodies = bench.corpus.bodies(BULK_BYTES, Form::Json)?;
    let ingest = Background::start(&endpoint, &bodies, bench.senders).await?;
    tokio::time::sleep(WARM_UP).await;
    let busy = probe(target, &engine, if bench.quick { 30 } else { 200 }).await?;
    let sent = ingest.stop().await?;
    add(report, &mut section, "busy", &busy);
    section.note(format!(
        "Idle: nothing else is sent. Busy: {} senders of 1 MiB requests at {:.1} MB/s meanwhile. Searchable is polled every {} ms.",
        bench.senders,
        sent.bytes as f64 / 1e6 / sent.wall.as_secs_f64(),
        POLL.as_millis()
    ));
    report.add(section);
    Ok(())
}

fn add(report: &mut Report, section: &mut Section, server: &str, measured: &Freshness) {
    for (what, key, times) in [
        ("sent → acknowledged", "acknowledged", &measured.acknowledged),
        ("sent → searchable", "searchable", &measured.searchable),
        ("acknowledged → seen in live tail", "tail", &measured.tail),
    ] {
        let ms = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
        report.figure(format!("fresh.{server}.{key}_p50_ms"), ms(0.5));
        report.figure(format!("fresh.{server}.{key}_p99_ms"), ms(0.99));
        section.row([server.into(), what.into(), ms(0.5).into(), ms(0.99).into(), ms(1.0).into()]);
    }
}

/// Sends `probes` records one after the other.
async fn probe(target: &Target, engine: &Engine, probes: usize) -> anyhow::Result<Freshness> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut tail = open(&target.api, "service:freshness-probe").await?;
    let mut measured =
        Freshness { acknowledged: load::histogram()?, searchable: load::histogram()?, tail: load::histogram()? };
    for _ in 0..probes {
        let id = format!("probe{:016x}", fastrand::u64(..));
        let record = json!({"service": "freshness-probe", "message": format!("here is {id}")});
        let sent = Instant::now();
        let answer = client.post(format!("{}/v1/ingest", target.collector)).json(&record).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        let acknowledged = Instant::now();
        measured.acknowledged.saturating_record(sent.elapsed().as_micros() as u64);
        let is_there = |frame: &Value| {
            let records = frame["records"].as_array();
            let is_it = |record: &Value| record["message"].as_str().is_some_and(|text| text.contains(&id));
            records.is_some_and(|all| all.iter().any(is_it))
        };
        let (seen, found) =
            tokio::join!(async { wait_for(&mut tail, is_there).await.map(|()| acknowledged.elapsed()) }, async {
                wait_until_found(engine, &id).await.map(|()| sent.elapsed())
            });
        measured.tail.saturating_record(seen?.as_micros().max(1) as u64);
        measured.searchable.saturating_record(found?.as_micros() as u64);
    }
    Ok(measured)
}

pub(super) type Tail = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// A live tail that is in force.
pub(super) async fn open(api: &str, q: &str) -> anyhow::Result<Tail> {
    let url = format!("{}/api/v1/tail", api.replacen("http", "ws", 1));
    let (mut tail, _) = tokio_tungstenite::connect_async(url).await.context("no live tail")?;
    tail.send(Message::text(json!({"q": q}).to_string())).await?;
    wait_for(&mut tail, |frame| frame["type"] == "ready").await?;
    Ok(tail)
}

pub(super) async fn wait_for(tail: &mut Tail, mut is_there: impl FnMut(&Value) -> bool) -> anyhow::Result<()> {
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

pub(super) async fn wait_until_found(engine: &Engine, word: &str) -> anyhow::Result<()> {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        if engine.finds(word).await? {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    anyhow::bail!("it does not become searchable")
}
