//! Merging segments: many small files of a day become few large ones.
//!
//! Records come in the order of time for the most part, so most blocks overlap no block of another segment. These are
//! copied as they are packed; only the others are unpacked and sorted into each other.
//!
//! Segments are of one tier when they have about the same number of rows; as many as the fan-in of one tier become
//! one segment of a higher tier, so that a row is rewritten once for each tier.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use model::crash::crash_point;
use store::StoreError;

use super::flush::{unwritten, write_merged};
use super::{Engine, Wake};
use crate::columns;
use crate::manifest::sync_dir;
use crate::merge::{Coverage, Merge, Source, Target};
use crate::segment::{BLOCK_ROWS, Day, Place, Segment, SegmentEntry, SegmentWriter};

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
        let target = coverage.target();
        let steps = steps(group, &target)?;
        let entries = || group.iter().map(|segment| segment.entry());
        let place = Place {
            project: group[0].entry().project.clone(),
            day: group[0].entry().day,
            written: entries().map(|entry| entry.written).max().unwrap_or_default(),
            level: entries().map(|entry| entry.level).max().unwrap_or_default().saturating_add(1),
        };
        let stop = || self.compact_wake.stopped();
        let write = |writer: &mut SegmentWriter| -> Result<bool, StoreError> {
            for step in steps {
                if !take(step, group, &target, writer, stop)? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        let Some(entry) = self.write_new(place, write)? else {
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

/// A step of a merge.
enum Step {
    /// A block that overlaps no other is taken over as it is packed: (segment of the group, block).
    Copy(usize, usize),
    /// Blocks whose rows are sorted into each other, by segment of the group.
    Merge(Vec<Vec<usize>>),
}

/// Smaller blocks are merged, so that they become fewer.
const COPY_ROWS_MIN: usize = BLOCK_ROWS / 2;

/// What makes one sorted run of a group, in order.
fn steps(group: &[Arc<Segment>], target: &Target) -> Result<Vec<Step>, StoreError> {
    let mut blocks = Vec::new();
    let mut same_columns = Vec::with_capacity(group.len());
    for (segment, file) in group.iter().enumerate() {
        let meta = file.meta()?;
        let names = |schema: &SchemaRef| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
        same_columns.push(names(&meta.schema) == names(&target.schema));
        blocks.extend(meta.blocks.iter().enumerate().map(|(block, meta)| (*meta, segment, block)));
    }
    blocks.sort_by_key(|(meta, segment, block)| (meta.ts_min, *segment, *block));
    let mut steps = Vec::new();
    let mut end = i64::MIN;
    for (at, (meta, segment, block)) in blocks.iter().enumerate() {
        let apart = end < meta.ts_min && blocks.get(at + 1).is_none_or(|(next, ..)| next.ts_min > meta.ts_max);
        end = end.max(meta.ts_max);
        if at > 0 && apart && meta.rows >= COPY_ROWS_MIN && same_columns[*segment] {
            steps.push(Step::Copy(*segment, *block));
            continue;
        }
        if !matches!(steps.last(), Some(Step::Merge(_))) {
            steps.push(Step::Merge(vec![Vec::new(); group.len()]));
        }
        if let Some(Step::Merge(merge)) = steps.last_mut() {
            merge[*segment].push(*block);
        }
    }
    Ok(steps)
}

/// Takes a step; false when `stop` said so.
fn take(
    step: Step,
    group: &[Arc<Segment>],
    target: &Target,
    writer: &mut SegmentWriter,
    stop: impl Fn() -> bool,
) -> Result<bool, StoreError> {
    let merge = match step {
        Step::Copy(segment, block) => {
            if writer.copy_block(&group[segment].stored(block)?).map_err(unwritten)? {
                return Ok(!stop());
            }
            (0..group.len()).map(|other| if other == segment { vec![block] } else { Vec::new() }).collect()
        }
        Step::Merge(merge) => merge,
    };
    let sources = group.iter().zip(merge).filter(|(_, blocks)| !blocks.is_empty());
    let sources = sources.map(|(segment, blocks)| read(segment, blocks)).collect::<Result<Vec<_>, _>>()?;
    write_merged(Merge::new(target.clone(), BLOCK_ROWS, sources)?, writer, stop)
}

fn read(segment: &Segment, blocks: Vec<usize>) -> Result<Source<'_>, StoreError> {
    let all: Vec<usize> = (0..segment.meta()?.schema.fields().len()).collect();
    Ok(Box::new(blocks.into_iter().map(move |block| Ok(segment.read(block, &all, None)?.batch))))
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
