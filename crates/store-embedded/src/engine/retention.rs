//! Retention: whole segments go, by age or by size on disk; nothing is rewritten.

use std::sync::Arc;

use model::crash::crash_point;
use store::StoreError;

use super::{Engine, now};
use crate::segment::{Day, SegmentEntry};

impl Engine {
    /// Removes what is too old or too much, and counts it as expired.
    ///
    /// # Errors
    /// Unavailable when the disk fails.
    pub fn expire(&self) -> Result<(), StoreError> {
        if self.config.retention_age.is_none() && self.config.retention_bytes.is_none() {
            return Ok(());
        }
        let _one = self.compacting.lock();
        let gone = {
            let state = self.state.lock();
            let entries = state.segments().map(|segment| segment.entry().clone());
            let age = self.config.retention_age.map(|age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
            expired(entries.collect(), age.map(|age| now().saturating_sub(age)), self.config.retention_bytes)
        };
        if gone.is_empty() {
            return Ok(());
        }
        let ids: Vec<u64> = gone.iter().map(|entry| entry.id).collect();
        let rows: u64 = gone.iter().map(|entry| entry.rows).sum();
        crash_point("store.before_retention_manifest");
        let done = self.commit(
            |manifest| {
                manifest.segments.retain(|entry| !ids.contains(&entry.id));
                for entry in &gone {
                    *manifest.expired.entry(Arc::clone(&entry.project)).or_default() += entry.rows;
                }
            },
            |state| state.remove_segments(&ids),
        );
        done.map_err(|e| StoreError::Unavailable(format!("old segments can't be removed: {e}")))?;
        self.metrics.expired_rows.inc_by(rows);
        tracing::info!(segments = ids.len(), rows, "removed what retention does not keep");
        Ok(())
    }
}

/// What decides a segment's age: the time of its newest record; when it came, where that time can't be trusted.
fn age_of(entry: &SegmentEntry) -> i64 {
    match entry.day {
        Day::Of(_) => entry.ts_max,
        Day::Overflow => entry.written,
    }
}

fn expired(mut entries: Vec<SegmentEntry>, before: Option<i64>, bytes_max: Option<u64>) -> Vec<SegmentEntry> {
    entries.sort_by_key(|entry| (age_of(entry), entry.id));
    let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let gone = entries.into_iter().take_while(|entry| {
        let old = before.is_some_and(|before| age_of(entry) < before);
        let much = bytes_max.is_some_and(|max| bytes > max);
        bytes -= entry.bytes;
        old || much
    });
    gone.collect()
}
