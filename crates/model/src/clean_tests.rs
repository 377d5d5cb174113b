//! Tests of cleaning: a table of fields as JSON before and after, the limits, and that a second pass changes nothing.

use proptest::prelude::*;

use super::*;
use crate::json::Members;

const NOW: i64 = 1_800_000_000_000_000_000;

fn text(value: &str) -> Value<'_> {
    Value::String(value.into())
}

fn map<'a>(members: &[(&'a str, Value<'a>)]) -> Value<'a> {
    Value::Map(fields(members))
}

fn fields<'a>(members: &[(&'a str, Value<'a>)]) -> Fields<'a> {
    members.iter().map(|(name, value)| ((*name).into(), value.clone())).collect()
}

fn record<'a>(attributes: &[(&'a str, Value<'a>)]) -> Record<'a> {
    Record { timestamp: 1, observed: 2, attributes: fields(attributes), ..Record::default() }
}

#[test]
fn fields_are_mended() {
    let deep = map(&[("b", map(&[("c", Value::Int(1)), ("d", Value::Null)])), ("e", map(&[]))]);
    let in_array = Value::Array(vec![Value::Null, map(&[("x", Value::Int(1)), ("x", Value::Null)]), map(&[])]);
    for (attributes, expected) in [
        (vec![("a", Value::Null), ("b", Value::Int(1))], r#"{"b":1}"#),
        (vec![("a", Value::Int(1)), ("b", Value::Int(2)), ("a", Value::Null)], r#"{"b":2}"#),
        (vec![("a", Value::Null), ("a", Value::Int(1))], r#"{"a":1}"#),
        (vec![("a.b", Value::Int(1)), ("a", map(&[("b", Value::Null)]))], "{}"),
        (vec![("a", deep)], r#"{"a.b.c":1}"#),
        (vec![("a", map(&[]))], "{}"),
        (vec![("a", Value::Array(vec![]))], r#"{"a":[]}"#),
        (vec![("a", in_array)], r#"{"a":[null,{"x":null},{}]}"#),
        (vec![("a", Value::Int(1)), ("b", Value::Int(2)), ("a", Value::Int(3))], r#"{"a":3,"b":2}"#),
        (vec![("a.b", Value::Int(1)), ("a", map(&[("b", Value::Int(2))]))], r#"{"a.b":2}"#),
        (
            vec![("a\0", text("x\0y")), ("l", Value::Array(vec![text("\0")]))],
            "{\"a\u{FFFD}\":\"x\u{FFFD}y\",\"l\":[\"\u{FFFD}\"]}",
        ),
        (vec![("n", Value::Double(f64::NAN)), ("i", Value::Double(f64::INFINITY))], r#"{"n":"NaN","i":"Infinity"}"#),
    ] {
        let mut record = record(&attributes);
        clean(&mut record, &Limits::default(), NOW).expect("clean");
        assert_eq!(serde_json::to_string(&Members(&record.attributes)).expect("JSON"), expected);
    }
}

#[test]
fn of_many_equal_names_the_last_wins_at_the_first_place() {
    let names: Vec<String> = (0..40).map(|n| format!("n{}", n % 7)).collect();
    let attributes: Vec<_> = names.iter().zip(0..).map(|(name, n)| (name.as_str(), Value::Int(n))).collect();
    let mut record = record(&attributes);
    clean(&mut record, &Limits::default(), NOW).expect("clean");
    let json = serde_json::to_string(&Members(&record.attributes)).expect("JSON");
    assert_eq!(json, r#"{"n0":35,"n1":36,"n2":37,"n3":38,"n4":39,"n5":33,"n6":34}"#);
}

#[test]
fn times_out_of_range_become_now() {
    for timestamp in [0, -1, i64::MIN] {
        let mut record = Record { timestamp, ..Record::default() };
        clean(&mut record, &Limits::default(), NOW).expect("clean");
        assert_eq!((record.timestamp, record.observed), (NOW, NOW));
        assert_eq!(record.attributes, fields(&[(INVALID_TIME, Value::Int(timestamp))]));
    }
}

#[test]
fn the_resource_names_the_sender() {
    let resource = [("service.name", text("shop")), ("host.name", text("web-1")), ("x", Value::Int(1))];
    let mut unnamed = Record { resource: fields(&resource), host: Some("".into()), ..record(&[]) };
    clean(&mut unnamed, &Limits::default(), NOW).expect("clean");
    assert_eq!((&*unnamed.service, unnamed.host.as_deref()), ("shop", Some("web-1")));
    assert_eq!(unnamed.resource, fields(&[("x", Value::Int(1))]));

    let mut named = Record { service: "api".into(), host: Some("web-1".into()), ..record(&[]) };
    named.resource = fields(&resource);
    clean(&mut named, &Limits::default(), NOW).expect("clean");
    assert_eq!((&*named.service, named.host.as_deref()), ("api", Some("web-1")));
    assert_eq!(named.attributes, fields(&[("service.name", text("shop"))]));

    let mut empty = Record { service: "".into(), ..record(&[]) };
    clean(&mut empty, &Limits::default(), NOW).expect("clean");
    assert_eq!(empty.service, UNKNOWN_SERVICE);
}

#[test]
fn what_breaks_a_limit_is_refused() {
    let limits =
        Limits { record_bytes_max: 100, attributes_max: 3, name_bytes_max: 5, nesting_max: 2, ..Limits::default() };
    let one = || Value::Int(1);
    let nested = |levels: usize| (0..levels).fold(one(), |value, _| Value::Array(vec![value]));
    let long = "x".repeat(101);
    for (record, expected) in [
        (record(&[("a", one()), ("b", one()), ("c", one())]), Ok(())),
        (record(&[("a", one()), ("b", one()), ("a", one()), ("c", one())]), Ok(())),
        (
            record(&[("a", one()), ("b", one()), ("c", one()), ("d", one())]),
            Err(Rejection::TooManyAttributes { count: 4, max: 3 }),
        ),
        (
            Record { timestamp: 0, ..record(&[("a", one())]) },
            Err(Rejection::NameTooLong { bytes: INVALID_TIME.len(), max: 5 }),
        ),
        (record(&[("abcde", one())]), Ok(())),
        (record(&[("abcdef", one())]), Err(Rejection::NameTooLong { bytes: 6, max: 5 })),
        (record(&[("abc", map(&[("de", one())]))]), Err(Rejection::NameTooLong { bytes: 6, max: 5 })),
        (record(&[("a", nested(2))]), Ok(())),
        (record(&[("a", nested(3))]), Err(Rejection::TooDeep { max: 2 })),
        (record(&[("a", text(&long))]), Err(Rejection::TooLarge { bytes: 117, max: 100 })),
        (Record { message: long.as_str().into(), ..record(&[]) }, Err(Rejection::TooLarge { bytes: 116, max: 100 })),
    ] {
        let mut mended = record.clone();
        assert_eq!(clean(&mut mended, &limits, NOW), expected, "{record:?}");
    }
}

#[test]
fn flattening_stops_at_the_limits() {
    let limits = Limits { record_bytes_max: 1_000, attributes_max: 100, name_bytes_max: 50, ..Limits::default() };
    let wide = |name: usize, members: usize| {
        let members = (0..members).map(|n| (Cow::Owned(format!("{n:04}")), Value::Int(1))).collect();
        Record { attributes: vec![("x".repeat(name).into(), Value::Map(members))], ..record(&[]) }
    };
    for (mut record, expected) in [
        // These would make gigabytes of names, were they made before they are looked at.
        (wide(1 << 20, 10_000), Err(Rejection::NameTooLong { bytes: (1 << 20) + 5, max: 50 })),
        (wide(40, 10_000), Err(Rejection::TooLarge { bytes: 23 * 45, max: 1_000 })),
        (wide(40, 15), Ok(())),
    ] {
        assert_eq!(clean(&mut record, &limits, NOW), expected);
    }
    let roomy = Limits { record_bytes_max: 1 << 30, ..limits };
    assert_eq!(clean(&mut wide(4, 10_000), &roomy, NOW), Err(Rejection::TooManyAttributes { count: 201, max: 100 }));
    let names = ["a"; 201].map(|name| (name, Value::Int(1)));
    assert_eq!(clean(&mut record(&names), &limits, NOW), Err(Rejection::TooManyAttributes { count: 201, max: 100 }));
    assert_eq!(clean(&mut record(&names[1..]), &limits, NOW), Ok(()));
}

pub(crate) fn any_value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        "[a\\x00é]{0,3}".prop_map(|text| Value::String(text.into())),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Double),
        any::<bool>().prop_map(Value::Bool),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            any_fields(inner).prop_map(Value::Map),
        ]
    })
}

fn any_fields(value: impl Strategy<Value = Value<'static>>) -> impl Strategy<Value = Fields<'static>> {
    let name = prop_oneof!["[ab.\\x00]{0,3}".boxed(), Just("service.name".to_owned()).boxed()];
    prop::collection::vec((name.prop_map(Cow::Owned), value), 0..5)
}

pub(crate) fn any_record() -> impl Strategy<Value = Record<'static>> {
    let times = || prop_oneof![Just(0), any::<i64>()];
    let texts = ("[ab\\x00 é]{0,6}", "[ab\\x00]{0,2}", prop::option::of("[ab\\x00]{0,2}"));
    let ids = (prop::option::of(any::<[u8; 16]>()), prop::option::of(any::<[u8; 8]>()));
    let all = (times(), times(), 0..26_i64, texts, ids, any_fields(any_value()), any_fields(any_value()));
    all.prop_map(|(timestamp, observed, severity, (message, service, host), (trace, span), attributes, resource)| {
        Record {
            timestamp,
            observed,
            severity: crate::Severity::new(severity),
            message: message.into(),
            service: service.into(),
            host: host.map(Into::into),
            trace_id: trace.and_then(|id| crate::TraceId::from_bytes(&id)),
            span_id: span.and_then(|id| crate::SpanId::from_bytes(&id)),
            attributes,
            resource,
            ..Record::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cleaning_again_changes_nothing(mut record in any_record()) {
        if clean(&mut record, &Limits::default(), NOW).is_ok() {
            let once = record.clone();
            prop_assert_eq!(clean(&mut record, &Limits::default(), NOW + 1), Ok(()));
            prop_assert_eq!(record, once);
        }
    }
}
