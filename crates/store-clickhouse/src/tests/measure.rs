//! How fast writing is, beside the server's own insert of the same rows. Run it by name:
//! `cargo test -p devlogs-store-clickhouse -- --ignored --nocapture measure`.

use std::fs;
use std::process::Command;
use std::time::{Instant, SystemTime};

use model::position::Incarnation;
use store::conformance::generate;
use store::{Store, WriteBatch};
use test_backends::clickhouse::ClickHouse;

use super::rig::config;
use crate::columns::{self, Span};
use crate::{ClickHouseConfig, ClickHouseStore};

const BATCHES: u64 = 40;
const BATCH_ROWS: u64 = 10_000;
const ROWS: u64 = BATCHES * BATCH_ROWS;

fn range(from: u64, now: i64) -> WriteBatch {
    generate::requests(Incarnation(1), from, from * BATCH_ROWS..(from + 1) * BATCH_ROWS, now)
}

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("the state of this process");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
    let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / 100.0
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a test"]
async fn measure() {
    let server = ClickHouse::start();
    let database = server.database();
    let config = ClickHouseConfig { fsync: true, ..config(&server, &database) };
    let store = ClickHouseStore::open(config.clone()).await.expect("a store");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_nanos() as i64;
    let batches: Vec<_> = (0..BATCHES).map(|from| range(from, now)).collect();
    let show = |what: &str, seconds: f64| eprintln!("{what}: {} rows/s", (ROWS as f64 / seconds) as u64);

    let span = Span { past: i64::MAX, future: i64::MAX };
    let (begun, mut bytes) = (cpu(), 0);
    for range in &batches {
        for (day, places) in columns::by_day(&range.batches, span, |_, _| true) {
            bytes += columns::block(range, &places, day).finish().iter().map(|part| part.len()).sum::<usize>();
        }
    }
    show("encode, one core", cpu() - begun);
    eprintln!("{} bytes a row", bytes as u64 / ROWS);

    let (begun, used) = (Instant::now(), cpu());
    for batch in batches {
        store.write(batch).await.expect("written");
    }
    show("write", begun.elapsed().as_secs_f64());
    show("write, by our own CPU", cpu() - used);

    let file = tempfile::NamedTempFile::new().expect("a file");
    let curl = |url: String, more: &[&str]| {
        let done = Command::new("curl").args(["-sSf", &url]).args(more).status();
        assert!(done.is_ok_and(|status| status.success()), "curl");
    };
    let path = file.path().display().to_string();
    let query = |sql: String| format!("{}/?query={}", server.url(), sql.replace(' ', "+"));
    curl(query(format!("SELECT * FROM {database}.otel_logs FORMAT Native")), &["-o", &path]);
    server.query(&format!("CREATE TABLE {database}.plain AS {database}.otel_logs"));
    let begun = Instant::now();
    curl(query(format!("INSERT INTO {database}.plain FORMAT Native")), &["--data-binary", &format!("@{path}")]);
    show("the same rows in one Native insert by curl", begun.elapsed().as_secs_f64());
    assert_eq!(server.query(&format!("SELECT count() FROM {database}.plain")), ROWS.to_string());
}
