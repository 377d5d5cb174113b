//! Tests of the write side: what goes in comes out, whatever happens in between.

mod corruption;
mod crash;
mod life;
mod measure;
mod model_test;
mod values;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::position::{Incarnation, Partition, Position};
use model::{Batch, Fields, Record, RecordId, Severity, SpanId, TraceId, Value};
use store::{Counts, SeenKey, StoreError, WriteBatch};

use crate::chunk::Snapshot;
use crate::columns::RecordReader;
use crate::filter::Needs;
use crate::segment::Segment;
use crate::{EmbeddedStoreConfig, Engine};

pub(crate) const INCARNATION: Incarnation = Incarnation(7);
pub(crate) const LANE: Partition = Partition(0);
pub(crate) const SECOND: i64 = 1_000_000_000;

/// Nothing happens in the background unless a test asks for it.
pub(crate) fn quiet(dir: &Path) -> EmbeddedStoreConfig {
    EmbeddedStoreConfig {
        flush_age: Duration::from_secs(3600),
        compaction_fan_in: 1000,
        ..EmbeddedStoreConfig::new(dir)
    }
}

pub(crate) fn open(dir: &Path) -> Arc<Engine> {
    Engine::open(quiet(dir)).expect("the store opens")
}

/// Ends a store as a crash would: without a flush.
pub(crate) fn halt(engine: Arc<Engine>) {
    engine.stop();
    drop(engine);
}

/// The blocks of a segment that may hold what is needed.
pub(crate) fn holding(segment: &Segment, needs: &Needs) -> Result<Vec<usize>, StoreError> {
    let blocks: Vec<usize> = (0..segment.meta()?.blocks.len()).collect();
    segment.filter_blocks(needs, &blocks)
}

pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos() as i64
}

fn text(text: impl Into<String>) -> Cow<'static, str> {
    Cow::Owned(text.into())
}

/// A record that differs from every other `n` in each part, with fields ordered by name.
pub(crate) fn record(n: u64, ts: i64) -> Record<'static> {
    let mut attributes: Fields<'static> = vec![
        (text("http.method"), Value::String(text(["GET", "POST"][n as usize % 2]))),
        (text("n"), Value::Int(n as i64)),
        (text("request"), Value::String(text(format!("req-{n}")))),
    ];
    match n % 5 {
        0 => attributes.push((text("x"), Value::Double(n as f64 / 3.0))),
        1 => attributes.push((text("x"), Value::Bool(n.is_multiple_of(2)))),
        2 => attributes.push((text("x"), Value::Array(vec![Value::Int(n as i64), Value::String(text("tag"))]))),
        3 => attributes.push((text("x"), Value::String(text("")))),
        _ => {}
    }
    Record {
        id: RecordId { origin: u128::from(n / 10) << 64 | 5, index: (n % 10) as u32 },
        timestamp: ts,
        observed: ts + 5,
        project: text("p"),
        service: text(format!("service-{}", n % 3)),
        host: (!n.is_multiple_of(4)).then(|| text(format!("host-{}", n % 4))),
        severity: Severity::new((n % 25) as i64),
        message: text(format!("message number {n} of word{} ünïcode", n % 100)),
        trace_id: (!n.is_multiple_of(3)).then(|| TraceId((u128::from(n / 8) + 1).to_be_bytes())),
        span_id: n.is_multiple_of(2).then(|| SpanId((n + 1).to_be_bytes())),
        attributes,
        resource: vec![(text("k8s.pod"), Value::String(text(format!("pod-{}", n % 2))))],
    }
}

/// `count` records a millisecond apart from `start`, numbered from `first`.
pub(crate) fn records(first: u64, count: u64, start: i64) -> Vec<Record<'static>> {
    (first..first + count).map(|n| record(n, start + n as i64 * 1_000_000)).collect()
}

pub(crate) fn batch(from: u64, next: u64, records: &[Record<'_>]) -> WriteBatch {
    let mut rows = Batch::new("p".into());
    records.iter().for_each(|record| rows.push(record));
    let count = records.len() as u64;
    let counts = Counts { received: count, stored: count, ..Counts::new("p".into()) };
    WriteBatch {
        incarnation: INCARNATION,
        partition: LANE,
        from: Position(from),
        next: Position(next),
        batches: vec![rows],
        keys: vec![SeenKey { project: "p".into(), key: u128::from(next), body: u128::from(from), received: now() }],
        counts: vec![counts],
    }
}

/// Everything that a snapshot holds, in order.
pub(crate) fn all(snapshot: &Snapshot) -> Vec<Record<'static>> {
    let mut found = Vec::new();
    let mut take = |batch: &arrow::array::RecordBatch| {
        let reader = RecordReader::new(batch).expect("columns are whole");
        found.extend((0..batch.num_rows()).map(|row| reader.record(row, "p").expect("a row is readable")));
    };
    snapshot.chunks.iter().for_each(|chunk| take(&chunk.batch));
    for segment in &snapshot.segments {
        let meta = segment.meta().expect("a segment opens");
        let columns: Vec<usize> = (0..meta.schema.fields().len()).collect();
        for block in 0..meta.blocks.len() {
            take(&segment.read(block, &columns, None).expect("a block is readable").batch);
        }
    }
    found.sort_by_key(|record| (record.timestamp, record.id));
    found
}

pub(crate) fn sorted(mut records: Vec<Record<'static>>) -> Vec<Record<'static>> {
    records.sort_by_key(|record| (record.timestamp, record.id));
    records
}
