//! Whether messages are taken now.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::QueueError;

/// When to try again while the queue is full. What frees it is a group that catches up, within seconds if ever.
const FULL_RETRY: Duration = Duration::from_secs(2);

/// Open until the keeper closes it; see [`super::keeper`].
#[derive(Debug)]
pub(super) struct Gate {
    /// Why it is closed.
    closed: Mutex<Option<String>>,
    /// What the keeper found that some group has not passed.
    unconsumed: AtomicU64,
    /// What came since then.
    appended: AtomicU64,
    unconsumed_bytes_max: u64,
}

impl Gate {
    pub(super) fn new(unconsumed_bytes_max: u64) -> Self {
        Self {
            closed: Mutex::default(),
            unconsumed: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            unconsumed_bytes_max,
        }
    }

    pub(super) fn check(&self) -> Result<(), QueueError> {
        match &*self.closed.lock() {
            None => Ok(()),
            Some(reason) => Err(QueueError::Unavailable { reason: reason.clone(), retry_after: FULL_RETRY }),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.lock().is_some()
    }

    /// Whether what came since the keeper looked may have filled the queue.
    pub(super) fn may_be_full(&self) -> bool {
        let unconsumed = self.unconsumed.load(Ordering::Relaxed) + self.appended.load(Ordering::Relaxed);
        unconsumed >= self.unconsumed_bytes_max
    }

    pub(super) fn appended(&self, bytes: u64) {
        self.appended.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Begins a look at the segments: what is appended from now on counts again.
    pub(super) fn start_count(&self) {
        self.appended.store(0, Ordering::Relaxed);
    }

    pub(super) fn counted(&self, unconsumed: u64) {
        self.unconsumed.store(unconsumed, Ordering::Relaxed);
    }

    /// Opens or closes.
    pub(super) fn set(&self, reason: Option<String>) {
        *self.closed.lock() = reason;
    }
}
