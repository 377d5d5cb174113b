//! Every question: cold after a restart without the page cache, then warm.

use std::time::{Duration, Instant};

use super::Bench;
use crate::engine::{Engine, Kind};
use crate::process::machine_cpu_seconds;
use crate::queries::Question;
use crate::report::{Report, Section, median};
use crate::target::{Target, drop_cached};

/// Of the first questions some wait for what the disk does besides.
const COLD_REPEATS: u32 = 3;

/// # Errors
/// An answer is wrong.
pub async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let warm_repeats = if bench.quick { 5 } else { 9 };
    let columns = ["query", "cold ms", "warm ms", "warm least ms", "warm CPU ms"];
    let mut section = Section::new("Queries over the whole day, one user", &columns);
    let data_dir = bench.main_data();
    let questions = Question::all(&bench.corpus, 1);
    let mut cold = vec![Vec::new(); questions.len()];
    let mut starts = Vec::new();
    for _ in 0..COLD_REPEATS {
        for (question, times) in questions.iter().zip(&mut cold) {
            drop_cached(&data_dir)?;
            let target = bench.launch.start(&data_dir).await?;
            starts.push(target.start_time.as_secs_f64() * 1e3);
            times.push(timed(question, &Engine::new(Kind::Devlogs, &target.api)?).await?);
            target.stop().await?;
        }
    }
    let target = bench.launch.start(&data_dir).await?;
    let engine = Engine::new(Kind::Devlogs, &target.api)?;
    let (machine, before, since) = (machine_cpu_seconds()?, target.cpu_seconds()?, Instant::now());
    for (question, cold) in questions.iter().zip(&mut cold) {
        let warm = warm(question, &engine, Some(&target), warm_repeats).await?;
        let cold = median(cold);
        report.figure(format!("query.{}.cold_ms", question.key), cold);
        report.figure(format!("query.{}.warm_ms", question.key), warm.median);
        report.figure(format!("query.{}.warm_least_ms", question.key), warm.least);
        report.figure(format!("query.{}.cpu_ms", question.key), warm.cpu.unwrap_or_default());
        let figures = [cold, warm.median, warm.least].map(Into::into);
        section.row(std::iter::once(question.name.into()).chain(figures).chain([warm.cpu.into()]));
    }
    let others = machine_cpu_seconds()? - machine - (target.cpu_seconds()? - before);
    let (resident, _) = target.process.memory()?;
    report.figure("start_ms", median(&mut starts));
    section.note(format!(
        "Each answer was compared with the truth. Cold is the first question to a server that was just started, its files \
         out of the page cache; the connection is new, too. Everything else on the machine, the asking included, took \
         {:.2} cores meanwhile. The server started in {:.0} ms (median) and has {:.0} MB after all questions.",
        others / since.elapsed().as_secs_f64(),
        median(&mut starts),
        resident as f64 / 1e6
    ));
    report.add(section);
    target.stop().await
}

/// Milliseconds.
#[derive(Debug)]
pub struct Warm {
    pub median: f64,
    pub least: f64,
    /// For each, if we may know.
    pub cpu: Option<f64>,
}

/// Quick questions are asked again for so long: the kernel's clock of CPU has ticks of 10 ms.
const WARM_TIME: Duration = Duration::from_millis(400);
const WARM_REPEATS_MAX: usize = 100;

/// Asks once to warm up, then so many times, or more if that takes no time.
pub async fn warm(question: &Question, engine: &Engine, target: Option<&Target>, repeats: u32) -> anyhow::Result<Warm> {
    timed(question, engine).await?;
    let cpu = || target.map(Target::cpu_seconds).transpose();
    let (before, since) = (cpu()?, Instant::now());
    let mut times = Vec::new();
    while times.len() < repeats as usize || (since.elapsed() < WARM_TIME && times.len() < WARM_REPEATS_MAX) {
        times.push(timed(question, engine).await?);
    }
    let cpu = cpu()?.zip(before).map(|(after, before)| (after - before) * 1e3 / times.len() as f64);
    Ok(Warm { median: median(&mut times), least: times[0], cpu })
}

/// Asks and checks; milliseconds.
pub(super) async fn timed(question: &Question, engine: &Engine) -> anyhow::Result<f64> {
    let (took, answer) = engine.ask(&question.what, &question.range).await?;
    question.check(&answer, engine.kind != Kind::Devlogs)?;
    Ok(took.as_secs_f64() * 1e3)
}
