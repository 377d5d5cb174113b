//! Members share partitions, hand them over, and are fenced.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::position::{Partition, Position};
use queue::conformance::message;
use queue::{Queue, QueueError};
use test_backends::redis::{Options, Redis};
use tokio::sync::watch;

use super::{ONE, ZERO, config, eventually, open};
use crate::{RedisConfig, RedisQueue};

const GROUP: &str = "processor";
const PARTITIONS: u32 = 7;
const LEASE: Duration = Duration::from_secs(2);

type Assigned = watch::Receiver<BTreeSet<Partition>>;

async fn member(redis: &Redis) -> (Arc<RedisQueue>, Assigned) {
    let queue = open(RedisConfig { partitions: PARTITIONS, lease: LEASE, ..config(redis) }).await;
    let assigned = queue.join(GROUP).await.unwrap();
    (queue, assigned)
}

/// No partition has two owners now; whether each has one, and all members about as many.
fn is_settled(members: &[&Assigned]) -> bool {
    let sets: Vec<_> = members.iter().map(|assigned| assigned.borrow().clone()).collect();
    let all: BTreeSet<_> = sets.iter().flatten().copied().collect();
    assert_eq!(
        all.len(),
        sets.iter().map(BTreeSet::len).sum::<usize>(),
        "two members were shown one partition: {sets:?}"
    );
    let (least, most) = (sets.iter().map(BTreeSet::len).min(), sets.iter().map(BTreeSet::len).max());
    all.len() == PARTITIONS as usize && most.unwrap_or(0) - least.unwrap_or(0) <= 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_fairly_as_they_come_leave_and_die() {
    let redis = Redis::start(Options::default());
    let (_first, one) = member(&redis).await;
    assert_eq!(one.borrow().len(), PARTITIONS as usize, "the only member has all");
    let (second, two) = member(&redis).await;
    let since = Instant::now();
    eventually("two members settle", async || is_settled(&[&one, &two])).await;
    eprintln!("two members settled after {:?}", since.elapsed());
    let (third, three) = member(&redis).await;
    let since = Instant::now();
    eventually("three members settle", async || is_settled(&[&one, &two, &three])).await;
    eprintln!("three members settled after {:?}", since.elapsed());
    let mine = two.borrow().clone();
    tokio::time::sleep(LEASE).await;
    assert_eq!(*two.borrow(), mine, "who is settled keeps what it has");

    let since = Instant::now();
    second.close().await.unwrap();
    assert!(two.borrow().is_empty(), "a member that leaves has nothing");
    eventually("a leave is settled", async || is_settled(&[&one, &three])).await;
    assert!(since.elapsed() < LEASE, "who leaves need not be waited for: {:?}", since.elapsed());

    // Dropped without a word, as a crash would.
    let since = Instant::now();
    drop(third);
    eventually("a death is settled", async || one.borrow().len() == PARTITIONS as usize).await;
    eprintln!("a death was settled after {:?}", since.elapsed());
    assert!(since.elapsed() > LEASE / 2, "a dead member's lease must end first");
    assert!(since.elapsed() < LEASE * 2, "after {:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_nobody_looks_at_leaves() {
    let redis = Redis::start(Options::default());
    let (first, one) = member(&redis).await;
    let (_second, two) = member(&redis).await;
    eventually("two members settle", async || is_settled(&[&one, &two])).await;
    drop(one);
    eventually("the other has all", async || two.borrow().len() == PARTITIONS as usize).await;
    assert!(first.commit(GROUP, ZERO, Position(0)).await.is_ok(), "without members commits only never move back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_do_not_share() {
    let redis = Redis::start(Options::default());
    let (queue, one) = member(&redis).await;
    let other = queue.join("other").await.unwrap();
    tokio::time::sleep(LEASE).await;
    assert_eq!((one.borrow().len(), other.borrow().len()), (PARTITIONS as usize, PARTITIONS as usize));
    let wrong = queue.join("No Such Name").await;
    assert!(matches!(wrong, Err(QueueError::Io(_))), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_epoch_commits_nothing() {
    let redis = Redis::start(Options::default());
    let (queue, mut assigned) = member(&redis).await;
    for number in 0..10 {
        queue.append(ZERO, message(number, 10)).await.unwrap();
    }
    queue.commit(GROUP, ZERO, Position(3)).await.unwrap();
    assigned.borrow_and_update();
    // As if this member had slept for longer than its lease and another had taken the partition.
    let later = "99999999999999";
    let leases = format!("devlogs:leases:{GROUP}");
    redis.cli(&["ZADD", &format!("devlogs:members:{GROUP}"), later, "another"]);
    redis.cli(&["HSET", &leases, "owner:0", "another", "until:0", later, "epoch:0", "7"]);
    let zombie = queue.commit(GROUP, ZERO, Position(5)).await;
    assert!(matches!(zombie, Err(QueueError::Unavailable { .. })), "an old lease must not commit: {zombie:?}");
    assert_eq!(queue.committed(GROUP, ZERO).await.unwrap(), Some(Position(3)));
    eventually("the member sees that it lost the partition", async || !assigned.borrow().contains(&ZERO)).await;
    let lost = queue.commit(GROUP, ZERO, Position(5)).await;
    assert!(matches!(lost, Err(QueueError::Unavailable { .. })), "{lost:?}");
    assert_eq!(queue.committed(GROUP, ZERO).await.unwrap(), Some(Position(3)));
    let beyond = open(config(&redis)).await.commit("admin", ONE, Position(1)).await;
    assert!(matches!(beyond, Err(QueueError::Corrupt(_))), "nothing stands there: {beyond:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_redis_gives_up_by_its_own_clock_and_comes_back() {
    let mut redis = Redis::start(Options::default());
    let (_queue, assigned) = member(&redis).await;
    let since = Instant::now();
    redis.freeze();
    eventually("the partitions are withdrawn", async || assigned.borrow().is_empty()).await;
    assert!(since.elapsed() < LEASE * 2, "after {:?}", since.elapsed());
    redis.thaw();
    eventually("they come back", async || assigned.borrow().len() == PARTITIONS as usize).await;
    redis.restart();
    tokio::time::sleep(Duration::from_millis(500)).await;
    eventually("also after a restart", async || assigned.borrow().len() == PARTITIONS as usize).await;
}
