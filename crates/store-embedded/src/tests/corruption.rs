//! Damage on disk is a clear error, never a wrong answer.

use std::fs;
use std::path::{Path, PathBuf};

use model::TraceId;
use store::StoreError;

use super::{all, batch, holding, now, open, quiet, records};
use crate::Engine;
use crate::filter::Needs;
use crate::verify::verify;

/// A store of two segments and their key files.
fn store(dir: &Path) {
    let engine = open(dir);
    for n in 0..2 {
        engine.write(&batch(n, n + 1, &records(n * 300, 300, now()))).expect("written");
        engine.flush().expect("flushed");
    }
    engine.close().expect("closes");
}

fn files(dir: &Path, part: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths.filter(|path| path.to_string_lossy().contains(part)).collect();
    paths.sort();
    paths
}

/// Every way to damage a file: flip a bit at evenly spread places, cut it off at others.
fn damages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let places = || (0..60).map(|n| n * (bytes.len() - 1) / 59);
    let flips = places().map(|at| {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        damaged
    });
    flips.chain(places().step_by(6).map(|at| bytes[..at].to_vec())).collect()
}

#[test]
fn a_damaged_manifest_or_key_file_stops_the_start_with_its_name() {
    for part in ["manifest-", ".keys"] {
        let dir = tempfile::tempdir().expect("a temp dir");
        store(dir.path());
        let path = files(dir.path(), part).remove(0);
        let sound = fs::read(&path).expect("readable");
        for damaged in damages(&sound) {
            fs::write(&path, damaged).expect("writable");
            let name = path.file_name().expect("a name").to_string_lossy();
            let Err(StoreError::Corrupt(message)) = Engine::open(quiet(dir.path())) else {
                panic!("{name}: damage was not seen");
            };
            assert!(message.contains(&*name), "{message}");
        }
        fs::write(&path, sound).expect("writable");
        assert_eq!(all(&open(dir.path()).snapshot("p")).len(), 600);
    }
}

#[test]
fn a_lost_manifest_does_not_empty_the_store() {
    let dir = tempfile::tempdir().expect("a temp dir");
    store(dir.path());
    fs::remove_file(files(dir.path(), "manifest-").remove(0)).expect("removable");
    assert!(matches!(Engine::open(quiet(dir.path())), Err(StoreError::Corrupt(_))));
    assert_eq!(files(dir.path(), ".parquet").len(), 2);
}

#[test]
fn a_damaged_segment_is_named_and_the_others_stay_readable() {
    let dir = tempfile::tempdir().expect("a temp dir");
    store(dir.path());
    let path = files(dir.path(), ".parquet").remove(0);
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let sound = fs::read(&path).expect("readable");
    for damaged in damages(&sound) {
        // The first 4 bytes are Parquet's magic, which no read of ours looks at.
        let harmless = damaged.len() == sound.len() && damaged[4..] == sound[4..];
        fs::write(&path, damaged).expect("writable");
        let engine = open(dir.path());
        let mut bad = 0;
        for segment in engine.snapshot("p").segments {
            let meta = segment.meta();
            let read = meta.and_then(|meta| {
                holding(&segment, &Needs::trace_id(TraceId([9; 16])))?;
                holding(&segment, &Needs::word(b"message"))?;
                segment.read(0, &(0..meta.schema.fields().len()).collect::<Vec<_>>(), None)
            });
            match read {
                Ok(block) => assert_eq!(block.batch.num_rows(), 300),
                Err(StoreError::Corrupt(message)) => {
                    assert!(message.contains(&name), "{message}");
                    bad += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        engine.stop();
        let problems = verify(dir.path()).expect("the manifest is sound").problems;
        if harmless {
            assert_eq!((bad, problems.len()), (0, 0));
        } else {
            assert!(bad <= 1);
            let [problem] = &problems[..] else { panic!("{problems:?}") };
            assert_eq!(problem.file, name);
        }
    }
    fs::remove_file(&path).expect("removable");
    assert_eq!(verify(dir.path()).expect("the manifest is sound").problems.len(), 1);
}
