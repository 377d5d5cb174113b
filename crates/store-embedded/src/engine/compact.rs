//! Merging segments: many small files of a day become few large ones.
//!
//! Records come in the order of time for the most part, so most blocks share little of their time with others. These are
//! copied as they are packed; only small ones side by side, and those that share much, are unpacked and sorted into each
//! other.
//!
//! Segments are of one tier when they have about the same number of rows; as many as the fan-in of one tier become
//! one segment of a higher tier, so that a row is rewritten once for each tier. What a day that is over still has in
//! pieces is merged too, as much as one segment takes: a search over many days then opens few files.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use model::crash::crash_point;
use store::StoreError;

use super::flush::{unwritten, write_merged};
use super::{Engine, Wake, day_of};
use crate::columns;
use crate::manifest::sync_dir;
use crate::merge::{Coverage, Merge, Source, Target};
use crate::segment::{BLOCK_ROWS, BlockMeta, Day, Place, Segment, SegmentEntry, SegmentWriter};

/// A day that is over is left alone until nothing was written to it for so long, in nanoseconds.
const QUIET: i64 = 10 * 1_000_000_000;

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
        let target = coverage.target().with_message_views();
        let steps = steps(&blocks_of(group, &target)?);
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
                if !take(&step, group, &target, writer, stop)? {
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

/// A block of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    meta: BlockMeta,
    /// In the group.
    segment: usize,
    block: usize,
    /// It has the columns of the new segment.
    fits: bool,
}

/// A step of a merge.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// A block is taken over as it is packed.
    Copy(Part),
    /// Blocks, by their first time, whose rows are sorted into each other.
    Merge(Vec<Part>),
}

/// Smaller blocks are merged where they stand side by side, so that they become fewer.
const COPY_ROWS_MIN: usize = BLOCK_ROWS / 2;

/// Blocks that share more of their time with others are sorted into them: over such a block's time a query looks at so
/// many others on average.
const SHARED_MAX: f64 = 1.0;

fn blocks_of(group: &[Arc<Segment>], target: &Target) -> Result<Vec<Part>, StoreError> {
    let names = |schema: &SchemaRef| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    let mut parts = Vec::new();
    for (segment, file) in group.iter().enumerate() {
        let meta = file.meta()?;
        let fits = names(&meta.schema) == names(&target.schema);
        parts.extend(meta.blocks.iter().enumerate().map(|(block, meta)| Part { meta: *meta, segment, block, fits }));
    }
    parts.sort_by_key(|part| (part.meta.ts_min, part.segment, part.block));
    Ok(parts)
}

/// What becomes of the blocks, which are ordered by their first time.
fn steps(parts: &[Part]) -> Vec<Step> {
    let mut shared = vec![0.0; parts.len()];
    for (a, b) in overlaps(parts) {
        let common = parts[a].meta.ts_max.min(parts[b].meta.ts_max) as f64 - parts[b].meta.ts_min as f64;
        for part in [a, b] {
            let time = parts[part].meta.ts_max as f64 - parts[part].meta.ts_min as f64;
            shared[part] += (common + 1.0) / (time + 1.0);
        }
    }
    let mut sorted_in: Vec<bool> = parts.iter().map(|part| !part.fits).collect();
    for (a, b) in overlaps(parts).filter(|(a, b)| shared[*a] > SHARED_MAX || shared[*b] > SHARED_MAX) {
        (sorted_in[a], sorted_in[b]) = (true, true);
    }
    let stays = |at: &usize| !sorted_in[*at] && parts[*at].meta.rows >= COPY_ROWS_MIN;
    let mut steps = Vec::new();
    for run in (0..parts.len()).collect::<Vec<_>>().chunk_by(|a, b| stays(a) == stays(b)) {
        let blocks = run.iter().map(|at| parts[*at]);
        // A block alone would only be packed again.
        if stays(&run[0]) || run.len() == 1 && parts[run[0]].fits {
            steps.extend(blocks.map(Step::Copy));
        } else {
            steps.push(Step::Merge(blocks.collect()));
        }
    }
    steps
}

/// The pairs of blocks that have a moment in common; the first of a pair begins first.
fn overlaps(parts: &[Part]) -> impl Iterator<Item = (usize, usize)> {
    parts.iter().enumerate().flat_map(move |(at, part)| {
        let after = parts[at + 1..].iter().take_while(|other| other.meta.ts_min <= part.meta.ts_max);
        (at + 1..).zip(after).map(move |(other, _)| (at, other))
    })
}

/// Takes a step; false when `stop` said so.
fn take(
    step: &Step,
    group: &[Arc<Segment>],
    target: &Target,
    writer: &mut SegmentWriter,
    stop: impl Fn() -> bool,
) -> Result<bool, StoreError> {
    let parts = match step {
        Step::Copy(part) => {
            if writer.copy_block(group[part.segment].stored(part.block)?).map_err(unwritten)? {
                return Ok(!stop());
            }
            std::slice::from_ref(part)
        }
        Step::Merge(parts) => parts,
    };
    let sources = sorted_runs(parts).into_iter().map(|run| read(group, run)).collect();
    write_merged(Merge::new(target.clone(), BLOCK_ROWS, sources)?, writer, stop)
}

