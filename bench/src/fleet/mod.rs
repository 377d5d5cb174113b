//! The roles apart, each a process, on real queues and stores: what a record costs in each of our stages, apart from what
//! it costs the servers, and beside what the servers take without us.
//!
//! - [`servers`]: what is started;
//! - [`ceilings`]: the same rows and messages without us.

mod ceilings;
mod servers;

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::BULK_BYTES;
use crate::corpus::Form;
use crate::engine::{Engine, Kind};
use crate::load;
use crate::measure::{self, Bench};
use crate::queries::Question;
use crate::report::{Report, Section};
use crate::target::Target;
use crate::targets;
use servers::{Servers, Settings};

const SAMPLE_EVERY: Duration = Duration::from_millis(50);
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1_200);
/// Before this share is stored, processors join and connections open.
const WARMED_UP: f64 = 0.1;

#[derive(Debug, Args)]
pub struct FleetOptions {
    /// Queues and stores
    #[arg(long, value_delimiter = ',', value_name = "PAIR",
        default_values_t = [Pair::KafkaClickhouse, Pair::RedisPostgres, Pair::KafkaPostgres, Pair::RedisClickhouse])]
    pairs: Vec<Pair>,
    /// Partitions of the queue
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4])]
    partitions: Vec<u32>,
    /// Processors
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    processors: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pair {
    KafkaClickhouse,
    RedisPostgres,
    KafkaPostgres,
    RedisClickhouse,
}

