//! Where the bytes of a store go, and what it costs to write them. Not run by default: they measure, and need data.
//!
//! `DEVLOGS_MEASURE=DIR cargo test --release -p devlogs-store-embedded -- --ignored --nocapture measure`, where DIR is
//! the `store` folder of a server that is not running.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use arrow::array::AsArray;

use super::open;
use crate::columns;
use crate::segment::{Day, Place, SegmentWriter};

fn dir() -> PathBuf {
    std::env::var_os("DEVLOGS_MEASURE").expect("DEVLOGS_MEASURE is a store's folder").into()
}

/// Bytes by column, and of filters and footers, over all segments.
#[test]
#[ignore = "measures"]
fn measure_bytes() {
    let engine = open(&dir());
    let mut by_part: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let (mut rows, mut total) = (0, 0);
    for segment in engine.segments() {
        rows += segment.entry().rows;
        total += segment.entry().bytes;
        for (part, stored, plain) in segment.sizes().expect("a sound segment") {
            let sums = by_part.entry(part).or_default();
            sums.0 += stored;
            sums.1 += plain;
        }
    }
    let mut by_part: Vec<_> = by_part.into_iter().collect();
    by_part.sort_by_key(|(_, (stored, _))| std::cmp::Reverse(*stored));
    eprintln!("{rows} rows, {total} bytes, {:.2} a row", total as f64 / rows as f64);
    for (part, (stored, plain)) in by_part {
        eprintln!("{part:40} {stored:>12} {:6.2} a row, {plain:>12} unpacked", stored as f64 / rows as f64);
    }
}

/// What a search pays for messages: their templates alone, and put together.
#[test]
#[ignore = "measures"]
fn measure_messages() {
    let engine = open(&dir());
    let (mut rows, mut templates, mut messages, mut bytes) = (0, 0.0, 0.0, 0);
    for segment in engine.segments() {
        rows += segment.entry().rows;
        for block in 0..segment.meta().expect("sound").blocks.len() {
            let since = Instant::now();
            segment.templates(block).expect("sound");
            templates += since.elapsed().as_secs_f64();
            let since = Instant::now();
            let batch = segment.read(block, &[columns::MESSAGE], None).expect("sound").batch;
            messages += since.elapsed().as_secs_f64();
            bytes += batch.column(0).as_string::<i32>().values().len();
        }
    }
    let a_row = |seconds: f64| seconds * 1e9 / rows as f64;
    eprintln!(
        "{rows} rows, {bytes} bytes of text: templates {:.1} ns, messages {:.1} ns a row",
        a_row(templates),
        a_row(messages)
    );
}

/// Reads every block and writes it to a new segment.
#[test]
#[ignore = "measures"]
fn measure_rewrite() {
    let level = std::env::var_os("DEVLOGS_LEVEL").and_then(|level| level.to_str()?.parse().ok()).unwrap_or(3);
    let engine = open(&dir());
    let out = tempfile::tempdir().expect("a folder");
    let (mut read, mut wrote, mut bytes, mut old) = (0.0, 0.0, 0, 0);
    for segment in engine.segments() {
        let mut writer = SegmentWriter::new(out.path(), segment.entry().id, level);
        let meta = segment.meta().expect("sound");
        let all: Vec<usize> = (0..meta.schema.fields().len()).collect();
        for block in 0..meta.blocks.len() {
            let since = Instant::now();
            let batch = segment.read(block, &all, None).expect("sound").batch;
            read += since.elapsed().as_secs_f64();
            let since = Instant::now();
            writer.write_block(&batch).expect("written");
            wrote += since.elapsed().as_secs_f64();
        }
        let place = Place { project: "p".into(), day: Day::Of(0), written: 0, level: 1 };
        let entry = writer.finish(place).expect("written").expect("rows");
        bytes += entry.bytes;
        old += segment.entry().bytes;
    }
    eprintln!("level {level}: {old} bytes read in {read:.2} s, {bytes} written in {wrote:.2} s");
}
