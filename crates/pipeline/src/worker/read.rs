//! What stands in the queue, and what is done where it does not read.

use std::time::Duration;

use model::position::Position;
use queue::{Delivery, QueueError};
use store::{Counts, WriteBatch, WriteError};
use tokio::time::Instant;
use tracing::{error, info};

use super::{Stop, Worker, payload_bytes, rows};
use crate::Context;
use crate::metrics::Operation;

/// A batch of fewer records costs about as much as one of so many: the next one then waits until
/// [`crate::Config::batch_gap_min`] is over.
const SMALL_ROWS: usize = 1_000;

impl Worker {
    /// What stands in the queue now, at most about a batch; waits for the first message until a commit is due.
    pub(super) async fn read(&mut self) -> Result<Vec<Delivery>, Stop> {
        let config = self.context.config.clone();
        tokio::select! {
            () = self.stop.cancelled() => return Err(Stop::Shutdown),
            () = tokio::time::sleep_until(self.read_due) => {}
        }
        let wait = self.commit_due.saturating_duration_since(Instant::now());
        let mut deliveries = self.read_some(self.next, config.batch_bytes_max, wait).await?;
        let full_at = Instant::now() + config.batch_age_max;
        while let Some(last) = deliveries.last() {
            let wait = full_at.saturating_duration_since(Instant::now());
            let room = config.batch_bytes_max.saturating_sub(deliveries.iter().map(payload_bytes).sum());
            let rows: usize = deliveries.iter().map(rows).sum();
            if wait.is_zero() || room == 0 || rows >= config.batch_rows_max {
                break;
            }
            let more = self.read_some(last.position.next(), room, wait).await?;
            if more.is_empty() {
                break;
            }
            deliveries.extend(more);
        }
        if (1..SMALL_ROWS).contains(&deliveries.iter().map(rows).sum()) {
            self.read_due = Instant::now() + config.batch_gap_min;
        }
        Ok(deliveries)
    }

    /// What comes next at `from`; nothing also when something else has to be done first.
    async fn read_some(&mut self, from: Position, bytes_max: usize, wait: Duration) -> Result<Vec<Delivery>, Stop> {
        let mut retry = self.retry(Operation::read);
        let queue = self.context.queue.clone();
        loop {
            let read = tokio::select! {
                () = self.stop.cancelled() => return Err(Stop::Shutdown),
                read = queue.read(self.lane.partition, from, bytes_max, wait) => read,
            };
            match read {
                Ok(deliveries) => return Ok(deliveries),
                // What was read before is stored first.
                Err(_) if from != self.next => return Ok(Vec::new()),
                Err(QueueError::Expired { from, oldest }) => {
                    self.skip_lost(from, oldest).await?;
                    return Ok(Vec::new());
                }
                Err(error @ (QueueError::Damaged { .. } | QueueError::Corrupt(_))) => {
                    self.stand_still(&error).await?;
                    return Ok(Vec::new());
                }
                Err(error) => retry.pause(&error, &self.context.metrics, &self.stop).await?,
            }
        }
    }

    /// Waits before messages that do not read. Nobody but the operator passes them over, by moving the store's position.
    async fn stand_still(&mut self, damage: &QueueError) -> Result<(), Stop> {
        let Context { metrics, .. } = self.context.clone();
        let (partition, position) = (self.lane.partition, self.next);
        metrics.stands_still(partition, position);
        error!(
            %partition, %position, %damage,
            "the partition stands still; restore the queue, or go on behind the damage with \
             `devlogs queue skip --partition {partition}`"
        );
        let mut retry = self.retry(Operation::read);
        while self.next == position {
            retry.pause(damage, &metrics, &self.stop).await?;
            self.next = self.resume().await?;
            let queue = &self.context.queue;
            let again = queue.read(partition, position, 1, Duration::ZERO).await;
            if !matches!(again, Err(QueueError::Damaged { .. } | QueueError::Corrupt(_))) {
                break;
            }
        }
        metrics.goes_on(partition);
        info!(%partition, from = %position, to = %self.next, "the partition goes on");
        Ok(())
    }

    /// Goes on behind messages that the queue dropped before they were stored. There is nothing left to store of them.
    async fn skip_lost(&mut self, from: Position, oldest: Position) -> Result<(), Stop> {
        let messages = oldest.0.saturating_sub(from.0);
        error!(partition = %self.lane.partition, %from, %oldest, messages, "the queue lost messages before they were stored");
        self.context.metrics.lost(messages);
        let mut retry = self.retry(Operation::write);
        loop {
            let skipped = WriteBatch {
                incarnation: self.lane.incarnation,
                partition: self.lane.partition,
                from,
                next: oldest,
                batches: Vec::new(),
                keys: Vec::new(),
                counts: vec![Counts::of_lost(messages)],
            };
            match self.context.store.write(skipped).await {
                Ok(()) => break,
                Err(WriteError::Moved { at }) if at == oldest => break,
                Err(WriteError::Moved { .. }) => return Err(Stop::Moved),
                Err(error) => retry.pause(&error, &self.context.metrics, &self.stop).await?,
            }
        }
        self.next = oldest;
        Ok(())
    }
}
