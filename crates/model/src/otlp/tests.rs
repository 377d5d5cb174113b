//! Tests of both directions, with the generated code of `opentelemetry-proto` as the oracle.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::clean::tests::any_record;
use crate::otlp::Encoder;
use crate::record::UNKNOWN_SERVICE;

const RECEIVED: i64 = 1_800_000_000_000_000_000;

fn decode_all<'a>(payload: &'a [u8], limits: &'a Limits) -> Vec<Result<Record<'a>, Rejection>> {
    let context = DecodeContext { project: "default", received: RECEIVED, origin: 7, limits };
    let mut records = Vec::new();
    let seen = decode(payload, &context, &mut |index, record| {
        assert_eq!(index as usize, records.len());
        records.push(record);
    });
    assert_eq!(seen, Ok(records.len() as u32));
    assert_eq!(count(payload), seen);
    records
}

fn key_value(name: &str, value: Option<Any>) -> KeyValue {
    KeyValue { key: name.into(), value: Some(AnyValue { value }), ..Default::default() }
}

fn string(text: &str) -> Option<Any> {
    Some(Any::StringValue(text.into()))
}

fn request(resource: Vec<KeyValue>, scope: InstrumentationScope, log_records: Vec<LogRecord>) -> Vec<u8> {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes: resource, ..Default::default() }),
            scope_logs: vec![ScopeLogs { scope: Some(scope), log_records, ..Default::default() }],
            ..Default::default()
        }],
    }
    .encode_to_vec()
}

fn one(log_record: LogRecord) -> Record<'static> {
    let payload = request(vec![], InstrumentationScope::default(), vec![log_record]);
    let limits = Limits::default();
    decode_all(&payload, &limits).remove(0).expect("accepted").into_owned()
}

fn json(record: &Record<'_>) -> serde_json::Value {
    serde_json::to_value(record).expect("JSON")
}

#[test]
fn a_whole_record() {
    let resource = vec![
        key_value("service.name", string("shop-web")),
        key_value("k8s.pod.name", string("shop-7")),
        key_value("host.name", string("web-1")),
    ];
    let scope = InstrumentationScope {
        name: "checkout".into(),
        version: "1.2".into(),
        attributes: vec![key_value("x", Some(Any::BoolValue(true)))],
        ..Default::default()
    };
    let record = LogRecord {
        time_unix_nano: 1_795_341_600_123_456_789,
        observed_time_unix_nano: 1_795_341_601_000_000_000,
        severity_number: 17,
        severity_text: "ERROR".into(),
        body: Some(AnyValue { value: string("failed") }),
        attributes: vec![
            key_value("http.status_code", Some(Any::IntValue(502))),
            key_value("ratio", Some(Any::DoubleValue(0.5))),
            key_value("raw", Some(Any::BytesValue(vec![0, 255]))),
            key_value("user", Some(Any::KvlistValue(KeyValueList { values: vec![key_value("id", string("u1"))] }))),
        ],
        dropped_attributes_count: 2,
        flags: 1,
        trace_id: vec![0x4b; 16],
        span_id: vec![0x0a; 8],
        event_name: "checkout.failed".into(),
    };
    let payload = request(resource, scope, vec![record]);
    let limits = Limits::default();
    let records = decode_all(&payload, &limits);
    let expected = serde_json::json!({
        "id": "0000000000000000000000000000000700000000",
        "timestamp": "2026-11-22T10:00:00.123456789Z",
        "observed_timestamp": "2026-11-22T10:00:01.000000000Z",
        "project": "default", "service": "shop-web", "host": "web-1", "level": "error", "severity_number": 17,
        "message": "failed",
        "trace_id": "4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b", "span_id": "0a0a0a0a0a0a0a0a",
        "attributes": {
            "http.status_code": 502, "ratio": 0.5, "raw": "AP8=", "user.id": "u1",
            "otel.scope.name": "checkout", "otel.scope.version": "1.2", "otel.scope.x": true,
            "otel.event_name": "checkout.failed", "otel.flags": 1, "otel.dropped_attributes_count": 2,
        },
        "resource": {"k8s.pod.name": "shop-7"},
    });
    assert_eq!(json(records[0].as_ref().expect("accepted")), expected);
}

