//! What is aimed at, what was reached, and which limit of the machine each figure is nearest to.

use crate::report::{Cell, Figures, Section};

/// Targets hold for about so many bytes of NDJSON.
const SET_BYTES: std::ops::Range<u64> = 900_000_000..1_300_000_000;

/// A figure and where it should be.
struct Target {
    what: &'static str,
    figure: &'static str,
    unit: &'static str,
    aim: Aim,
    /// Whether the aim is of the 1 GiB set only.
    of_set: bool,
    limits: &'static [Limit],
}

enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

use Aim::{AtLeast, AtMost};

/// What stands against a figure, in the figure's unit.
#[derive(Clone, Copy)]
enum Limit {
    /// This other figure.
    Figure(&'static str, &'static str),
    /// What memory bandwidth takes for all text, ms on all cores.
    Scan,
    /// What decompressing all text takes, ms on all cores.
    Unpack,
    /// One round trip to a server that does nothing, ms.
    RoundTrip,
    /// One durable append for each turn of 16 connections, requests/s.
    Syncs16,
}

use Limit::{Figure, RoundTrip, Scan, Syncs16, Unpack};

const INGEST_CPU: &[Limit] = &[Figure("JSON parse", "limit.json_mb_per_s"), Figure("zstd -1", "limit.zstd_1_mb_per_s")];
const DISK: &[Limit] = &[Figure("zstd -3 of all", "limit.zstd_3_ratio")];
const SMALL: &[Limit] = &[Figure("the load generator", "ceiling.1x16.per_s"), Syncs16];
const HUNDRED: &[Limit] = &[Figure("the load generator", "ceiling.100x16.per_s"), Syncs16];
const SMALL_CPU: &[Limit] = &[Figure("HTTP alone", "ceiling.1x16.null_cpu_us")];
const HUNDRED_CPU: &[Limit] = &[Figure("HTTP alone", "ceiling.100x16.null_cpu_us")];
const SYNC: &[Limit] = &[Figure("fdatasync of 4 KiB", "limit.sync_4k_ms"), RoundTrip];
const SYNC_P99: &[Limit] = &[Figure("p99 of fdatasync of 4 KiB", "limit.sync_4k_p99_ms")];
const NEEDLE: &[Limit] = &[RoundTrip];
const TEXT: &[Limit] = &[Scan, Unpack];
const COLUMN: &[Limit] = &[RoundTrip];
const NONE: &[Limit] = &[];

const fn target(
    what: &'static str,
    figure: &'static str,
    unit: &'static str,
    aim: Aim,
    of_set: bool,
    limits: &'static [Limit],
) -> Target {
    Target { what, figure, unit, aim, of_set, limits }
}

const TARGETS: &[Target] = &[
    target("ingest until compacted", "ingest.json.2.mb_per_cpu_s", "MB per CPU s", AtLeast(60.0), false, INGEST_CPU),
    target("on disk", "disk.ratio", "x", AtLeast(10.2), true, DISK),
    target("peak memory while ingesting", "memory.peak_mb", "MB", AtMost(250.0), false, NONE),
    target("1 record, 16 connections", "small.1x16.per_s", "requests/s", AtLeast(12_000.0), false, SMALL),
    target("1 record, 16 connections, p99", "small.1x16.p99_ms", "ms", AtMost(12.0), false, SYNC_P99),
    target("1 record, 16 connections, CPU", "small.1x16.cpu_us", "µs", AtMost(80.0), false, SMALL_CPU),
    target("100 records, 16 connections", "small.100x16.per_s", "requests/s", AtLeast(2_500.0), false, HUNDRED),
    target("100 records, 16 connections, CPU", "small.100x16.cpu_us", "µs", AtMost(600.0), false, HUNDRED_CPU),
    target("sent → searchable, idle, p50", "fresh.idle.searchable_p50_ms", "ms", AtMost(15.0), false, SYNC),
    target("sent → searchable, idle, p99", "fresh.idle.searchable_p99_ms", "ms", AtMost(50.0), false, SYNC_P99),
    target("sent → searchable, full ingest, p99", "fresh.busy.searchable_p99_ms", "ms", AtMost(500.0), false, NONE),
    target("acknowledged → tail, p50", "fresh.idle.tail_p50_ms", "ms", AtMost(5.0), false, NEEDLE),
    target("acknowledged → tail, p99", "fresh.idle.tail_p99_ms", "ms", AtMost(50.0), false, NEEDLE),
    target("needle UUID, warm", "query.needle.warm_ms", "ms", AtMost(8.0), true, NEEDLE),
    target("needle UUID, cold", "query.needle.cold_ms", "ms", AtMost(40.0), true, NEEDLE),
    target("trace_id = X, warm", "query.trace.warm_ms", "ms", AtMost(8.0), true, NEEDLE),
    target("trace_id = X, cold", "query.trace.cold_ms", "ms", AtMost(40.0), true, NEEDLE),
    target("count of a rare phrase, warm", "query.rare.warm_ms", "ms", AtMost(20.0), true, TEXT),
    target("count of a rare phrase, cold", "query.rare.cold_ms", "ms", AtMost(80.0), true, TEXT),
    target("count of two words, warm", "query.words.warm_ms", "ms", AtMost(30.0), true, TEXT),
    target("count of a substring, warm", "query.substring.warm_ms", "ms", AtMost(150.0), true, TEXT),
    target("count of a regex, warm", "query.regex.warm_ms", "ms", AtMost(35.0), true, TEXT),
    target("newest 100 errors, warm", "query.newest_errors.warm_ms", "ms", AtMost(8.0), true, NEEDLE),
    target("newest 100 of all, warm", "query.newest.warm_ms", "ms", AtMost(8.0), true, NEEDLE),
    target("count per minute, all, warm", "query.minutes.warm_ms", "ms", AtMost(25.0), true, COLUMN),
    target("count per minute by level, warm", "query.minutes_by_level.warm_ms", "ms", AtMost(50.0), true, COLUMN),
    target("top 10 services, warm", "query.services.warm_ms", "ms", AtMost(10.0), true, COLUMN),
    target("status >= 500 by path, warm", "query.failing_paths.warm_ms", "ms", AtMost(30.0), true, COLUMN),
    target("p95 duration by service, warm", "query.p95.warm_ms", "ms", AtMost(100.0), true, COLUMN),
    target("needle, 10 times the data", "growth.needle.ratio", "x", AtMost(1.5), false, NONE),
    target("newest 100, 10 times the data", "growth.newest.ratio", "x", AtMost(1.5), false, NONE),
    target("newest 100 errors, 10 times the data", "growth.newest_errors.ratio", "x", AtMost(1.5), false, NONE),
    target("count of two words, 10 times the data", "growth.words.ratio", "x", AtMost(10.0), false, NONE),
    target(
        "Kafka and ClickHouse, of the embedded path",
        "fleet.kafka-clickhouse.of_embedded",
        "records per CPU s",
        AtLeast(0.6),
        false,
        NONE,
    ),
    target(
        "Kafka to ClickHouse, a processor",
        "fleet.kafka-clickhouse.processor_records_per_cpu_s",
        "records per CPU s",
        AtLeast(200_000.0),
        false,
        &[Figure("a plain insert", "fleet.kafka-clickhouse.insert.records_per_s")],
    ),
    target(
        "into PostgreSQL",
        "fleet.redis-postgres.records_per_s",
        "rows/s",
        AtLeast(60_000.0),
        false,
        &[Figure("COPY", "fleet.redis-postgres.copy.records_per_s")],
    ),
];

