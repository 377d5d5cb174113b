//! How many queries run at once, for how long, and how a store's refusal reads.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use store::{QueryLimits, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{ApiError, Code};

/// How long a query waits for its turn before it is refused.
const WAIT_MAX: Duration = Duration::from_millis(500);
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Stores keep the time limit themselves; this is for one that does not notice in time.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Gate {
    permits: Arc<Semaphore>,
    running: Gauge,
}

/// A query that runs; ends when dropped.
#[derive(Debug)]
pub struct Running {
    _permit: OwnedSemaphorePermit,
    running: Gauge,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.running.dec();
    }
}

impl Gate {
    /// Declares `queries_running` in a registry whose prefix is `devlogs`.
    pub fn register(registry: &mut Registry, queries_max: usize) -> Self {
        let running = Gauge::default();
        registry.register("queries_running", "Queries that run now, exports included", running.clone());
        Self { permits: Arc::new(Semaphore::new(queries_max)), running }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// 429 when none comes soon.
    pub async fn enter(&self) -> Result<Running, ApiError> {
        let busy = || {
            ApiError::overloaded("too many queries run now; the limit is on the whole process", RETRY_AFTER)
                .with_hint("wait for your other queries, or raise `api.queries_max`")
        };
        let permit = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        self.running.inc();
        Ok(Running { _permit: permit, running: self.running.clone() })
    }

    /// Runs a query in its turn and within its time.
    pub async fn run<T>(
        &self,
        limits: QueryLimits,
        query: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ApiError> {
        let _running = self.enter().await?;
        within(limits, query).await
    }
}

/// Awaits a store within the query's time.
pub(crate) async fn within<T>(
    limits: QueryLimits,
    query: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(limits.time + GRACE, query).await {
        Ok(answer) => answer.map_err(store_error),
        Err(_) => Err(ApiError::new(
            Code::QueryLimit,
            format!("the query reached its time limit of {} s", limits.time.as_secs()),
        )
        .with_hint("ask for a shorter range of time, or for less")),
    }
}

pub(crate) fn store_error(error: StoreError) -> ApiError {
    match error {
        StoreError::Limit(what) => ApiError::new(Code::QueryLimit, what),
        StoreError::Invalid(what) => ApiError::new(Code::InvalidQuery, what),
        StoreError::Unavailable(cause) => {
            ApiError::unavailable("the store can't be reached now", Duration::from_secs(2)).with_internal(cause)
        }
        error @ (StoreError::Corrupt(_) | StoreError::Internal(_)) => ApiError::internal(error),
    }
}
