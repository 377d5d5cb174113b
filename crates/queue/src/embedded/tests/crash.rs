//! Processes that are killed: what they acknowledged is there exactly once.
//!
//! The test starts its own binary again as the process to be killed. That one appends and writes a line for each
//! acknowledged message, after it was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::position::{Partition, Position};

use super::{config, message, numbers, open, read_all, temp_dir};
use crate::embedded::{EmbeddedConfig, verify};
use crate::{Queue, QueueError};

const DIR: &str = "DEVLOGS_TEST_QUEUE_DIR";
const FIRST: &str = "DEVLOGS_TEST_QUEUE_FIRST";
const COMMITS: &str = "DEVLOGS_TEST_QUEUE_COMMITS";
const KILLS: u64 = 25;
const APPENDERS: u64 = 6;
const LIFE_MAX: Duration = Duration::from_secs(30);
const SIGKILL: i32 = 9;
const SIGABRT: i32 = 6;

/// Acknowledged messages: number by partition and position.
type Acknowledged = BTreeMap<(u32, u64), u64>;

fn child_config(dir: &Path, commits: bool) -> EmbeddedConfig {
    let retention_bytes = if commits { 80 << 10 } else { 10 << 30 };
    EmbeddedConfig { retention_bytes, ..config(dir) }
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "is started by the tests of this file"]
#[expect(clippy::disallowed_methods, reason = "the test harness passes no arguments on")]
fn child() {
    let dir = std::env::var(DIR).expect("the directory");
    let first: u64 = std::env::var(FIRST).expect("the first number").parse().expect("a number");
    let commits = std::env::var(COMMITS).is_ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    runtime.block_on(async {
        let queue = Arc::new(open(child_config(Path::new(&dir), commits)));
        if commits {
            // The kill may have taken commits with it; without them the queue may be full.
            for partition in [Partition(0), Partition(1)] {
                let next = queue.state(partition).await.expect("state").next;
                queue.commit("processor", partition, next).await.expect("commit");
            }
        }
        let number = Arc::new(AtomicU64::new(first));
        let tasks: Vec<_> = (0..APPENDERS)
            .map(|task| {
                let (queue, number) = (Arc::clone(&queue), Arc::clone(&number));
                tokio::spawn(append_for_ever(queue, number, Partition(task as u32 % 2), commits))
            })
            .collect();
        // Long before that it is dead, unless the step it should die at is never reached.
        tokio::time::sleep(LIFE_MAX).await;
        tasks.iter().for_each(|task| task.abort());
    });
}

async fn append_for_ever(queue: Arc<dyn Queue>, number: Arc<AtomicU64>, partition: Partition, commits: bool) {
    loop {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let position = match queue.append(partition, message(number, 200 + (number % 7 * 400) as usize)).await {
            Ok(position) => position,
            Err(QueueError::Unavailable { .. }) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            Err(error) => panic!("append: {error}"),
        };
        let line = format!("ack {partition} {position} {number}\n");
        std::io::stdout().write_all(line.as_bytes()).expect("write a line");
        if commits {
            queue.commit("processor", partition, position.next()).await.expect("commit");
        }
    }
}

fn spawn(dir: &Path, first: u64, commits: bool, crash_at: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("the test binary"));
    command.args(["--exact", "embedded::tests::crash::child", "--ignored", "--nocapture"]);
    command.env(DIR, dir).env(FIRST, first.to_string()).env_remove("DEVLOGS_CRASH_AT");
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    if commits {
        command.env(COMMITS, "1");
    }
    if let Some(step) = crash_at {
        command.env("DEVLOGS_CRASH_AT", step);
    }
    command.spawn().expect("start the child")
}

