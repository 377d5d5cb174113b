//! The one retry policy: pauses that grow, with jitter, until the thing works or the processor stops.

use std::fmt::Display;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::metrics::{Metrics, Operation};
use crate::{Config, worker::Stop};

/// The pauses of one thing that is tried.
#[derive(Debug)]
pub(crate) struct Retry {
    operation: Operation,
    pauses: ExponentialBackoff,
    longest: Duration,
}

impl Retry {
    pub(crate) fn new(operation: Operation, config: &Config) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(config.retry_delay_min)
            .with_max_delay(config.retry_delay_max)
            .with_jitter()
            .without_max_times()
            .build();
        Self { operation, pauses, longest: config.retry_delay_max }
    }

    /// Tells of the failure and pauses before the next try.
    ///
    /// # Errors
    /// The processor stops.
    pub(crate) async fn pause(
        &mut self,
        error: &(dyn Display + Sync),
        metrics: &Metrics,
        stop: &CancellationToken,
    ) -> Result<(), Stop> {
        let pause = self.pauses.next().unwrap_or(self.longest);
        metrics.retried(self.operation);
        warn!(operation = self.operation.as_str(), %error, pause_ms = pause.as_millis() as u64, "trying again");
        tokio::select! {
            () = stop.cancelled() => Err(Stop::Shutdown),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}
