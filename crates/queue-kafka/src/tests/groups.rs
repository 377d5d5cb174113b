//! Members that come and go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::position::{Partition, Position};
use queue::Queue;
use queue::conformance::message;
use tokio::sync::watch;

use super::{ZERO, config, open};
use crate::{KafkaConfig, KafkaQueue};

const GROUP: &str = "processor";
const PARTITIONS: u32 = 6;
const SETTLE_TIME_MAX: Duration = Duration::from_secs(40);

struct Member {
    queue: Arc<KafkaQueue>,
    assigned: watch::Receiver<BTreeSet<Partition>>,
}

async fn member(config: &KafkaConfig) -> Member {
    let queue = open(config).await;
    let assigned = queue.join(GROUP).await.expect("a member");
    Member { queue, assigned }
}

/// Waits until every partition has exactly one owner and all members have about as many.
async fn settle(members: &[&Member]) {
    let begin = Instant::now();
    loop {
        let owned: Vec<BTreeSet<Partition>> = members.iter().map(|member| member.assigned.borrow().clone()).collect();
        let count: usize = owned.iter().map(BTreeSet::len).sum();
        let union: BTreeSet<_> = owned.iter().flatten().copied().collect();
        let fair = owned.iter().all(|owned| owned.len() == PARTITIONS as usize / members.len());
        if fair && count == PARTITIONS as usize && union.len() == count {
            return;
        }
        assert!(begin.elapsed() < SETTLE_TIME_MAX, "not settled: {owned:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_partition_has_one_owner() {
    let config = KafkaConfig { partitions: PARTITIONS, ..config() };
    let one = member(&config).await;
    settle(&[&one]).await;
    for number in 0..10 {
        one.queue.append(ZERO, message(number, 10)).await.expect("stored");
    }
    one.queue.commit(GROUP, ZERO, Position(4)).await.expect("a commit");
    let two = member(&config).await;
    settle(&[&one, &two]).await;
    let three = member(&config).await;
    settle(&[&one, &two, &three]).await;

    // What one committed is seen by all, and a late commit of a former owner does not move it back.
    let members = [&one, &two, &three];
    let (owners, others): (Vec<&Member>, Vec<&Member>) =
        members.into_iter().partition(|member| member.assigned.borrow().contains(&ZERO));
    owners[0].queue.commit(GROUP, ZERO, Position(9)).await.expect("a commit");
    others[0].queue.commit(GROUP, ZERO, Position(2)).await.expect("a late commit");
    let begin = Instant::now();
    while others[1].queue.committed(GROUP, ZERO).await.expect("a position") != Some(Position(9)) {
        assert!(begin.elapsed() < Duration::from_secs(10), "the commit did not become durable");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    others[0].queue.close().await.expect("left");
    let stay: Vec<&Member> =
        members.into_iter().filter(|member| !Arc::ptr_eq(&member.queue, &others[0].queue)).collect();
    settle(&stay).await;
    assert_eq!(stay[0].queue.committed(GROUP, ZERO).await.expect("a position"), Some(Position(9)));
    assert!(others[0].assigned.borrow().is_empty(), "who left has nothing");

    stay[0].queue.close().await.expect("left");
    settle(&[stay[1]]).await;
    stay[1].queue.close().await.expect("left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_may_leave_while_the_group_changes() {
    let config = KafkaConfig { partitions: PARTITIONS, ..config() };
    let mut one = member(&config).await;
    settle(&[&one]).await;
    for number in 0..10 {
        one.queue.append(ZERO, message(number, 10)).await.expect("stored");
    }
    for round in 1..=2 {
        let next = member(&config).await;
        // Somewhere in the time that the coordinator and the members take to agree.
        tokio::time::sleep(Duration::from_millis(round * 400)).await;
        one.queue.commit(GROUP, ZERO, Position(round * 2)).await.expect("a commit");
        one.queue.close().await.expect("left");
        settle(&[&next]).await;
        assert_eq!(next.queue.committed(GROUP, ZERO).await.expect("a position"), Some(Position(round * 2)));
        one = next;
    }
    one.queue.close().await.expect("left");
}
