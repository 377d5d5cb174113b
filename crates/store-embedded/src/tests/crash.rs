//! The process dies at a named step; the store opens with the state before or after it.

use std::path::Path;
use std::process::Command;

use super::{INCARNATION, LANE, all, batch, halt, now, open, quiet, records, sorted};
use crate::verify::verify;
use crate::{EmbeddedStoreConfig, Engine};

const DIR: &str = "DEVLOGS_TEST_CRASH_DIR";
const BASE: &str = "DEVLOGS_TEST_CRASH_BASE";
/// Batches of the child, each flushed; then they are merged and all but nothing expires.
const BATCHES: u64 = 3;
const ROWS: u64 = 50;

/// Not a test of its own: what the child process does until it dies.
#[test]
#[expect(clippy::disallowed_methods, reason = "how a test talks to its child process")]
fn child() {
    let (Ok(dir), Ok(base)) = (std::env::var(DIR), std::env::var(BASE)) else { return };
    let base: i64 = base.parse().expect("a number");
    let dir = Path::new(&dir);
    let engine = open(dir);
    let start = engine.progress(INCARNATION, LANE).written.0;
    for n in start..BATCHES {
        engine.write(&batch(n, n + 1, &records(n * ROWS, ROWS, base))).expect("written");
        engine.flush().expect("flushed");
    }
    halt(engine);
    let merging = EmbeddedStoreConfig { compaction_fan_in: 2, ..quiet(dir) };
    let engine = Engine::open(merging).expect("opens");
    while engine.snapshot("p").segments.len() > 1 {
        engine.compact_once().expect("merges");
    }
    halt(engine);
    let expiring = EmbeddedStoreConfig { retention_bytes: Some(0), ..quiet(dir) };
    let engine = Engine::open(expiring).expect("opens");
    engine.expire().expect("expires");
    engine.close().expect("closes");
}

/// Runs the child; true when it died.
fn run_child(dir: &Path, base: i64, step: Option<&str>) -> bool {
    let mut command = Command::new(std::env::current_exe().expect("the test binary"));
    command.args(["tests::crash::child", "--exact", "--test-threads=1"]).env(DIR, dir).env(BASE, base.to_string());
    match step {
        Some(step) => command.env("DEVLOGS_CRASH_AT", step),
        None => command.env_remove("DEVLOGS_CRASH_AT"),
    };
    let output = command.output().expect("the child starts");
    assert!(step.is_some() || output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    !output.status.success()
}

/// What is there is a prefix of the batches, or nothing once all were durable and expired.
fn check(dir: &Path, base: i64, step: &str) {
    let report = verify(dir).expect("the manifest is sound");
    assert_eq!(report.problems, [], "{step}");
    let engine = open(dir);
    let durable = engine.progress(INCARNATION, LANE).durable.0;
    let expired: u64 = engine.ledger().iter().map(|row| row.expired).sum();
    let stored: u64 = engine.ledger().iter().map(|row| row.stored).sum();
    assert_eq!(stored, durable * ROWS, "{step}");
    assert!(expired == 0 || expired == BATCHES * ROWS, "{step}: {expired} expired");
    let expected = if expired == 0 { sorted(records(0, durable * ROWS, base)) } else { Vec::new() };
    assert_eq!(all(&engine.snapshot("p")), expected, "{step}");
    for n in 0..durable {
        assert_eq!(engine.seen_key("p", u128::from(n + 1)), Some(u128::from(n)), "{step}");
    }
    let files: Vec<_> =
        std::fs::read_dir(dir).expect("a directory").map(|e| e.expect("an entry").file_name()).collect();
    let tail = |end: &str| files.iter().filter(|name| name.to_string_lossy().ends_with(end)).count();
    assert_eq!(tail(".parquet"), engine.snapshot("p").segments.len(), "{step}: no orphans are left");
    assert_eq!(tail(".tmp"), 0, "{step}");
    halt(engine);
}

#[test]
fn dying_at_any_step_leaves_the_old_state_or_the_new() {
    let steps = [
        "store.before_segment_rename:1",
        "store.before_segment_rename:3",
        "store.after_segment_rename:2",
        "store.before_manifest:1",
        "store.before_manifest:2",
        "store.before_manifest_rename:1",
        "store.before_manifest_rename:2",
        "store.before_manifest_rename:4",
        "store.before_manifest_rename:5",
        "store.after_manifest_rename:1",
        "store.after_manifest_rename:3",
        "store.after_manifest_rename:5",
        "store.before_segment_rename:4",
        "store.after_segment_rename:4",
        "store.before_compaction_manifest",
        "store.before_segment_delete:1",
        "store.before_segment_delete:2",
        "store.before_retention_manifest",
    ];
    let base = now();
    for step in steps {
        let dir = tempfile::tempdir().expect("a temp dir");
        assert!(run_child(dir.path(), base, Some(step)), "{step} was not reached");
        check(dir.path(), base, step);
        assert!(!run_child(dir.path(), base, None));
        check(dir.path(), base, step);
    }
}
