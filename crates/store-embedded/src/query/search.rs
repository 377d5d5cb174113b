//! One page of records, newest or oldest first.
//!
//! Segments, blocks and chunks are looked at in the order of their nearest time. A segment is opened only when its turn
//! comes, some at once where those before had no block of interest. The walk stops when the page is full and nothing that
//! is left can hold a nearer record; blocks that overlap in time are therefore all looked at before a record of them is
//! given out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Range;

use arrow::buffer::BooleanBuffer;
use model::Record;
use model::cursor::{Order, SortKey};
use store::{Page, Search, Stats, StoreError};

use super::control::{self, Control};
use super::plan::Plan;
use super::unit::{Keys, Rows, Unit, run_mask};
use crate::chunk::Snapshot;
use crate::columns::RecordReader;
use crate::segment::Segment;
use std::sync::Arc;

/// Segments that are opened at once, at most.
const OPENED_MAX: usize = 64;

/// What is not yet looked at.
#[derive(Debug)]
enum Ahead {
    Segment(Arc<Segment>),
    Unit(Unit),
}

/// Orders what lies ahead by its nearest time; nearer is greater.
#[derive(Debug)]
struct Place {
    near: i128,
    ahead: Ahead,
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.near == other.near
    }
}

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.near.cmp(&other.near)
    }
}

/// How near a time is in the order asked for; a greater number is nearer.
fn nearness(time: i64, order: Order) -> i128 {
    match order {
        Order::Descending => i128::from(time),
        Order::Ascending => -i128::from(time),
    }
}

/// The nearest time of a span in the order asked for.
fn near_end(times: (i64, i64), order: Order) -> i128 {
    match order {
        Order::Descending => nearness(times.1, order),
        Order::Ascending => nearness(times.0, order),
    }
}

/// A match: its key, the unit it was found in, its row.
type Hit = (SortKey, usize, u32);

pub(super) fn search(control: &Control, snapshot: &Snapshot, search: &Search) -> Result<Page, StoreError> {
    if search.limit == 0 {
        return Ok(Page::default());
    }
    let plan = Plan::new(&search.scan)?;
    let range = after_range(&plan.range, search);
    let mut ahead: BinaryHeap<Place> = snapshot
        .chunks
        .iter()
        .filter(|chunk| chunk.ts_max >= range.start && chunk.ts_min < range.end)
        .map(|chunk| Ahead::Unit(Unit::Chunk(chunk.clone())))
        .chain(snapshot.segments.iter().filter_map(|segment| {
            let entry = segment.entry();
            (entry.ts_max >= range.start && entry.ts_min < range.end).then(|| Ahead::Segment(segment.clone()))
        }))
        .map(|ahead| place(ahead, search.order))
        .collect();
    let mut units: Vec<Unit> = Vec::new();
    let mut hits: Vec<Hit> = Vec::new();
    let mut stats = Stats::default();
    let (mut matched, mut wave, mut opened) = (0, 1, 1);
    loop {
        let first = units.len();
        let last = hits.last().filter(|_| hits.len() >= search.limit);
        let last = last.map(|hit| nearness(hit.0.timestamp, search.order));
        let is_needed = |place: &Place| last.is_none_or(|last| place.near >= last);
        while units.len() < first + wave {
            if !ahead.peek().is_some_and(is_needed) {
                break;
            }
            match ahead.pop().map(|place| place.ahead) {
                Some(Ahead::Unit(unit)) => units.push(unit),
                Some(Ahead::Segment(segment)) => {
                    let segments = next_segments(segment, opened, &mut ahead, is_needed);
                    let of_segment = |segment: &Arc<Segment>| Unit::of_segment(segment, &range, &plan.needs);
                    let blocks = control::map(control, &segments, of_segment)?;
                    // Where the first ones have no block of interest, many have none.
                    if blocks.iter().all(Vec::is_empty) {
                        opened = (opened * 2).min(OPENED_MAX);
                    }
                    ahead.extend(blocks.into_iter().flatten().map(|unit| place(Ahead::Unit(unit), search.order)));
                }
                None => break,
            }
        }
        if units.len() == first {
            break;
        }
        let indexes: Vec<usize> = (first..units.len()).collect();
        for found in control::map(control, &indexes, |index| look(&units[*index], *index, &plan, &range, search))? {
            matched += found.matched;
            stats.scanned_rows += found.scanned;
            stats.scanned_bytes += found.bytes;
            hits.extend(found.hits);
        }
        sort(&mut hits, search.order);
        hits.truncate(search.limit);
        wave = (wave * 2).min(control::wave_max());
    }
    if ahead.is_empty() && search.after.is_none() && search.limit > 0 {
        stats.matched = Some(matched);
    }
    let records = fetch(control, &units, &hits, &plan, search, &mut stats)?;
    Ok(Page { records, stats })
}

