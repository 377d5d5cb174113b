//! The data set: NDJSON, the answers that came with it, and those that a look at every record gives.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use model::limits::Limits;
use serde::Deserialize;

use crate::generate;
use crate::truth::Truth;

pub const DAY_NANOS: i64 = 86_400_000_000_000;
pub const MINUTE_NANOS: i64 = 60_000_000_000;
/// How many records the newest are.
pub const NEWEST: usize = 100;
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// Records and what is true about them.
#[derive(Debug)]
pub struct Corpus {
    pub text: Bytes,
    pub truth: Truth,
    pub seen: Seen,
}

/// What the records show themselves. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Default)]
pub struct Seen {
    /// Of the newest records, newest first.
    pub newest: Vec<i64>,
    pub newest_errors: Vec<i64>,
    /// By the minute's start and the level.
    pub minutes: BTreeMap<(i64, String), u64>,
    /// `duration_ms` by service, in order.
    pub durations: BTreeMap<String, Vec<f64>>,
}

#[derive(Debug, Deserialize)]
struct Line<'a> {
    ts: &'a str,
    service: &'a str,
    level: &'a str,
    duration_ms: Option<f64>,
}

impl Corpus {
    /// Makes records.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn make(records: u64, seed: u64, work: &Path) -> anyhow::Result<Self> {
        let path = work.join("corpus.ndjson");
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let truth = generate::generate(records, seed, &mut out)?;
        drop(out);
        let text = std::fs::read(&path)?;
        std::fs::remove_file(&path)?;
        Self::new(text.into(), truth)
    }

    /// Reads records and the answers about them.
    ///
    /// # Errors
    /// They can't be read, or do not belong together.
    pub fn read(corpus: &Path, truth: &Path) -> anyhow::Result<Self> {
        let answers = std::fs::read_to_string(truth).with_context(|| truth.display().to_string())?;
        let answers = serde_json::from_str(&answers).context("the form of the true answers")?;
        let text = std::fs::read(corpus).with_context(|| corpus.display().to_string())?;
        Self::new(text.into(), answers)
    }

    fn new(text: Bytes, truth: Truth) -> anyhow::Result<Self> {
        ensure!(text.len() as u64 == truth.bytes, "the data has {} bytes, the answers are of others", text.len());
        let seen = Seen::of(&text)?;
        Ok(Self { text, truth, seen })
    }

    pub fn megabytes(&self) -> f64 {
        self.truth.bytes as f64 / 1e6
    }

    /// Bodies of about `bytes`, cut at line ends, with how many records they have in all.
    ///
    /// # Errors
    /// A line can't be turned into the form.
    pub fn bodies(&self, bytes: usize, form: Form) -> anyhow::Result<Arc<Vec<Bytes>>> {
        let mut bodies = Vec::new();
        let mut from = 0;
        while from < self.text.len() {
            let to = (from + bytes).min(self.text.len());
            let to = memchr::memchr(b'\n', &self.text[to..]).map_or(self.text.len(), |at| to + at + 1);
            bodies.push(form.encode(self.text.slice(from..to))?);
            from = to;
        }
        Ok(Arc::new(bodies))
    }

    /// At most `count` bodies of exactly `records` lines.
    pub fn small_bodies(&self, records: usize, count: usize) -> Arc<Vec<Bytes>> {
        let mut bodies = Vec::new();
        let (mut from, mut lines) = (0, 0);
        for at in memchr::memchr_iter(b'\n', &self.text) {
            lines += 1;
            if lines == records {
                bodies.push(self.text.slice(from..=at));
                (from, lines) = (at + 1, 0);
                if bodies.len() == count {
                    break;
                }
            }
        }
        Arc::new(bodies)
    }

    /// The same day again `copy` days later, as bodies: the needles that few records have are others there, so that
    /// they stay as rare as they were.
    pub fn later_bodies(&self, bytes: usize, copy: u32) -> anyhow::Result<Arc<Vec<Bytes>>> {
        let day = |seconds: i64| -> anyhow::Result<String> {
            let date = Timestamp::from_second(seconds)?.to_zoned(TimeZone::UTC).date();
            Ok(format!("\"ts\":\"{date}"))
        };
        let start = self.truth.day_start_unix;
        let other = |needle: &str| format!("{copy:04x}{}", &needle[4..]);
        let changes = [
            (day(start)?, day(start + i64::from(copy) * DAY_NANOS / 1_000_000_000)?),
            (self.truth.uuid_needle.value.clone(), other(&self.truth.uuid_needle.value)),
            (self.truth.trace_needle.value.clone(), other(&self.truth.trace_needle.value)),
        ];
        let bodies = self.bodies(bytes, Form::Json)?;
        let changed = bodies.iter().map(|body| {
            let mut body = body.to_vec();
            for (from, to) in &changes {
                // Both have the same length.
                let places: Vec<_> = memchr::memmem::find_iter(&body, from).collect();
                places.into_iter().for_each(|at| body[at..at + to.len()].copy_from_slice(to.as_bytes()));
            }
            Bytes::from(body)
        });
        Ok(Arc::new(changed.collect()))
    }
}

