//! What this machine can do at most, measured in the same run.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;
use model::limits::Limits;

use crate::corpus::{Corpus, Form};
use crate::load::{self, Endpoint};
use crate::null::NullServer;
use crate::report::{Report, Section, median};

/// Of the data, for the limits of one core.
const SAMPLE_BYTES: usize = 64 << 20;
const REPEATS: usize = 3;
const SYNCS: usize = 100;

/// Measures the limits; every other figure stands beside them.
///
/// # Errors
/// The disk can't be written.
pub fn measure(report: &mut Report, dir: &Path, corpus: &Corpus) -> anyhow::Result<()> {
    let sample = &corpus.text[..corpus.text.len().min(SAMPLE_BYTES)];
    let sample = &sample[..memchr::memrchr(b'\n', sample).map_or(0, |at| at + 1)];
    let mut section = Section::new("Limits of this machine", &["what", "figure", "unit"]);
    let mut limit = |report: &mut Report, what: &str, key: &str, value: f64, unit: &str| {
        section.row([what.into(), value.into(), unit.into()]);
        report.figure(format!("limit.{key}"), value);
    };
    let mut small = sync(dir, 4 << 10)?;
    limit(report, "append and fdatasync, 4 KiB, median", "sync_4k_ms", median(&mut small), "ms");
    limit(report, "append and fdatasync, 4 KiB, p99", "sync_4k_p99_ms", small[small.len() * 99 / 100], "ms");
    let mut large = sync(dir, 1 << 20)?;
    limit(report, "append and fdatasync, 1 MiB", "sync_1m_mb_per_s", 1.048_576e3 / median(&mut large), "MB/s");
    let packed = zstd::bulk::compress(sample, 1)?;
    let compress = rate(sample.len(), || zstd::bulk::compress(sample, 1))?;
    limit(report, "zstd -1, one core", "zstd_1_mb_per_s", compress, "MB/s");
    let unpack = rate(sample.len(), || zstd::bulk::decompress(&packed, sample.len()))?;
    limit(report, "zstd decompression, one core", "unzstd_mb_per_s", unpack, "MB/s");
    let ratio = sample.len() as f64 / packed.len() as f64;
    limit(report, "zstd -1 of the NDJSON, whole", "zstd_1_ratio", ratio, "x");
    let packed = zstd::bulk::compress(sample, 3)?;
    limit(report, "zstd -3 of the NDJSON, whole", "zstd_3_ratio", sample.len() as f64 / packed.len() as f64, "x");
    let limits = Limits::default();
    let parse = rate(sample.len(), || {
        let fields = server::collect::offline::parse(sample, &limits).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        ensure!(fields > 0, "nothing was parsed");
        anyhow::Ok(())
    })?;
    limit(report, "JSON to values that borrow from it (serde_json), one core", "json_mb_per_s", parse, "MB/s");
    limit(report, "memory copied, one core", "memory_mb_per_s", copy()?, "MB/s");
    report.add(section);
    Ok(())
}

/// What the load generator reaches against a server that does nothing.
///
/// # Errors
/// That server does not start.
pub async fn ceiling(report: &mut Report, corpus: &Corpus, quick: bool) -> anyhow::Result<()> {
    let null = NullServer::start().await?;
    let endpoint = Endpoint::new(&null.url, "application/x-ndjson", None)?;
    let columns =
        ["what", "connections", "per second", "p50 ms", "p99 ms", "generator CPU µs each", "null server CPU µs each"];
    let mut section = Section::new("The load generator against a server that does nothing", &columns);
    let bulk = corpus.bodies(crate::BULK_BYTES, Form::Json)?;
    let count = if quick { 20_000 } else { 100_000 };
    let kinds: [(&str, &str, Arc<Vec<Bytes>>, usize); 5] = [
        ("MB in requests of 1 MiB", "bulk", bulk, 2),
        ("requests of 1 record", "1x1", corpus.small_bodies(1, count / 10), 1),
        ("requests of 1 record", "1x16", corpus.small_bodies(1, count), 16),
        ("requests of 1 record", "1x256", corpus.small_bodies(1, count), 256),
        ("requests of 100 records", "100x16", corpus.small_bodies(100, count / 20), 16),
    ];
    for (what, key, bodies, connections) in kinds {
        let before = null.process.cpu_seconds()?;
        let sent = load::send(&endpoint, &bodies, connections).await?;
        let server = (null.process.cpu_seconds()? - before) * 1e6 / sent.requests as f64;
        let amount = if key == "bulk" { sent.bytes as f64 / 1e6 } else { sent.requests as f64 };
        let rate = amount / sent.wall.as_secs_f64();
        let own = sent.own_cpu * 1e6 / sent.requests as f64;
        report.figure(format!("ceiling.{key}.per_s"), rate);
        report.figure(format!("ceiling.{key}.null_cpu_us"), server);
        report.figure(format!("ceiling.{key}.p50_ms"), sent.quantile(0.5));
        section.row([
            what.into(),
            connections.into(),
            rate.into(),
            sent.quantile(0.5).into(),
            sent.quantile(0.99).into(),
            own.into(),
            server.into(),
        ]);
    }
    let round_trip = report.figures["ceiling.1x1.p50_ms"];
    report.figure("ceiling.round_trip_ms", round_trip);
    report.add(section);
    Ok(())
}

/// Milliseconds of appends that are durable.
fn sync(dir: &Path, bytes: usize) -> anyhow::Result<Vec<f64>> {
    let mut file = tempfile::tempfile_in(dir)?;
    let block = vec![7_u8; bytes];
    let mut times = Vec::new();
    for _ in 0..SYNCS {
        let since = Instant::now();
        file.write_all(&block)?;
        File::sync_data(&file)?;
        times.push(since.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

fn copy() -> anyhow::Result<f64> {
    let (from, mut to) = (vec![1_u8; 256 << 20], vec![0_u8; 256 << 20]);
    rate(from.len(), || {
        to.copy_from_slice(std::hint::black_box(&from));
        anyhow::Ok(to[std::hint::black_box(7)])
    })
}

/// MB/s of the fastest repeat.
fn rate<T, E: Into<anyhow::Error>>(bytes: usize, mut work: impl FnMut() -> Result<T, E>) -> anyhow::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        let since = Instant::now();
        std::hint::black_box(work().map_err(Into::into)?);
        best = best.min(since.elapsed().as_secs_f64());
    }
    Ok(bytes as f64 / 1e6 / best)
}
