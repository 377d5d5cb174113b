//! Processes again what the queue still holds of a time, and stores what is missing.
//!
//! Records keep their ids, so what is stored already is left alone. Nothing moves: the positions stay where they are,
//! and the ledger counts what is stored here as received again.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use model::position::{Partition, Position};
use model::{Batch, RecordId, time};
use queue::Delivery;
use serde::Serialize;
use store::{Counts, QueryLimits, WriteBatch, WriteError};

use crate::held::{Held, ReadError};
use crate::prepare::{Fate, Lane, Planned, Refusals, prepare};
use crate::verify::Subject;

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Messages of the time that the queue still held.
    pub messages: u64,
    pub records: u64,
    /// Records that were missing and are stored now.
    pub stored: u64,
    /// Messages of any time that the queue holds but can't read.
    pub damaged: u64,
}

/// Why nothing was replayed, or not all.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The queue does not hold all of the time any more; says what it holds.
    #[error("{0}")]
    NotHeld(String),
    #[error(transparent)]
    Failed(ReadError),
}

impl<E: Into<ReadError>> From<E> for ReplayError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Goes over the messages received in `range` (nanoseconds since the Unix epoch). When it returns, what it stored is
/// durable; when it is cut off, it can be run again. `partial`: also when the queue no longer holds all of that time.
///
/// # Errors
/// A range that the queue no longer holds, before anything is stored; what can't be read or written.
pub async fn replay(subject: &Subject, range: Range<i64>, partial: bool) -> Result<Report, ReplayError> {
    if !partial {
        check_held(subject, &range).await?;
    }
    let mut report = Report::default();
    for partition in 0..subject.queue.partitions() {
        let partition = Partition(partition);
        let written = subject.store.progress(subject.queue.incarnation(), partition).await?.written;
        let mut held = Held::open(&*subject.queue, partition, written).await?;
        while let Some(mut deliveries) = held.next().await? {
            deliveries.retain(|delivery| range.contains(&delivery.message.headers.received));
            if !deliveries.is_empty() {
                again(subject, partition, deliveries, &mut report).await?;
            }
        }
        report.damaged += held.damaged();
    }
    subject.store.flush().await?;
    Ok(report)
}

/// Refuses a range that begins before what the queue still holds. Positions count from 0, so that what is not held any
/// more is known, but not when it was received: at the latest when the oldest message was that is held.
async fn check_held(subject: &Subject, range: &Range<i64>) -> Result<(), ReplayError> {
    let mut held_since: Option<i64> = None;
    for partition in (0..subject.queue.partitions()).map(Partition) {
        let state = subject.queue.state(partition).await?;
        if state.oldest == Position(0) {
            continue;
        }
        let mut held = Held::open(&*subject.queue, partition, state.next).await?;
        let oldest = held.next().await?.and_then(|deliveries| Some(deliveries.first()?.message.headers.received));
        let Some(received) = oldest else {
            return Err(ReplayError::NotHeld(format!(
                "the queue holds nothing of partition {partition} any more, though it had {} messages; a partial \
                 replay goes over what it holds of the others",
                state.next
            )));
        };
        held_since = held_since.max(Some(received));
    }
    match held_since {
        Some(since) if range.start < since => Err(ReplayError::NotHeld(format!(
            "the queue holds all messages received since {} only; begin there or later, or ask for a partial replay of \
             what it holds",
            time::format(since)
        ))),
        _ => Ok(()),
    }
}

async fn again(
    subject: &Subject,
    partition: Partition,
    deliveries: Vec<Delivery>,
    report: &mut Report,
) -> Result<(), ReadError> {
    report.messages += deliveries.len() as u64;
    let lane = Lane { incarnation: subject.queue.incarnation(), partition, limits: subject.limits };
    let from = deliveries[0].position;
    // The store may have the other records of a letter's first message, so that counting them tells nothing.
    let retried: HashSet<u128> =
        deliveries.iter().filter_map(|delivery| delivery.message.headers.retry_of).map(|id| id.origin).collect();
    let in_parts = deliveries.iter().filter_map(|delivery| {
        let part = delivery.message.headers.part?;
        Some((delivery.origin(lane.incarnation, partition), u64::from(part.of)))
    });
    let in_parts: HashMap<u128, u64> = in_parts.collect();
    let planned: Vec<_> =
        deliveries.into_iter().map(|delivery| Planned { delivery, fate: Fate::Store(None) }).collect();
    let transforms = subject.transforms.clone();
    let prepared =
        tokio::task::spawn_blocking(move || prepare(&planned, from, &lane, &transforms, &Refusals::default())).await?;
    for batch in prepared.batch.batches {
        report.records += batch.len() as u64;
        let missing = missing(subject, &batch, &retried, &in_parts).await?;
        if !missing.is_empty() {
            report.stored += missing.len() as u64;
            store(subject, partition, missing).await?;
        }
    }
    Ok(())
}

/// The records of a batch that the store does not have, once each. `in_parts`: requests of which only a part may be here,
/// and how many records they have.
async fn missing(
    subject: &Subject,
    batch: &Batch,
    retried: &HashSet<u128>,
    in_parts: &HashMap<u128, u64>,
) -> Result<Batch, ReadError> {
    let mut wanted: HashMap<u128, HashSet<RecordId>> = HashMap::new();
    for id in &batch.ids {
        wanted.entry(id.origin).or_default().insert(*id);
    }
    let origins: HashSet<u128> = wanted.keys().copied().collect();
    let found = subject.store.count_by_origin(&batch.project, &origins).await?;
    wanted.retain(|origin, ids| {
        let all = in_parts.get(origin).copied().unwrap_or(ids.len() as u64);
        retried.contains(origin) || found.get(origin).copied().unwrap_or(0) < all
    });
    let mut missing = Batch::new(batch.project.clone());
    for record in batch.rows() {
        let open = wanted.get_mut(&record.id.origin).is_some_and(|ids| ids.remove(&record.id));
        if open
            && subject.store.get(&batch.project, record.id, QueryLimits::default()).await?.is_none()
            && subject.metadata.dead_letter(record.id).await?.is_none()
        {
            missing.push(&record);
        }
    }
    Ok(missing)
}

/// Stores records without moving the partition; when the processor moves it meanwhile, tries again from there.
async fn store(subject: &Subject, partition: Partition, records: Batch) -> Result<(), ReadError> {
    let incarnation = subject.queue.incarnation();
    let stored = records.len() as u64;
    let counts = Counts { received: stored, stored, ..Counts::new(records.project.clone()) };
    loop {
        let at = subject.store.progress(incarnation, partition).await?.written;
        let batch = WriteBatch {
            incarnation,
            partition,
            from: at,
            next: at,
            batches: vec![records.clone()],
            keys: Vec::new(),
            counts: vec![counts.clone()],
        };
        match subject.store.write(batch).await {
            Err(WriteError::Moved { .. }) => {}
            other => return Ok(other?),
        }
    }
}
