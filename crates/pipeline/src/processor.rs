//! A worker for each assigned partition, and a clean end.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use model::position::Partition;
use tokio::sync::{Semaphore, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::Context;
use crate::metrics::Operation;
use crate::retry::Retry;
use crate::worker::{Stop, Worker};

/// How long nothing is started after a worker failed by a defect.
const DEFECT_PAUSE: Duration = Duration::from_secs(1);

/// Moves messages from the queue to the store until it is told to stop.
#[derive(Debug)]
pub struct Processor {
    context: Context,
    /// One permit for each batch that is decoded and written at once.
    permits: Arc<Semaphore>,
    workers: JoinSet<()>,
    /// What stops the worker of a partition, and its task.
    running: HashMap<Partition, (CancellationToken, task::Id)>,
}

impl Processor {
    pub fn new(context: Context) -> Self {
        let permits = Arc::new(Semaphore::new(context.config.batches_in_flight_max.max(1)));
        Self { context, permits, workers: JoinSet::new(), running: HashMap::new() }
    }

    /// Works until `shutdown`: then finishes the batches in flight, makes the store durable if the configuration wants
    /// it, and commits positions. Everything that fails meanwhile is tried again.
    pub async fn run(mut self, shutdown: CancellationToken) {
        if let Ok(mut assigned) = self.join(&shutdown).await {
            let mut seen = BTreeSet::new();
            loop {
                let wanted = assigned.borrow_and_update().clone();
                self.assign(&wanted, &shutdown);
                seen.extend(wanted);
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    changed = assigned.changed() => if changed.is_err() { shutdown.cancelled().await },
                    Some(ended) = self.workers.join_next_with_id() => self.ended(ended).await,
                }
            }
            self.finish(&seen).await;
        }
    }

    async fn join(&self, shutdown: &CancellationToken) -> Result<watch::Receiver<BTreeSet<Partition>>, Stop> {
        let mut retry = Retry::new(Operation::join, &self.context.config);
        loop {
            match self.context.queue.join(&self.context.config.group).await {
                Ok(assigned) => return Ok(assigned),
                Err(error) => retry.pause(&error, &self.context.metrics, shutdown).await?,
            }
        }
    }

    /// Starts workers of new partitions and stops those of partitions that are another processor's now.
    fn assign(&mut self, wanted: &BTreeSet<Partition>, shutdown: &CancellationToken) {
        for (partition, (stop, _)) in &self.running {
            if !wanted.contains(partition) {
                info!(%partition, "partition handed over");
                stop.cancel();
            }
        }
        for &partition in wanted {
            if !self.running.contains_key(&partition) {
                let stop = shutdown.child_token();
                let worker = Worker::new(self.context.clone(), partition, self.permits.clone(), stop.clone());
                let task = self.workers.spawn(worker.run());
                self.running.insert(partition, (stop, task.id()));
            }
        }
    }

    /// Forgets an ended worker, so that it is started again if its partition is still assigned.
    async fn ended(&mut self, ended: Result<(task::Id, ()), JoinError>) {
        let ended = match ended {
            Ok((ended, ())) => ended,
            Err(failure) => {
                error!(%failure, "a partition's worker failed by a defect; it begins again where the store stands");
                tokio::time::sleep(DEFECT_PAUSE).await;
                failure.id()
            }
        };
        self.running.retain(|_, (_, task)| *task != ended);
    }

    async fn finish(&mut self, seen: &BTreeSet<Partition>) {
        while self.workers.join_next().await.is_some() {}
        let Context { config, queue, store, .. } = &self.context;
        if config.flush_on_stop {
            match tokio::time::timeout(config.stop_timeout, store.flush()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(%error, "the store was not flushed; the queue still holds what it lacks"),
                Err(_) => warn!("flushing the store took too long; the queue still holds what it lacks"),
            }
        }
        for &partition in seen {
            if let Ok(progress) = store.progress(queue.incarnation(), partition).await
                && let Err(error) = queue.commit(&config.group, partition, progress.durable).await
            {
                warn!(%partition, %error, "the position was not committed; the store still knows it");
            }
        }
    }
}