/// Notes what the child says until it is dead; kills it after `lines` lines.
fn run_until_dead(mut child: Child, kill_after: Option<u64>, acknowledged: &mut Acknowledged) -> i32 {
    let output = BufReader::new(child.stdout.take().expect("the child's output"));
    let mut count = 0;
    for line in output.lines() {
        let line = line.expect("a line");
        let mut words = line.split(' ');
        // A line that the kill cut off has no number, or fewer digits of it, and was never whole.
        let (Some("ack"), Some(partition), Some(position), Some(number)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let key = (partition.parse().expect("partition"), position.parse().expect("position"));
        let before = acknowledged.insert(key, number.parse().expect("number"));
        assert_eq!(before, None, "position {position} of partition {partition} was given twice");
        count += 1;
        if Some(count) == kill_after {
            child.kill().expect("kill the child");
        }
    }
    child.wait().expect("the child ends").signal().unwrap_or(0)
}

/// Everything acknowledged and not deleted by retention is there, once, where it was said to be.
fn prove(dir: &Path, acknowledged: &Acknowledged, commits: bool) {
    let report = verify(dir).expect("verify");
    assert!(report.is_sound(), "{report:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let queue = open(child_config(dir, commits));
        for partition in [Partition(0), Partition(1)] {
            let oldest = queue.state(partition).await.expect("state").oldest;
            let committed = queue.committed("processor", partition).await.expect("committed").unwrap_or_default();
            assert!(oldest == Position(0) || (commits && oldest <= committed), "retention deleted too much");
            let (read, error) = read_all(&queue, partition).await;
            assert!(error.is_none(), "{error:?}");
            let found: BTreeMap<u64, u64> =
                read.iter().map(|delivery| delivery.position.0).zip(numbers(&read)).collect();
            for (&(_, position), number) in acknowledged.iter().filter(|((p, _), _)| *p == partition.0) {
                let gone = position < oldest.0;
                assert!(gone || found.get(&position) == Some(number), "message {number} is not at {position}");
            }
            let distinct: BTreeSet<u64> = found.values().copied().collect();
            assert_eq!(distinct.len(), read.len(), "a message is there twice");
            for delivery in &read {
                let number = delivery.message.headers.received as u64;
                let sent = message(number, 200 + (number % 7 * 400) as usize);
                assert_eq!(delivery.message, sent, "a message came back changed");
            }
        }
    });
}

#[test]
fn killed_at_random() {
    let dir = temp_dir();
    let mut acknowledged = Acknowledged::new();
    for kill in 0..KILLS {
        let child = spawn(dir.path(), kill * 1_000_000, false, None);
        // A kill falls at another step each time: appenders are at it all the while.
        let signal = run_until_dead(child, Some(1 + kill * 37 % 200), &mut acknowledged);
        assert_eq!(signal, SIGKILL, "the child ended by itself");
        prove(dir.path(), &acknowledged, false);
    }
    assert!(acknowledged.len() as u64 > KILLS * 50, "{} messages", acknowledged.len());
}

#[test]
fn killed_at_each_named_step() {
    let dir = temp_dir();
    let mut acknowledged = Acknowledged::new();
    let steps = [
        "queue.before_write:1",
        "queue.before_write:30",
        "queue.after_write:1",
        "queue.after_write:31",
        "queue.before_fsync:32",
        "queue.after_fsync:1",
        "queue.after_fsync:33",
        "queue.before_roll:1",
        "queue.before_roll:4",
        "queue.after_roll:1",
        "queue.after_roll:5",
        "queue.group_before_rename:1",
        "queue.group_before_rename:2",
        "queue.group_after_rename:1",
        "queue.group_after_rename:2",
        "queue.before_delete:1",
        "queue.before_delete:3",
    ];
    for (round, step) in (0..).zip(steps) {
        let child = spawn(dir.path(), round * 1_000_000, true, Some(step));
        let signal = run_until_dead(child, None, &mut acknowledged);
        assert_eq!(signal, SIGABRT, "{step} was not reached");
        prove(dir.path(), &acknowledged, true);
    }
}
