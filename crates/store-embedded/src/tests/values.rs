//! Records to columns and back.

use model::{Batch, Record, Value};
use proptest::prelude::*;

use super::{all, batch, halt, holding, now, open, record, sorted, text};
use crate::columns::{self, FIELD_COLUMNS_MAX, RecordReader, Scope, batch_to_columns, from_json, to_json};
use crate::filter::Needs;

fn there_and_back(records: &[Record<'static>]) -> Vec<Record<'static>> {
    let mut rows = Batch::new("p".into());
    records.iter().for_each(|record| rows.push(record));
    let columns = batch_to_columns(&rows).expect("small enough");
    let reader = RecordReader::new(&columns).expect("has all columns");
    (0..columns.num_rows()).map(|row| reader.record(row, "p").expect("readable")).collect()
}

#[test]
fn records_come_back_the_same_and_sorted() {
    let mut records: Vec<_> = (0..200).map(|n| record(n, 1_000 - (n as i64 / 7))).collect();
    records.reverse();
    assert_eq!(there_and_back(&records), sorted(records));
}

#[test]
fn one_name_may_have_values_of_every_type() {
    let values = [
        Value::String(text("1")),
        Value::Int(i64::MIN),
        Value::Double(-0.0),
        Value::Double(1.0),
        Value::Bool(false),
        Value::Array(vec![]),
        Value::Array(vec![Value::Null, Value::Double(1.0), Value::Map(vec![(text("a"), Value::Int(1))])]),
    ];
    let records: Vec<_> = (0_i64..)
        .zip(&values)
        .map(|(n, value)| Record {
            attributes: vec![(text("v"), value.clone())],
            resource: vec![(text("v"), value.clone())],
            ..record(n as u64, n)
        })
        .collect();
    let back = there_and_back(&records);
    assert_eq!(back, records);
    assert!(matches!(back[2].attributes[0].1, Value::Double(number) if number.is_sign_negative()));
}

/// More fields than columns: the rest is kept in `overflow`, in memory, in a segment and after a merge.
#[test]
fn fields_beyond_the_columns_overflow() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let engine = open(dir.path());
    let start = now();
    let mut records = Vec::new();
    for n in 0..600_u64 {
        let mut record = record(n, start + n as i64);
        record.attributes = vec![
            (text(format!("rare \"{n}\"")), Value::Array(vec![Value::Double(0.1), Value::String(text("in array"))])),
            (text(format!("zz{}", n % 250)), Value::Int(n as i64)),
        ];
        records.push(record);
    }
    for (at, part) in records.chunks(300).enumerate() {
        engine.write(&batch(at as u64, at as u64 + 1, part)).expect("written");
        engine.flush().expect("flushed");
    }
    for segment in &engine.snapshot("p").segments {
        let schema = segment.meta().expect("opens").schema.clone();
        assert_eq!(columns::fields_of(&schema).count(), FIELD_COLUMNS_MAX);
        assert!(columns::overflow_of(&schema).is_some());
        assert_eq!(columns::columns_of(&schema, Scope::Attribute, "zz1").len(), 1, "the common one has a column");
        let needs =
            Needs::field(&format!("rare \"{}\"", if segment.entry().ts_min == start { 7 } else { 307 }), "in array");
        assert_eq!(holding(segment, &needs).expect("has filters"), [0], "overflow is in the filter");
    }
    assert_eq!(all(&engine.snapshot("p")), records);
    halt(engine);
    let engine = crate::Engine::open(crate::EmbeddedStoreConfig { compaction_fan_in: 2, ..super::quiet(dir.path()) })
        .expect("opens");
    while engine.compact_once().expect("merges") || engine.snapshot("p").segments.len() > 1 {}
    assert_eq!(all(&engine.snapshot("p")), records);
}

fn nested() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<String>().prop_map(|s| Value::String(text(s))),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("finite", |d| d.is_finite()).prop_map(Value::Double),
        any::<bool>().prop_map(Value::Bool),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|fields| Value::Map(fields.into_iter().map(|(n, v)| (text(n), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn nested_values_keep_every_bit(value in nested()) {
        let back = from_json(&to_json(&value)).expect("what was written is readable");
        prop_assert_eq!(format!("{back:?}"), format!("{value:?}"));
    }

    #[test]
    fn wrong_json_is_an_error(text in "\\PC{0,20}") {
        let _ = from_json(&text);
        let _ = columns::overflow_fields(&text);
    }
}
