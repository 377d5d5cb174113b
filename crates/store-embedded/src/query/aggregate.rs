//! Metrics by group and time.
//!
//! Within a unit each row gets the code of its group, and groups are looked up once for each code, not for each row.

use std::collections::HashMap;

use arrow::buffer::BooleanBuffer;
use model::Value;
use model::query::Field;
use store::aggregation::groups::bucket_start;
use store::aggregation::{Groups, distinct, key};
use store::{Aggregate, AggregateRow, Metric, MetricFn, Stats, StoreError};

use super::control::{self, Control};
use super::plan::Plan;
use super::unit::{Rows, Unit, run_mask};
use super::values::{Codes, UNASKED, codes, counted, numbers};
use crate::chunk::Snapshot;

pub(super) fn aggregate(
    control: &Control,
    snapshot: &Snapshot,
    aggregate: &Aggregate,
) -> Result<(Vec<AggregateRow>, Stats), StoreError> {
    if aggregate.interval.is_some_and(|interval| interval <= 0) {
        return Err(StoreError::Invalid("the interval of an aggregate must be longer than nothing".to_owned()));
    }
    let plan = Plan::new(&aggregate.scan)?;
    let units = Unit::of_snapshot(control, snapshot, &plan.range, &plan.needs)?;
    let limits = aggregate.scan.limits;
    let begin = || Ok((Groups::new(&aggregate.metrics, limits), Stats { matched: Some(0), ..Stats::default() }));
    let mut groups = Groups::new(&aggregate.metrics, limits);
    let mut stats = Stats { matched: Some(0), ..Stats::default() };
    for (theirs, theirs_stats) in
        control::fold(control, &units, begin, |(groups, stats), unit| count(unit, &plan, aggregate, groups, stats))?
    {
        groups.merge(theirs)?;
        super::add_stats(&mut stats, &theirs_stats);
    }
    Ok((groups.finish(aggregate), stats))
}

fn count(
    unit: &Unit,
    plan: &Plan,
    aggregate: &Aggregate,
    groups: &mut Groups,
    stats: &mut Stats,
) -> Result<(), StoreError> {
    if let Some(counts) = counted_of(unit, plan, aggregate)? {
        return add_counted(unit, aggregate, counts, groups, stats);
    }
    let mut rows = Rows::new(unit);
    let run = rows.within(&plan.range)?;
    // A bare count needs no rows.
    if aggregate.interval.is_none() && aggregate.group_by.is_empty() && aggregate.metrics.iter().all(is_bare) {
        let matched = plan.predicate.count(&mut rows, &run)?;
        if matched > 0 {
            let slot = groups.slot(&[])?;
            groups.accumulators(slot).iter_mut().for_each(|metric| metric.add_count(matched as u64));
        }
        super::add_scanned(stats, &run, matched, rows.bytes);
        return Ok(());
    }
    let mask = plan.predicate.mask(&mut rows, &run_mask(&run, unit.rows()))?;
    let matched = mask.count_set_bits();
    if matched > 0 {
        let mask = rows.narrow(mask)?;
        let slots = slots(&mut rows, plan, aggregate, &mask, groups)?;
        for (index, metric) in aggregate.metrics.iter().enumerate() {
            add_metric(&mut rows, plan, metric, index, &mask, &slots, groups)?;
        }
        groups.check()?;
    }
    super::add_scanned(stats, &run, matched, rows.bytes);
    Ok(())
}

/// The values of the only grouping field and their rows, when all rows are counted, in one bucket, and the index tells.
fn counted_of(
    unit: &Unit,
    plan: &Plan,
    aggregate: &Aggregate,
) -> Result<Option<Vec<(Value<'static>, u64)>>, StoreError> {
    let (min, max) = unit.times();
    let in_one_bucket = |interval| bucket_start(min, interval) == bucket_start(max, interval);
    match &aggregate.group_by[..] {
        [field] if aggregate.metrics.iter().all(is_bare) && aggregate.interval.is_none_or(in_one_bucket) => {
            counted(unit, plan, field)
        }
        _ => Ok(None),
    }
}

