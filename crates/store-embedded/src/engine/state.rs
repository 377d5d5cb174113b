//! What queries see, behind one lock that is held for pointer swaps only.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use model::position::Position;

use super::{EmbeddedStoreConfig, day_of};
use crate::chunk::{Chunk, Snapshot};
use crate::keys::Keys;
use crate::manifest::{Lane, Manifest, Sums};
use crate::segment::Segment;

#[derive(Debug)]
pub(super) struct State {
    projects: HashMap<Arc<str>, Project>,
    pub(super) positions: HashMap<Lane, Position>,
    pub(super) ledger: BTreeMap<(Lane, Arc<str>), Sums>,
    pub(super) keys: Keys,
    pub(super) buffered_bytes: usize,
    pub(super) buffered_rows: u64,
    /// Something was written since the last flush began: when, nanoseconds since the Unix epoch.
    pub(super) dirty_since: Option<i64>,
    /// Why the last flush failed.
    pub(super) flush_error: Option<String>,
    /// Damaged segments, and those that were to be merged with them.
    pub(super) unmergeable: HashSet<u64>,
}

#[derive(Debug, Default)]
struct Project {
    /// Being written to segments.
    flushing: Vec<Arc<Chunk>>,
    active: Vec<Arc<Chunk>>,
    merging: bool,
    segments: Vec<Arc<Segment>>,
}

impl Project {
    fn chunks(&self) -> impl Iterator<Item = &Arc<Chunk>> {
        self.flushing.iter().chain(&self.active)
    }
}

/// Small chunks of about one size before they become one: a row is copied once for each power of it.
const MERGE_FAN_IN: usize = 8;
/// Chunks of this many rows are left as they are: a flush sorts them into each other anyway.
const CHUNK_ROWS: usize = 2_048;

impl State {
    pub(super) fn new(manifest: &Manifest) -> Self {
        let ledger = manifest.ledger.iter().map(|(lane, sums)| ((*lane, sums.project.clone()), sums.clone()));
        Self {
            projects: HashMap::new(),
            positions: manifest.positions.iter().map(|(lane, at)| (*lane, Position(*at))).collect(),
            ledger: ledger.collect(),
            keys: Keys::default(),
            buffered_bytes: 0,
            buffered_rows: 0,
            dirty_since: None,
            flush_error: None,
            unmergeable: HashSet::new(),
        }
    }

    pub(super) fn position(&self, lane: Lane) -> Position {
        self.positions.get(&lane).copied().unwrap_or_default()
    }

    pub(super) fn snapshot(&self, project: &str) -> Snapshot {
        self.projects.get(project).map_or_else(Snapshot::default, |project| Snapshot {
            chunks: project.chunks().cloned().collect(),
            segments: project.segments.clone(),
        })
    }

    pub(super) fn chunks(&self) -> impl Iterator<Item = &Arc<Chunk>> {
        self.projects.values().flat_map(Project::chunks)
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.projects.values().flat_map(|project| &project.segments)
    }

    pub(super) fn add_chunk(&mut self, project: &Arc<str>, chunk: Arc<Chunk>) {
        self.buffered_bytes += chunk.bytes;
        self.buffered_rows += chunk.rows() as u64;
        self.projects.entry(project.clone()).or_default().active.push(chunk);
    }

    pub(super) fn add_segment(&mut self, segment: Arc<Segment>) {
        let project = segment.entry().project.clone();
        self.projects.entry(project).or_default().segments.push(segment);
    }

    /// Takes segments from view; their files go with their last user.
    pub(super) fn remove_segments(&mut self, ids: &[u64]) {
        for project in self.projects.values_mut() {
            project.segments.retain(|segment| {
                let gone = ids.contains(&segment.entry().id);
                if gone {
                    segment.doom();
                }
                !gone
            });
        }
    }

    /// Segments that are due to be merged.
    pub(super) fn compaction_group(&self, config: &EmbeddedStoreConfig) -> Option<Vec<Arc<Segment>>> {
        let sound = self.segments().filter(|segment| !self.unmergeable.contains(&segment.entry().id));
        let in_memory = |project: &str, day: i64| {
            let mut chunks = self.projects.get(project).into_iter().flat_map(Project::chunks);
            chunks.any(|chunk| (day_of(chunk.ts_min)..=day_of(chunk.ts_max)).contains(&day))
        };
        super::compact::choose(
            sound.cloned(),
            config.compaction_fan_in,
            config.segment_rows_max,
            super::now(),
            in_memory,
        )
    }

    /// Sets all chunks apart for a flush; they stay visible.
    pub(super) fn begin_flush(&mut self) -> Vec<(Arc<str>, Vec<Arc<Chunk>>)> {
        let projects = self.projects.iter_mut().filter(|(_, project)| !project.active.is_empty());
        let taken = projects.map(|(name, project)| {
            project.flushing = std::mem::take(&mut project.active);
            (name.clone(), project.flushing.clone())
        });
        taken.collect()
    }

    /// The chunks of the flush are durable: their segments take their place.
    pub(super) fn end_flush(&mut self) {
        for project in self.projects.values_mut() {
            for chunk in project.flushing.drain(..) {
                self.buffered_bytes -= chunk.bytes;
                self.buffered_rows -= chunk.rows() as u64;
            }
        }
        self.flush_error = None;
    }

    /// The flush failed: its chunks wait for the next.
    pub(super) fn undo_flush(&mut self, error: String, dirty_since: Option<i64>) {
        for project in self.projects.values_mut() {
            let mut chunks = std::mem::take(&mut project.flushing);
            chunks.append(&mut project.active);
            project.active = chunks;
        }
        self.dirty_since = dirty_since.or(self.dirty_since);
        self.flush_error = Some(error);
    }

    /// Small chunks of a project that are due to become one; no others are given until [`State::end_merge`].
    pub(super) fn begin_merge(&mut self, project: &str) -> Option<Vec<Arc<Chunk>>> {
        let project = self.projects.get_mut(project).filter(|project| !project.merging)?;
        let mut tiers: BTreeMap<u32, Vec<&Arc<Chunk>>> = BTreeMap::new();
        for chunk in project.active.iter().filter(|chunk| chunk.rows() < CHUNK_ROWS) {
            tiers.entry(chunk.rows().ilog(MERGE_FAN_IN)).or_default().push(chunk);
        }
        let due = tiers.into_values().find(|chunks| chunks.len() >= MERGE_FAN_IN)?;
        let due = due.into_iter().cloned().collect();
        project.merging = true;
        Some(due)
    }

    /// Puts `merged` in the place of `parts`, unless a flush took them meanwhile.
    pub(super) fn end_merge(&mut self, project: &str, parts: &[Arc<Chunk>], merged: Option<Arc<Chunk>>) {
        let Some(project) = self.projects.get_mut(project) else { return };
        project.merging = false;
        let is_part = |chunk: &Arc<Chunk>| parts.iter().any(|part| Arc::ptr_eq(part, chunk));
        let Some(merged) = merged else { return };
        if project.active.iter().filter(|chunk| is_part(chunk)).count() == parts.len() {
            project.active.retain(|chunk| !is_part(chunk));
            self.buffered_bytes -= parts.iter().map(|part| part.bytes).sum::<usize>();
            self.buffered_bytes += merged.bytes;
            project.active.push(merged);
        }
    }
}
