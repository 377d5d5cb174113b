//! What goes on beside writing: commits are made durable, old segments deleted, and the gate closed when the queue or
//! its disk is full.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use model::crash::crash_point;
use parking_lot::{Condvar, Mutex};

use super::config::EmbeddedConfig;
use super::gate::Gate;
use super::groups::Groups;
use super::partition::PartitionLog;
use super::segment;
use super::vfs::Vfs;
use crate::metrics::Metrics;

/// Commits are durable after this long.
const TICK: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) config: EmbeddedConfig,
    pub(super) vfs: Arc<dyn Vfs>,
    pub(super) logs: Vec<Arc<PartitionLog>>,
    pub(super) groups: Groups,
    pub(super) gate: Arc<Gate>,
    pub(super) metrics: Metrics,
    /// One look at a time.
    looking: Mutex<()>,
    stopped: Mutex<bool>,
    stop: Condvar,
}

impl Keeper {
    pub(super) fn new(
        config: EmbeddedConfig,
        vfs: Arc<dyn Vfs>,
        logs: Vec<Arc<PartitionLog>>,
        groups: Groups,
        gate: Arc<Gate>,
        metrics: Metrics,
    ) -> Self {
        let (looking, stopped, stop) = (Mutex::default(), Mutex::default(), Condvar::new());
        Self { config, vfs, logs, groups, gate, metrics, looking, stopped, stop }
    }

    /// Works until it is stopped.
    pub(super) fn run(&self) {
        let mut stopped = self.stopped.lock();
        while !*stopped {
            parking_lot::MutexGuard::unlocked(&mut stopped, || self.look());
            if !*stopped {
                self.stop.wait_for(&mut stopped, TICK);
            }
        }
    }

    pub(super) fn stop(&self) {
        *self.stopped.lock() = true;
        self.stop.notify_all();
    }

    /// Everything once.
    pub(super) fn look(&self) {
        let _looking = self.looking.lock();
        if let Err(error) = self.groups.flush() {
            tracing::error!(%error, "cannot write the positions of consumer groups");
        }
        self.gate.start_count();
        if let Err(error) = self.delete_old() {
            tracing::error!(%error, "cannot delete old segments");
        }
        let unconsumed = self.logs.iter().map(|log| self.unconsumed(log)).sum();
        self.gate.counted(unconsumed);
        self.open_or_close(unconsumed);
        for log in &self.logs {
            let state = log.state();
            self.metrics.holds(log.partition, state.bytes);
            self.groups.each(log.partition.0, |group, committed| {
                let lag = state.next.0.saturating_sub(committed.max(state.oldest.0));
                self.metrics.lags(group, log.partition, lag);
            });
        }
    }

    /// Without groups nothing counts as consumed.
    fn unconsumed(&self, log: &PartitionLog) -> u64 {
        log.bytes_from(self.groups.passed(log.partition.0).unwrap_or(0))
    }

    fn delete_old(&self) -> io::Result<()> {
        let mut bytes: u64 = self.logs.iter().map(|log| log.state().bytes).sum();
        let age_max = self.config.retention_age.map(|age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        let written_min = age_max.map_or(i64::MIN, |age_max| segment::now().saturating_sub(age_max));
        loop {
            // The segment that was written first, over all partitions.
            let oldest = self.logs.iter().filter_map(|log| Some((log, self.deletable(log)?))).min_by_key(|(_, s)| s.0);
            let Some((log, (written, segment_bytes))) = oldest else { return Ok(()) };
            if bytes <= self.config.retention_bytes && written >= written_min {
                return Ok(());
            }
            crash_point("queue.before_delete");
            log.delete_oldest()?;
            self.metrics.segment_deleted();
            tracing::debug!(partition = log.partition.0, bytes = segment_bytes, "deleted a segment");
            bytes = bytes.saturating_sub(segment_bytes);
        }
    }

    /// When the partition's oldest segment was written and what it holds, if every group has passed it. The last one
    /// with messages stays: it tells where the next message stands.
    fn deletable(&self, log: &PartitionLog) -> Option<(i64, u64)> {
        let segments = log.segments();
        let (first, rest) = segments.split_first()?;
        let extent = first.extent();
        let told_by_others = rest.iter().any(|segment| segment.extent().next > segment.base());
        let passed = self.groups.passed(log.partition.0)? >= extent.next;
        (extent.sealed && passed && told_by_others).then_some((extent.written, extent.end))
    }

    /// Closes at the mark and opens below a lower one, so that it does not flap.
    fn open_or_close(&self, unconsumed: u64) {
        let closed = self.gate.is_closed();
        let bytes_max = self.config.retention_bytes;
        let unconsumed_mark = if closed { bytes_max / 10 * 9 } else { bytes_max };
        let free_min = self.config.disk_free_min_bytes;
        let free_mark = if closed { free_min.saturating_add(free_min / 10) } else { free_min };
        let reason = if unconsumed >= unconsumed_mark {
            Some(format!("{unconsumed} bytes wait to be processed, at most {bytes_max} may"))
        } else {
            match self.vfs.free_bytes(&self.config.dir) {
                Ok(free) if free < free_mark => {
                    Some(format!("the disk has {free} bytes free, fewer than the {free_min} to be kept free"))
                }
                Ok(_) => None,
                Err(error) => Some(format!("the free space of the disk cannot be read: {error}")),
            }
        };
        if reason.is_some() != closed {
            match &reason {
                Some(reason) => tracing::warn!(reason, "the queue takes no more messages"),
                None => tracing::info!("the queue takes messages again"),
            }
        }
        self.metrics.full(reason.is_some());
        self.gate.set(reason);
    }
}