fn add_counted(
    unit: &Unit,
    aggregate: &Aggregate,
    counts: Vec<(Value<'static>, u64)>,
    groups: &mut Groups,
    stats: &mut Stats,
) -> Result<(), StoreError> {
    let mut bytes = Vec::new();
    for (value, rows) in counts {
        bytes.clear();
        if let Some(interval) = aggregate.interval {
            Groups::push_start(bucket_start(unit.times().0, interval), &mut bytes);
        }
        key::encode(&value, &mut bytes);
        let slot = groups.slot(&bytes)?;
        groups.accumulators(slot).iter_mut().for_each(|metric| metric.add_count(rows));
    }
    super::add_scanned(stats, &(0..unit.rows()), unit.rows(), 0);
    Ok(())
}

/// Counts matches, not values of a field.
fn is_bare(metric: &Metric) -> bool {
    metric.field.is_none()
}

/// The group of each row of a unit.
struct Slots {
    /// For each row an index into `slots`; [`UNASKED`] outside the mask. Empty when all rows are of one group.
    rows: Vec<u32>,
    slots: Vec<usize>,
    /// How many rows each slot has.
    counts: Vec<u64>,
}

impl Slots {
    fn of(&self, row: usize) -> usize {
        match self.rows.get(row) {
            Some(code) => self.slots[*code as usize],
            None => self.slots[0],
        }
    }

    /// How many rows of a mask each slot has.
    fn counts_of(&self, mask: &BooleanBuffer) -> Vec<u64> {
        match self.rows.is_empty() {
            true => vec![mask.count_set_bits() as u64],
            false => counts(&self.rows, self.slots.len(), mask),
        }
    }
}

/// How many rows of the mask have each of `len` codes.
fn counts(codes: &[u32], len: usize, mask: &BooleanBuffer) -> Vec<u64> {
    let mut counts = vec![0; len];
    if mask.count_set_bits() == mask.len() {
        codes.iter().for_each(|code| counts[*code as usize] += 1);
    } else {
        mask.set_indices().for_each(|row| counts[codes[row] as usize] += 1);
    }
    counts
}

fn slots(
    rows: &mut Rows<'_>,
    plan: &Plan,
    aggregate: &Aggregate,
    mask: &BooleanBuffer,
    groups: &mut Groups,
) -> Result<Slots, StoreError> {
    let mut columns: Vec<Codes> = Vec::new();
    if let Some(interval) = aggregate.interval {
        columns.push(starts(rows, interval, mask)?);
    }
    for field in &aggregate.group_by {
        columns.push(codes(rows, field, &plan.project, mask)?);
    }
    let Some(first) = columns.first_mut() else {
        let counts = vec![mask.count_set_bits() as u64];
        return Ok(Slots { rows: Vec::new(), slots: vec![groups.slot(&[])?], counts });
    };
    // The codes of all columns as one; `parts` are the codes that each stands for.
    let mut combined = std::mem::take(&mut first.rows);
    let mut parts: Vec<Vec<u32>> = (0..first.values.len() as u32).map(|code| vec![code]).collect();
    for column in &columns[1..] {
        (combined, parts) = combine(&combined, &parts, &column.rows, mask);
    }
    let counts = counts(&combined, parts.len(), mask);
    let mut bytes = Vec::new();
    let mut slots = vec![usize::MAX; parts.len()];
    for (code, part) in parts.iter().enumerate().filter(|(code, _)| counts[*code] > 0) {
        bytes.clear();
        for (at, (column, code)) in columns.iter().zip(part).enumerate() {
            match (&column.values[*code as usize], aggregate.interval) {
                (Value::Int(start), Some(_)) if at == 0 => Groups::push_start(*start, &mut bytes),
                (value, _) => key::encode(value, &mut bytes),
            }
        }
        slots[code] = groups.slot(&bytes)?;
    }
    Ok(Slots { rows: combined, slots, counts })
}

/// The bucket of each row as a column of its own.
fn starts(rows: &mut Rows<'_>, interval: i64, mask: &BooleanBuffer) -> Result<Codes, StoreError> {
    let times = rows.timestamps()?;
    let mut codes = Codes { rows: vec![UNASKED; mask.len()], values: Vec::new() };
    let mut last = None;
    for row in mask.set_indices() {
        let start = bucket_start(times.value(row), interval);
        // Rows are sorted by time: a new bucket never comes back.
        if last != Some(start) {
            codes.values.push(Value::Int(start));
            last = Some(start);
        }
        codes.rows[row] = codes.values.len() as u32 - 1;
    }
    Ok(codes)
}

/// Codes of pairs that occur.
fn combine(left: &[u32], parts: &[Vec<u32>], right: &[u32], mask: &BooleanBuffer) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut seen: HashMap<(u32, u32), u32> = HashMap::new();
    let mut combined = vec![UNASKED; left.len()];
    let mut pairs = Vec::new();
    let mut last = ((UNASKED, UNASKED), UNASKED);
    for row in mask.set_indices() {
        let pair = (left[row], right[row]);
        if last.0 != pair {
            let code = *seen.entry(pair).or_insert_with(|| {
                let mut part = parts[pair.0 as usize].clone();
                part.push(pair.1);
                pairs.push(part);
                pairs.len() as u32 - 1
            });
            last = (pair, code);
        }
        combined[row] = last.1;
    }
    (combined, pairs)
}

fn add_metric(
    rows: &mut Rows<'_>,
    plan: &Plan,
    metric: &Metric,
    index: usize,
    mask: &BooleanBuffer,
    slots: &Slots,
    groups: &mut Groups,
) -> Result<(), StoreError> {
    match (&metric.field, metric.function) {
        (None, _) => add_counts(&slots.counts, index, slots, groups),
        (Some(field), MetricFn::Count) => {
            let has_field = present(rows, plan, field, mask)?;
            add_counts(&slots.counts_of(&has_field), index, slots, groups);
        }
        (Some(field), MetricFn::Distinct) => {
            let codes = codes(rows, field, &plan.project, mask)?;
            let mut scratch = Vec::new();
            let hash = |value: &Value<'_>| (*value != Value::Null).then(|| distinct::hash(value, &mut scratch));
            let hashes: Vec<Option<u64>> = codes.values.iter().map(hash).collect();
            for row in mask.set_indices() {
                if let Some(hash) = hashes[codes.rows[row] as usize] {
                    groups.accumulators(slots.of(row))[index].add_hash(hash);
                }
            }
        }
        (Some(field), _) => numbers(rows, field, &plan.project, mask, |row, number| {
            groups.accumulators(slots.of(row))[index].add_number(number);
        })?,
    }
    Ok(())
}

fn add_counts(counts: &[u64], index: usize, slots: &Slots, groups: &mut Groups) {
    for (slot, count) in slots.slots.iter().zip(counts) {
        if *count > 0 {
            groups.accumulators(*slot)[index].add_count(*count);
        }
    }
}

/// The rows of the mask that have the field.
fn present(rows: &mut Rows<'_>, plan: &Plan, field: &Field, mask: &BooleanBuffer) -> Result<BooleanBuffer, StoreError> {
    let exists = model::query::Query::Field(field.clone(), model::query::Test::Exists);
    super::filter::Predicate::new(&exists, &plan.project).mask(rows, mask)
}
