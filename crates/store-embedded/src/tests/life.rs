//! Two writers, back-pressure, retention, merging, old snapshots.

use std::time::Duration;

use arrow::array::Array;
use model::TraceId;
use model::position::Position;
use store::{SeenKey, StoreError, WriteError};

use super::{INCARNATION, LANE, SECOND, all, batch, halt, holding, now, open, quiet, record, records, sorted};
use crate::columns::{self, FIXED};
use crate::filter::Needs;
use crate::merge::Key;
use crate::segment::{BLOCK_ROWS, Day};
use crate::verify::verify_segments;
use crate::{EmbeddedStoreConfig, Engine};

#[test]
fn of_two_writers_one_moves_the_position() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let engine = open(dir.path());
    for round in 0..50_u64 {
        let won: usize = std::thread::scope(|scope| {
            let writers = [0, 1].map(|writer| {
                let engine = &engine;
                let records = records((round * 2 + writer) * 10, 10, now());
                scope.spawn(move || match engine.write(&batch(round, round + 1, &records)) {
                    Ok(()) => 1,
                    Err(WriteError::Moved { at }) => usize::from(at != Position(round + 1)),
                    Err(error) => panic!("{error}"),
                })
            });
            writers.into_iter().map(|writer| writer.join().expect("no panic")).sum()
        });
        assert_eq!(won, 1);
    }
    assert_eq!(all(&engine.snapshot("p")).len(), 500);
}

#[test]
fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let engine = open(dir.path());
    assert!(matches!(Engine::open(quiet(dir.path())), Err(StoreError::Unavailable(_))));
    halt(engine);
    open(dir.path());
}

#[test]
fn thousands_of_one_record_writes_become_few_chunks() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let engine = open(dir.path());
    let records = records(0, 3_000, now());
    for (n, record) in (0..).zip(&records) {
        engine.write(&batch(n, n + 1, std::slice::from_ref(record))).expect("written");
    }
    let snapshot = engine.snapshot("p");
    assert!(snapshot.chunks.len() < 64, "{} chunks", snapshot.chunks.len());
    assert_eq!(all(&snapshot), records);
    for chunk in &snapshot.chunks {
        let reader = columns::RecordReader::new(&chunk.batch).expect("whole");
        let first = reader.record(0, "p").expect("readable");
        let last = reader.record(chunk.rows() - 1, "p").expect("readable");
        assert_eq!((chunk.ts_min, chunk.ts_max), (first.timestamp, last.timestamp));
    }
}

#[tokio::test]
async fn a_full_memory_makes_writers_wait_for_a_flush() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let config = EmbeddedStoreConfig { memory_bytes: 300_000, flush_bytes: 200_000, ..quiet(dir.path()) };
    let engine = Engine::open(config).expect("opens");
    for n in 0..40 {
        engine.wait_for_room().await.expect("room comes");
        assert!(engine.state_bytes() < 300_000);
        engine.write(&batch(n, n + 1, &records(n * 100, 100, now()))).expect("written");
    }
    engine.flush().expect("flushed");
    assert_eq!(all(&engine.snapshot("p")).len(), 4_000);
    assert!(engine.snapshot("p").segments.len() > 1, "memory was flushed on the way");
}

#[test]
fn durable_moves_with_the_flush_and_by_age() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let config = EmbeddedStoreConfig { flush_age: Duration::from_millis(100), ..quiet(dir.path()) };
    let engine = Engine::open(config).expect("opens");
    engine.write(&batch(0, 9, &records(0, 10, now()))).expect("written");
    assert_eq!(engine.progress(INCARNATION, LANE).written, Position(9));
    let start = std::time::Instant::now();
    while engine.progress(INCARNATION, LANE).durable != Position(9) {
        assert!(start.elapsed() < Duration::from_secs(10), "no flush by age");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Without records the position still becomes durable.
    engine.write(&batch(9, 20, &[])).expect("written");
    engine.flush().expect("flushed");
    assert_eq!(engine.progress(INCARNATION, LANE).durable, Position(20));
}

#[test]
fn far_times_share_one_segment() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let engine = open(dir.path());
    let now = now();
    let far = (1..200).map(|n| record(n, now - (500 + n as i64) * 24 * 3600 * SECOND));
    let ahead = (200..300).map(|n| record(n, now + (2 + n as i64) * 24 * 3600 * SECOND));
    let records: Vec<_> = far.chain(ahead).chain([record(300, i64::MIN), record(301, i64::MAX - 9)]).collect();
    engine.write(&batch(0, 1, &records)).expect("written");
    engine.flush().expect("flushed");
    let snapshot = engine.snapshot("p");
    assert_eq!(snapshot.segments.iter().map(|s| s.entry().day).collect::<Vec<_>>(), [Day::Overflow]);
    assert_eq!(all(&snapshot), sorted(records));
}

