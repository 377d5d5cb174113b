//! What goes on beside reading and writing: retention, the gate, and a look at Redis's settings.

use std::sync::Arc;
use std::time::Duration;

use model::position::{Partition, Position};
use queue::{PartitionState, QueueError};

use crate::codec;
use crate::core::Core;
use crate::link::Failure;
use crate::scripts::TRIM;

const TICK: Duration = Duration::from_secs(1);
/// Looks at Redis's settings every so many ticks: an operator may change them while it runs.
const INSPECT_TICKS: u32 = 5;
/// Calls in a row that delete from one partition; Redis serves others between them.
const TRIMS_MAX: usize = 64;

/// What a partition holds, as retention found it.
struct Kept {
    unconsumed: u64,
    deleted: u64,
}

/// Works until the queue closes.
pub(crate) async fn run(core: Arc<Core>) {
    let mut ticks = 0_u32;
    let mut unfit = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = core.closed() => return,
        }
        ticks = ticks.wrapping_add(1);
        if unfit || ticks.is_multiple_of(INSPECT_TICKS) {
            unfit = inspect(&core).await;
        }
        if !unfit && let Err(failure) = look(&core).await {
            tracing::debug!(reason = %failure, "retention did not run");
            // Appends find out by themselves whether Redis answers.
            tokio::time::sleep(TICK).await;
        }
    }
}

/// Closes the gate when Redis is found not to be fit; true then.
async fn inspect(core: &Core) -> bool {
    let Ok(mut line) = core.line().await else { return false };
    match core.connector.inspect(&mut line.connection).await {
        Ok(server) => {
            core.metrics.memory(server.memory_bytes, server.memory_bytes_max);
            false
        }
        Err(Failure::Refused(reason)) => {
            core.gate.set(Some(reason));
            core.metrics.full(true);
            true
        }
        Err(Failure::Redis(_)) => {
            core.lost(&line).await;
            false
        }
    }
}

/// Whether messages are taken. When the queue may be full, it looks first: groups may have caught up.
pub(crate) async fn check_room(core: &Core) -> Result<(), QueueError> {
    if core.gate.may_be_full() {
        let looking = core.looking.lock().await;
        if core.gate.may_be_full() {
            look_alone(core).await?;
        }
        drop(looking);
    }
    core.gate.check().inspect_err(|_| core.metrics.refused())
}

/// Everything once.
async fn look(core: &Core) -> Result<(), Failure> {
    let _looking = core.looking.lock().await;
    look_alone(core).await
}

async fn look_alone(core: &Core) -> Result<(), Failure> {
    core.gate.start_count();
    let mut unconsumed = 0;
    for partition in (0..core.partitions()).map(Partition) {
        for _ in 0..TRIMS_MAX {
            let kept = trim(core, partition).await?;
            core.metrics.deleted(kept.deleted);
            if kept.deleted == 0 {
                unconsumed += kept.unconsumed;
                break;
            }
        }
    }
    core.metrics.full(core.gate.counted(unconsumed));
    Ok(())
}

async fn trim(core: &Core, partition: Partition) -> Result<Kept, Failure> {
    let (config, keys) = (&core.config, &core.keys);
    let share = config.retention_bytes / u64::from(core.partitions().max(1));
    let age_max = config.retention_age.map_or(-1, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let mut trim =
        TRIM.key((keys.meta(), keys.stream(partition), keys.marks(partition), keys.groups(), keys.committed()));
    trim.arg(core.incarnation().to_string()).arg(partition.0).arg(share).arg(age_max);
    let answer: Vec<String> = core.call(&trim).await?;
    let [next, bytes, unconsumed, deleted, gap, groups @ ..] = answer.as_slice() else {
        return Err(Failure::Refused("Redis answered retention with too little".to_owned()));
    };
    let number = |text: &String| text.parse().unwrap_or(0);
    core.metrics.holds(partition, number(bytes));
    let oldest = Position(0);
    let state = PartitionState { oldest, next: Position(number(next)), bytes: number(bytes), gap: codec::gap(gap) };
    for [group, committed] in groups.as_chunks::<2>().0 {
        core.metrics.lags(group, partition, state.waiting(Position(number(committed))));
    }
    Ok(Kept { unconsumed: number(unconsumed), deleted: number(deleted) })
}
