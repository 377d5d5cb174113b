//! How a query runs: off the async threads, on a bounded number of cores, until its time is up or its caller is gone.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use store::{QueryLimits, StoreError};
use tokio::sync::Semaphore;

/// Threads of one query.
static CORES: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZero::get));

/// Queries that run at once in this process; more of them wait their turn, within their own time.
static RUNNING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(*CORES * 2));

/// What a running query is held to.
#[derive(Debug)]
pub(super) struct Control {
    deadline: Option<Instant>,
    time: Duration,
    cancelled: AtomicBool,
}

impl Control {
    /// To be called once for each block.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(StoreError::Internal("the query was cancelled".to_owned()));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(StoreError::out_of_time(self.time));
        }
        Ok(())
    }
}

/// Sets the flag when the caller's future is dropped.
struct CancelOnDrop(Arc<Control>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Runs blocking work. Dropping the future stops it at the next block.
pub(super) async fn run<T: Send + 'static>(
    limits: QueryLimits,
    work: impl FnOnce(&Control) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let deadline = Instant::now().checked_add(limits.time);
    let control = Arc::new(Control { deadline, time: limits.time, cancelled: AtomicBool::new(false) });
    let permit = tokio::time::timeout(limits.time, RUNNING.acquire())
        .await
        .map_err(|_| StoreError::out_of_time(limits.time))?
        .map_err(|error| StoreError::Internal(error.to_string()))?;
    let _cancel = CancelOnDrop(control.clone());
    // The permit stays with the work, which may outlive a dropped future by a block.
    let work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        control.check()?;
        work(&control)
    });
    work.await.map_err(|error| StoreError::Internal(format!("a query died: {error}")))?
}

/// Folds items on all cores: each thread has a state of its own, and the states are returned.
pub(super) fn fold<I: Sync, S: Send>(
    control: &Control,
    items: &[I],
    begin: impl Fn() -> Result<S, StoreError> + Sync,
    step: impl Fn(&mut S, &I) -> Result<(), StoreError> + Sync,
) -> Result<Vec<S>, StoreError> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let states = Mutex::new(Vec::new());
    let worker = || -> Result<(), StoreError> {
        let mut state = begin()?;
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            control
                .check()
                .and_then(|()| step(&mut state, item))
                .inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        }
        states.lock().push(state);
        Ok(())
    };
    let threads = (*CORES).min(items.len()).max(1);
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut result = worker();
        for other in others {
            let theirs = other.join().unwrap_or_else(|_| Err(StoreError::Internal("a query's thread died".to_owned())));
            result = result.and(theirs);
        }
        result
    })?;
    Ok(states.into_inner())
}

/// Maps items on all cores; the results are in no order.
pub(super) fn map<I: Sync, T: Send>(
    control: &Control,
    items: &[I],
    each: impl Fn(&I) -> Result<T, StoreError> + Sync,
) -> Result<Vec<T>, StoreError> {
    let states = fold(
        control,
        items,
        || Ok(Vec::new()),
        |results, item| {
            results.push(each(item)?);
            Ok(())
        },
    )?;
    Ok(states.into_iter().flatten().collect())
}

/// Blocks worth looking at together.
pub(super) fn wave_max() -> usize {
    *CORES * 4
}
