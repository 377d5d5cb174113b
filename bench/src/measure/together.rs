//! Things that happen at once: questions beside ingest, eight users, and a heavy question beside everybody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use super::{Bench, ask};
use crate::BULK_BYTES;
use crate::corpus::Form;
use crate::engine::{Engine, Kind};
use crate::load::{self, Background};
use crate::queries::Question;
use crate::report::{Report, Section};
use crate::target::Target;

const USERS: usize = 8;
/// A user who asks something light, and the heavy questions that stand beside it.
const LIGHT: &str = "needle";
const HEAVY: &str = "substring";
const HEAVY_USERS: usize = 2;

/// On the data of [`Bench::main_data`]. What is ingested meanwhile is of later days, so that the answers stay the same.
///
/// # Errors
/// An answer is wrong.
pub async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let target = bench.launch.start(&bench.main_data()).await?;
    let engine = Engine::new(Kind::Devlogs, &target.api)?;
    let questions = Arc::new(Question::all(&bench.corpus, 1));
    users(bench, report, &target, &engine, &questions).await?;
    polite(bench, report, &target, &engine, &questions).await?;
    during_ingest(bench, report, &target, &engine, &questions).await?;
    target.stop().await
}

fn time(bench: &Bench) -> Duration {
    Duration::from_secs(if bench.quick { 5 } else { 20 })
}

/// Every question while records are taken as fast as possible.
async fn during_ingest(
    bench: &Bench,
    report: &mut Report,
    target: &Target,
    engine: &Engine,
    questions: &[Question],
) -> anyhow::Result<()> {
    let mut section = Section::new("Queries during full ingest", &["query", "median ms", "least ms"]);
    let endpoint = engine.ingest(&target.collector, Form::Json)?;
    let bodies = bench.corpus.later_bodies(BULK_BYTES, 1)?;
    let ingest = Background::start(&endpoint, &bodies, bench.senders).await?;
    for question in questions {
        let warm = ask::warm(question, engine, None, if bench.quick { 3 } else { 7 }).await?;
        report.figure(format!("during_ingest.{}.ms", question.key), warm.median);
        section.row([question.name.into(), warm.median.into(), warm.least.into()]);
    }
    let sent = ingest.stop().await?;
    let rate = sent.bytes as f64 / 1e6 / sent.wall.as_secs_f64();
    report.figure("during_ingest.mb_per_s", rate);
    section.note(format!(
        "{} senders at {rate:.1} MB/s meanwhile; each answer was compared with the truth.",
        bench.senders
    ));
    report.add(section);
    Ok(())
}

/// Users who ask all questions in turn, each beginning with another one.
async fn users(
    bench: &Bench,
    report: &mut Report,
    target: &Target,
    engine: &Engine,
    questions: &Arc<Vec<Question>>,
) -> anyhow::Result<()> {
    let mut section =
        Section::new("Users who ask all questions in turn", &["users", "answers/s", "p50 ms", "p99 ms", "peak MB"]);
    for users in [1, USERS] {
        target.process.reset_peak();
        let since = Instant::now();
        let all: Vec<usize> = (0..questions.len()).collect();
        let crowd = Crowd::start(engine, questions, &all, users);
        tokio::time::sleep(time(bench)).await;
        let times = crowd.stop().await?;
        let rate = times.len() as f64 / since.elapsed().as_secs_f64();
        let (_, peak) = target.process.memory()?;
        report.figure(format!("users.{users}.answers_per_s"), rate);
        report.figure(format!("users.{users}.p99_ms"), ms(&times, 0.99));
        section.row([
            users.into(),
            rate.into(),
            ms(&times, 0.5).into(),
            ms(&times, 0.99).into(),
            (peak as f64 / 1e6).into(),
        ]);
    }
    report.add(section);
    Ok(())
}

/// A light question and small requests, alone and beside heavy questions.
async fn polite(
    bench: &Bench,
    report: &mut Report,
    target: &Target,
    engine: &Engine,
    questions: &Arc<Vec<Question>>,
) -> anyhow::Result<()> {
    let columns =
        ["beside", "light p50 ms", "light p99 ms", "requests/s", "request p50 ms", "request p99 ms", "heavy answers/s"];
    let mut section = Section::new("A heavy question beside ingest and others", &columns);
    let at = |key: &str| questions.iter().position(|question| question.key == key).unwrap_or_default();
    let endpoint = engine.ingest(&target.collector, Form::Json)?;
    let bodies = bench.corpus.later_bodies(1, 2)?;
    for (beside, key, heavy_users) in [("nothing", "alone", 0), ("heavy questions", "beside_heavy", HEAVY_USERS)] {
        let since = Instant::now();
        let heavy = Crowd::start(engine, questions, &[at(HEAVY)], heavy_users);
        let light = Crowd::start(engine, questions, &[at(LIGHT)], 1);
        let ingest = Background::start(&endpoint, &bodies, 16).await?;
        tokio::time::sleep(time(bench)).await;
        let (sent, light, heavy) = (ingest.stop().await?, light.stop().await?, heavy.stop().await?);
        let rate = sent.requests as f64 / sent.wall.as_secs_f64();
        report.figure(format!("polite.{key}.light_p99_ms"), ms(&light, 0.99));
        report.figure(format!("polite.{key}.requests_per_s"), rate);
        report.figure(format!("polite.{key}.request_p99_ms"), sent.quantile(0.99));
        section.row([
            beside.into(),
            ms(&light, 0.5).into(),
            ms(&light, 0.99).into(),
            rate.into(),
            sent.quantile(0.5).into(),
            sent.quantile(0.99).into(),
            (heavy.len() as f64 / since.elapsed().as_secs_f64()).into(),
        ]);
    }
    section.note(format!(
        "One user asks for the {LIGHT} over and over, 16 connections send single records, {HEAVY_USERS} users count a \
         {HEAVY} in every message over and over."
    ));
    report.add(section);
    Ok(())
}

fn ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1e3
}

/// Users who ask until they are stopped.
struct Crowd {
    stop: Arc<AtomicBool>,
    users: JoinSet<anyhow::Result<Histogram<u64>>>,
}

impl Crowd {
    fn start(engine: &Engine, questions: &Arc<Vec<Question>>, which: &[usize], users: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut crowd = JoinSet::new();
        for user in 0..users {
            let (engine, questions, which, stop) = (engine.clone(), questions.clone(), which.to_vec(), stop.clone());
            crowd.spawn(async move {
                let mut times = load::histogram()?;
                for turn in user.. {
                    let question = &questions[which[turn % which.len()]];
                    times.saturating_record((ask::timed(question, &engine).await? * 1e3) as u64);
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                Ok(times)
            });
        }
        Self { stop, users: crowd }
    }

    async fn stop(mut self) -> anyhow::Result<Histogram<u64>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = load::histogram()?;
        while let Some(done) = self.users.join_next().await {
            times.add(done??)?;
        }
        Ok(times)
    }
}
