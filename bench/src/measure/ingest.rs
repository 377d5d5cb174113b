//! Everything in large requests, until it is sealed and compacted.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::Bench;
use crate::BULK_BYTES;
use crate::corpus::Form;
use crate::engine::{Engine, Kind};
use crate::load::{self, Sent};
use crate::process::machine_cpu_seconds;
use crate::report::{Report, Section};
use crate::target::Target;

/// Time for a server to come to rest after its start.
const START_REST: Duration = Duration::from_secs(1);

/// One set of records in, and what it cost.
struct Ingest {
    sent: Sent,
    /// Seconds of CPU until everything was acknowledged, and until all was sealed and compacted.
    accepting: f64,
    cpu: f64,
    /// Cores that everything else used meanwhile, the load generator apart.
    others: f64,
    idle_bytes: u64,
    peak_bytes: u64,
    disk_bytes: u64,
}

/// Every form and number of senders, each into an empty server. The data of JSON by the usual number of senders stays
/// in [`Bench::main_data`].
///
/// # Errors
/// A server refuses, or has not stored what was sent.
pub async fn measure(bench: &Bench, report: &mut Report, forms: bool) -> anyhow::Result<()> {
    let columns = [
        "body",
        "senders",
        "MB/s",
        "records/s",
        "CPU s until accepted",
        "CPU s until compacted",
        "MB per CPU s",
        "records per CPU s",
        "p50 ms",
        "p99 ms",
        "disk",
        "idle MB",
        "peak MB",
        "MB sent",
        "generator's CPU s",
        "others, cores",
    ];
    let title = "Ingest in requests of 1 MiB of NDJSON each, acknowledged after fsync";
    let mut section = Section::new(title, &columns);
    for (form, senders) in runs(bench, forms) {
        let is_main = (form, senders) == (Form::Json, bench.senders);
        let dir = if is_main { bench.main_data() } else { bench.work.join("ingest") };
        let ingest = ingest(bench, &dir, form, senders).await?;
        add(bench, report, &mut section, &ingest, (form, senders));
        if is_main {
            report.figure("disk.bytes", ingest.disk_bytes as f64);
            report.figure("disk.ratio", bench.corpus.truth.bytes as f64 / ingest.disk_bytes as f64);
            report.figure("memory.idle_mb", ingest.idle_bytes as f64 / 1e6);
            report.figure("memory.peak_mb", ingest.peak_bytes as f64 / 1e6);
        } else {
            std::fs::remove_dir_all(&dir)?;
        }
    }
    section.note("MB are 10^6 bytes of NDJSON, also where a body has another form. CPU is the server's, per second of it until all was compacted. Disk is how many times smaller the store is than the NDJSON.");
    report.add(section);
    Ok(())
}

fn runs(bench: &Bench, forms: bool) -> Vec<(Form, usize)> {
    let mut runs = vec![(Form::Json, bench.senders)];
    if forms {
        runs.extend([1, 2, 4].map(|senders| (Form::Json, senders)).into_iter().filter(|run| run.1 != bench.senders));
        if !bench.quick {
            runs.extend([1, 4].map(|senders| (Form::Otlp, senders)));
        }
        runs.extend(Form::ALL.into_iter().filter(|form| *form != Form::Json).map(|form| (form, bench.senders)));
    }
    runs
}

async fn ingest(bench: &Bench, dir: &Path, form: Form, senders: usize) -> anyhow::Result<Ingest> {
    let corpus = &bench.corpus;
    let bodies = corpus.bodies(BULK_BYTES, form)?;
    let target = bench.launch.start(dir).await?;
    let engine = Engine::new(Kind::Devlogs, &target.api)?;
    let endpoint = engine.ingest(&target.collector, form)?;
    tokio::time::sleep(START_REST).await;
    let (idle_bytes, _) = target.process.memory()?;
    target.process.reset_peak();
    let (before, machine) = (target.cpu_seconds()?, machine_cpu_seconds()?);
    let sent = load::send(&endpoint, &bodies, senders).await?;
    let accepting = target.cpu_seconds()? - before;
    let others = (machine_cpu_seconds()? - machine - accepting - sent.own_cpu).max(0.0) / sent.wall.as_secs_f64();
    let cpu = settled_cpu(&target).await? - before;
    let (_, peak_bytes) = target.process.memory()?;
    let disk_bytes = target.store_bytes()?;
    let stored = engine.count(&bench.day()).await?;
    ensure!(stored == corpus.truth.records, "{stored} records are stored, not {}", corpus.truth.records);
    target.stop().await?;
    Ok(Ingest { sent, accepting, cpu, others, idle_bytes, peak_bytes, disk_bytes })
}

async fn settled_cpu(target: &Target) -> anyhow::Result<f64> {
    target.settle().await?;
    target.cpu_seconds()
}

fn add(bench: &Bench, report: &mut Report, section: &mut Section, ingest: &Ingest, (form, senders): (Form, usize)) {
    let (megabytes, records) = (bench.corpus.megabytes(), bench.corpus.truth.records as f64);
    let sent = &ingest.sent;
    let wall = sent.wall.as_secs_f64();
    let name = format!("ingest.{}.{senders}", form.key());
    report.figure(format!("{name}.mb_per_s"), megabytes / wall);
    report.figure(format!("{name}.records_per_s"), records / wall);
    report.figure(format!("{name}.mb_per_cpu_s"), megabytes / ingest.cpu);
    report.figure(format!("{name}.accepted_mb_per_cpu_s"), megabytes / ingest.accepting);
    section.row([
        form.name().into(),
        senders.into(),
        (megabytes / wall).into(),
        (records / wall).round().into(),
        ingest.accepting.into(),
        ingest.cpu.into(),
        (megabytes / ingest.cpu).into(),
        (records / ingest.cpu).round().into(),
        sent.quantile(0.5).into(),
        sent.quantile(0.99).into(),
        (bench.corpus.truth.bytes as f64 / ingest.disk_bytes as f64).into(),
        (ingest.idle_bytes as f64 / 1e6).into(),
        (ingest.peak_bytes as f64 / 1e6).into(),
        (sent.bytes as f64 / 1e6).into(),
        sent.own_cpu.into(),
        ingest.others.into(),
    ]);
}
