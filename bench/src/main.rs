//! `devlogs-bench`: what the embedded path costs and how fast it answers, with every answer held against the truth.
//!
//! - [`generate`]: the data and the true answers ([`truth`]);
//! - [`target`]: the server under test;
//! - [`load`], [`freshness`], [`queries`]: what is measured;
//! - [`limits`]: what the machine can do at most;
//! - [`run`]: one measurement after the other; [`report`]: the figures.

mod freshness;
mod generate;
mod limits;
mod load;
mod queries;
mod report;
mod run;
mod target;
mod truth;

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

/// Measures ingest, storage and queries of `devlogs` on its embedded queue and store
#[derive(Debug, Parser)]
#[command(after_help = "Examples:
  devlogs-bench --quick                                 minutes, a hundred thousand records
  devlogs-bench                                         the full tables
  devlogs-bench --corpus logs.ndjson --truth truth.json other data with known answers")]
pub struct Args {
    /// Little data and few repeats
    #[arg(long)]
    quick: bool,
    /// Records to make
    #[arg(long, conflicts_with = "corpus")]
    records: Option<u64>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// NDJSON to send instead of made records
    #[arg(long, requires = "truth", value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// The true answers about it
    #[arg(long, requires = "corpus", value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Clients that send at once
    #[arg(long, default_value_t = 2)]
    senders: usize,
    /// The program under test
    #[arg(long, value_name = "FILE", default_value = "target/release/devlogs")]
    program: PathBuf,
    /// Where data is put while it runs; several times the data set
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// Where `results.md` and `results.json` are written
    #[arg(long, value_name = "DIR", default_value = "bench-results")]
    results: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let work = match &args.work_dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)?;
            tempfile::tempdir_in(dir)
        }
        None => tempfile::tempdir(),
    };
    run::run(&args, work.context("no place for data")?.path()).await
}
