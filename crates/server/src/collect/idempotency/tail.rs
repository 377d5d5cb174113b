//! The keys of requests that were acknowledged before this process began and are not processed yet: it did not append
//! them, and the store does not have them. Until the store does, a new key can't be told from a known one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::position::{Partition, Position};
use parking_lot::Mutex;
use queue::Queue;
use tokio::time::{Instant, sleep};

use super::KeyLookup;
use crate::error::ApiError;

/// How long a request waits here, before its client is asked to come again.
const WAIT_MAX: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// After this long requests are taken all the same. What the processor has not reached by then waits for something else
/// than this start, and lines must go on coming in: a known key is then appended once more, which the processor drops,
/// and another body under it is stored instead of refused.
const HOLD_MAX: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Tail {
    queue: Arc<dyn Queue>,
    pub(super) begun: Instant,
    /// Where the tail of a partition ends; None when it is behind us.
    ends: Mutex<HashMap<Partition, Option<Position>>>,
}

impl Tail {
    /// Made when the process begins, before it appends anything.
    pub(super) fn new(queue: Arc<dyn Queue>) -> Self {
        Self { queue, begun: Instant::now(), ends: Mutex::default() }
    }

    /// Waits until the keys of before are in the store, in the partition of this key.
    ///
    /// # Errors
    /// 503 when that takes long.
    pub(super) async fn pass(&self, key: u128, lookup: &dyn KeyLookup) -> Result<(), ApiError> {
        let partition = Partition((key % u128::from(self.queue.partitions().max(1))) as u32);
        let since = Instant::now();
        while self.begun.elapsed() < HOLD_MAX && !self.is_stored(partition, lookup).await {
            if since.elapsed() >= WAIT_MAX {
                let detail = "the server has just started and does not know all idempotency keys yet";
                return Err(ApiError::unavailable(detail, Duration::from_secs(1))
                    .with_hint("repeat the request with the same Idempotency-Key"));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Also when nobody can tell: lines go on coming in while the queue's state or the store is out of reach.
    async fn is_stored(&self, partition: Partition, lookup: &dyn KeyLookup) -> bool {
        let known = self.ends.lock().get(&partition).copied();
        let end = match known {
            Some(None) => return true,
            Some(Some(end)) => end,
            None => match self.queue.state(partition).await {
                Ok(state) => *self.ends.lock().entry(partition).or_insert(Some(state.next)).get_or_insert(state.next),
                Err(_) => return true,
            },
        };
        match lookup.written(self.queue.incarnation(), partition).await {
            Ok(Some(written)) if written < end => false,
            Ok(_) => {
                self.ends.lock().insert(partition, None);
                true
            }
            Err(_) => true,
        }
    }
}