#[test]
fn severities_times_and_bodies() {
    let severity = |number, text: &str| {
        let record = one(LogRecord { severity_number: number, severity_text: text.into(), ..Default::default() });
        (record.severity.map(Severity::number), record.field("otel.severity_text").map(Value::to_json))
    };
    assert_eq!(severity(0, ""), (None, None));
    assert_eq!(severity(0, "Warning"), (Some(13), None));
    assert_eq!(severity(18, "ERROR"), (Some(18), None));
    assert_eq!(severity(99, "info"), (Some(9), None));
    assert_eq!(severity(-1, "LOUD"), (None, Some("\"LOUD\"".into())));

    let times = |time, observed| {
        let record = LogRecord { time_unix_nano: time, observed_time_unix_nano: observed, ..Default::default() };
        let record = one(record);
        (record.timestamp, record.observed, record.field("timestamp.invalid").map(Value::to_json))
    };
    assert_eq!(times(0, 0), (RECEIVED, RECEIVED, None));
    assert_eq!(times(0, 5), (5, 5, None));
    assert_eq!(times(4, 0), (4, RECEIVED, None));
    assert_eq!(times(u64::MAX, 5), (RECEIVED, 5, Some(format!("\"{}\"", u64::MAX))));

    let list = Any::ArrayValue(ArrayValue {
        values: vec![AnyValue { value: Some(Any::IntValue(-1)) }, AnyValue { value: None }],
    });
    let members = vec![key_value("b", string("x")), key_value("a", Some(list))];
    for (body, message) in [
        (None, ""),
        (string("plain\0"), "plain\u{FFFD}"),
        (Some(Any::IntValue(-5)), "-5"),
        (Some(Any::BoolValue(false)), "false"),
        (Some(Any::DoubleValue(f64::NAN)), "NaN"),
        (Some(Any::BytesValue(b"hi".to_vec())), "aGk="),
        (Some(Any::KvlistValue(KeyValueList { values: members })), r#"{"b":"x","a":[-1,null]}"#),
    ] {
        assert_eq!(one(LogRecord { body: Some(AnyValue { value: body }), ..Default::default() }).message, message);
    }
    assert_eq!(one(LogRecord { trace_id: vec![0; 16], span_id: vec![1; 3], ..Default::default() }).trace_id, None);
}

#[test]
fn bad_records_are_named_and_the_others_kept() {
    let nested = (0..40).fold(Any::BoolValue(true), |value, _| {
        Any::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(value) }] })
    });
    let many = Any::ArrayValue(ArrayValue { values: vec![AnyValue { value: None }; 1 << 20] });
    let with = |attributes| LogRecord { attributes, ..Default::default() };
    let records = vec![
        with(vec![]),
        with(vec![key_value("deep", Some(nested))]),
        with(vec![key_value(&"n".repeat(513), string("x"))]),
        with((0..1_001).map(|n| key_value(&n.to_string(), string("x"))).collect()),
        with(vec![key_value("long", string(&"x".repeat(1 << 20)))]),
        with(vec![key_value("many", Some(many))]),
        with(vec![key_value("fine", string("x"))]),
    ];
    let mut payload = request(vec![], InstrumentationScope::default(), records);
    // A group of two more records: one with text that is not UTF-8, one with a field of the wrong type.
    payload.extend_from_slice(&[0x0a, 12, 0x12, 10, 0x12, 3, 0x1a, 1, 0xff, 0x12, 3, 0x08, 1, 0x00]);
    let limits = Limits::default();
    let outcomes: Vec<_> = decode_all(&payload, &limits).into_iter().map(|record| record.err()).collect();
    assert!(
        matches!(
            outcomes[..],
            [
                None,
                Some(Rejection::TooDeep { max: 32 }),
                Some(Rejection::NameTooLong { bytes: 513, .. }),
                Some(Rejection::TooManyAttributes { count: 1_001, .. }),
                Some(Rejection::TooLarge { .. }),
                Some(Rejection::TooLarge { .. }),
                None,
                Some(Rejection::NotUtf8),
                Some(Rejection::Malformed(_)),
            ]
        ),
        "{outcomes:?}"
    );
}

