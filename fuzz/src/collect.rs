//! The collector's decoders: whatever they accept, the processor must read, record for record.

#[path = "../../crates/server/src/collect/budget.rs"]
mod budget;
#[path = "../../crates/server/src/collect/decoded.rs"]
mod decoded;
#[expect(dead_code, reason = "headers are not fuzzed")]
#[path = "../../crates/server/src/collect/encoding.rs"]
mod encoding;
#[path = "../../crates/server/src/collect/fields.rs"]
mod fields;
#[expect(dead_code, reason = "headers are not fuzzed")]
#[path = "../../crates/server/src/collect/ingest.rs"]
mod ingest_format;
#[path = "../../crates/server/src/collect/json.rs"]
mod json;
#[expect(dead_code, reason = "answers are not fuzzed")]
#[path = "../../crates/server/src/collect/otlp.rs"]
mod otlp_format;
#[path = "../../crates/server/src/collect/plain.rs"]
mod plain;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use model::limits::Limits;
use model::otlp::{self, DecodeContext, Encoder};
use model::{Record, RecordId};
use prometheus_client::registry::Registry;

use crate::NOW;
use crate::error::ApiError;
use crate::metrics::Metrics;
use decoded::{Answer, Decoded, Rejected, too_many_records};
use encoding::Encoding;

/// Low ones are reached sooner.
fn limits() -> Limits {
    Limits {
        records_max: 100,
        record_bytes_max: 4 << 10,
        attributes_max: 20,
        name_bytes_max: 64,
        nesting_max: 5,
        ..Limits::default()
    }
}

/// `POST /v1/ingest`.
pub fn ingest(data: &[u8]) {
    check(ingest_format::decode(data, &limits(), NOW));
}

/// `POST /v1/logs` in protobuf.
pub fn otlp(data: &[u8]) {
    check(otlp_format::decode_protobuf(Bytes::copy_from_slice(data), &limits(), "p", NOW));
}

/// `POST /v1/logs` in JSON.
pub fn otlp_json(data: &[u8]) {
    check(otlp_format::decode_json(data, &limits(), "p", NOW));
}

fn check(result: Result<Decoded, ApiError>) {
    let Ok(decoded) = result else { return };
    assert!(decoded.rejected.windows(2).all(|pair| pair[0].index < pair[1].index), "rejections are in order");
    if decoded.accepted == 0 {
        return;
    }
    let records = read(&decoded.payload);
    assert_eq!(records.len(), decoded.accepted as usize, "every accepted record is in the message");
    for record in &records {
        let json = serde_json::to_string(record).expect("a record prints");
        assert!(serde_json::from_str::<&serde_json::value::RawValue>(&json).is_ok());
    }
    let mut encoder = Encoder::new();
    records.iter().for_each(|record| encoder.push(record));
    assert_eq!(read(&encoder.finish()), records, "what is clean stays as it is");
}

/// The records of a message as the processor reads them.
fn read(payload: &[u8]) -> Vec<Record<'static>> {
    let limits = limits();
    let context = DecodeContext { project: "p", received: NOW, origin: 1, limits: &limits };
    let mut records = Vec::new();
    otlp::decode(payload, &context, &mut |index, record| {
        let record = record.expect("the collector accepts what the processor takes");
        assert_eq!(record.id, RecordId { origin: 1, index });
        records.push(record.into_owned());
    })
    .expect("the collector writes what the processor reads");
    records
}

/// `Content-Encoding`: the first byte says which, the rest is the body.
pub fn body(data: &[u8]) {
    const DECODED_BYTES_MAX: usize = 1 << 20;
    static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(|| Arc::new(Metrics::register(&mut Registry::default())));
    let Some((first, sent)) = data.split_first() else { return };
    let encodings = [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate, Encoding::Snappy, Encoding::Identity];
    let encoding = encodings[usize::from(*first) % encodings.len()];
    let mut share = budget::Budget::new(2 * DECODED_BYTES_MAX, METRICS.clone()).share();
    share.grow(sent.len().min(DECODED_BYTES_MAX)).expect("the budget is larger");
    if let Ok(decoded) = encoding.decode(Bytes::copy_from_slice(sent), DECODED_BYTES_MAX, &mut share) {
        assert!(decoded.len() <= DECODED_BYTES_MAX, "the limit holds");
    }
}
