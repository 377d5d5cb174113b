//! The loop of one partition.

mod plan;
mod read;

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use model::RecordId;
use model::crash::crash_point;
use model::position::{Partition, Position};
use queue::{Delivery, Letter, QueueError};
use store::{StoreError, WriteBatch, WriteError};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::dead_letters::shown;
use crate::metrics::Operation;
use crate::prepare::{Lane, MessageRefusal, Planned, Prepared, Refusals, prepare};
use crate::retry::Retry;
use crate::{Context, DeadLetterError};

/// Records of a range that the store may name one by one before the range is halved instead.
const NAMED_MAX: usize = 32;

/// Ranges up to this size are prepared where they were read: handing them to another thread would take longer.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Letters that are put at once.
const LETTERS_MAX: usize = 256;

/// Why the loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Shutdown,
    /// Another processor wrote to the partition: begin again where the store stands.
    Moved,
}

/// What came of the tries to write a range.
enum Written {
    Stored,
    /// The store will never take it as it is; names the record if it knows it as (batch, row).
    Refused {
        reason: String,
        row: Option<(usize, usize)>,
    },
    /// Preparing it failed by a defect of ours.
    Broken {
        reason: String,
    },
}

/// Moves the messages of one partition.
#[derive(Debug)]
pub(crate) struct Worker {
    context: Context,
    lane: Arc<Lane>,
    permits: Arc<Semaphore>,
    stop: CancellationToken,
    /// Where the store stands: the next message to read.
    next: Position,
    /// The last read brought nothing.
    is_idle: bool,
    committed: Position,
    commit_due: Instant,
    /// When the next batch may be read.
    read_due: Instant,
}

impl Worker {
    pub(crate) fn new(
        context: Context,
        partition: Partition,
        permits: Arc<Semaphore>,
        stop: CancellationToken,
    ) -> Self {
        let lane = Lane { incarnation: context.queue.incarnation(), partition, limits: context.config.limits };
        let (next, committed) = (Position::default(), Position::default());
        let now = Instant::now();
        Self {
            context,
            lane: Arc::new(lane),
            permits,
            stop,
            next,
            is_idle: false,
            committed,
            commit_due: now,
            read_due: now,
        }
    }

