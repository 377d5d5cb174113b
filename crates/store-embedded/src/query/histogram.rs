//! Counts by time. Rows are sorted by time, so a bucket is a run of rows; a unit that lies in one bucket is counted
//! without a look at it.

use std::ops::Range;

use arrow::array::Int64Array;
use arrow::buffer::BooleanBuffer;
use store::aggregation::{BucketCounts, key};
use store::{Bucket, Histogram, Stats, StoreError};

use super::control::{self, Control};
use super::plan::Plan;
use super::unit::{Rows, Unit, run_mask};
use super::values::{Codes, codes, counted};
use crate::chunk::Snapshot;

pub(super) fn histogram(
    control: &Control,
    snapshot: &Snapshot,
    histogram: &Histogram,
) -> Result<(Vec<Bucket>, Stats), StoreError> {
    let plan = Plan::new(&histogram.scan)?;
    let mut total = BucketCounts::new(histogram)?;
    let units = Unit::of_snapshot(control, snapshot, &plan.range, &plan.needs)?;
    let begin = || Ok((BucketCounts::new(histogram)?, Stats { matched: Some(0), ..Stats::default() }));
    let mut stats = Stats { matched: Some(0), ..Stats::default() };
    for (counts, theirs) in
        control::fold(control, &units, begin, |(counts, stats), unit| count(unit, &plan, histogram, counts, stats))?
    {
        total.merge(counts)?;
        super::add_stats(&mut stats, &theirs);
    }
    Ok((total.finish(histogram.groups_max), stats))
}

fn count(
    unit: &Unit,
    plan: &Plan,
    histogram: &Histogram,
    counts: &mut BucketCounts,
    stats: &mut Stats,
) -> Result<(), StoreError> {
    if add_counted(unit, plan, histogram, counts)? {
        super::add_scanned(stats, &(0..unit.rows()), unit.rows(), 0);
        return Ok(());
    }
    let mut rows = Rows::new(unit);
    let run = rows.within(&plan.range)?;
    if run.is_empty() {
        return Ok(());
    }
    let mask = plan.predicate.mask(&mut rows, &run_mask(&run, unit.rows()))?;
    let matched = mask.count_set_bits();
    if matched > 0 {
        let grouped = match &histogram.group_by {
            Some(field) => {
                let codes = codes(&mut rows, field, &plan.project, &mask)?;
                let slots = slots(&codes, counts)?;
                Some((codes, slots))
            }
            None => None,
        };
        for (bucket, run) in runs(&mut rows, &run, counts)? {
            add(&mask, bucket, run, grouped.as_ref(), counts);
        }
    }
    super::add_scanned(stats, &run, matched, rows.bytes);
    Ok(())
}

/// Adds the values of a unit whose rows all count, in one bucket. False, and nothing is added: its rows have to tell.
fn add_counted(unit: &Unit, plan: &Plan, histogram: &Histogram, counts: &mut BucketCounts) -> Result<bool, StoreError> {
    let Some(field) = &histogram.group_by else { return Ok(false) };
    let (min, max) = unit.times();
    let bucket = counts.bucket(min);
    if counts.bucket(max) != bucket {
        return Ok(false);
    }
    let Some(values) = counted(unit, plan, field)? else { return Ok(false) };
    let mut bytes = Vec::new();
    for (value, rows) in values {
        bytes.clear();
        key::encode(&value, &mut bytes);
        let slot = counts.slot(&bytes)?;
        counts.add_group(slot, bucket, rows);
    }
    counts.add(bucket, unit.rows() as u64);
    Ok(true)
}

/// The slot of each value that occurs.
fn slots(codes: &Codes, counts: &mut BucketCounts) -> Result<Vec<usize>, StoreError> {
    let mut used = vec![false; codes.values.len()];
    codes.rows.iter().for_each(|code| {
        if let Some(used) = used.get_mut(*code as usize) {
            *used = true;
        }
    });
    let mut bytes = Vec::new();
    let slot = |(value, used): (_, &bool)| {
        bytes.clear();
        key::encode(value, &mut bytes);
        if *used { counts.slot(&bytes) } else { Ok(usize::MAX) }
    };
    codes.values.iter().zip(&used).map(slot).collect()
}

/// The buckets that the rows of a run fall into, each with its rows.
fn runs(
    rows: &mut Rows<'_>,
    run: &Range<usize>,
    counts: &BucketCounts,
) -> Result<Vec<(usize, Range<usize>)>, StoreError> {
    let (min, max) = rows.unit.times();
    // The times of a unit may lie outside the range, the first and last row of the run never do.
    if run.len() == rows.len() && counts.bucket(min) == counts.bucket(max) {
        return Ok(vec![(counts.bucket(min), run.clone())]);
    }
    let times: Int64Array = rows.timestamps()?;
    let times = &times.values()[..run.end];
    let mut runs = Vec::new();
    let mut at = run.start;
    while at < run.end {
        let bucket = counts.bucket(times[at]);
        let end_time = counts.times(bucket).end;
        let length = times[at..].partition_point(|time| *time < end_time).max(1);
        runs.push((bucket, at..at + length));
        at += length;
    }
    Ok(runs)
}

fn add(
    mask: &BooleanBuffer,
    bucket: usize,
    run: Range<usize>,
    grouped: Option<&(Codes, Vec<usize>)>,
    counts: &mut BucketCounts,
) {
    let part = mask.slice(run.start, run.len());
    let matched = part.count_set_bits();
    if matched == 0 {
        return;
    }
    counts.add(bucket, matched as u64);
    let Some((codes, slots)) = grouped else { return };
    let codes = &codes.rows[run];
    if slots.len() > codes.len() {
        part.set_indices().for_each(|row| counts.add_group(slots[codes[row] as usize], bucket, 1));
        return;
    }
    let mut by_code = vec![0_u64; slots.len()];
    if matched == part.len() {
        codes.iter().for_each(|code| by_code[*code as usize] += 1);
    } else {
        part.set_indices().for_each(|row| by_code[codes[row] as usize] += 1);
    }
    for (slot, rows) in slots.iter().zip(by_code) {
        if rows > 0 {
            counts.add_group(*slot, bucket, rows);
        }
    }
}
