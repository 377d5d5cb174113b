//! The same questions over ten times the data: ten days that each hold the set, with needles that stay as rare.

use std::time::Instant;

use super::{Bench, ask};
use crate::BULK_BYTES;
use crate::corpus::Form;
use crate::engine::{Engine, Kind};
use crate::load;
use crate::queries::Question;
use crate::report::{Report, Section};

/// Goes on with the data of [`Bench::main_data`] until it holds `days` days.
///
/// # Errors
/// An answer is wrong.
pub async fn measure(bench: &Bench, report: &mut Report, days: u32) -> anyhow::Result<()> {
    let columns = ["query", "1 day, ms", "CPU ms", &format!("{days} days, ms"), "CPU ms", "ratio"];
    let mut section =
        Section::new(format!("From {:.1} to {:.1} GB", gigabytes(bench, 1), gigabytes(bench, days)), &columns);
    let dir = bench.work.join("growth");
    let target = bench.launch.start(&dir).await?;
    let engine = Engine::new(Kind::Devlogs, &target.api)?;
    let endpoint = engine.ingest(&target.collector, Form::Json)?;
    load::send(&endpoint, &bench.corpus.bodies(BULK_BYTES, Form::Json)?, bench.senders).await?;
    target.settle().await?;
    let (resident_before, _) = target.process.memory()?;
    let mut before = Vec::new();
    for question in &Question::all(&bench.corpus, 1) {
        before.push(ask::warm(question, &engine, Some(&target), 5).await?);
    }
    target.process.reset_peak();
    let (since, cpu) = (Instant::now(), target.cpu_seconds()?);
    for day in 1..days {
        let bodies = bench.corpus.later_bodies(BULK_BYTES, day)?;
        load::send(&endpoint, &bodies, bench.senders).await?;
    }
    let wall = since.elapsed();
    target.settle().await?;
    let cpu = target.cpu_seconds()? - cpu;
    let (resident, peak) = target.process.memory()?;
    for (question, before) in Question::all(&bench.corpus, days).iter().zip(before) {
        let after = ask::warm(question, &engine, Some(&target), 5).await?;
        report.figure(format!("growth.{}.ratio", question.key), after.median / before.median);
        section.row([
            question.name.into(),
            before.median.into(),
            before.cpu.into(),
            after.median.into(),
            after.cpu.into(),
            (after.median / before.median).into(),
        ]);
    }
    let added = gigabytes(bench, days - 1);
    report.figure("growth.memory_mb", resident as f64 / 1e6);
    report.figure("growth.mb_per_cpu_s", added * 1e3 / cpu);
    section.note(format!(
        "The added {added:.1} GB took {:.0} s and {cpu:.0} s of CPU until compacted ({:.1} MB per CPU s). Resident memory {:.0} MB before, \
         {:.0} MB after, {:.0} MB at its peak. On disk {:.1} MB. Each answer was compared with the truth.",
        wall.as_secs_f64(),
        added * 1e3 / cpu,
        resident_before as f64 / 1e6,
        resident as f64 / 1e6,
        peak as f64 / 1e6,
        target.store_bytes()? as f64 / 1e6
    ));
    report.add(section);
    target.stop().await?;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn gigabytes(bench: &Bench, days: u32) -> f64 {
    bench.corpus.megabytes() * f64::from(days) / 1e3
}