    /// Works until it is stopped.
    pub(crate) async fn run(mut self) {
        while let Err(Stop::Moved) = self.follow().await {
            self.context.metrics.moved();
            warn!(partition = %self.lane.partition, "another processor wrote to the partition");
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(self.context.config.moved_pause) => {}
            }
        }
        self.context.metrics.goes_on(self.lane.partition);
    }

    /// The way of a message, from the queue to the store.
    async fn follow(&mut self) -> Result<(), Stop> {
        self.next = self.resume().await?;
        self.discard_unfinished().await?;
        info!(partition = %self.lane.partition, position = %self.next, "partition begun");
        loop {
            let deliveries = self.read().await?;
            self.is_idle = deliveries.is_empty();
            for batch in self.cut(deliveries) {
                let planned = self.plan(batch).await?;
                self.store(planned).await?;
            }
            self.commit_if_due().await;
        }
    }

    async fn resume(&self) -> Result<Position, Stop> {
        let mut retry = self.retry(Operation::progress);
        loop {
            match self.context.store.progress(self.lane.incarnation, self.lane.partition).await {
                Ok(progress) => return Ok(progress.written),
                Err(error) => retry.pause(&error, &self.context.metrics, &self.stop).await?,
            }
        }
    }

    /// Batches of whole messages within the bounds; a message that is larger than a batch is one alone.
    fn cut(&self, deliveries: Vec<Delivery>) -> Vec<Vec<Delivery>> {
        let config = &self.context.config;
        let mut batches: Vec<Vec<Delivery>> = Vec::new();
        let (mut batch_rows, mut batch_bytes) = (usize::MAX, usize::MAX);
        for delivery in deliveries {
            batch_rows = batch_rows.saturating_add(rows(&delivery));
            batch_bytes = batch_bytes.saturating_add(payload_bytes(&delivery));
            match batches.last_mut() {
                Some(batch) if batch_rows <= config.batch_rows_max && batch_bytes <= config.batch_bytes_max => {
                    batch.push(delivery);
                }
                _ => {
                    (batch_rows, batch_bytes) = (rows(&delivery), payload_bytes(&delivery));
                    batches.push(vec![delivery]);
                }
            }
        }
        batches
    }

    /// Stores a range. What the store refuses is isolated and buried, until every message of the range is behind.
    async fn store(&mut self, planned: Vec<Planned>) -> Result<(), Stop> {
        let mut refusals = Refusals::default();
        let mut ranges = vec![planned];
        while let Some(range) = ranges.pop() {
            match self.write(&range, &refusals).await? {
                Written::Stored => {}
                Written::Refused { reason, row } => match self.named(&range, &refusals, row).await {
                    Some((position, id)) => {
                        refusals.records.entry(position).or_default().insert(id, reason);
                        ranges.push(range);
                    }
                    None => refuse(range, &mut ranges, &mut refusals, MessageRefusal::Records(reason)),
                },
                Written::Broken { reason } => {
                    let mut retry = self.retry(Operation::write);
                    retry.pause(&reason, &self.context.metrics, &self.stop).await?;
                    refuse(range, &mut ranges, &mut refusals, MessageRefusal::Whole(reason));
                }
            }
        }
        Ok(())
    }

    /// The record that the store named, unless it has named so many of this range that halving is cheaper.
    async fn named(
        &self,
        range: &[Planned],
        refusals: &Refusals,
        row: Option<(usize, usize)>,
    ) -> Option<(Position, RecordId)> {
        let in_range = |planned: &Planned| refusals.records.get(&planned.delivery.position).map_or(0, HashMap::len);
        if range.iter().map(in_range).sum::<usize>() >= NAMED_MAX {
            return None;
        }
        let (batch, row) = row?;
        let prepared = self.prepare(range, refusals).await.ok()?;
        let id = prepared.batch.batches.get(batch)?.ids.get(row)?;
        Some((*prepared.sources.get(batch)?.get(row)?, *id))
    }

    /// Prepares, buries and writes a range until the store has it or refuses it.
    async fn write(&mut self, range: &[Planned], refusals: &Refusals) -> Result<Written, Stop> {
        let mut retry = self.retry(Operation::write);
        loop {
            let permit = tokio::select! {
                () = self.stop.cancelled() => return Err(Stop::Shutdown),
                permit = self.permits.acquire() => permit.map_err(|_| Stop::Shutdown)?,
            };
            let prepared = match self.prepare(range, refusals).await {
                Ok(prepared) => prepared,
                Err(reason) => return Ok(Written::Broken { reason }),
            };
            self.bury(&prepared).await?;
            let Prepared { batch, miscounted, .. } = prepared;
            let (next, counts) = (batch.next, batch.counts.clone());
            let is_empty = batch.batches.is_empty();
            crash_point("pipeline.before_write");
            let begun = Instant::now();
            let written = self.context.store.write(batch).await;
            crash_point("pipeline.after_write");
            drop(permit);
            match written {
                Err(WriteError::Moved { at }) if at != next => return Err(Stop::Moved),
                // Moved to where this range ends: an earlier try was stored though its answer was lost.
                Ok(()) | Err(WriteError::Moved { .. }) => {
                    self.next = next;
                    self.make_room(range);
                    self.context.metrics.written(&counts, begun.elapsed());
                    self.context.metrics.miscounted(miscounted);
                    return Ok(Written::Stored);
                }
                Err(WriteError::Rejected { reason, row }) if !is_empty => return Ok(Written::Refused { reason, row }),
                Err(error) => {
                    retry.pause(&error, &self.context.metrics, &self.stop).await?;
                }
            }
        }
    }

    /// Lets collectors append as much as was stored.
    fn make_room(&self, range: &[Planned]) {
        if let (Some(pace), Some(last)) = (&self.context.pace, range.last()) {
            let bytes = range.iter().map(|planned| payload_bytes(&planned.delivery)).sum();
            pace.stored(self.lane.partition, bytes, last.delivery.message.headers.received);
        }
    }

    /// Decodes and transforms a range, a large one off the async threads. Fails only by a panic, which says where.
    async fn prepare(&self, range: &[Planned], refusals: &Refusals) -> Result<Prepared, String> {
        let (range, refusals) = (range.to_vec(), refusals.clone());
        let (lane, from) = (self.lane.clone(), self.next);
        let transforms = self.context.transforms.borrow().clone();
        let bytes: usize = range.iter().map(|planned| payload_bytes(&planned.delivery)).sum();
        let work = move || prepare(&range, from, &lane, &transforms, &refusals);
        let prepared = if bytes <= INLINE_BYTES_MAX {
            std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_text(&*panic))
        } else {
            tokio::task::spawn_blocking(work).await.map_err(|failure| failure.to_string())
        };
        prepared.map_err(|failure| {
            error!(partition = %self.lane.partition, position = %from, %failure, "decoding failed by a defect");
            format!("decoding failed by a defect: {failure}")
        })
    }

    async fn bury(&self, prepared: &Prepared) -> Result<(), Stop> {
        if prepared.letters.is_empty() {
            return Ok(());
        }
        for letters in prepared.letters.chunks(LETTERS_MAX) {
            let mut retry = self.retry(Operation::bury);
            while let Err(error) = self.context.dead_letters.put_many(letters).await {
                self.context.metrics.letters_full(matches!(error, DeadLetterError::Full(_)));
                retry.pause(&error, &self.context.metrics, &self.stop).await?;
            }
            self.context.metrics.letters_full(false);
            self.show(&letters.iter().map(shown).collect::<Vec<_>>()).await?;
        }
        crash_point("pipeline.after_dead_letter");
        Ok(())
    }

    async fn show(&self, letters: &[Letter]) -> Result<(), Stop> {
        let mut retry = self.retry(Operation::bury);
        while let Err(error) = self.context.queue.show_letters(letters).await {
            retry.pause(&error, &self.context.metrics, &self.stop).await?;
        }
        Ok(())
    }

    /// Letters of a range that was buried and then not written, because the processor ended in between.
    async fn discard_unfinished(&self) -> Result<(), Stop> {
        let Lane { incarnation, partition, .. } = *self.lane;
        let letters = &self.context.dead_letters;
        let mut retry = self.retry(Operation::bury);
        let kept = loop {
            match letters.kept_from(incarnation, partition, self.next).await {
                Ok(kept) => break kept,
                Err(error) => retry.pause(&error, &self.context.metrics, &self.stop).await?,
            }
        };
        if kept.is_empty() {
            return Ok(());
        }
        self.show(&kept.into_iter().map(|id| Letter { id, body: None }).collect::<Vec<_>>()).await?;
        while let Err(error) = letters.discard_from(incarnation, partition, self.next).await {
            retry.pause(&error, &self.context.metrics, &self.stop).await?;
        }
        Ok(())
    }

    /// Lets the queue forget what survives a crash of the store. A failure costs disk space only, so the next time will
    /// do.
    async fn commit_if_due(&mut self) {
        if Instant::now() < self.commit_due {
            return;
        }
        self.commit_due = Instant::now() + self.context.config.commit_interval;
        if let Err(error) = self.commit().await {
            warn!(partition = %self.lane.partition, %error, "the position was not committed");
        }
    }

    async fn commit(&mut self) -> Result<(), CommitError> {
        let Context { config, queue, store, metrics, .. } = &self.context;
        let partition = self.lane.partition;
        let durable = store.progress(self.lane.incarnation, partition).await?.durable;
        if durable > self.committed {
            crash_point("pipeline.before_commit");
            queue.commit(&config.group, partition, durable).await?;
            self.committed = durable;
        }
        let state = queue.state(partition).await?;
        metrics.lagging(partition, state.waiting(self.next));
        if state.next > self.next && self.is_idle {
            let passed = queue.passed(partition, self.next).await?;
            self.pass(passed).await?;
        }
        Ok(())
    }

    /// Moves the store's position behind positions that no message has, so that nothing seems to wait there.
    async fn pass(&mut self, passed: Position) -> Result<(), CommitError> {
        if passed <= self.next {
            return Ok(());
        }
        let nothing = WriteBatch {
            incarnation: self.lane.incarnation,
            partition: self.lane.partition,
            from: self.next,
            next: passed,
            batches: Vec::new(),
            keys: Vec::new(),
            counts: Vec::new(),
        };
        match self.context.store.write(nothing).await {
            Ok(()) => self.next = passed,
            Err(WriteError::Moved { at }) if at == passed => self.next = passed,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn retry(&self, operation: Operation) -> Retry {
        Retry::new(operation, &self.context.config)
    }
}

#[derive(Debug, thiserror::Error)]
enum CommitError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Halves a range for another try, or, when it is one message, refuses that.
///
/// Records of one message can't be written apart, because the position moves by messages: when the store doesn't name
/// the record, each of the message becomes a letter, and sending a letter again judges its record alone.
fn refuse(mut range: Vec<Planned>, ranges: &mut Vec<Vec<Planned>>, refusals: &mut Refusals, refusal: MessageRefusal) {
    if let [message] = &*range {
        refusals.messages.insert(message.delivery.position, refusal);
        ranges.push(range);
    } else {
        ranges.push(range.split_off(range.len() / 2));
        ranges.push(range);
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}

fn rows(delivery: &Delivery) -> usize {
    delivery.message.headers.records as usize
}

fn payload_bytes(delivery: &Delivery) -> usize {
    delivery.message.payload.len()
}