/// Every target whose figure was measured.
pub fn table(figures: &Figures, bytes: u64) -> Section {
    let columns = ["what", "unit", "target", "reached", "", "nearest limit", "reached / limit"];
    let mut section = Section::new("Targets", &columns);
    let is_set = SET_BYTES.contains(&bytes);
    for target in TARGETS {
        let Some(reached) = figures.get(target.figure) else { continue };
        let (aim, met) = match target.aim {
            AtLeast(aim) => (format!("≥ {}", Cell::from(aim)), *reached >= aim),
            AtMost(aim) => (format!("≤ {}", Cell::from(aim)), *reached <= aim),
        };
        let verdict = match (met, target.of_set && !is_set) {
            (_, true) => "of the 1 GiB set",
            (true, _) => "met",
            (false, _) => "**not met**",
        };
        let limits = target.limits.iter().filter_map(|limit| limit.value(figures, bytes));
        // The largest share of what the limit allows.
        let share = |limit: f64| match target.aim {
            AtLeast(_) => reached / limit,
            AtMost(_) => limit / reached,
        };
        let nearest = limits.max_by(|a, b| share(a.1).total_cmp(&share(b.1)));
        section.row([
            target.what.into(),
            target.unit.into(),
            aim.into(),
            (*reached).into(),
            verdict.into(),
            nearest.map(|(name, limit)| format!("{name}: {}", Cell::from(limit))).into(),
            nearest.map(|(_, limit)| reached / limit).into(),
        ]);
    }
    section
}

impl Limit {
    fn value(self, figures: &Figures, bytes: u64) -> Option<(&'static str, f64)> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let milliseconds = |key: &str| Some(bytes as f64 / 1e3 / figures.get(key)? / cores);
        Some(match self {
            Figure(name, key) => (name, *figures.get(key)?),
            Scan => ("memory bandwidth over all text", milliseconds("limit.memory_mb_per_s")?),
            Unpack => ("unpacking all text", milliseconds("limit.unzstd_mb_per_s")?),
            RoundTrip => ("a round trip of HTTP", figures.get("ceiling.round_trip_ms").copied()?),
            Syncs16 => ("a sync for 16 requests", 16_000.0 / figures.get("limit.sync_4k_ms")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_held_against_its_target_and_its_nearest_limit() {
        let figures = Figures::from([
            ("ingest.json.2.mb_per_cpu_s".to_owned(), 50.0),
            ("limit.json_mb_per_s".to_owned(), 500.0),
            ("limit.zstd_1_mb_per_s".to_owned(), 200.0),
            ("query.needle.warm_ms".to_owned(), 4.0),
        ]);
        let table = table(&figures, 1_073_000_000).to_string();
        assert!(table.contains("≥ 60 | 50 | **not met** | zstd -1: 200 | 0.25"), "{table}");
        assert!(table.contains("≤ 8 | 4 | met"), "{table}");
    }
}
