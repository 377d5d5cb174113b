//! What this machine can do at most, measured in the same run.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

const REPEATS: usize = 5;

/// The physical limits that figures stand beside.
///
/// # Errors
/// The disk can't be written.
pub fn measure(dir: &Path, sample: &[u8]) -> anyhow::Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("append and fdatasync, 4 KiB", format!("{:.2} ms median", sync(dir, 4 << 10)? * 1e3)),
        ("append and fdatasync, 1 MiB", format!("{:.0} MB/s", (1 << 20) as f64 / 1e6 / sync(dir, 1 << 20)?)),
        ("zstd -1, one core", format!("{:.0} MB/s", rate(sample.len(), || zstd::bulk::compress(sample, 1).map(drop))?)),
        ("JSON checked line by line, one core", format!("{:.0} MB/s", rate(sample.len(), || parse(sample))?)),
        ("memory copied, one core", format!("{:.1} GB/s", copy()? / 1e3)),
    ])
}

/// Seconds of an append that is durable; the median.
fn sync(dir: &Path, bytes: usize) -> anyhow::Result<f64> {
    let mut file = tempfile::tempfile_in(dir)?;
    let block = vec![7_u8; bytes];
    let mut times = Vec::new();
    for _ in 0..REPEATS * 8 {
        let since = Instant::now();
        file.write_all(&block)?;
        File::sync_data(&file)?;
        times.push(since.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn parse(lines: &[u8]) -> std::io::Result<()> {
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        serde_json::from_slice::<serde::de::IgnoredAny>(line)?;
    }
    Ok(())
}

fn copy() -> anyhow::Result<f64> {
    let (from, mut to) = (vec![1_u8; 256 << 20], vec![0_u8; 256 << 20]);
    rate(from.len(), || {
        to.copy_from_slice(std::hint::black_box(&from));
        Ok(())
    })
}

/// MB/s of the fastest repeat.
fn rate(bytes: usize, mut work: impl FnMut() -> std::io::Result<()>) -> anyhow::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        let since = Instant::now();
        work()?;
        best = best.min(since.elapsed().as_secs_f64());
    }
    Ok(bytes as f64 / 1e6 / best)
}