#[test]
fn a_broken_frame_is_refused_before_any_record() {
    let payload = request(vec![], InstrumentationScope::default(), vec![LogRecord::default(); 3]);
    for cut in 1..payload.len() {
        let context = DecodeContext { project: "", received: RECEIVED, origin: 0, limits: &Limits::default() };
        let outcome = decode(&payload[..cut], &context, &mut |_, _| panic!("saw a record"));
        assert!(outcome.is_err(), "cut at {cut}");
    }
    assert_eq!(count(&[]), Ok(0));
    for bytes in [&[0x0a][..], &[0xff; 11], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], &[0x0b]] {
        assert!(count(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn records_of_one_sender_share_a_group() {
    let record =
        |service: &'static str| Record { timestamp: 1, observed: 1, service: service.into(), ..Record::default() };
    let mut encoder = Encoder::new();
    assert!(encoder.is_empty());
    for service in ["a", "a", "b", UNKNOWN_SERVICE, "a"] {
        encoder.push(&record(service));
    }
    assert_eq!(encoder.len(), 5);
    let estimate = encoder.bytes();
    let payload = encoder.finish();
    assert!(payload.len() <= estimate);
    let request = ExportLogsServiceRequest::decode(&payload[..]).expect("protobuf");
    let groups: Vec<_> = request.resource_logs.iter().map(|group| group.scope_logs[0].log_records.len()).collect();
    assert_eq!(groups, [2, 1, 1, 1]);
    assert_eq!(Encoder::new().finish(), Vec::<u8>::new());
}

fn any_of(value: &Value<'_>) -> AnyValue {
    let pairs = |members: &Fields<'_>| members.iter().map(|(name, value)| pair_of(name, value)).collect();
    AnyValue {
        value: match value {
            Value::Null => None,
            Value::String(text) => string(text),
            Value::Int(number) => Some(Any::IntValue(*number)),
            Value::Double(number) => Some(Any::DoubleValue(*number)),
            Value::Bool(flag) => Some(Any::BoolValue(*flag)),
            Value::Array(items) => Some(Any::ArrayValue(ArrayValue { values: items.iter().map(any_of).collect() })),
            Value::Map(members) => Some(Any::KvlistValue(KeyValueList { values: pairs(members) })),
        },
    }
}

fn pair_of(name: &str, value: &Value<'_>) -> KeyValue {
    KeyValue { key: name.into(), value: Some(any_of(value)), ..Default::default() }
}

/// A record as the oracle's message, whose group has a resource of its own.
fn group_of(record: &Record<'_>) -> ResourceLogs {
    let mut attributes = vec![key_value("service.name", string(&record.service))];
    attributes.extend(record.host.as_deref().map(|host| key_value("host.name", string(host))));
    attributes.extend(record.resource.iter().map(|(name, value)| pair_of(name, value)));
    let log_record = LogRecord {
        time_unix_nano: record.timestamp as u64,
        observed_time_unix_nano: record.observed as u64,
        severity_number: record.severity.map_or(0, |severity| severity.number().into()),
        body: Some(AnyValue { value: string(&record.message) }),
        attributes: record.attributes.iter().map(|(name, value)| pair_of(name, value)).collect(),
        trace_id: record.trace_id.map_or(vec![], |id| id.0.to_vec()),
        span_id: record.span_id.map_or(vec![], |id| id.0.to_vec()),
        ..Default::default()
    };
    ResourceLogs {
        resource: Some(Resource { attributes, ..Default::default() }),
        scope_logs: vec![ScopeLogs { log_records: vec![log_record], ..Default::default() }],
        ..Default::default()
    }
}

/// Records as decoding leaves them, to be compared.
fn cleaned(records: Vec<Record<'static>>) -> Vec<Record<'static>> {
    let clean = |(index, mut record): (usize, Record<'static>)| {
        clean::clean(&mut record, &Limits::default(), RECEIVED).ok()?;
        record.project = "default".into();
        record.id = RecordId { origin: 7, index: index as u32 };
        Some(record)
    };
    records.into_iter().enumerate().filter_map(clean).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes_to_itself(records in prop::collection::vec(any_record(), 0..4)) {
        let records = cleaned(records);
        let mut encoder = Encoder::new();
        records.iter().for_each(|record| encoder.push(record));
        let payload = encoder.finish();
        let limits = Limits::default();
        let decoded: Vec<_> = decode_all(&payload, &limits).into_iter().map(|record| record.expect("accepted")).collect();
        prop_assert_eq!(decoded, records);
    }

    #[test]
    fn foreign_messages_decode_to_clean_records(records in prop::collection::vec(any_record(), 0..4)) {
        let records = cleaned(records);
        let request = ExportLogsServiceRequest { resource_logs: records.iter().map(group_of).collect() };
        let payload = request.encode_to_vec();
        let limits = Limits::default();
        let decoded: Vec<_> = decode_all(&payload, &limits).into_iter().map(|record| record.expect("accepted")).collect();
        prop_assert_eq!(decoded, records);
    }

    #[test]
    fn the_oracle_reads_what_the_encoder_writes(record in any_record()) {
        let records = cleaned(vec![record]);
        prop_assume!(!records.is_empty());
        let mut encoder = Encoder::new();
        encoder.push(&records[0]);
        let mut expected = group_of(&records[0]);
        // An unknown service and an empty message are left out.
        if let Some(resource) = &mut expected.resource && records[0].service == UNKNOWN_SERVICE {
            resource.attributes.remove(0);
        }
        if records[0].message.is_empty() {
            expected.scope_logs[0].log_records[0].body = None;
        }
        let read = ExportLogsServiceRequest::decode(&encoder.finish()[..]);
        prop_assert_eq!(read, Ok(ExportLogsServiceRequest { resource_logs: vec![expected] }));
    }

    #[test]
    fn damaged_messages_never_panic(
        record in any_record(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let request = ExportLogsServiceRequest { resource_logs: vec![group_of(&record)] };
        let mut payload = request.encode_to_vec();
        for (place, byte) in damage {
            let at = place.index(payload.len());
            payload[at] = byte;
        }
        let limits = Limits::default();
        let context = DecodeContext { project: "", received: RECEIVED, origin: 0, limits: &limits };
        let mut seen = 0;
        let outcome = decode(&payload, &context, &mut |_, _| seen += 1);
        prop_assert_eq!(outcome.unwrap_or(0), seen);
    }
}
