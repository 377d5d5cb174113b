//! Small requests over many connections.

use super::Bench;
use crate::corpus::Form;
use crate::engine::{Engine, Kind};
use crate::load;
use crate::report::{Report, Section};
use crate::target::Target;

/// Records a request, how many requests at full length.
const KINDS: [(usize, usize); 2] = [(1, 50_000), (100, 4_000)];
const CONNECTIONS: [usize; 2] = [16, 256];

/// # Errors
/// The server refuses.
pub async fn measure(bench: &Bench, report: &mut Report, target: &Target) -> anyhow::Result<()> {
    let columns = [
        "records",
        "connections",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "CPU µs a request",
        "generator's CPU µs",
        "refused for the moment",
    ];
    let mut section = Section::new("Small requests, acknowledged after fsync", &columns);
    let endpoint = Engine::new(Kind::Devlogs, &target.api)?.ingest(&target.collector, Form::Json)?;
    for (records, count) in KINDS {
        let bodies = bench.corpus.small_bodies(records, if bench.quick { count / 4 } else { count });
        for connections in CONNECTIONS {
            // Connections and threads are there when the clock starts.
            let warm_up = bench.corpus.small_bodies(records, connections * 2);
            load::send(&endpoint, &warm_up, connections).await?;
            let before = target.cpu_seconds()?;
            let sent = load::send(&endpoint, &bodies, connections).await?;
            let cpu = (target.cpu_seconds()? - before) * 1e6 / sent.requests as f64;
            let rate = sent.requests as f64 / sent.wall.as_secs_f64();
            let name = format!("small.{records}x{connections}");
            report.figure(format!("{name}.per_s"), rate);
            report.figure(format!("{name}.p99_ms"), sent.quantile(0.99));
            report.figure(format!("{name}.cpu_us"), cpu);
            section.row([
                records.into(),
                connections.into(),
                rate.into(),
                sent.quantile(0.5).into(),
                sent.quantile(0.99).into(),
                sent.quantile(0.999).into(),
                cpu.into(),
                (sent.own_cpu * 1e6 / sent.requests as f64).into(),
                (sent.retries as usize).into(),
            ]);
        }
    }
    report.add(section);
    Ok(())
}