impl Pair {
    fn name(self) -> &'static str {
        match self {
            Self::KafkaClickhouse => "kafka-clickhouse",
            Self::RedisPostgres => "redis-postgres",
            Self::KafkaPostgres => "kafka-postgres",
            Self::RedisClickhouse => "redis-clickhouse",
        }
    }

    fn on_kafka(self) -> bool {
        matches!(self, Self::KafkaClickhouse | Self::KafkaPostgres)
    }

    fn in_clickhouse(self) -> bool {
        matches!(self, Self::KafkaClickhouse | Self::RedisClickhouse)
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a run came to. CPU is seconds.
struct Run {
    partitions: u32,
    processors: usize,
    collect_wall: f64,
    collector_cpu: f64,
    processor_cpu: f64,
    queue_cpu: f64,
    store_cpu: f64,
    /// While the processors worked.
    records_per_s: f64,
}

/// # Errors
/// A server does not start, or a record is missing.
pub async fn measure(bench: &Bench, report: &mut Report, options: &FleetOptions) -> anyhow::Result<()> {
    measure::ingest::measure(bench, report, false).await?;
    let mut servers = Servers::default();
    for pair in &options.pairs {
        let columns = [
            "partitions",
            "processors",
            "collected records/s",
            "collector CPU µs",
            "queue CPU µs",
            "stored records/s",
            "processor CPU µs",
            "records per processor CPU s",
            "store CPU µs",
        ];
        let mut section = Section::new(format!("Fleet on {pair}, CPU for each record"), &columns);
        let mut best: Option<Run> = None;
        let mut last = None;
        for &partitions in &options.partitions {
            for &processors in options.processors.iter().filter(|processors| **processors <= partitions as usize) {
                let settings = tokio::task::block_in_place(|| servers.settings(*pair, partitions));
                let run = run(bench, &servers, *pair, &settings, (partitions, processors)).await?;
                row(bench, &mut section, &run);
                if best.as_ref().is_none_or(|best| run.records_per_s > best.records_per_s) {
                    best = Some(run);
                }
                last = Some(settings);
            }
        }
        let (Some(best), Some(settings)) = (best, last) else { bail!("there is nothing to run") };
        figures(bench, report, &mut section, *pair, &best);
        section.note("Collected: all requests acknowledged, no processor running. Stored: what the processors then do with the full queue, without the first tenth.");
        report.add(section);
        queries(bench, report, *pair, &settings).await?;
        ceilings::measure(bench, report, &servers, *pair, &settings).await?;
    }
    report.add(targets::table(&report.figures, bench.corpus.truth.bytes));
    Ok(())
}

async fn run(
    bench: &Bench,
    servers: &Servers,
    pair: Pair,
    settings: &Settings,
    (partitions, processors): (u32, usize),
) -> anyhow::Result<Run> {
    let api = node(bench, settings, "api").await?;
    let collector = node(bench, settings, "collector").await?;
    let engine = Engine::new(Kind::Devlogs, &api.api)?;
    let endpoint = engine.ingest(&collector.collector, Form::Json)?;
    let bodies = bench.corpus.bodies(BULK_BYTES, Form::Json)?;
    let (queue_before, store_before) = (servers.queue_cpu(pair), servers.store_cpu(pair));
    let before = collector.cpu_seconds()?;
    let sent = load::send(&endpoint, &bodies, bench.senders).await?;
    let collector_cpu = collector.cpu_seconds()? - before;
    let waiting = waiting(&api.status().await?);
    ensure!(waiting > 0, "the queue is empty");
    let mut nodes = Vec::new();
    for _ in 0..processors {
        nodes.push(node(bench, settings, "processor").await?);
    }
    let records_per_s = drain(bench, &api, waiting).await?;
    let mut processor_cpu = 0.0;
    for node in &nodes {
        processor_cpu += node.cpu_seconds()?;
    }
    let stored = engine.count(&bench.day()).await?;
    ensure!(stored == bench.corpus.truth.records, "{stored} records are stored, not {}", bench.corpus.truth.records);
    for node in nodes.into_iter().chain([collector, api]) {
        node.stop().await?;
    }
    Ok(Run {
        partitions,
        processors,
        collect_wall: sent.wall.as_secs_f64(),
        collector_cpu,
        processor_cpu,
        queue_cpu: servers.queue_cpu(pair) - queue_before,
        store_cpu: servers.store_cpu(pair) - store_before,
        records_per_s,
    })
}

/// A process of one role.
async fn node(bench: &Bench, settings: &Settings, role: &str) -> anyhow::Result<Target> {
    let dir = tempfile::tempdir_in(&bench.work)?.keep();
    bench.launch.start_with(&dir, &["--roles", role], &settings.environment).await
}

/// Waits until all messages are stored; records a second.
async fn drain(bench: &Bench, api: &Target, messages: u64) -> anyhow::Result<f64> {
    let since = Instant::now();
    let mut warmed_up = None;
    while since.elapsed() < DRAIN_TIME_MAX {
        let stored = 1.0 - waiting(&api.status().await?) as f64 / messages as f64;
        let now = Instant::now();
        if stored >= WARMED_UP && warmed_up.is_none() {
            warmed_up = Some((now, stored));
        }
        if let (Some((from, share)), true) = (warmed_up, stored >= 1.0) {
            // All at once: there is no rate but that since the start.
            let (from, share) = if share < 1.0 { (from, share) } else { (since, 0.0) };
            return Ok(bench.corpus.truth.records as f64 * (1.0 - share) / (now - from).as_secs_f64());
        }
        tokio::time::sleep(SAMPLE_EVERY).await;
    }
    bail!("the queue is never read to its end")
}

/// Messages of all partitions that are not stored yet.
fn waiting(status: &Value) -> u64 {
    let partitions = status["queue"]["partitions"].as_array();
    partitions.into_iter().flatten().filter_map(|partition| partition["waiting_messages"].as_u64()).sum()
}

fn row(bench: &Bench, section: &mut Section, run: &Run) {
    let records = bench.corpus.truth.records as f64;
    let micros = |seconds: f64| (seconds * 1e6 / records).into();
    section.row([
        (run.partitions as usize).into(),
        run.processors.into(),
        (records / run.collect_wall).round().into(),
        micros(run.collector_cpu),
        micros(run.queue_cpu),
        run.records_per_s.round().into(),
        micros(run.processor_cpu),
        (records / run.processor_cpu).round().into(),
        micros(run.store_cpu),
    ]);
}

fn figures(bench: &Bench, report: &mut Report, section: &mut Section, pair: Pair, best: &Run) {
    let records = bench.corpus.truth.records as f64;
    let ours = records / (best.collector_cpu + best.processor_cpu);
    report.figure(format!("fleet.{pair}.records_per_cpu_s"), ours);
    report.figure(format!("fleet.{pair}.processor_records_per_cpu_s"), records / best.processor_cpu);
    report.figure(format!("fleet.{pair}.records_per_s"), best.records_per_s);
    let embedded = report.figures.get(&format!("ingest.json.{}.mb_per_cpu_s", bench.senders)).copied();
    if let Some(embedded) = embedded {
        let share = ours / (embedded * records / bench.corpus.megabytes());
        report.figure(format!("fleet.{pair}.of_embedded"), share);
        section.note(format!(
            "At its best, collector and processors handle {ours:.0} records per CPU second, {:.0} % of the embedded path in this run.",
            share * 100.0
        ));
    }
}

/// The same questions through the fleet's API, for the truth of the answers first.
async fn queries(bench: &Bench, report: &mut Report, pair: Pair, settings: &Settings) -> anyhow::Result<()> {
    let api = node(bench, settings, "api").await?;
    let engine = Engine::new(Kind::Devlogs, &api.api)?;
    let mut section =
        Section::new(format!("Queries on {pair}"), &["query", "warm ms", "least ms", "CPU ms of the api node"]);
    for question in Question::all(&bench.corpus, 1) {
        let warm = measure::ask::warm(&question, &engine, Some(&api), 3).await?;
        report.figure(format!("fleet.{pair}.query.{}.warm_ms", question.key), warm.median);
        section.row([question.name.into(), warm.median.into(), warm.least.into(), warm.cpu.into()]);
    }
    report.add(section);
    api.stop().await
}
