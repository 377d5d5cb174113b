use super::super::json::parse_object;
use super::*;

const NOW: i64 = 1_700_000_000_000_000_000;

fn mapped(json: &str) -> Record<'_> {
    try_mapped(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn try_mapped(json: &str) -> Result<Record<'_>, Rejection> {
    let mut fields = Fields::new();
    parse_object(json, 32, &mut fields).expect("test input is JSON");
    // A record that was used before must leave nothing behind.
    let mut record = Record { host: Some("old".into()), message: "old".into(), ..Record::default() };
    record.attributes.push(("old".into(), Value::Null));
    Mapper::default().map(&mut fields, &mut record, NOW, &Limits::default())?;
    model::clean::clean(&mut record, &Limits::default(), NOW)?;
    Ok(record)
}

/// Attributes as JSON, in order.
fn attributes(json: &str) -> String {
    Value::Map(mapped(json).attributes).to_json()
}

#[test]
fn the_time_has_four_names_and_many_forms() {
    let at = 1_763_805_600_000_000_000;
    for json in [
        r#"{"timestamp":"2025-11-22T10:00:00Z"}"#,
        r#"{"time":"2025-11-22T11:00:00+01:00"}"#,
        r#"{"ts":1763805600}"#,
        r#"{"ts":1763805600.0}"#,
        r#"{"@timestamp":1763805600000}"#,
        r#"{"time":1763805600000000}"#,
        r#"{"time":1763805600000000000}"#,
        r#"{"time":"1763805600"}"#,
    ] {
        assert_eq!((mapped(json).timestamp, attributes(json).as_str()), (at, "{}"), "{json}");
    }
    assert_eq!(mapped(r#"{"ts":1763805600.25}"#).timestamp, at + 250_000_000);
    assert_eq!(mapped(r#"{"a":1}"#).timestamp, NOW);
    assert_eq!(mapped(r#"{"time":null}"#).timestamp, NOW);
}

#[test]
fn a_time_that_is_none_is_kept_beside_now() {
    for original in
        ["\"9999-01-01T00:00:00Z\"", "\"1969-12-31T23:59:59Z\"", "\"yesterday\"", "-5", "true", "[1]", "\"\""]
    {
        let json = format!("{{\"timestamp\":{original}}}");
        let record = mapped(&json);
        assert_eq!(record.timestamp, NOW, "{json}");
        assert_eq!(Value::Map(record.attributes.clone()).to_json(), format!("{{\"timestamp.invalid\":{original}}}"));
    }
}

#[test]
fn the_message_has_four_names() {
    for name in ["message", "msg", "body", "log"] {
        assert_eq!(mapped(&format!("{{\"{name}\":\"hello\"}}")).message, "hello", "{name}");
    }
    assert_eq!(mapped(r#"{"message":{"a":{"b":1}}}"#).message, r#"{"a":{"b":1}}"#);
    assert_eq!(mapped(r#"{"message":[1,"x"]}"#).message, r#"[1,"x"]"#);
    assert_eq!(mapped(r#"{"message":5}"#).message, "5");
    assert_eq!(mapped(r#"{"a":1}"#).message, "");
    assert_eq!(mapped(r#"{"log":{"level":"warn","logger":"x"}}"#).message, "");
}

#[test]
fn of_two_names_the_first_in_the_table_wins_and_the_other_stays() {
    let cases = [
        (r#"{"msg":"b","message":"a"}"#, "a", r#"{"msg":"b"}"#),
        (r#"{"log":"d","body":{"x":1},"msg":"b"}"#, "b", r#"{"log":"d","body.x":1}"#),
        (r#"{"message":null,"msg":"b"}"#, "b", "{}"),
        (r#"{"message":"first","message":"last"}"#, "last", "{}"),
        (r#"{"message":"first","msg":"b","message":null}"#, "b", "{}"),
    ];
    for (json, message, rest) in cases {
        assert_eq!((&*mapped(json).message, attributes(json).as_str()), (message, rest), "{json}");
    }
    let json = r#"{"service.name":"b","app":"c","service":"a","hostname":"h2","host":"h1"}"#;
    let record = mapped(json);
    assert_eq!((&*record.service, record.host.as_deref()), ("a", Some("h1")));
    assert_eq!(attributes(json), r#"{"service.name":"b","app":"c","hostname":"h2"}"#);
}

#[test]
fn nested_names_are_dotted_names() {
    let json = r#"{"log":{"level":"error","x":1},"service":{"name":"api","version":"2"},"host":{"name":"h"},"a":{"b":{"c":2}}}"#;
    let record = mapped(json);
    assert_eq!(record.severity.map(Severity::number), Some(17));
    assert_eq!((&*record.service, record.host.as_deref()), ("api", Some("h")));
    assert_eq!(attributes(json), r#"{"log.x":1,"service.version":"2","a.b.c":2}"#);
    assert_eq!(attributes(r#"{"a":{},"b":[],"c":{"d":{}}}"#), r#"{"b":[]}"#);
    assert_eq!(attributes(r#"{"a":[{"b":1}]}"#), r#"{"a":[{"b":1}]}"#);
}

#[test]
fn levels_of_every_name_and_number() {
    let number = |json: &str| mapped(json).severity.map(Severity::number);
    for name in ["level", "severity", "lvl", "log.level", "log_level"] {
        assert_eq!(number(&format!("{{\"{name}\":\"WARN\"}}")), Some(13), "{name}");
    }
    assert_eq!(number(r#"{"level":30}"#), Some(9));
    assert_eq!(number(r#"{"level":"50"}"#), Some(17));
    assert_eq!(number(r#"{"severity":2}"#), Some(18));
    assert_eq!(number(r#"{"level":"critical"}"#), Some(21));
    assert_eq!(number(r#"{"severity_number":17}"#), Some(17));
    assert_eq!(number(r#"{"severity_number":0}"#), None);
    assert_eq!(number(r#"{"level":"error","severity_number":18}"#), Some(18));
    assert_eq!(attributes(r#"{"level":"error","severity_number":18}"#), "{}");
    assert_eq!(number(r#"{"level":"error","severity_number":9}"#), Some(17));
    assert_eq!(attributes(r#"{"level":"error","severity_number":9}"#), r#"{"severity_number":9}"#);
}

#[test]
fn what_can_not_be_read_stays_an_attribute() {
    for json in [
        r#"{"level":"banana"}"#,
        r#"{"trace_id":"xyz","span_id":5}"#,
        r#"{"trace_id":"00000000000000000000000000000000"}"#,
        r#"{"severity_number":99}"#,
    ] {
        let record = mapped(json);
        assert_eq!((record.severity, record.trace_id, record.span_id), (None, None, None));
        assert_eq!(attributes(json), json);
    }
    assert_eq!(mapped(r#"{"level":"banana","severity":"warn"}"#).severity, None);
}

#[test]
fn ids_in_both_spellings() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for (trace_name, span_name) in [("trace_id", "span_id"), ("traceId", "spanId")] {
        let json = format!(r#"{{"{trace_name}":"{trace}","{span_name}":"B7AD6B7169203331"}}"#);
        let record = mapped(&json);
        assert_eq!(record.trace_id.map(|id| id.to_string()).as_deref(), Some(trace));
        assert_eq!(record.span_id.map(|id| id.to_string()).as_deref(), Some("b7ad6b7169203331"));
        assert!(record.attributes.is_empty());
    }
}

#[test]
fn absent_and_empty_senders() {
    let record = mapped(r#"{"a":1}"#);
    assert_eq!((&*record.service, record.host.as_deref()), (UNKNOWN_SERVICE, None));
    let record = mapped(r#"{"service":"","host":""}"#);
    assert_eq!((&*record.service, record.host.as_deref()), (UNKNOWN_SERVICE, None));
    assert_eq!(mapped(r#"{"service":5}"#).service, "5");
}

#[test]
fn an_export_can_be_sent_back() {
    let original = Record {
        timestamp: NOW - 5,
        observed: NOW - 1,
        project: "shop".into(),
        service: "api".into(),
        host: Some("web-1".into()),
        severity: Severity::new(18),
        message: "boom".into(),
        trace_id: TraceId::from_bytes(&[1; 16]),
        span_id: SpanId::from_bytes(&[2; 8]),
        attributes: vec![("message".into(), Value::String("inner".into())), ("n.x".into(), Value::Int(5))],
        resource: vec![("k8s.pod.name".into(), Value::String("p".into()))],
        ..Record::default()
    };
    let json = serde_json::to_string(&original).unwrap();
    let expected = Record { project: "".into(), observed: NOW, ..original };
    assert_eq!(mapped(&json), expected);
    // A sender's own `id` is data.
    assert_eq!(attributes(r#"{"id":"7","project":"x"}"#), r#"{"id":"7","project":"x"}"#);
}

#[test]
fn a_resource_names_service_and_host_when_nothing_else_does() {
    let json = r#"{"resource":{"service.name":"api","host":{"name":"h"},"os":"linux"}}"#;
    let record = mapped(json);
    assert_eq!((&*record.service, record.host.as_deref()), ("api", Some("h")));
    assert_eq!(Value::Map(record.resource.clone()).to_json(), r#"{"os":"linux"}"#);
    assert_eq!(attributes(r#"{"resource":"r","attributes":5}"#), r#"{"resource":"r","attributes":5}"#);
}

#[test]
fn flattening_can_not_multiply_a_body() {
    let long = "k".repeat(600);
    assert!(matches!(try_mapped(&format!("{{\"{long}\":{{\"a\":1}}}}")), Err(Rejection::NameTooLong { .. })));
    let many: Vec<_> = (0..3000).map(|n| format!("\"a{n}\":1")).collect();
    assert!(matches!(try_mapped(&format!("{{{}}}", many.join(","))), Err(Rejection::TooManyAttributes { .. })));
}
