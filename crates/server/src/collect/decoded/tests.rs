//! What is handed over beside a message says what the message says.

use model::otlp::{self, DecodeContext};
use model::{Record, Value};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message as _;

use super::super::plain::tests::object;
use super::super::{ingest, otlp as protobuf};
use super::*;

const NOW: i64 = 1_700_000_000_000_000_000;

/// The records of the message as a processor decodes them, without their origin.
fn in_payload(decoded: &Decoded) -> Vec<Record<'static>> {
    let limits = Limits::default();
    let context = DecodeContext { project: "p", received: NOW, origin: 0, limits: &limits };
    let mut records = Vec::new();
    otlp::decode(&decoded.payload, &context, &mut |_, record| {
        records.push(Record { id: model::RecordId::default(), ..record.unwrap().into_owned() });
    })
    .unwrap();
    records
}

fn handed_over(decoded: &Decoded) -> Vec<Record<'_>> {
    let records = decoded.records.as_ref().unwrap();
    records.rows().map(|record| Record { id: model::RecordId::default(), ..record }).collect()
}

/// For a body of any size.
fn wanted() -> HandOver {
    HandOver { records: Some(Batch::new("p".into())), bytes_max: usize::MAX }
}

fn text(text: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) })
}

fn attribute(name: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

#[test]
fn otlp_is_handed_over_as_the_message_says_it() {
    let odd = LogRecord {
        event_name: "event".to_owned(),
        flags: 7,
        severity_text: "Hm".to_owned(),
        dropped_attributes_count: 2,
        observed_time_unix_nano: 9,
        body: Some(AnyValue { value: Some(any_value::Value::BoolValue(true)) }),
        attributes: vec![attribute("a", text("b")), attribute("a", text("c"))],
        ..LogRecord::default()
    };
    let late = LogRecord { time_unix_nano: u64::MAX, body: text("late"), ..LogRecord::default() };
    let large = LogRecord { body: text(&"x".repeat(2 << 20)), ..LogRecord::default() };
    for (records, rejected) in [(vec![odd.clone(), late.clone()], 0), (vec![odd, large, late], 1)] {
        let scope = InstrumentationScope { name: "s".to_owned(), ..InstrumentationScope::default() };
        let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records: records, ..ScopeLogs::default() }];
        let attributes = vec![attribute("service.name", text("api")), attribute("zone", text("a"))];
        let resource = Some(Resource { attributes, ..Resource::default() });
        let resource_logs = vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }];
        let body = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        let decoded = protobuf::decode_protobuf(body.into(), &Limits::default(), "p", NOW, wanted()).unwrap();
        assert_eq!((decoded.accepted, decoded.rejected.len()), (2, rejected));
        let handed_over = handed_over(&decoded);
        assert_eq!(handed_over, in_payload(&decoded));
        assert!(handed_over[0].attributes.contains(&("otel.scope.name".into(), Value::String("s".into()))));
    }
}

#[test]
fn records_that_take_far_more_than_their_body_are_not_handed_over() {
    let zone = vec![attribute("zone", text(&"z".repeat(1_000)))];
    let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default(); 1_000], ..ScopeLogs::default() }];
    let resource = Some(Resource { attributes: zone, ..Resource::default() });
    let resource_logs = vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }];
    let body = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
    let hand_over = HandOver::new("p".into(), body.len());
    let decoded = protobuf::decode_protobuf(body.into(), &Limits::default(), "p", NOW, hand_over).unwrap();
    assert_eq!((decoded.accepted, decoded.records.is_none()), (1_000, true));
}

proptest! {
    #[test]
    fn json_is_handed_over_as_the_message_says_it(objects in prop::collection::vec(object(), 1..8)) {
        let body = objects.iter().map(|object| object.replace(['\r', '\n'], " ")).collect::<Vec<_>>().join("\n");
        let decoded = ingest::decode(body.as_bytes(), &Limits::default(), NOW, wanted()).unwrap();
        prop_assert_eq!(handed_over(&decoded), in_payload(&decoded));
    }
}
