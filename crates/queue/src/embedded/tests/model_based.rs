//! The queue against a model: whatever is done in whatever order, with crashes in between.

use std::collections::BTreeMap;

use model::position::{Partition, Position};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{config, copy_dir, message, numbers, open, read_from, temp_dir};
use crate::embedded::{EmbeddedConfig, EmbeddedQueue, verify};
use crate::{Queue, QueueError};

const PARTITIONS: u32 = 2;
const GROUPS: [&str; 2] = ["one", "two"];

#[derive(Debug, Clone)]
enum Step {
    /// Many messages at once to one partition.
    Append {
        partition: u32,
        count: u64,
        bytes: usize,
    },
    /// How far of what is there, in percent.
    Commit {
        group: usize,
        partition: u32,
        percent: u64,
    },
    Retain,
    /// What a killed process leaves is opened.
    Crash,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let partition = 0..PARTITIONS;
    prop_oneof![
        6 => (partition.clone(), 1..40_u64, 0..3_000_usize)
            .prop_map(|(partition, count, bytes)| Step::Append { partition, count, bytes }),
        4 => (0..GROUPS.len(), partition, 0..=100_u64)
            .prop_map(|(group, partition, percent)| Step::Commit { group, partition, percent }),
        2 => Just(Step::Retain),
        1 => Just(Step::Crash),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Default)]
struct Model {
    /// The numbers of all messages ever appended to each partition, by position.
    messages: [Vec<u64>; PARTITIONS as usize],
    committed: BTreeMap<(usize, u32), u64>,
    number: u64,
}

/// Retention and small segments, so that rolling and deleting happen all the time.
fn model_config(dir: &std::path::Path) -> EmbeddedConfig {
    // A part of the reads is answered from memory, the rest from the disk.
    EmbeddedConfig { segment_bytes: 16 << 10, retention_bytes: 64 << 10, recent_bytes_max: 16 << 10, ..config(dir) }
}

/// Both groups are known from the start, so that retention keeps messages for them. The keeper's thread is ended: it
/// works only when a step says so, and not while the test copies the directory or reads.
async fn open_joined(dir: &std::path::Path) -> EmbeddedQueue {
    let queue = open(model_config(dir));
    queue.keeper.stop();
    let thread = queue.running.lock().keeper.take().expect("the keeper's thread");
    thread.join().expect("the keeper ends");
    for group in GROUPS {
        queue.join(group).await.expect("join");
    }
    queue
}

async fn apply(queue: &EmbeddedQueue, model: &mut Model, step: &Step) {
    match *step {
        Step::Append { partition, count, bytes } => {
            let numbers = model.number..model.number + count;
            model.number += count;
            let appends = numbers.clone().map(|number| queue.append(Partition(partition), message(number, bytes)));
            let mut stored = Vec::new();
            for (number, outcome) in numbers.zip(futures::future::join_all(appends).await) {
                match outcome {
                    Ok(position) => stored.push((position, number)),
                    Err(QueueError::Unavailable { .. }) => {}
                    Err(error) => panic!("append: {error}"),
                }
            }
            // Near the bound each looks at the disk first, and they pass each other.
            stored.sort();
            let messages = &mut model.messages[partition as usize];
            for (position, number) in stored {
                assert_eq!(position, Position(messages.len() as u64));
                messages.push(number);
            }
        }
        Step::Commit { group, partition, percent } => {
            let next = model.messages[partition as usize].len() as u64 * percent / 100;
            queue.commit(GROUPS[group], Partition(partition), Position(next)).await.expect("commit");
            let committed = model.committed.entry((group, partition)).or_default();
            *committed = next.max(*committed);
        }
        Step::Retain => queue.keeper.look(),
        Step::Crash | Step::Reopen => {}
    }
}

async fn check(queue: &EmbeddedQueue, model: &mut Model, crashed: bool) {
    for partition in 0..PARTITIONS {
        let stored = &model.messages[partition as usize];
        let state = queue.state(Partition(partition)).await.expect("state");
        assert_eq!(state.next, Position(stored.len() as u64));
        let mut passed = u64::MAX;
        for (group, name) in GROUPS.iter().enumerate() {
            let expected = model.committed.get(&(group, partition)).copied();
            let found = queue.committed(name, Partition(partition)).await.expect("committed").map(|next| next.0);
            if crashed {
                assert!(found <= expected, "a commit came from nowhere");
                match found {
                    Some(found) => drop(model.committed.insert((group, partition), found)),
                    None => drop(model.committed.remove(&(group, partition))),
                }
            } else {
                assert_eq!(found, expected, "group {name}");
            }
            passed = passed.min(found.unwrap_or(0));
        }
        assert!(state.oldest.0 == 0 || state.oldest.0 <= passed, "retention deleted what a group needs");
        let (read, error) = read_from(queue, Partition(partition), state.oldest).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(numbers(&read), stored[state.oldest.0 as usize..], "partition {partition}");
    }
}

async fn run(steps: &[Step]) {
    let root = temp_dir();
    let mut dir = root.path().join("0");
    let mut model = Model::default();
    let mut queue = open_joined(&dir).await;
    for (number, step) in steps.iter().enumerate() {
        apply(&queue, &mut model, step).await;
        match step {
            Step::Crash => {
                let left = root.path().join((number + 1).to_string());
                copy_dir(&dir, &left);
                drop(queue);
                std::fs::remove_dir_all(&dir).expect("remove");
                dir = left;
                queue = open_joined(&dir).await;
            }
            Step::Reopen => {
                queue.close().await.expect("close");
                drop(queue);
                let report = verify(&dir).expect("verify");
                assert!(report.is_sound() && report.notes.is_empty(), "{report:?}");
                queue = open_joined(&dir).await;
            }
            _ => {}
        }
        check(&queue, &mut model, matches!(step, Step::Crash)).await;
    }
}

#[test]
fn any_sequence_of_steps_agrees_with_the_model() {
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let outcome = runner.run(&prop::collection::vec(step(), 1..40), |steps| {
        runtime.block_on(run(&steps));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