impl Seen {
    fn of(text: &[u8]) -> anyhow::Result<Self> {
        let mut seen = Self::default();
        let (mut newest, mut newest_errors) = (BinaryHeap::new(), BinaryHeap::new());
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Line<'_> = serde_json::from_slice(line).context("a record of the data")?;
            let time = line.ts.parse::<Timestamp>()?.as_nanosecond() as i64;
            keep_newest(&mut newest, time);
            if line.level == "error" {
                keep_newest(&mut newest_errors, time);
            }
            let minute = time - time.rem_euclid(MINUTE_NANOS);
            *seen.minutes.entry((minute, line.level.to_owned())).or_default() += 1;
            if let Some(duration) = line.duration_ms {
                match seen.durations.get_mut(line.service) {
                    Some(durations) => durations.push(duration),
                    None => drop(seen.durations.insert(line.service.to_owned(), vec![duration])),
                }
            }
        }
        seen.durations.values_mut().for_each(|durations| durations.sort_by(f64::total_cmp));
        let in_order = |heap: BinaryHeap<Reverse<i64>>| heap.into_sorted_vec().into_iter().map(|time| time.0).collect();
        (seen.newest, seen.newest_errors) = (in_order(newest), in_order(newest_errors));
        Ok(seen)
    }
}

fn keep_newest(heap: &mut BinaryHeap<Reverse<i64>>, time: i64) {
    if heap.len() < NEWEST {
        heap.push(Reverse(time));
    } else if heap.peek().is_some_and(|oldest| oldest.0 < time) {
        heap.pop();
        heap.push(Reverse(time));
    }
}

/// How records are written in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    JsonGzip,
    JsonZstd,
    Otlp,
    OtlpGzip,
    OtlpZstd,
}

impl Form {
    pub const ALL: [Self; 6] = [Self::Json, Self::JsonGzip, Self::JsonZstd, Self::Otlp, Self::OtlpGzip, Self::OtlpZstd];

    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::JsonGzip => "JSON, gzip",
            Self::JsonZstd => "JSON, zstd",
            Self::Otlp => "OTLP",
            Self::OtlpGzip => "OTLP, gzip",
            Self::OtlpZstd => "OTLP, zstd",
        }
    }

    /// In names of figures.
    pub fn key(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonGzip => "json_gzip",
            Self::JsonZstd => "json_zstd",
            Self::Otlp => "otlp",
            Self::OtlpGzip => "otlp_gzip",
            Self::OtlpZstd => "otlp_zstd",
        }
    }

    pub fn is_otlp(self) -> bool {
        matches!(self, Self::Otlp | Self::OtlpGzip | Self::OtlpZstd)
    }

    pub fn content_type(self) -> &'static str {
        if self.is_otlp() { "application/x-protobuf" } else { "application/x-ndjson" }
    }

    pub fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::Json | Self::Otlp => None,
            Self::JsonGzip | Self::OtlpGzip => Some("gzip"),
            Self::JsonZstd | Self::OtlpZstd => Some("zstd"),
        }
    }

    fn encode(self, lines: Bytes) -> anyhow::Result<Bytes> {
        let body = if self.is_otlp() {
            server::collect::offline::to_otlp(&lines, &Limits::default(), 0)
                .map_err(|error| anyhow::anyhow!("{error:?}"))?
        } else {
            lines
        };
        Ok(match self.content_encoding() {
            Some("gzip") => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
                std::io::Write::write_all(&mut gzip, &body)?;
                gzip.finish()?.into()
            }
            Some(_) => zstd::bulk::compress(&body, ZSTD_LEVEL)?.into(),
            None => body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_day_has_the_same_records_without_the_rare_needles() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let corpus = Corpus::make(2_000, 1, dir.path())?;
        let later = corpus.later_bodies(64 << 10, 3)?.concat();
        assert_eq!(later.len(), corpus.text.len());
        let count = |text: &[u8], needle: &str| memchr::memmem::find_iter(text, needle).count() as u64;
        let truth = &corpus.truth;
        for needle in [&truth.uuid_needle, &truth.trace_needle] {
            assert_eq!((count(&corpus.text, &needle.value), count(&later, &needle.value)), (needle.count, 0));
        }
        assert_eq!(count(&later, &truth.phrase.value), truth.phrase.substring_count);
        assert_eq!(count(&later, "\"ts\":\"2026-01-18"), truth.records);
        Ok(())
    }

    #[test]
    fn what_is_seen_agrees_with_the_generator() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let Corpus { truth, seen, .. } = Corpus::make(3_000, 2, dir.path())?;
        assert_eq!(seen.minutes.values().sum::<u64>(), truth.records);
        let mut levels = BTreeMap::<String, u64>::new();
        seen.minutes.iter().for_each(|((_, level), count)| *levels.entry(level.clone()).or_default() += count);
        assert_eq!(levels, truth.by_level);
        assert_eq!((seen.newest.len(), seen.newest.is_sorted_by(|a, b| a >= b)), (NEWEST, true));
        for (service, p95) in &truth.p95_duration_ms_by_service_nearest_rank {
            let durations = &seen.durations[service];
            assert_eq!(durations[(durations.len() * 95).div_ceil(100) - 1], *p95);
        }
        Ok(())
    }
}
