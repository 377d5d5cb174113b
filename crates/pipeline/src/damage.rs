//! Messages that the queue holds but can't read. The processor stands still before them; only an operator's word goes on.

use std::time::Duration;

use model::position::{Partition, Position};
use queue::QueueError;
use store::{Counts, WriteBatch, WriteError};
use tracing::warn;

use crate::held::ReadError;
use crate::verify::Subject;

/// Damaged places next to each other that are seen as one.
const PLACES_MAX: usize = 10_000;

/// What a partition stands still before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The position that the store waits for.
    pub from: Position,
    /// The next position that reads, or where the next message will stand. None when the queue can't tell: then its
    /// data must be restored.
    pub to: Option<Position>,
    /// What is wrong, and where.
    pub reason: String,
}

/// Why damage was not passed over.
#[derive(Debug, thiserror::Error)]
pub enum SkipError {
    /// It isn't as the operator thinks; says how it is.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Failed(#[from] ReadError),
}

/// What keeps the processor from reading on in a partition, if anything does.
///
/// # Errors
/// Queue or store can't be reached.
pub async fn find(subject: &Subject, partition: Partition) -> Result<Option<Damage>, ReadError> {
    let queue = &*subject.queue;
    let from = subject.store.progress(queue.incarnation(), partition).await?.written;
    let mut found: Option<Damage> = None;
    let mut at = from;
    for _ in 0..PLACES_MAX {
        match queue.read(partition, at, 1, Duration::ZERO).await {
            Ok(_) => break,
            Err(error @ QueueError::Damaged { to, .. }) => {
                at = to;
                let reason = found.map_or_else(|| error.to_string(), |found| found.reason);
                found = Some(Damage { from, to: Some(to), reason });
            }
            Err(error @ QueueError::Corrupt(_)) => {
                return Ok(Some(found.unwrap_or(Damage { from, to: None, reason: error.to_string() })));
            }
            // The processor itself goes on behind what is gone.
            Err(QueueError::Expired { .. }) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Goes on behind the damage that a partition stands still before. `to` must be its end: the operator has seen it. The
/// messages are entered into the ledger as lost. When it returns, that is durable.
///
/// # Errors
/// There is no damage, or it ends elsewhere; queue or store can't be reached.
pub async fn skip(subject: &Subject, partition: Partition, to: Position) -> Result<Damage, SkipError> {
    let refuse = |reason: String| Err(SkipError::Refused(reason));
    if partition.0 >= subject.queue.partitions() {
        return refuse(format!("there is no partition {partition}, they are 0 to {}", subject.queue.partitions() - 1));
    }
    let Some(damage) = find(subject, partition).await? else {
        return refuse(format!("partition {partition} reads; there is nothing to go on behind"));
    };
    let Some(end) = damage.to else {
        return refuse(format!("nobody can tell where reading could go on; restore the queue: {}", damage.reason));
    };
    if to != end {
        return refuse(format!(
            "partition {partition} does not read from {} to before {end}; say {end} to give these messages up",
            damage.from
        ));
    }
    let messages = end.0.saturating_sub(damage.from.0);
    let skipped = WriteBatch {
        incarnation: subject.queue.incarnation(),
        partition,
        from: damage.from,
        next: end,
        batches: Vec::new(),
        keys: Vec::new(),
        counts: vec![Counts::of_lost(messages)],
    };
    match subject.store.write(skipped).await {
        Ok(()) => {}
        Err(WriteError::Moved { at }) => {
            return refuse(format!("partition {partition} has gone on to {at} meanwhile; look again"));
        }
        Err(error) => return Err(ReadError::from(error).into()),
    }
    subject.store.flush().await.map_err(ReadError::from)?;
    warn!(%partition, from = %damage.from, to = %end, messages, "damaged messages are given up by the operator's word");
    Ok(damage)
}
