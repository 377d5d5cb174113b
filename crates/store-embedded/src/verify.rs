//! Holds every file of a store against its manifest. Works on a stopped store's directory and beside a running one.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use serde::Serialize;
use store::StoreError;

use crate::columns;
use crate::manifest::Manifest;
use crate::merge::Key;
use crate::segment::{Segment, SegmentCache};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub segments: u64,
    /// Rows of sound segments.
    pub rows: u64,
    pub problems: Vec<Problem>,
}

/// A file that is not what the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub file: String,
    pub reason: String,
}

/// Reads every segment and key file that the manifest of `dir` names; damaged ones are listed, the rest is checked.
/// A running store may compact a file away meanwhile, so ask it through [`verify_segments`].
///
/// # Errors
/// When the manifest itself can't be read.
pub fn verify(dir: &Path) -> Result<Report, StoreError> {
    let Some(manifest) = Manifest::read(dir)? else { return Ok(Report::default()) };
    let cache = Arc::new(SegmentCache::new(0));
    let segments = manifest.segments.iter().map(|entry| Arc::new(Segment::new(dir, entry.clone(), cache.clone())));
    let mut report = verify_segments(segments);
    for file in &manifest.key_files {
        if let Err(error) = file.read(dir) {
            report.problems.push(Problem { file: file.file_name(), reason: error.to_string() });
        }
    }
    Ok(report)
}

/// Checks each segment: every checksum, rows, times, order, and that no id stands in it twice.
pub fn verify_segments(segments: impl IntoIterator<Item = Arc<Segment>>) -> Report {
    let mut report = Report::default();
    for segment in segments {
        report.segments += 1;
        match check(&segment) {
            Ok(()) => report.rows += segment.entry().rows,
            Err(error) => {
                report.problems.push(Problem { file: segment.entry().file_name(), reason: error.to_string() });
            }
        }
    }
    report
}

fn check(segment: &Segment) -> Result<(), StoreError> {
    segment.check()?;
    let entry = segment.entry();
    let wrong = |what: &str| StoreError::Corrupt(format!("{}: {what}", entry.file_name()));
    let mut ids = HashSet::new();
    for (block, meta) in segment.meta()?.blocks.iter().enumerate() {
        let mut last: Option<Key> = None;
        let keys = segment.read(block, &[columns::TS, columns::OBSERVED, columns::ORIGIN, columns::IDX], None)?.batch;
        for key in (0..keys.num_rows()).map(|row| Key::at(&keys, row)) {
            if last.is_some_and(|last| last > key) {
                return Err(wrong("its rows are out of order"));
            }
            if !(meta.ts_min..=meta.ts_max).contains(&key.ts) || !(entry.ts_min..=entry.ts_max).contains(&key.ts) {
                return Err(wrong("a time is outside its block's"));
            }
            if !ids.insert(key.id()) {
                return Err(wrong("an id stands in it twice"));
            }
            last = Some(key);
        }
        readable(&segment.read(block, &(0..segment.meta()?.schema.fields().len()).collect::<Vec<_>>(), None)?.batch)?;
    }
    Ok(())
}

/// Every row can be made a record.
fn readable(batch: &RecordBatch) -> Result<(), StoreError> {
    let reader = columns::RecordReader::new(batch)?;
    (0..batch.num_rows()).try_for_each(|row| reader.record(row, "").map(|_| ()))
}
