//! The memory that requests under way may take together.
//!
//! A request reserves bytes as they arrive and as they grow under decompression, never what its headers promise. When
//! all is taken, a request is turned away with 429: it has been neither stored nor half stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::error::ApiError;
use crate::metrics::Metrics;

/// Bytes that all requests share.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    taken: AtomicUsize,
    metrics: Arc<Metrics>,
}

impl Budget {
    pub(super) fn new(bytes_max: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { bytes_max, taken: AtomicUsize::new(0), metrics })
    }

    /// A request's share, empty at first.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// What one request has reserved; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// Reserves more.
    ///
    /// # Errors
    /// 429 when the process holds as much as it may.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        let max = self.budget.bytes_max;
        let taken = self.budget.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            taken.checked_add(bytes).filter(|&taken| taken <= max)
        });
        if taken.is_err() {
            return Err(ApiError::overloaded(
                "the collector holds as many unfinished requests as its memory allows",
                Duration::from_secs(1),
            )
            .with_hint("send again after Retry-After; raise `collector.in_flight_bytes_max` if this happens often"));
        }
        self.bytes += bytes;
        self.budget.metrics.in_flight(bytes as i64);
        Ok(())
    }

    /// Gives a part back.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.taken.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.metrics.in_flight(-(bytes as i64));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
