//! `devlogs-bench`: what each path costs and how fast it answers, with every answer held against the truth.
//!
//! - [`corpus`]: the data, made by [`generate`] or read, and the true answers ([`truth`]);
//! - [`target`]: the server under test, [`process`]: what the kernel says about it;
//! - [`load`]: the load generator, [`null`]: what it could measure at most; [`limits`]: what the machine can do at most;
//! - [`engine`]: the languages of our API and of peers, [`queries`]: the questions in no one's language;
//! - [`measure`]: one measurement a file; [`fleet`]: the path over real queues and stores;
//! - [`report`]: the figures, [`targets`]: where they should be.

mod corpus;
mod engine;
mod fleet;
mod generate;
mod limits;
mod load;
mod measure;
mod null;
mod process;
mod queries;
mod report;
mod target;
mod targets;
mod truth;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};

use corpus::Corpus;
use engine::PeerAddress;
use measure::Bench;
use report::Report;
use target::Launch;

/// Of NDJSON in a large request.
const BULK_BYTES: usize = 1 << 20;
const FULL_RECORDS: u64 = 3_145_000;
const QUICK_RECORDS: u64 = 100_000;
/// How many days of data the growth ends with.
const GROWTH_DAYS: u32 = 10;

/// Measures ingest, storage and queries of `devlogs`, and holds every answer against the truth
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  devlogs-bench --quick                                     minutes, a hundred thousand records
  devlogs-bench                                             the full tables
  devlogs-bench --only ingest,queries                       some of them
  devlogs-bench --corpus logs.ndjson --truth truth.json     other data with known answers
  devlogs-bench --peer victorialogs=http://127.0.0.1:9428   the ratio to another server
  devlogs-bench fleet --quick                               over Kafka or Redis into ClickHouse or PostgreSQL")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
    /// Measure only these
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Also measure this server, which must be empty: `victorialogs=URL` or `loki=URL`
    #[arg(long, value_name = "PEER")]
    peer: Vec<PeerAddress>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures the roles apart, on real queues and stores that it starts
    Fleet(fleet::FleetOptions),
    /// The server that does nothing, against which the load generator is measured
    #[command(hide = true)]
    NullServer,
}

/// What every run is given.
#[derive(Debug, Args)]
struct Options {
    /// Little data and few repeats
    #[arg(long, global = true)]
    quick: bool,
    /// Records to make
    #[arg(long, global = true, conflicts_with = "corpus")]
    records: Option<u64>,
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// NDJSON to send instead of made records
    #[arg(long, global = true, requires = "truth", value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// The true answers about it
    #[arg(long, global = true, requires = "corpus", value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Clients that send large requests at once
    #[arg(long, global = true, default_value_t = 2)]
    senders: usize,
    /// The program under test
    #[arg(long, global = true, value_name = "FILE", default_value = "target/release/devlogs")]
    program: PathBuf,
    /// A setting for the program under test, as `DEVLOGS_…=VALUE`
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Where data is put while it runs; several times the data set
    #[arg(long, global = true, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// Where `results.md` and `results.json` are written
    #[arg(long, global = true, value_name = "DIR", default_value = "bench-results")]
    results: PathBuf,
    /// `results.json` of an earlier run to compare with
    #[arg(long, global = true, value_name = "FILE")]
    before: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Limits,
    /// JSON by the usual number of senders only
    Ingest,
    /// Every form of body and number of senders
    Forms,
    Small,
    Fresh,
    Tails,
    Queries,
    Together,
    /// Ten times the data; not with `--quick`
    Growth,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    if matches!(cli.command, Some(Command::NullServer)) {
        return null::serve().await;
    }
    let work = match &cli.options.work_dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)?;
            tempfile::tempdir_in(dir)
        }
        None => tempfile::tempdir(),
    };
    let work = work.context("no place for data")?;
    let mut report = Report::new(std::env::args().collect::<Vec<_>>().join(" "));
    let bench = prepare(&cli.options, work.path(), &mut report)?;
    let measured = match &cli.command {
        Some(Command::Fleet(options)) => fleet::measure(&bench, &mut report, options).await,
        _ => run(&cli, &bench, &mut report).await,
    };
    // What was measured before something failed is still worth having.
    if let Some(before) = &cli.options.before {
        report.add(report.compare(before)?);
    }
    report.write(&cli.options.results)?;
    measured
}

fn prepare(options: &Options, work: &Path, report: &mut Report) -> anyhow::Result<Bench> {
    let corpus = match (&options.corpus, &options.truth) {
        (Some(corpus), Some(truth)) => Corpus::read(corpus, truth)?,
        _ => {
            let usual = if options.quick { QUICK_RECORDS } else { FULL_RECORDS };
            Corpus::make(options.records.unwrap_or(usual), options.seed, work)?
        }
    };
    report.machine.push(("data", format!("{} records, {:.1} MB of NDJSON", corpus.truth.records, corpus.megabytes())));
    // Records are written to disk after a minute by default, and every measurement waits for that.
    let mut environment = vec![("DEVLOGS_STORE__EMBEDDED__FLUSH_AGE".to_owned(), "5s".to_owned())];
    environment.extend(options.set.iter().cloned());
    let settings: Vec<_> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    report.machine.push(("settings", settings.join(" ")));
    Ok(Bench {
        launch: Launch { program: options.program.clone(), environment },
        corpus,
        work: work.to_owned(),
        quick: options.quick,
        senders: options.senders,
    })
}

async fn run(cli: &Cli, bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let wants = |part| cli.only.is_empty() || cli.only.contains(&part);
    if wants(Part::Limits) {
        limits::measure(report, &bench.work, &bench.corpus)?;
        limits::ceiling(report, &bench.corpus, bench.quick).await?;
    }
    let needs_data = wants(Part::Ingest) || wants(Part::Queries) || wants(Part::Together);
    if needs_data || wants(Part::Forms) {
        measure::ingest::measure(bench, report, wants(Part::Forms)).await?;
    }
    if wants(Part::Queries) {
        measure::ask::measure(bench, report).await?;
    }
    if wants(Part::Small) || wants(Part::Fresh) || wants(Part::Tails) {
        let target = bench.launch.start(&bench.work.join("small")).await?;
        if wants(Part::Small) {
            measure::small::measure(bench, report, &target).await?;
        }
        if wants(Part::Tails) {
            measure::tails::measure(bench, report, &target).await?;
        }
        if wants(Part::Fresh) {
            measure::fresh::measure(bench, report, &target).await?;
        }
        target.stop().await?;
    }
    if wants(Part::Together) {
        measure::together::measure(bench, report).await?;
    }
    if wants(Part::Growth) && (!bench.quick || cli.only.contains(&Part::Growth)) {
        measure::growth::measure(bench, report, GROWTH_DAYS).await?;
    }
    for peer in &cli.peer {
        measure::peers::measure(bench, report, peer).await?;
    }
    report.add(targets::table(&report.figures, bench.corpus.truth.bytes));
    Ok(())
}
