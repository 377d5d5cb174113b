//! The same data and questions to servers of others, for the ratio.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{Bench, fresh};
use crate::BULK_BYTES;
use crate::corpus::Form;
use crate::engine::{Engine, PeerAddress};
use crate::load::{self, Sent};
use crate::process::Process;
use crate::queries::Question;
use crate::report::{Figures, Report, Section, median};

const SETTLE_TIME_MAX: Duration = Duration::from_secs(120);
/// A peer that used so little CPU for so long has done its background work.
const QUIET: (f64, Duration) = (0.1, Duration::from_secs(5));
const FRESH_PROBES: usize = 20;

/// Sends the data to a peer that must be empty, asks it everything, and sets the figures beside ours.
///
/// # Errors
/// The peer can't be reached or refuses. An answer that is not the truth is noted: it is the peer's.
pub async fn measure(bench: &Bench, report: &mut Report, peer: &PeerAddress) -> anyhow::Result<()> {
    let engine = Engine::new(peer.kind, &peer.url)?;
    let url = reqwest::Url::parse(&peer.url).with_context(|| peer.url.clone())?;
    let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
    let process = url.port_or_known_default().filter(|_| is_here).and_then(Process::listening_on);
    ensure!(
        engine.count(&bench.day()).await? == 0,
        "{} at {} has records of that day already",
        peer.kind.name(),
        peer.url
    );
    let mut figures = Figures::new();
    let mut notes = Vec::new();
    ingest(bench, &engine, process, &mut figures).await?;
    ask_all(bench, &engine, process, &mut figures, &mut notes).await?;
    small(bench, &engine, process, &mut figures).await?;
    freshness(&engine, &mut figures).await?;
    let name = peer.kind.name();
    let mut section = Section::new(format!("Beside {name}"), &["figure", "ours", name, "ours / theirs"]);
    for (figure, theirs) in &figures {
        let ours = report.figures.get(figure).copied();
        let ratio = ours.map(|ours| format!("{:.2}", ours / theirs));
        section.row([figure.as_str().into(), ours.into(), (*theirs).into(), ratio.into()]);
    }
    section.notes = notes;
    section.note("A peer acknowledges as it does by default, which need not mean fsync.");
    for (figure, theirs) in figures {
        report.figure(format!("peer.{name}.{figure}"), theirs);
    }
    report.add(section);
    Ok(())
}