/// A segment and those that come right after it and are needed, at most so many, to be opened at once.
fn next_segments(
    first: Arc<Segment>,
    at_most: usize,
    ahead: &mut BinaryHeap<Place>,
    is_needed: impl Fn(&Place) -> bool,
) -> Vec<Arc<Segment>> {
    let mut segments = vec![first];
    while segments.len() < at_most
        && let Some(next) = ahead.peek_mut()
        && matches!(next.ahead, Ahead::Segment(_))
        && is_needed(&next)
    {
        if let Ahead::Segment(segment) = PeekMut::pop(next).ahead {
            segments.push(segment);
        }
    }
    segments
}

fn place(ahead: Ahead, order: Order) -> Place {
    let near = match &ahead {
        Ahead::Unit(unit) => near_end(unit.times(), order),
        Ahead::Segment(segment) => near_end((segment.entry().ts_min, segment.entry().ts_max), order),
    };
    Place { near, ahead }
}

/// The range without the times that lie before the cursor. Its own time stays: ids decide there.
fn after_range(range: &Range<i64>, search: &Search) -> Range<i64> {
    match (search.after, search.order) {
        (None, _) => range.clone(),
        (Some(after), Order::Descending) => range.start..range.end.min(after.timestamp.saturating_add(1)),
        (Some(after), Order::Ascending) => range.start.max(after.timestamp)..range.end,
    }
}

fn sort(hits: &mut [Hit], order: Order) {
    match order {
        Order::Descending => hits.sort_unstable_by_key(|hit| Reverse(hit.0)),
        Order::Ascending => hits.sort_unstable_by_key(|hit| hit.0),
    }
}

struct Found {
    hits: Vec<Hit>,
    matched: u64,
    scanned: u64,
    bytes: u64,
}

/// The nearest matches of a unit, at most as many as the page takes.
fn look(unit: &Unit, index: usize, plan: &Plan, range: &Range<i64>, search: &Search) -> Result<Found, StoreError> {
    let mut rows = Rows::new(unit);
    let run = rows.within(range)?;
    let mask = plan.predicate.mask(&mut rows, &run_mask(&run, unit.rows()))?;
    let matched = mask.count_set_bits();
    let picked = nearest(&mask, matched, search);
    let mut found = Found { hits: Vec::new(), matched: matched as u64, scanned: run.len() as u64, bytes: rows.bytes };
    if picked.is_empty() {
        return Ok(found);
    }
    let (batch, bytes) = unit.read(&Keys::COLUMNS, Some(&picked))?;
    found.bytes += bytes;
    let keys = Keys::new(&batch);
    let hits = picked.iter().enumerate().map(|(at, row)| (keys.get(at), index, *row));
    found.hits = hits
        .filter(|(key, _, _)| {
            search.after.is_none_or(|after| match search.order {
                Order::Descending => *key < after,
                Order::Ascending => *key > after,
            })
        })
        .collect();
    Ok(found)
}

/// Rows are sorted as keys are, so the nearest are the last or the first ones. With a cursor, rows at its very time
/// may have to be left out, so all are kept.
fn nearest(mask: &BooleanBuffer, matched: usize, search: &Search) -> Vec<u32> {
    let rows = mask.set_indices().map(|row| row as u32);
    match (search.after, search.order) {
        (Some(_), _) => rows.collect(),
        (None, Order::Descending) => rows.skip(matched.saturating_sub(search.limit)).collect(),
        (None, Order::Ascending) => rows.take(search.limit).collect(),
    }
}

/// The records of the hits, in their order.
fn fetch(
    control: &Control,
    units: &[Unit],
    hits: &[Hit],
    plan: &Plan,
    search: &Search,
    stats: &mut Stats,
) -> Result<Vec<Record<'static>>, StoreError> {
    let mut order: Vec<usize> = (0..hits.len()).collect();
    order.sort_unstable_by_key(|hit| (hits[*hit].1, hits[*hit].2));
    let groups: Vec<&[usize]> = order.chunk_by(|a, b| hits[*a].1 == hits[*b].1).collect();
    let read = control::map(control, &groups, |group| {
        let unit = &units[hits[group[0]].1];
        let rows: Vec<u32> = group.iter().map(|hit| hits[*hit].2).collect();
        let columns: Vec<usize> = (0..unit.schema().fields().len()).collect();
        let (batch, bytes) = unit.read(&columns, Some(&rows))?;
        let size: usize = batch.columns().iter().map(|column| column.get_array_memory_size()).sum();
        let reader = RecordReader::new(&batch)?;
        let records: Result<Vec<_>, _> =
            group.iter().enumerate().map(|(at, hit)| Ok((*hit, reader.record(at, &plan.project)?))).collect();
        Ok((records?, size, bytes))
    })?;
    let mut records: Vec<Option<Record<'static>>> = vec![None; hits.len()];
    let mut memory = 0;
    for (found, size, bytes) in read {
        memory += size;
        stats.scanned_bytes += bytes;
        if memory > search.scan.limits.memory_bytes {
            return Err(StoreError::Limit(format!(
                "the page takes more than the query's {} MiB of memory; ask for a smaller limit",
                search.scan.limits.memory_bytes >> 20
            )));
        }
        for (hit, record) in found {
            records[hit] = Some(record);
        }
    }
    Ok(records.into_iter().flatten().collect())
}
