//! Memory to segments: one consistent cut of records, positions, keys and ledger becomes durable in one step.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use model::crash::crash_point;
use store::{SeenKey, StoreError};

use super::{Engine, Wake, day_of, now};
use crate::chunk::Chunk;
use crate::columns;
use crate::keys::{FILES_MAX, KeyFile, LIFETIME};
use crate::manifest::{Lane, Sums, sync_dir};
use crate::merge::{Coverage, Merge, Source};
use crate::segment::{BLOCK_ROWS, Day, Place, SegmentEntry, SegmentWriter};

/// Days of their own reach this far back and ahead.
const DAYS_BACK: i64 = 400;
const DAYS_AHEAD: i64 = 1;
/// How often the flush thread looks at the age of what is in memory, and waits after a failure.
const TICK: Duration = Duration::from_millis(500);

/// What one flush makes durable.
struct Cut {
    projects: Vec<(Arc<str>, Vec<Arc<Chunk>>)>,
    positions: Vec<(Lane, u64)>,
    ledger: Vec<(Lane, Sums)>,
    fresh: Vec<SeenKey>,
    /// Every key at the moment of the cut, when there are so many key files that one takes their place. A key that
    /// comes later must not be in it: after a crash its request would be taken for a repeat, and its records be lost.
    all_keys: Option<Vec<SeenKey>>,
    dirty_since: Option<i64>,
}

/// The flush thread. It holds the engine only while it works.
pub(super) fn run(engine: &Weak<Engine>, wake: &Wake) {
    while !wake.stopped() {
        let Some(engine) = engine.upgrade() else { return };
        // After a failure too it waits before it tries again.
        let again = engine.flush_is_due() && engine.flush().is_ok() && engine.flush_is_due();
        drop(engine);
        if !again {
            wake.wait(TICK);
        }
    }
}

impl Engine {
    fn flush_is_due(&self) -> bool {
        let state = self.state.lock();
        let age = state.dirty_since.map(|since| now().saturating_sub(since));
        state.buffered_bytes >= self.config.flush_bytes
            || age.is_some_and(|age| i128::from(age) >= self.config.flush_age.as_nanos() as i128)
    }

    /// Makes everything that was written before the call durable; blocks until it is.
    ///
    /// # Errors
    /// Unavailable when the disk fails; nothing is lost, the next flush tries again.
    pub fn flush(&self) -> Result<(), StoreError> {
        let _one = self.flushing.lock();
        let start = Instant::now();
        let many_files = self.manifest.lock().key_files.len() >= FILES_MAX;
        let mut cut = {
            let mut state = self.state.lock();
            if state.dirty_since.is_none() {
                return Ok(());
            }
            Cut {
                dirty_since: state.dirty_since.take(),
                projects: state.begin_flush(),
                positions: state.positions.iter().map(|(lane, at)| (*lane, at.0)).collect(),
                ledger: state.ledger.iter().map(|((lane, _), sums)| (*lane, sums.clone())).collect(),
                all_keys: many_files.then(|| state.keys.all(now())),
                fresh: std::mem::take(&mut state.keys.fresh),
            }
        };
        let mut segments = Vec::new();
        let written = self.write_cut(&mut cut, &mut segments);
        self.metrics.flush_seconds.observe(start.elapsed().as_secs_f64());
        if let Err(error) = &written {
            tracing::error!(%error, "memory could not be flushed");
            self.metrics.flush_errors.inc();
            let mut state = self.state.lock();
            state.undo_flush(error.to_string(), cut.dirty_since);
            cut.fresh.append(&mut state.keys.fresh);
            state.keys.fresh = cut.fresh;
        }
        self.metrics.buffered_bytes.set(self.state.lock().buffered_bytes as i64);
        self.room.notify_waiters();
        self.compact_wake.wake();
        written
    }