#[test]
fn retention_drops_whole_segments_and_counts_them() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let engine = open(dir.path());
    for (n, days) in [(0, 30), (1, 20), (2, 0)] {
        let start = now() - days * 24 * 3600 * SECOND;
        engine.write(&batch(n, n + 1, &records(n * 100, 100, start))).expect("written");
        engine.flush().expect("flushed");
    }
    let rows = |engine: &Engine| {
        engine.ledger().iter().map(|row| (row.stored, row.expired)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    };
    halt(engine);
    let config = EmbeddedStoreConfig { retention_age: Some(Duration::from_secs(25 * 24 * 3600)), ..quiet(dir.path()) };
    let engine = Engine::open(config.clone()).expect("opens");
    engine.expire().expect("expires");
    assert_eq!((rows(&engine), engine.status().rows), ((300, 100), 200));
    let newest = engine.snapshot("p").segments.iter().map(|s| s.entry().bytes).max();
    halt(engine);
    let engine = Engine::open(EmbeddedStoreConfig { retention_bytes: newest, ..config }).expect("opens");
    engine.expire().expect("expires");
    assert_eq!((rows(&engine), engine.status().rows), ((300, 200), 100));
    let kept = all(&engine.snapshot("p"));
    assert!(kept.iter().all(|record| record.timestamp > now() - 24 * 3600 * SECOND));
}

/// Large enough for several blocks; filters, projections, selections; an old snapshot while its files are replaced.
#[test]
fn blocks_are_found_read_in_part_and_merged() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let start = now() - 10 * SECOND;
    let written = records(0, 50_000, start);
    let engine = open(dir.path());
    // Every fourth record in each batch, so that their times overlap wholly.
    for n in 0..4_usize {
        let part: Vec<_> = written.iter().skip(n).step_by(4).cloned().collect();
        engine.write(&batch(n as u64, n as u64 + 1, &part)).expect("written");
        engine.flush().expect("flushed");
    }
    halt(engine);
    let engine = Engine::open(EmbeddedStoreConfig { compaction_fan_in: 4, ..quiet(dir.path()) }).expect("opens");
    let before = engine.snapshot("p");
    while engine.snapshot("p").segments.len() > 1 {
        engine.compact_once().expect("merges");
    }
    let after = engine.snapshot("p");
    assert_eq!(all(&before), written, "an old snapshot stays readable");
    assert_eq!(all(&after), written);
    drop(before);
    let files = std::fs::read_dir(dir.path()).expect("a directory").filter_map(Result::ok);
    assert_eq!(files.filter(|file| file.file_name().to_string_lossy().ends_with(".parquet")).count(), 1);
    assert_eq!(verify_segments(after.segments.iter().cloned()).problems, []);
    let segment = &after.segments[0];
    let meta = segment.meta().expect("opens");
    let days = after.segments.len();
    assert_eq!((days, meta.blocks.len()), (1, 50_000_usize.div_ceil(BLOCK_ROWS)));

    let block_of = |n: usize| n / BLOCK_ROWS;
    let only = |needs: &Needs| holding(segment, needs).expect("has filters");
    assert!(only(&Needs::field("request", "req-40000")).contains(&block_of(40_000)));
    assert!(only(&Needs::id(written[20_000].id)).contains(&block_of(20_000)));
    let trace = written[30_001].trace_id.unwrap_or(TraceId([1; 16]));
    assert!(only(&Needs::trace_id(trace)).contains(&block_of(30_001)));
    assert_eq!(only(&Needs::service("service-1")).len(), meta.blocks.len());
    let absent = (0..400).filter(|n| !only(&Needs::field("request", &format!("none-{n}"))).is_empty()).count();
    assert!(absent < 30, "{absent} of 400 absent values pass in some block");
    assert_eq!(only(&Needs::Any(vec![])), [0_usize; 0]);
    assert_eq!(only(&Needs::All(vec![Needs::Nothing, Needs::severity(3)])).len(), meta.blocks.len());

    let method = columns::columns_of(&meta.schema, columns::Scope::Attribute, "http.method")[0].0;
    let block = segment.read(1, &[method, columns::MESSAGE], Some(&[100, 101])).expect("readable");
    let schema = block.batch.schema();
    assert_eq!(
        schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(),
        ["a:s:http.method", FIXED[columns::MESSAGE]]
    );
    let texts = columns::Strings::new(block.batch.column(1)).expect("text");
    let expected = &written[BLOCK_ROWS + 100..][..2];
    assert_eq!([texts.get(0), texts.get(1)], [Some(&*expected[0].message), Some(&*expected[1].message)]);
    assert!(block.bytes > 0 && block.bytes < segment.entry().bytes / 2);
    assert!(matches!(block.batch.column(0).data_type(), arrow::datatypes::DataType::Dictionary(..)));
    let none = segment.read(2, &[], None).expect("readable").batch;
    assert_eq!((none.num_rows(), none.num_columns()), (meta.blocks[2].rows, 0));
    assert!(segment.read(99, &[0], None).is_err() && segment.read(0, &[9_999], None).is_err());
}

