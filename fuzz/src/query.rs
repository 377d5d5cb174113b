//! The query language: parser, printer, evaluator, the planner of both SQL dialects, and regular expressions.

use std::sync::{Arc, LazyLock};

use model::query::{Evaluator, Pattern, Query, TextMatcher, parse};
use model::{Record, Severity, SpanId, TraceId, Value};
use store::{QueryLimits, Scan, Search};
use store_sql::Planner;

use crate::NOW;

/// A query's text.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let query = match parse(text, NOW) {
        Ok(query) => query,
        Err(error) => return assert!(error.position <= text.chars().count(), "{error:?}"),
    };
    let printed = query.to_string();
    // What is printed may be longer than what may be sent.
    if let Ok(again) = parse(&printed, NOW) {
        assert_eq!(again, query, "{printed}");
    } else {
        assert!(printed.len() > text.len(), "{printed}");
    }
    let evaluator = Evaluator::new(&query);
    let negated = Evaluator::new(&Query::Not(Box::new(query.clone())));
    for record in RECORDS.iter() {
        assert_ne!(evaluator.matches(record), negated.matches(record), "two-valued logic");
    }
    if let Query::Message(text) = &query {
        let _ = TextMatcher::new(text).matches("a b");
    }
    plan(query);
}

fn plan(query: Query) {
    let scan = Scan { project: "p".into(), range: 0..NOW, query: Arc::new(query), limits: QueryLimits::default() };
    let search = Search { scan, order: model::cursor::Order::Descending, limit: 10, after: None };
    let _ = Planner::clickhouse().search(&search);
    let _ = Planner::postgres().search(&search);
}

static RECORDS: LazyLock<Vec<Record<'static>>> = LazyLock::new(|| {
    let full = Record {
        timestamp: NOW,
        service: "shop-web".into(),
        host: Some("web-1".into()),
        severity: Severity::new(17),
        message: "Connection reset by 10.0.0.1: status=502 größer_1".into(),
        trace_id: TraceId::from_bytes(&[0x4b; 16]),
        span_id: SpanId::from_bytes(&[0x0a; 8]),
        attributes: vec![
            ("status".into(), Value::Int(500)),
            ("ratio".into(), Value::Double(-0.5)),
            ("ok".into(), Value::Bool(false)),
            ("tags".into(), Value::Array(vec![Value::String("a".into()), Value::Int(i64::MAX), Value::Null])),
            ("text".into(), Value::String("500.0".into())),
        ],
        resource: vec![("status".into(), Value::String("x".into()))],
        ..Record::default()
    };
    vec![Record::default(), full]
});

/// A pattern, a line feed, and the text that it is held against.
pub fn regex(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (source, text) = text.split_once('\n').unwrap_or((text, "connection reset\nby peer_1"));
    let pattern = match Pattern::new(source) {
        Ok(pattern) => pattern,
        Err(error) => return assert!(source.is_char_boundary(error.offset), "{error:?}"),
    };
    // The tree is what dialects are printed from: it must mean the same.
    let printed = pattern.hir().to_string();
    let regex = regex::bytes::RegexBuilder::new(&printed).size_limit(16 << 20).build().expect("the tree prints");
    assert_eq!(
        regex.is_match(text.as_bytes()),
        pattern.is_match(text),
        "{source} is {}, then {printed}",
        pattern.normal()
    );
    if let Ok(query) = parse(&format!("/{}/", source.replace('/', "\\/")), NOW) {
        plan(query);
    }
}