    fn write_cut(&self, cut: &mut Cut, segments: &mut Vec<SegmentEntry>) -> Result<(), StoreError> {
        let unavailable = |error: io::Error| StoreError::Unavailable(format!("the flush failed: {error}"));
        let mut write = || -> Result<(), StoreError> {
            for (project, chunks) in &cut.projects {
                for (day, batches) in by_day(chunks, now()) {
                    segments.extend(self.write_segment(project, day, batches)?);
                }
            }
            Ok(())
        };
        let keys = write().and_then(|()| self.write_keys(cut).map_err(unavailable));
        let keys = keys.inspect_err(|_| self.discard(segments, None))?;
        let new: Vec<_> = segments.iter().map(|entry| self.open_segment(entry)).collect();
        let mut old_files = Vec::new();
        let result = sync_dir(&self.config.dir).and_then(|()| {
            crash_point("store.before_manifest");
            self.commit(
                |manifest| {
                    manifest.segments.extend(segments.iter().cloned());
                    manifest.positions = std::mem::take(&mut cut.positions);
                    manifest.ledger = std::mem::take(&mut cut.ledger);
                    let keep_old = keys.is_none() || cut.all_keys.is_none();
                    let live = |file: &KeyFile| keep_old && now().saturating_sub(file.newest) < LIFETIME;
                    let (live, old) = std::mem::take(&mut manifest.key_files).into_iter().partition(live);
                    old_files = old;
                    manifest.key_files = live;
                    manifest.key_files.extend(keys.clone());
                },
                |state| {
                    state.end_flush();
                    new.into_iter().for_each(|segment| state.add_segment(segment));
                },
            )
        });
        // A failed commit may have reached the disk, so its files stay until the next start looks.
        result.map_err(unavailable)?;
        old_files.iter().for_each(|file| self.discard(&[], Some(file)));
        self.metrics.flushed_segments.inc_by(segments.len() as u64);
        self.metrics.flushed_bytes.inc_by(segments.iter().map(|entry| entry.bytes).sum());
        Ok(())
    }

    fn write_segment(
        &self,
        project: &Arc<str>,
        day: Day,
        batches: Vec<RecordBatch>,
    ) -> Result<Option<SegmentEntry>, StoreError> {
        let mut coverage = Coverage::default();
        batches.iter().try_for_each(|batch| coverage.add_batch(batch))?;
        let sources = batches.into_iter().map(|batch| Box::new(std::iter::once(Ok(batch))) as Source<'_>);
        let merge = Merge::new(coverage.target().with_message_views(), BLOCK_ROWS, sources.collect())?;
        let place = Place { project: project.clone(), day, written: now(), level: 0 };
        self.write_new(place, |writer| write_merged(merge, writer, || false))
    }

    /// Writes a segment; None when it has no rows, or `write` says that it is not whole.
    pub(super) fn write_new(
        &self,
        place: Place,
        write: impl FnOnce(&mut SegmentWriter) -> Result<bool, StoreError>,
    ) -> Result<Option<SegmentEntry>, StoreError> {
        let mut writer = SegmentWriter::new(&self.config.dir, self.new_id(), self.config.zstd_level);
        match write(&mut writer) {
            Ok(true) => writer.finish(place).map_err(unwritten),
            Ok(false) => {
                writer.discard();
                Ok(None)
            }
            Err(error) => {
                writer.discard();
                Err(error)
            }
        }
    }

    /// Writes the keys that came since the last flush, or all of them when there are many files.
    fn write_keys(&self, cut: &Cut) -> io::Result<Option<KeyFile>> {
        if cut.fresh.is_empty() {
            return Ok(None);
        }
        let keys = cut.all_keys.as_ref().unwrap_or(&cut.fresh);
        KeyFile::write(&self.config.dir, self.new_id(), keys).map(Some)
    }
}

/// Writes the rows of a merge; false when `stop` said so before they ended.
pub(super) fn write_merged(
    mut merge: Merge<'_>,
    writer: &mut SegmentWriter,
    stop: impl Fn() -> bool,
) -> Result<bool, StoreError> {
    while let Some(block) = merge.next_block()? {
        if stop() {
            return Ok(false);
        }
        writer.write_block(&block).map_err(unwritten)?;
    }
    Ok(true)
}

#[expect(clippy::needless_pass_by_value, reason = "a function for `map_err`")]
pub(super) fn unwritten(error: io::Error) -> StoreError {
    StoreError::Unavailable(format!("a segment can't be written: {error}"))
}

/// The rows of sorted chunks by the day that they belong to.
fn by_day(chunks: &[Arc<Chunk>], now: i64) -> BTreeMap<Day, Vec<RecordBatch>> {
    let today = day_of(now);
    let mut days: BTreeMap<Day, Vec<RecordBatch>> = BTreeMap::new();
    for chunk in chunks {
        let times = chunk.batch.column(columns::TS).as_primitive::<Int64Type>().values();
        let mut start = 0;
        while start < times.len() {
            let day = day_of(times[start]);
            let rows = times[start..].partition_point(|ts| day_of(*ts) == day);
            let near = (today - DAYS_BACK..=today + DAYS_AHEAD).contains(&day);
            let day = if near { Day::Of(day as i32) } else { Day::Overflow };
            days.entry(day).or_default().push(chunk.batch.slice(start, rows));
            start += rows;
        }
    }
    days
}
