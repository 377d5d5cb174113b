//! Tests of the evaluator: the rules of the contract as a table of query, record and answer.

use super::super::parse;
use super::*;
use crate::record::{Fields, SpanId, TraceId};
use crate::{RecordId, Severity};

const NOW: i64 = 1_800_000_000_000_000_000;

fn fields(json: &[(&'static str, Value<'static>)]) -> Fields<'static> {
    json.iter().map(|(name, value)| ((*name).into(), value.clone())).collect()
}

fn text(value: &'static str) -> Value<'static> {
    Value::String(value.into())
}

fn record() -> Record<'static> {
    Record {
        id: RecordId { origin: 1, index: 2 },
        timestamp: NOW - 60_000_000_000,
        observed: NOW,
        project: "default".into(),
        service: "shop-web".into(),
        host: Some("web-1".into()),
        severity: Severity::new(18),
        message: "Payment timeout: connection reset by 10.0.0.1".into(),
        trace_id: TraceId::from_bytes(&[0x4b; 16]),
        span_id: SpanId::from_bytes(&[0x0a; 8]),
        attributes: fields(&[
            ("status", Value::Int(500)),
            ("status_text", text("500")),
            ("ratio", Value::Double(0.5)),
            ("whole", Value::Double(500.0)),
            ("big", Value::Int(9_007_199_254_740_993)),
            ("ok", Value::Bool(true)),
            ("ok_text", text("true")),
            ("empty", text("")),
            ("none", Value::Array(vec![])),
            ("tags", Value::Array(vec![Value::Null, text("blue"), Value::Int(7), Value::Array(vec![text("deep")])])),
            ("path", text("/api/users")),
            ("http status", Value::Int(200)),
            ("both", text("attribute")),
            ("level", text("custom")),
        ]),
        resource: fields(&[("both", text("resource")), ("k8s.pod.name", text("shop-7"))]),
    }
}

fn answer(query: &str, record: &Record<'_>) -> bool {
    let tree = parse(query, NOW).unwrap_or_else(|error| panic!("{query}: {error}"));
    Evaluator::new(&tree).matches(record)
}

/// Queries that hold of [`record`].
const MATCHING: &[&str] = &[
    "",
    "*",
    "timeout payment",
    "payment:* OR timeout",
    "\"connection reset by\"",
    "time*",
    "*out",
    "*meou*",
    "\"*out: conn*\"",
    "10.0.0.1",
    "10.0.*",
    "t*t",
    "/rese[t]/",
    "NOT missing",
    "-missing",
    "-missing:x",
    "NOT missing:*",
    "(a OR timeout) AND connection",
    "a b OR timeout",
    "service:shop-web",
    "service:(a OR shop-web)",
    "service:shop*",
    "service:/^shop/",
    "host:web-1",
    "level:error",
    "level:ERROR",
    "level:err*",
    "level>=warn",
    "level>warn",
    "level<=error",
    "level<fatal",
    "level:[warn TO error]",
    "level:(warn OR error)",
    "level>=18",
    "severity_number:18",
    "severity_number>=17",
    "project:default",
    "message:\"Payment timeout: connection reset by 10.0.0.1\"",
    "message:Payment*",
    "id:0000000000000000000000000000000100000002",
    "trace_id:4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b",
    "span_id:0a0a*",
    "timestamp<now",
    "timestamp>=-1m",
    "timestamp:[-2m TO now}",
    "observed_timestamp:1800000000000",
    "status:500",
    "status:\"500\"",
    "status:500.0",
    "status:5e2",
    "status_text:500",
    "status_text:\"500\"",
    "whole:500",
    "status>=500",
    "status<501",
    "status:[500 TO 599]",
    "status:{499 TO *}",
    "status_text>=499.5",
    "ratio:0.5",
    "ratio>0.25",
    "big:9007199254740993",
    "big>9007199254740992",
    "ok:true",
    "ok_text:true",
    "ok:t*",
    "empty:*",
    "empty:\"\"",
    "none:*",
    "tags:blue",
    "tags:7",
    "tags:deep",
    "tags>6",
    "tags:bl*",
    "status:50*",
    "status:/^5..$/",
    "whole:*.0",
    "path:\"/api/users\"",
    "path:/^\\/api/",
    "\"http status\":200",
    "\"http status\">=200",
    "both:attribute",
    "both:resource",
    "resource.both:resource",
    "attributes.both:attribute",
    "attributes.level:custom",
    "k8s.pod.name:shop-7",
    "tags:(blue AND 7)",
    "NOT (a b)",
    "NOT a b c OR timeout",
];

#[test]
fn queries_that_match() {
    let record = record();
    for query in MATCHING {
        assert!(answer(query, &record), "{query}");
    }
}

/// Queries that do not hold of [`record`].
const OTHERS: &[&str] = &[
    "time",
    "imeout",
    "NOT *",
    "payment missing",
    "\"reset connection\"",
    "NOT timeout",
    "-timeout",
    "service:shop",
    "service:SHOP-WEB",
    "service:Shop*",
    "level:warn",
    "level:custom",
    "level>error",
    "level<error",
    "status:501",
    "status_text:500.0",
    "status:\"500 \"",
    "status>500",
    "status:{500 TO 599}",
    "big:9007199254740992",
    "ok:false",
    "ok:1",
    "empty:x",
    "none:x",
    "tags:green",
    "tags:null",
    "tags:be",
    "missing:x",
    "missing:*",
    "missing>1",
    "resource.both:attribute",
    "attributes.k8s.pod.name:*",
    "path>1",
    "timestamp>now",
    "timestamp<1000",
    "message:Payment",
    "message:payment*",
    "/RESET/",
    "ok>0",
];

#[test]
fn queries_that_do_not_match() {
    let record = record();
    for query in OTHERS {
        assert!(!answer(query, &record), "{query}");
    }
}

#[test]
fn what_is_absent_matches_nothing() {
    let record = Record { message: "x".into(), ..Record::default() };
    for field in ["host", "level", "severity_number", "trace_id", "span_id", "a", "attributes.a", "resource.a"] {
        assert!(!answer(&format!("{field}:*"), &record), "{field}");
        assert!(answer(&format!("NOT {field}:*"), &record), "{field}");
    }
    for field in ["id", "timestamp", "observed_timestamp", "project", "service", "message"] {
        assert!(answer(&format!("{field}:*"), &record), "{field}");
    }
}