#[test]
fn blocks_that_overlap_a_little_are_copied() {
    let dir = tempfile::tempdir().expect("a temp dir");
    // Whole milliseconds, so that times are kept in these.
    let start = (now() / 1_000_000 - 300_000) * 1_000_000;
    let written = records(0, 120_000, start);
    let engine = open(dir.path());
    // Of the first records of a flush every other one comes with the flush before.
    let flush_of =
        |at: usize| if at % 40_000 < 20 && at.is_multiple_of(2) { at.saturating_sub(20) / 40_000 } else { at / 40_000 };
    for n in 0..3_usize {
        let part: Vec<_> = (0..written.len()).filter(|at| flush_of(*at) == n).map(|at| written[at].clone()).collect();
        engine.write(&batch(n as u64, n as u64 + 1, &part)).expect("written");
        engine.flush().expect("flushed");
    }
    halt(engine);
    let engine = Engine::open(EmbeddedStoreConfig { compaction_fan_in: 3, ..quiet(dir.path()) }).expect("opens");
    while engine.snapshot("p").segments.len() > 1 {
        engine.compact_once().expect("merges");
    }
    let after = engine.snapshot("p");
    assert_eq!(all(&after), written);
    assert_eq!(verify_segments(after.segments.iter().cloned()).problems, []);
    let segment = &after.segments[0];
    let blocks = &segment.meta().expect("opens").blocks;
    assert!(blocks.is_sorted_by_key(|block| block.ts_min), "{blocks:?}");
    assert!(blocks.len() > written.len().div_ceil(BLOCK_ROWS), "some were copied as they were: {blocks:?}");
    assert!(blocks.windows(2).any(|pair| pair[0].ts_max > pair[1].ts_min), "also where they overlap: {blocks:?}");
    for at in [0, 39_999, 40_005, 60_000, 119_999] {
        let held = holding(segment, &Needs::id(written[at].id)).expect("has filters");
        let holds = |block: &usize| {
            let wanted = [columns::TS, columns::OBSERVED, columns::ORIGIN, columns::IDX];
            let keys = segment.read(*block, &wanted, None).expect("readable").batch;
            (0..keys.num_rows()).any(|row| Key::at(&keys, row).id() == written[at].id)
        };
        let block = (0..blocks.len()).find(holds).expect("it is there");
        assert!(held.contains(&block), "the filter of a copied block");
    }
    let fields: u64 = segment.field_rows().expect("opens").iter().map(|(_, rows)| rows).sum();
    let expected: usize = written.iter().map(|record| record.attributes.len() + record.resource.len()).sum();
    assert_eq!(fields, expected as u64);
}

#[test]
fn no_key_is_durable_before_its_records() {
    let dir = tempfile::tempdir().expect("a temp dir");
    for round in 0..3 {
        let engine = open(dir.path());
        let from = engine.progress(INCARNATION, LANE).written.0;
        std::thread::scope(|scope| {
            let flushes = scope.spawn(|| (0..40).for_each(|_| engine.flush().expect("flushed")));
            let mut n = from;
            while !flushes.is_finished() {
                let mut batch = batch(n, n + 1, &records(n, 1, now()));
                batch.keys = vec![SeenKey { project: "p".into(), key: n.into(), body: 1, received: now() }];
                engine.write(&batch).expect("written");
                n += 1;
            }
        });
        // As after a crash: what is in memory is gone.
        halt(engine);
        let engine = open(dir.path());
        let durable = engine.progress(INCARNATION, LANE).durable.0;
        let known = (0..durable + 10_000).filter(|key| engine.seen_key("p", (*key).into()).is_some()).count() as u64;
        assert_eq!(known, durable, "round {round}: keys that are known, and where the store stands");
        halt(engine);
    }
}