/// As few runs as can be, in each of which a block begins after the one before it ends.
fn sorted_runs(parts: &[Part]) -> Vec<Vec<Part>> {
    let mut runs: Vec<Vec<Part>> = Vec::new();
    for part in parts {
        let ends_before = |run: &Vec<Part>| run.last().is_some_and(|last| last.meta.ts_max < part.meta.ts_min);
        match runs.iter_mut().find(|run| ends_before(run)) {
            Some(run) => run.push(*part),
            None => runs.push(vec![*part]),
        }
    }
    runs
}

fn read(group: &[Arc<Segment>], run: Vec<Part>) -> Source<'_> {
    Box::new(run.into_iter().map(|part| {
        let segment = &group[part.segment];
        let all: Vec<usize> = (0..segment.meta()?.schema.fields().len()).collect();
        Ok(segment.read(part.block, &all, None)?.batch)
    }))
}

/// Segments to merge, ordered by time: those of one tier, or what is left of a day that was over at `now`.
/// `in_memory` tells whether a project has records of a day that are not in segments yet.
pub(super) fn choose(
    segments: impl Iterator<Item = Arc<Segment>>,
    fan_in: usize,
    rows_max: u64,
    now: i64,
    in_memory: impl Fn(&str, i64) -> bool,
) -> Option<Vec<Arc<Segment>>> {
    let fan_in = fan_in.max(2);
    let segments: Vec<Arc<Segment>> = segments.collect();
    let mut group =
        of_one_tier(&segments, fan_in, rows_max).or_else(|| left_over(&segments, fan_in, rows_max, now, in_memory))?;
    group.sort_by_key(|segment| (segment.entry().ts_min, segment.entry().id));
    let mut rows = 0;
    let fits = |segment: &Arc<Segment>| {
        rows += segment.entry().rows;
        rows <= rows_max.saturating_mul(2)
    };
    Some(group.into_iter().take(fan_in * 2).take_while(fits).collect())
}

/// Of one project and day, at least as many as the fan-in.
fn of_one_tier(segments: &[Arc<Segment>], fan_in: usize, rows_max: u64) -> Option<Vec<Arc<Segment>>> {
    let mut tiers: BTreeMap<(Arc<str>, Day, u32), Vec<Arc<Segment>>> = BTreeMap::new();
    for segment in segments.iter().filter(|segment| segment.entry().rows < rows_max) {
        let entry = segment.entry();
        let tier = (entry.rows / BLOCK_ROWS as u64).max(1).ilog(fan_in as u64);
        tiers.entry((entry.project.clone(), entry.day, tier)).or_default().push(segment.clone());
    }
    // The smallest tier first: it makes the most files.
    let (_, group) = tiers
        .into_iter()
        .filter(|(_, group)| group.len() >= fan_in)
        .min_by_key(|((_, _, tier), group)| (*tier, usize::MAX - group.len()))?;
    Some(group)
}

