//! The hot loops one by one, on records of the generator: `cargo bench -p devlogs-bench`.
//!
//! Each works on about a megabyte of NDJSON, so that a figure in MB/s or records/s can be set beside the others. The live
//! tail's fan-out is measured on the whole server: `devlogs-bench --only tails`.

// Compiled once more here, since a program's modules are not a library's.
#[path = "../src/generate/mod.rs"]
mod generate;
#[path = "../src/truth.rs"]
mod truth;

use std::sync::LazyLock;

use arrow::array::RecordBatch;
use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use model::limits::Limits;
use model::otlp::{self, DecodeContext};
use model::position::Partition;
use model::query::{self, Evaluator};
use model::{Batch, Record};
use queue::embedded::{EmbeddedConfig, EmbeddedQueue};
use queue::{Headers, Message, Queue};
use server::collect::offline;
use store_embedded::columns::batch_to_columns;
use store_embedded::filter::BlockFilter;

const RECORDS: u64 = 3_000;
/// As many as a block of a segment has.
const BLOCK_RECORDS: u64 = 16_384;

static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);
static NDJSON: LazyLock<Vec<u8>> = LazyLock::new(|| ndjson(RECORDS));
static OTLP: LazyLock<Bytes> = LazyLock::new(|| otlp(&NDJSON));
static BATCH: LazyLock<Batch> = LazyLock::new(|| batch(&OTLP));
static BLOCK: LazyLock<RecordBatch> = LazyLock::new(|| columns(&batch(&otlp(&ndjson(BLOCK_RECORDS)))));

fn main() {
    divan::main();
}

fn ndjson(records: u64) -> Vec<u8> {
    let mut lines = Vec::new();
    generate::generate(records, 1, &mut lines).expect("memory takes it");
    lines
}

fn otlp(lines: &[u8]) -> Bytes {
    offline::to_otlp(lines, &LIMITS, 0).expect("good records")
}

fn decode<'a>(payload: &'a [u8], mut each: impl FnMut(Record<'a>)) {
    let context = DecodeContext { project: "default", received: 0, origin: 1, limits: &LIMITS };
    otlp::decode(payload, &context, &mut |_, record| each(record.expect("a good record"))).expect("a good message");
}

fn batch(payload: &[u8]) -> Batch {
    let mut batch = Batch::new("default".into());
    decode(payload, |record| batch.push(&record));
    batch
}

fn columns(batch: &Batch) -> RecordBatch {
    batch_to_columns(batch).expect("columns")
}

#[divan::bench]
fn json_parse(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::of_slice(&NDJSON[..])).bench(|| offline::parse(black_box(&NDJSON), &LIMITS).is_ok());
}

#[divan::bench]
fn json_to_otlp(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::of_slice(&NDJSON[..])).bench(|| otlp(black_box(&NDJSON)));
}

#[divan::bench]
fn otlp_to_records(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(RECORDS)).bench(|| decode(black_box(&OTLP), |record| drop(black_box(record))));
}

#[divan::bench]
fn otlp_to_batch(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(RECORDS)).bench(|| batch(black_box(&OTLP)));
}

#[divan::bench]
fn batch_to_arrow(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(RECORDS)).bench(|| columns(black_box(&BATCH)));
}

#[divan::bench]
fn transform(bencher: Bencher<'_, '_>) {
    let transforms = transform::Transforms::default();
    let mut records = Vec::new();
    decode(&OTLP, |record| records.push(record));
    bencher.counter(ItemsCount::new(RECORDS)).with_inputs(|| records.clone()).bench_local_values(|mut records| {
        records.iter_mut().for_each(|record| drop(black_box(transforms.apply(record))));
        records
    });
}

#[divan::bench]
fn tokenise(bencher: Bencher<'_, '_>) {
    let messages: Vec<_> = BATCH.rows().map(|record| record.message.into_owned()).collect();
    let bytes: usize = messages.iter().map(String::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench(|| {
        let mut words = 0;
        messages.iter().for_each(|message| query::words::tokens(message, |word| words += black_box(word).len()));
        words
    });
}

#[divan::bench(sample_count = 20)]
fn filter_of_a_block(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(BLOCK_RECORDS)).bench(|| BlockFilter::of(black_box(&BLOCK)).expect("a filter"));
}

#[divan::bench]
fn filter_lookup(bencher: Bencher<'_, '_>) {
    let filter = BlockFilter::of(&BLOCK).expect("a filter");
    bencher.bench(|| filter.holds_word(black_box(b"nowhere")));
}

#[divan::bench(args = ["session expired", "\"*sion expi*\"", "/declined for (order|invoice) [0-9]+/", "http.status_code>=500", "level:error"])]
fn evaluate(bencher: Bencher<'_, '_>, text: &str) {
    let evaluator = Evaluator::new(&query::parse(text, 0).expect("a query"));
    let mut records = Vec::new();
    decode(&OTLP, |record| records.push(record));
    bencher
        .counter(ItemsCount::new(RECORDS))
        .bench(|| records.iter().filter(|record| evaluator.matches(black_box(record))).count());
}

/// Appends to the embedded queue, in memory where the system has a place for that: the sync costs nothing there.
#[divan::bench(args = [1, 100, 3_000])]
fn append(bencher: Bencher<'_, '_>, records: u64) {
    let shm = std::path::Path::new("/dev/shm");
    let dir = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.expect("a directory");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = EmbeddedConfig {
        dir: dir.path().to_owned(),
        partitions: 1,
        segment_bytes: 8 << 20,
        retention_bytes: 1 << 30,
        disk_free_min_bytes: 0,
        ..EmbeddedConfig::default()
    };
    let entered = runtime.enter();
    let queue = EmbeddedQueue::open(config, queue::metrics::Metrics::default()).expect("a queue");
    drop(entered);
    let payload = otlp(&ndjson(records));
    let headers = Headers {
        project: "default".into(),
        received: 1,
        records: records as u32,
        key: None,
        retry_of: None,
        part: None,
    };
    bencher.counter(BytesCount::of_slice(&payload[..])).bench_local(|| {
        let message = Message::new(headers.clone(), payload.clone());
        runtime.block_on(queue.append(Partition(0), message)).expect("appended")
    });
    runtime.block_on(queue.close()).expect("closed");
}
