use model::Fields;
use model::clean::clean;
use proptest::prelude::*;

use super::super::fields::Mapper;
use super::super::json::parse_object;
use super::*;

const NOW: i64 = 1_700_000_000_000_000_000;

fn short(text: &str) -> Option<Record<'_>> {
    let mut record = Record::default();
    read(text, &mut record, NOW, &Limits::default()).then_some(record)
}

fn long(text: &str) -> Option<Record<'_>> {
    let limits = Limits::default();
    let (mut fields, mut record) = (Fields::new(), Record::default());
    parse_object(text, limits.nesting_max, &mut fields).ok()?;
    Mapper::default().map(&mut fields, &mut record, NOW, &limits).ok()?;
    clean(&mut record, &limits, NOW).ok()?;
    Some(record)
}

#[test]
fn a_plain_record_goes_the_short_way() {
    for text in [
        r#"{"ts":"2026-01-15T00:00:00.013735Z","service":"web","level":"info","host":"web-07","message":"GET \"/a\"\t\\ 200","trace_id":"20e2efd5172f9c738abafe6e0e8760d0","http.status_code":200,"duration_ms":1.9,"ok":true,"n":-12,"e":1e3}"#,
        "{ \"msg\" : \"größer → ✓\" ,\r\n\t\"time\": 1700000000000, \"spanId\":\"00f067aa0ba902b7\" }",
        r#"{"a":0,"b":"","c":false,"severity":"WARN","hostname":"h"}"#,
        r#"{"log":{"level":"warn"},"service":{"name":"s","version":"1"},"user":{"id":"u","org":{"id":7}},"user.x":1}"#,
    ] {
        let record = short(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(Some(record), long(text), "{text}");
    }
}

#[test]
fn what_is_not_plain_goes_the_long_way() {
    for text in [
        "",
        "{}",
        "[]",
        "{\"a\"",
        "{\"a\":1",
        "{\"a\":1,}",
        "{\"a\":1}x",
        "{\"a\":1 \"b\":2}",
        "{\"a\":tru}",
        "{\"a\":null}",
        "{\"a\":{}}",
        "{\"a\":{\"b\":1}",
        "{\"a\":{\"b\":1},\"a.b\":2}",
        "{\"message\":{\"b\":1}}",
        "{\"attributes\":{\"b\":1}}",
        "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}",
        "{\"a\":[1]}",
        "{\"a\":1,\"a\":2}",
        "{\"\":1}",
        "{\"a\\n\":1}",
        "{\"a\":\"\\u0041\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"b}",
        "{\"a\":-0}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":-}",
        "{\"a\":1e400}",
        "{\"a\":9223372036854775808}",
        "{\"a\":-1000000000000000000}",
        "{\"level\":\"odd\"}",
        "{\"level\":30}",
        "{\"ts\":\"yesterday\"}",
        "{\"ts\":1.5}",
        "{\"message\":1}",
        "{\"msg\":\"a\",\"message\":\"b\"}",
        "{\"service\":\"\"}",
        "{\"host\":\"\"}",
        "{\"trace_id\":\"1\"}",
        "{\"severity_number\":9}",
        "{\"id\":\"1\",\"observed_timestamp\":\"x\",\"project\":\"p\"}",
    ] {
        assert_eq!(short(text), None, "{text}");
    }
    let small = Limits { attributes_max: 1, ..Limits::default() };
    assert!(!read("{\"a\":1,\"b\":2}", &mut Record::default(), NOW, &small));
    let small = Limits { name_bytes_max: 1, ..Limits::default() };
    assert!(!read("{\"ab\":1}", &mut Record::default(), NOW, &small));
    let small = Limits { nesting_max: 4, ..Limits::default() };
    assert!(!read("{\"a\":1}", &mut Record::default(), NOW, &small));
    let small = Limits { record_bytes_max: 400, ..Limits::default() };
    let long_name = "n".repeat(40);
    assert!(!read(&format!("{{\"{long_name}\":{{\"a\":1,\"b\":1,\"c\":1}}}}"), &mut Record::default(), NOW, &small));
    let small = Limits { record_bytes_max: 20, ..Limits::default() };
    assert!(!read("{\"a\":1}", &mut Record::default(), NOW, &small));
}

#[test]
fn the_end_of_plain_text_is_found_at_every_place() {
    for stop in [b'"', b'\\', 0, 9, 0x1f] {
        for before in 0..40 {
            for filler in [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                let mut bytes = vec![filler; before];
                assert_eq!(plain_bytes(&bytes), before);
                bytes.push(stop);
                bytes.extend([filler, stop, 0xff, stop, 0, 1, 2, 3, 4, 5]);
                assert_eq!(plain_bytes(&bytes), before, "{stop} after {before} of {filler}");
            }
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "ts",
        "time",
        "timestamp",
        "@timestamp",
        "msg",
        "message",
        "log",
        "level",
        "lvl",
        "log.level",
        "service",
        "app",
        "service.name",
        "host",
        "host.name",
        "trace_id",
        "traceId",
        "spanId",
        "id",
        "project",
        "observed_timestamp",
        "attributes",
        "resource",
        "severity_number",
        "timestamp.invalid",
        "a",
        "b",
        "http.path",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "[ -~äß✓]{0,12}".prop_map(|text| text.replace(['"', '\\'], ""))]
}

fn value() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "01",
        "1.5",
        "-2.25e-3",
        "1e19",
        "1e400",
        "123456789012345678",
        "1234567890123456789",
        "9223372036854775808",
        "1700000000",
        "1700000000000",
        "\"\"",
        "\"info\"",
        "\"ERROR\"",
        "\"odd\"",
        "\"2026-01-15T00:00:00.013735Z\"",
        "\"2026-01-15 00:00:00\"",
        "\"unknown_service\"",
        "\"20e2efd5172f9c738abafe6e0e8760d0\"",
        "\"00000000000000000000000000000000\"",
        "\"00f067aa0ba902b7\"",
        "\"a\\\"b\\\\c\\/d\\n\"",
        "\"\\u0000\"",
        "\"\\u00e4\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "{}",
        "[]",
        "{\"a\":1}",
        "[1,\"x\"]",
        "\" 1700000000 \"",
        "\"30\"",
    ]);
    let text = "[ -~äß✓]{0,30}".prop_map(|text| format!("\"{}\"", text.replace(['"', '\\'], "\\n")));
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => text, 1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_map(|n| format!("{n:e}")), 1 => any::<f32>().prop_map(|n| n.to_string())]
}

/// An object of fields that mean something, plain or not.
pub(in crate::collect) fn object() -> impl Strategy<Value = String> {
    let blank = prop::sample::select(vec!["", " ", "\t", "\r\n"]);
    (prop::collection::vec((name(), value()), 0..6), blank).prop_map(|(fields, blank)| {
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\"{blank}:{blank}{value}")).collect();
        format!("{{{blank}{}{blank}}}", fields.join(&format!("{blank},{blank}")))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_make_the_same_record(text in object()) {
        if let Some(record) = short(&text) {
            prop_assert_eq!(Some(record), long(&text), "{}", text);
        }
    }
}