/// The pieces of a day that is over, unless the largest would be rewritten for little more than itself.
fn left_over(
    segments: &[Arc<Segment>],
    fan_in: usize,
    rows_max: u64,
    now: i64,
    in_memory: impl Fn(&str, i64) -> bool,
) -> Option<Vec<Arc<Segment>>> {
    let mut days: BTreeMap<(&str, i64), Vec<Arc<Segment>>> = BTreeMap::new();
    for segment in segments.iter().filter(|segment| segment.entry().rows < rows_max) {
        if let Day::Of(day) = segment.entry().day
            && i64::from(day) < day_of(now)
        {
            days.entry((&segment.entry().project, day.into())).or_default().push(segment.clone());
        }
    }
    let left = days.into_iter().find(|((project, day), pieces)| {
        let rows = || pieces.iter().map(|piece| piece.entry().rows);
        let largest = rows().max().unwrap_or_default();
        let written = pieces.iter().map(|piece| piece.entry().written).max().unwrap_or_default();
        pieces.len() >= 2
            && (rows().sum::<u64>() - largest).saturating_mul(fan_in as u64) >= largest
            && now.saturating_sub(written) >= QUIET
            && !in_memory(project, *day)
    });
    left.map(|(_, pieces)| pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of (first time, last time, rows), each of another segment.
    fn parts(blocks: &[(i64, i64, usize)]) -> Vec<Part> {
        let part = |(segment, &(ts_min, ts_max, rows)): (usize, &(i64, i64, usize))| Part {
            meta: BlockMeta { rows, ts_min, ts_max },
            segment,
            block: 0,
            fits: true,
        };
        blocks.iter().enumerate().map(part).collect()
    }

    /// `c` for each block that is copied, and the number of blocks of each merge.
    fn outline(parts: &[Part]) -> String {
        let step = |step: &Step| match step {
            Step::Copy(_) => "c".to_owned(),
            Step::Merge(parts) => parts.len().to_string(),
        };
        steps(parts).iter().map(step).collect()
    }

    const FULL: usize = BLOCK_ROWS;

    #[test]
    fn what_shares_little_time_is_copied() {
        assert_eq!(outline(&parts(&[(0, 9, FULL), (10, 19, FULL), (20, 29, FULL)])), "ccc");
        assert_eq!(outline(&parts(&[(0, 12, FULL), (9, 22, FULL), (21, 29, FULL), (29, 29, FULL)])), "cccc");
        assert_eq!(outline(&parts(&[(0, 9, FULL), (0, 9, FULL)])), "cc");
    }

    #[test]
    fn what_shares_much_is_sorted_into_the_others() {
        assert_eq!(outline(&parts(&[(0, 9, FULL), (0, 9, FULL), (0, 9, FULL), (10, 19, FULL)])), "3c");
        // The long one shares little, and the short ones all of their time with it and each other.
        assert_eq!(outline(&parts(&[(0, 99, FULL), (50, 51, FULL), (50, 51, FULL), (100, 101, FULL)])), "3c");
        let mut odd = parts(&[(0, 9, FULL), (10, 19, FULL)]);
        odd[1].fits = false;
        assert_eq!(outline(&odd), "c1");
    }

    #[test]
    fn small_blocks_become_fewer() {
        assert_eq!(outline(&parts(&[(0, 9, FULL), (10, 12, 5), (13, 19, 7), (20, 29, FULL)])), "c2c");
        assert_eq!(outline(&parts(&[(0, 9, FULL), (10, 12, 5), (13, 19, FULL)])), "ccc");
    }

    const SECOND: i64 = 1_000_000_000;
    const DAY: i64 = 24 * 3600 * SECOND;

    /// Segments of (day, rows), each written a second after the one before it.
    fn segments(segments: &[(i32, u64)]) -> Vec<Arc<Segment>> {
        let cache = Arc::new(crate::segment::SegmentCache::new(0));
        let segment = |(id, (day, rows)): (u64, &(i32, u64))| {
            let entry = SegmentEntry {
                id,
                project: "p".into(),
                day: Day::Of(*day),
                rows: *rows,
                ts_min: id as i64,
                ts_max: id as i64,
                written: id as i64 * SECOND,
                bytes: 0,
                tail: 0,
                tail_crc: 0,
                level: 0,
            };
            Arc::new(Segment::new(std::path::Path::new(""), entry, cache.clone()))
        };
        (0..).zip(segments).map(segment).collect()
    }

    fn chosen(of: &[(i32, u64)], now: i64, in_memory: Option<i64>) -> Vec<u64> {
        let in_memory = |_: &str, day| in_memory == Some(day);
        let group = choose(segments(of).into_iter(), 4, 1_000, now, in_memory).unwrap_or_default();
        group.iter().map(|segment| segment.entry().id).collect()
    }

    #[test]
    fn as_many_as_the_fan_in_are_merged() {
        assert_eq!(chosen(&[(1, 9), (1, 9), (1, 9), (1, 9)], 0, None), [0, 1, 2, 3]);
        assert!(chosen(&[(1, 9), (1, 9), (1, 9), (2, 9)], 0, None).is_empty());
    }

    #[test]
    fn pieces_of_a_day_that_is_over_are_merged() {
        let pieces = [(0, 9), (0, 500), (0, 200), (1, 9)];
        assert_eq!(chosen(&pieces, DAY, None), [0, 1, 2]);
        assert!(chosen(&pieces, DAY - 1, None).is_empty(), "it is not over");
        assert!(chosen(&pieces, DAY, Some(0)).is_empty(), "more of it will be written");
        assert!(chosen(&[(-1, 9), (-1, 500), (-1, 200)], 11 * SECOND, None).is_empty(), "it was just written to");
        assert!(chosen(&[(0, 9), (0, 500)], DAY, None).is_empty(), "much for little");
        assert!(chosen(&[(0, 9), (0, 1_000)], DAY, None).is_empty(), "one of them is full");
        assert_eq!(chosen(&[(0, 900), (0, 900), (0, 900)], DAY, None), [0, 1], "as much as one segment takes");
    }

    #[test]
    fn a_run_holds_blocks_that_follow_each_other() {
        let runs = sorted_runs(&parts(&[(0, 9, 1), (5, 12, 1), (10, 19, 1), (12, 13, 1), (14, 20, 1)]));
        let segments: Vec<Vec<usize>> = runs.iter().map(|run| run.iter().map(|part| part.segment).collect()).collect();
        assert_eq!(segments, [vec![0, 2], vec![1, 4], vec![3]]);
    }
}
