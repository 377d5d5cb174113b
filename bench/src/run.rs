//! One measurement after the other.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use crate::load::{self, Encoding};
use crate::queries::Question;
use crate::report::{Report, Section};
use crate::target::{self, Target};
use crate::truth::Truth;
use crate::{Args, freshness, generate, limits};

const BULK_BYTES: usize = 1 << 20;
const FULL_RECORDS: u64 = 3_145_000;
const QUICK_RECORDS: u64 = 100_000;
/// A server is settled when it used less CPU than this share of one core for [`QUIET_TIME`].
const QUIET_SHARE: f64 = 0.05;
const QUIET_TIME: Duration = Duration::from_secs(3);
const SETTLE_TIME_MAX: Duration = Duration::from_secs(600);

/// # Errors
/// A server does not start, refuses, or answers wrongly.
pub async fn run(args: &Args, work: &Path) -> anyhow::Result<()> {
    let mut report = Report::new(std::env::args().collect::<Vec<_>>().join(" "));
    let (corpus, truth) = data(args, work)?;
    let sample = std::fs::read(&corpus)?;
    let mut section = Section::new("Limits of this machine", &["what", "figure"]);
    section.rows = limits::measure(work, &sample[..sample.len().min(100 << 20)])?
        .into_iter()
        .map(|(what, figure)| vec![what.to_owned(), figure])
        .collect();
    drop(sample);
    report.add(section);

    let data_dir = work.join("data");
    let target = Target::start(&args.program, &data_dir).await?;
    report.add(ingest(args, &target, &corpus, &truth).await?);
    target.stop().await?;
    report.add(ask_all(args, &data_dir, &truth).await?);

    let target = Target::start(&args.program, &work.join("small")).await?;
    report.add(small_requests(args, &target, &corpus).await?);
    settle(&target).await?;
    report.add(fresh(args, &target).await?);
    target.stop().await?;
    report.write(&args.results)
}

fn data(args: &Args, work: &Path) -> anyhow::Result<(PathBuf, Truth)> {
    if let (Some(corpus), Some(truth)) = (&args.corpus, &args.truth) {
        let truth = std::fs::read_to_string(truth).with_context(|| truth.display().to_string())?;
        return Ok((corpus.clone(), serde_json::from_str(&truth).context("the form of the true answers")?));
    }
    let records = args.records.unwrap_or(if args.quick { QUICK_RECORDS } else { FULL_RECORDS });
    let corpus = work.join("corpus.ndjson");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&corpus)?);
    let truth = generate::generate(records, args.seed, &mut out)?;
    Ok((corpus, truth))
}

/// Everything in large requests, until it is sealed and compacted.
async fn ingest(args: &Args, target: &Target, corpus: &Path, truth: &Truth) -> anyhow::Result<Section> {
    tokio::time::sleep(QUIET_TIME).await;
    let (idle, _) = target.memory()?;
    target.reset_peak();
    let bodies = Arc::new(load::bodies(corpus, BULK_BYTES, Encoding::Plain)?);
    let url = format!("{}/v1/ingest", target.collector);
    let before = target.cpu_seconds()?;
    let sent = load::send(url, bodies, args.senders, Encoding::Plain).await?;
    let accepting = target.cpu_seconds()? - before;
    settle(target).await?;
    let cpu = target.cpu_seconds()? - before;
    let (_, peak) = target.memory()?;
    let stored = target.store_bytes()?;
    let megabytes = truth.bytes as f64 / 1e6;
    let wall = sent.wall.as_secs_f64();
    let mut section = Section::new("Ingest in requests of 1 MiB, acknowledged after fsync", &["what", "figure"]);
    let mut row = |what: &str, figure: String| section.rows.push(vec![what.to_owned(), figure]);
    row("data", format!("{} records, {megabytes:.1} MB, {} senders", truth.records, args.senders));
    row("accepted", format!("{:.1} MB/s, {:.0} records/s of wall time", megabytes / wall, truth.records as f64 / wall));
    row("CPU until all was accepted", format!("{accepting:.1} s, {:.1} MB per CPU second", megabytes / accepting));
    row(
        "CPU until all was sealed and compacted",
        format!("{cpu:.1} s, {:.1} MB, {:.0} records per CPU second", megabytes / cpu, truth.records as f64 / cpu),
    );
    row("a request", format!("p50 {:.1} ms, p99 {:.1} ms", sent.quantile(0.5), sent.quantile(0.99)));
    row("on disk", format!("{:.1} MB, {:.2}x", stored as f64 / 1e6, truth.bytes as f64 / stored as f64));
    row("memory", format!("{:.0} MB idle before, {:.0} MB peak", idle as f64 / 1e6, peak as f64 / 1e6));
    Ok(section)
}

