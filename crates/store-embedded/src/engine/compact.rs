//! Merging segments: many small files of a day become few large ones, compressed harder.
//!
//! Segments are of one tier when they have about the same number of rows; as many as the fan-in of one tier become
//! one segment of a higher tier, so that a row is rewritten once for each tier.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use model::crash::crash_point;
use store::StoreError;

use super::{Engine, Wake};
use crate::columns;
use crate::manifest::sync_dir;
use crate::merge::{Coverage, Merge, Source};
use crate::segment::{BLOCK_ROWS, Day, Place, Segment, SegmentEntry};

/// How often the thread looks without being woken: retention goes by the clock.
const TICK: Duration = Duration::from_secs(30);

/// The compaction thread. It holds the engine only while it works.
pub(super) fn run(engine: &Weak<Engine>, wake: &Wake) {
    while !wake.stopped() {
        let Some(engine) = engine.upgrade() else { return };
        let worked = engine.expire().and_then(|()| engine.compact_once());
        if let Err(error) = &worked {
            tracing::error!(%error, "segments could not be merged or removed");
            engine.metrics.compaction_errors.inc();
        }
        drop(engine);
        if !matches!(worked, Ok(true)) {
            wake.wait(TICK);
        }
    }
}

impl Engine {
    /// Merges one group of segments, if there is one; blocks until it is done.
    ///
    /// # Errors
    /// Corrupt when a segment can't be read (it stays, and is not tried again before a restart); unavailable when the
    /// disk fails.
    pub fn compact_once(&self) -> Result<bool, StoreError> {
        let _one = self.compacting.lock();
        let Some(group) = self.state.lock().compaction_group(&self.config) else { return Ok(false) };
        let start = Instant::now();
        let merged = self.merge_group(&group);
        self.metrics.compaction_seconds.observe(start.elapsed().as_secs_f64());
        if let Err(StoreError::Corrupt(_)) = &merged {
            self.state.lock().unmergeable.extend(group.iter().map(|segment| segment.entry().id));
        }
        merged
    }

    fn merge_group(&self, group: &[Arc<Segment>]) -> Result<bool, StoreError> {
        let mut coverage = Coverage::default();
        for segment in group {
            add_coverage(&mut coverage, segment)?;
        }
        let sources = runs(group).into_iter().map(|run| Box::new(run.into_iter().flat_map(blocks)) as Source<'_>);
        let sources = sources.collect();
        let merge = Merge::new(coverage.target(), BLOCK_ROWS, sources)?;
        let entries = || group.iter().map(|segment| segment.entry());
        let place = Place {
            project: group[0].entry().project.clone(),
            day: group[0].entry().day,
            written: entries().map(|entry| entry.written).max().unwrap_or_default(),
            level: entries().map(|entry| entry.level).max().unwrap_or_default().saturating_add(1),
        };
        let stop = || self.compact_wake.stopped();
        let Some(entry) = self.write_merged(merge, place, self.config.compaction_zstd_level, stop)? else {
            return Ok(false);
        };
        let old: Vec<u64> = entries().map(|entry| entry.id).collect();
        if entry.rows != entries().map(|entry| entry.rows).sum::<u64>() {
            self.discard(&[entry], None);
            return Err(StoreError::Internal("a merge lost rows; its result was thrown away".into()));
        }
        self.replace(&old, &entry).map_err(|e| StoreError::Unavailable(format!("a merge failed: {e}")))?;
        self.metrics.compacted_bytes.inc_by(entry.bytes);
        Ok(true)
    }

    fn replace(&self, old: &[u64], new: &SegmentEntry) -> io::Result<()> {
        sync_dir(&self.config.dir)?;
        let segment = self.open_segment(new);
        crash_point("store.before_compaction_manifest");
        self.commit(
            |manifest| {
                manifest.segments.retain(|entry| !old.contains(&entry.id));
                manifest.segments.push(new.clone());
            },
            |state| {
                state.remove_segments(old);
                state.add_segment(segment);
            },
        )
    }
}

fn add_coverage(coverage: &mut Coverage, segment: &Segment) -> Result<(), StoreError> {
    for (field, rows) in segment.field_rows()? {
        coverage.add(field, rows);
    }
    let meta = segment.meta()?;
    if let Some(overflow) = columns::overflow_of(&meta.schema) {
        for block in 0..meta.blocks.len() {
            coverage.add_overflow(&segment.read(block, &[overflow], None)?.batch)?;
        }
    }
    Ok(())
}

/// Segments that follow each other in time as one run, so that a merge holds few blocks in memory. The group is sorted
/// by time.
fn runs(group: &[Arc<Segment>]) -> Vec<Vec<&Segment>> {
    let mut runs: Vec<Vec<&Segment>> = Vec::new();
    for segment in group {
        let start = segment.entry().ts_min;
        let before = |run: &&mut Vec<&Segment>| run.last().is_some_and(|last| last.entry().ts_max < start);
        match runs.iter_mut().find(before) {
            Some(run) => run.push(segment),
            None => runs.push(vec![segment]),
        }
    }
    runs
}

fn blocks(segment: &Segment) -> Source<'_> {
    let meta = match segment.meta() {
        Ok(meta) => meta,
        Err(error) => return Box::new(std::iter::once(Err(error))),
    };
    let all: Vec<usize> = (0..meta.schema.fields().len()).collect();
    Box::new((0..meta.blocks.len()).map(move |block| Ok(segment.read(block, &all, None)?.batch)))
}

/// Segments to merge: of one project and day, of one tier, those that follow each other most closely.
pub(super) fn choose(
    segments: impl Iterator<Item = Arc<Segment>>,
    fan_in: usize,
    rows_max: u64,
) -> Option<Vec<Arc<Segment>>> {
    let fan_in = fan_in.max(2);
    let mut tiers: BTreeMap<(Arc<str>, Day, u32), Vec<Arc<Segment>>> = BTreeMap::new();
    for segment in segments.filter(|segment| segment.entry().rows < rows_max) {
        let entry = segment.entry();
        let tier = (entry.rows / BLOCK_ROWS as u64).max(1).ilog(fan_in as u64);
        tiers.entry((entry.project.clone(), entry.day, tier)).or_default().push(segment);
    }
    // The smallest tier first: it makes the most files.
    let (_, mut group) = tiers
        .into_iter()
        .filter(|(_, group)| group.len() >= fan_in)
        .min_by_key(|((_, _, tier), group)| (*tier, usize::MAX - group.len()))?;
    group.sort_by_key(|segment| (segment.entry().ts_min, segment.entry().id));
    let mut rows = 0;
    let fits = |segment: &Arc<Segment>| {
        rows += segment.entry().rows;
        rows <= rows_max.saturating_mul(2)
    };
    let group: Vec<_> = group.into_iter().take(fan_in * 2).take_while(fits).collect();
    (group.len() >= 2).then_some(group)
}