async fn ingest(bench: &Bench, engine: &Engine, process: Option<Process>, figures: &mut Figures) -> anyhow::Result<()> {
    let bodies = engine.bodies(&bench.corpus, BULK_BYTES)?;
    let endpoint = engine.ingest(&engine.url, Form::Json)?;
    let before = process.map(Process::cpu_seconds).transpose()?;
    process.inspect(|process| process.reset_peak());
    let sent = load::send(&endpoint, &bodies, bench.senders).await?;
    let records = bench.corpus.truth.records;
    let since = Instant::now();
    while engine.count(&bench.day()).await? < records {
        ensure!(since.elapsed() < SETTLE_TIME_MAX, "the peer does not find all records");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    settle(process).await?;
    let name = format!("ingest.json.{}", bench.senders);
    let megabytes = bench.corpus.megabytes();
    figures.insert(format!("{name}.mb_per_s"), megabytes / sent.wall.as_secs_f64());
    if let Some((process, before)) = process.zip(before) {
        figures.insert(format!("{name}.mb_per_cpu_s"), megabytes / (process.cpu_seconds()? - before));
        figures.insert("memory.peak_mb".to_owned(), process.memory()?.1 as f64 / 1e6);
    }
    if let Some(bytes) = engine.disk_bytes().await? {
        figures.insert("disk.ratio".to_owned(), bench.corpus.truth.bytes as f64 / bytes as f64);
    }
    Ok(())
}

async fn settle(process: Option<Process>) -> anyhow::Result<()> {
    let Some(process) = process else {
        tokio::time::sleep(QUIET.1).await;
        return Ok(());
    };
    let since = Instant::now();
    let mut before = process.cpu_seconds()?;
    while since.elapsed() < SETTLE_TIME_MAX {
        tokio::time::sleep(QUIET.1).await;
        let now = process.cpu_seconds()?;
        if now - before < QUIET.0 {
            break;
        }
        before = now;
    }
    Ok(())
}

async fn ask_all(
    bench: &Bench,
    engine: &Engine,
    process: Option<Process>,
    figures: &mut Figures,
    notes: &mut Vec<String>,
) -> anyhow::Result<()> {
    for question in Question::all(&bench.corpus, 1) {
        let (_, answer) = engine.ask(&question.what, &question.range).await?;
        if let Err(why) = question.check(&answer, true) {
            notes.push(format!("{} answers otherwise: {why}.", engine.kind.name()));
        }
        let repeats = if bench.quick { 5 } else { 9 };
        let before = process.map(Process::cpu_seconds).transpose()?;
        let mut times = Vec::new();
        for _ in 0..repeats {
            times.push(engine.ask(&question.what, &question.range).await?.0.as_secs_f64() * 1e3);
        }
        figures.insert(format!("query.{}.warm_ms", question.key), median(&mut times));
        figures.insert(format!("query.{}.warm_least_ms", question.key), times[0]);
        if let Some((process, before)) = process.zip(before) {
            let cpu = (process.cpu_seconds()? - before) * 1e3 / f64::from(repeats);
            figures.insert(format!("query.{}.cpu_ms", question.key), cpu);
        }
    }
    Ok(())
}

/// Records of a later day, since some servers refuse old records behind new ones.
async fn small(bench: &Bench, engine: &Engine, process: Option<Process>, figures: &mut Figures) -> anyhow::Result<()> {
    let endpoint = engine.ingest(&engine.url, Form::Json)?;
    let lines = bench.corpus.later_bodies(1, 1)?;
    for (records, count) in [(1, 12_500), (100, 1_000)] {
        let bodies: Vec<_> = lines.chunks_exact(records).take(count).map(|lines| lines.concat().into()).collect();
        let bodies = engine.own_form(std::sync::Arc::new(bodies))?;
        let before = process.map(Process::cpu_seconds).transpose()?;
        let sent: Sent = load::send(&endpoint, &bodies, 16).await?;
        let name = format!("small.{records}x16");
        figures.insert(format!("{name}.per_s"), sent.requests as f64 / sent.wall.as_secs_f64());
        figures.insert(format!("{name}.p99_ms"), sent.quantile(0.99));
        if let Some((process, before)) = process.zip(before) {
            figures.insert(format!("{name}.cpu_us"), (process.cpu_seconds()? - before) * 1e6 / sent.requests as f64);
        }
    }
    Ok(())
}

async fn freshness(engine: &Engine, figures: &mut Figures) -> anyhow::Result<()> {
    let endpoint = engine.ingest(&engine.url, Form::Json)?;
    let mut times = load::histogram()?;
    for _ in 0..FRESH_PROBES {
        let word = format!("probe{:016x}", fastrand::u64(..));
        let now = jiff::Timestamp::now();
        let line = format!(
            "{{\"ts\":\"{now}\",\"service\":\"freshness-probe\",\"host\":\"h\",\"level\":\"info\",\"message\":\"here is {word}\"}}\n"
        );
        let bodies = engine.own_form(std::sync::Arc::new(vec![line.into()]))?;
        let since = Instant::now();
        load::send(&endpoint, &bodies, 1).await?;
        fresh::wait_until_found(engine, &word).await?;
        times.saturating_record(since.elapsed().as_micros() as u64);
    }
    figures.insert("fresh.idle.searchable_p50_ms".to_owned(), times.value_at_quantile(0.5) as f64 / 1e3);
    figures.insert("fresh.idle.searchable_p99_ms".to_owned(), times.value_at_quantile(0.99) as f64 / 1e3);
    Ok(())
}