/// Waits until nothing is buffered and no background work is left.
async fn settle(target: &Target) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let since = Instant::now();
    let mut before = target.cpu_seconds()?;
    while since.elapsed() < SETTLE_TIME_MAX {
        tokio::time::sleep(QUIET_TIME).await;
        let now = target.cpu_seconds()?;
        let quiet = now - before < QUIET_SHARE * QUIET_TIME.as_secs_f64();
        before = now;
        let answer = client.get(format!("{}/api/v1/status", target.api)).send().await?.text().await?;
        let status: Value = serde_json::from_str(&answer)?;
        if quiet && status["store"]["buffered_rows"] == 0 {
            return Ok(());
        }
    }
    anyhow::bail!("the server does not come to rest")
}

/// Every question: cold after a restart without the page cache, then warm.
async fn ask_all(args: &Args, data_dir: &Path, truth: &Truth) -> anyhow::Result<Section> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let (cold_repeats, warm_repeats) = if args.quick { (1, 5) } else { (3, 9) };
    let mut section =
        Section::new("Queries over the whole day", &["query", "cold ms", "warm ms", "warm least ms", "warm CPU ms"]);
    let questions = Question::all(truth);
    let mut cold = vec![Vec::new(); questions.len()];
    let mut starts = Vec::new();
    for _ in 0..cold_repeats {
        for (question, times) in questions.iter().zip(&mut cold) {
            target::drop_cached(data_dir)?;
            let target = Target::start(&args.program, data_dir).await?;
            starts.push(target.start_time.as_secs_f64() * 1e3);
            times.push(timed(question, &client, &target).await?);
            target.stop().await?;
        }
    }
    let target = Target::start(&args.program, data_dir).await?;
    for (question, cold) in questions.iter().zip(&mut cold) {
        question.ask(&client, &target.api).await?;
        let before = target.cpu_seconds()?;
        let mut warm = Vec::new();
        for _ in 0..warm_repeats {
            warm.push(timed(question, &client, &target).await?);
        }
        let cpu = (target.cpu_seconds()? - before) * 1e3 / f64::from(warm_repeats);
        let cold = median(cold);
        let figures = [cold, median(&mut warm), warm[0], cpu].map(|ms| format!("{ms:.1}"));
        section.rows.push(std::iter::once(question.name.to_owned()).chain(figures).collect());
    }
    let start = format!("{:.0}", median(&mut starts));
    section.rows.push(vec!["(start of the server)".to_owned(), start, String::new(), String::new(), String::new()]);
    target.stop().await?;
    Ok(section)
}

/// Milliseconds.
async fn timed(question: &Question, client: &reqwest::Client, target: &Target) -> anyhow::Result<f64> {
    let since = Instant::now();
    question.ask(client, &target.api).await?;
    Ok(since.elapsed().as_secs_f64() * 1e3)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn small_requests(args: &Args, target: &Target, corpus: &Path) -> anyhow::Result<Section> {
    let mut section = Section::new(
        "Small requests, acknowledged after fsync",
        &["records", "connections", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU µs a request"],
    );
    let scale = if args.quick { 1 } else { 5 };
    for (records, count) in [(1, 10_000 * scale), (100, 800 * scale)] {
        for connections in [16, 256] {
            let bodies = Arc::new(load::small_bodies(corpus, records, count)?);
            let before = target.cpu_seconds()?;
            let url = format!("{}/v1/ingest", target.collector);
            let sent = load::send(url, bodies, connections, Encoding::Plain).await?;
            let cpu = (target.cpu_seconds()? - before) * 1e6 / sent.requests as f64;
            let rate = sent.requests as f64 / sent.wall.as_secs_f64();
            let mut row = vec![records.to_string(), connections.to_string(), format!("{rate:.0}")];
            row.extend([0.5, 0.99, 0.999].map(|quantile| format!("{:.2}", sent.quantile(quantile))));
            row.push(format!("{cpu:.0}"));
            section.rows.push(row);
        }
    }
    Ok(section)
}

async fn fresh(args: &Args, target: &Target) -> anyhow::Result<Section> {
    let probes = if args.quick { 50 } else { 500 };
    let measured = freshness::measure(target, probes).await?;
    let mut section = Section::new("How soon a record is there, on an idle server", &["what", "p50 ms", "p99 ms"]);
    for (what, times) in
        [("sent → searchable", measured.searchable), ("acknowledged → seen in live tail", measured.tail)]
    {
        let ms = |quantile| format!("{:.1}", times.value_at_quantile(quantile) as f64 / 1e3);
        section.rows.push(vec![what.to_owned(), ms(0.5), ms(0.99)]);
    }
    Ok(section)
}
