//! The live tail with many listeners: what each delivered record costs.

use std::time::Instant;

use tokio::task::JoinSet;

use super::{Bench, fresh};
use crate::corpus::Form;
use crate::engine::{Engine, Kind};
use crate::load;
use crate::report::{Report, Section};
use crate::target::Target;

const LISTENERS: [usize; 2] = [1, 64];
const RECORDS_A_REQUEST: usize = 10;
const REQUESTS: usize = 500;

/// # Errors
/// A record does not come.
pub async fn measure(bench: &Bench, report: &mut Report, target: &Target) -> anyhow::Result<()> {
    let columns = ["listeners", "delivered/s", "missed", "CPU µs a delivered record", "CPU µs a sent record"];
    let mut section = Section::new("Live tail that shows everything", &columns);
    let endpoint = Engine::new(Kind::Devlogs, &target.api)?.ingest(&target.collector, Form::Json)?;
    let bodies = bench.corpus.small_bodies(RECORDS_A_REQUEST, REQUESTS);
    let records = bodies.len() * RECORDS_A_REQUEST;
    for listeners in LISTENERS {
        let mut tails = JoinSet::new();
        for _ in 0..listeners {
            let mut tail = fresh::open(&target.api, "").await?;
            tails.spawn(async move {
                let (mut seen, mut missed) = (0, 0);
                fresh::wait_for(&mut tail, |frame| {
                    seen += frame["records"].as_array().map_or(0, Vec::len);
                    missed += frame["count"].as_u64().unwrap_or_default() as usize;
                    seen + missed >= records
                })
                .await?;
                anyhow::Ok((seen, missed))
            });
        }
        let (before, since) = (target.cpu_seconds()?, Instant::now());
        load::send(&endpoint, &bodies, 1).await?;
        let (mut delivered, mut missed) = (0, 0);
        while let Some(done) = tails.join_next().await {
            let (seen, gone) = done??;
            delivered += seen;
            missed += gone;
        }
        let cpu = (target.cpu_seconds()? - before) * 1e6;
        report.figure(format!("tail.{listeners}.cpu_us_a_delivered"), cpu / delivered as f64);
        section.row([
            listeners.into(),
            (delivered as f64 / since.elapsed().as_secs_f64()).into(),
            missed.into(),
            (cpu / delivered as f64).into(),
            (cpu / records as f64).into(),
        ]);
    }
    section.note("CPU is the whole server's: it also takes, stores and indexes each record once.");
    report.add(section);
    Ok(())
}
