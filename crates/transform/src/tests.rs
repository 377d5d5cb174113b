//! The steps over lines as real programs write them, and the properties that hold of all.

use model::{Batch, Level, RecordId, Value};
use proptest::prelude::*;

use super::*;

fn record(message: &str) -> Record<'_> {
    Record { id: RecordId { origin: 7, index: 0 }, message: Cow::Borrowed(message), ..Record::default() }
}

fn applied(message: &str) -> Record<'_> {
    let mut record = record(message);
    assert_eq!(Transforms::default().apply(&mut record), Outcome::Keep);
    assert_eq!(record.message, message, "the message stays as sent");
    record
}

fn level_of(message: &str) -> Option<u8> {
    applied(message).severity.map(model::Severity::number)
}

#[test]
fn levels_that_stand_plainly() {
    let lines = [
        (17, "ERROR: could not connect to 10.0.0.7"),
        (17, "error: linking with `cc` failed"),
        (17, "ERROR:root:payment refused"),
        (13, "Warning: deprecated option"),
        (9, "info: Microsoft.Hosting.Lifetime[14]"),
        (17, "fail: Shop.Checkout[0]"),
        (5, "dbug: Shop.Checkout[0]"),
        (9, "2026-11-22 10:00:00,123 INFO  [main] com.shop.Cart - added"),
        (17, "2026-11-22 10:00:00.123 ERROR 1 --- [nio-1] c.s.Cart : refused"),
        (13, "10:00:00.123 [worker-3] WARN c.s.Cart - slow"),
        (9, "2026-11-22T10:00:00.123456Z  INFO shop::cart: added item=3"),
        (9, "\u{1b}[2m2026-11-22T10:00:00Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m shop: listening"),
        (9, "2026-11-22T10:00:00.000Z\tINFO\tcart/add.go:12\tadded"),
        (17, "2026/11/22 10:00:00 [error] 7#7: *1 open() failed (2: No such file)"),
        (21, "2026/11/22 10:00:00 [emerg] 1#1: bind() failed"),
        (17, "[Sun Nov 22 10:00:00.123 2026] [core:error] [pid 7] File does not exist"),
        (13, "2026-11-22T10:00:00.123456Z 0 [Warning] [MY-010055] [Server] IP address"),
        (9, "[2026-11-22T10:00:00,123][INFO ][o.e.n.Node] [es-1] started"),
        (9, "[2026-11-22 10:00:00 +0000] [1] [INFO] Listening at: http://0.0.0.0:8000"),
        (9, "INFO:     127.0.0.1:51200 - \"GET / HTTP/1.1\" 200 OK"),
        (9, "2026-11-22 10:00:00.123 | INFO     | shop.cart:add:12 - added"),
        (17, "2026-11-22 10:00:00,123 - shop.cart - ERROR - refused"),
        (9, "2026.11.22 10:00:00.123456 [ 1 ] {} <Information> Application: Ready"),
        (17, "2026-11-22 10:00:00.123 UTC [71] ERROR:  duplicate key value"),
        (10, "NOTICE:  relation \"carts\" already exists, skipping"),
        (17, "E1122 10:00:00.123456       1 main.go:12] refused"),
        (9, "I, [2026-11-22T10:00:00.123456 #1]  INFO -- : Started GET \"/\""),
        (9, "10:00:00.123 [info] GET /cart"),
        (13, "1:M 22 Nov 2026 10:00:00.123 # WARNING: overcommit is off"),
        (21, "FATAL ERROR: Reached heap limit"),
        (13, "upload finished level=warn retries=3"),
        (17, "worker said {\"level\":\"error\",\"msg\":\"x\"} and went on"),
        (17, "<error> out of cards"),
        (5, "DEBUG"),
        (13, "10:00:00 [wrn] cart is slow"),
        (9, "10:00:00 [INF] cart is fast"),
        (5, "VERBOSE: probing"),
    ];
    for (number, line) in lines {
        assert_eq!(level_of(line), Some(number), "{line}");
    }
}

#[test]
fn levels_that_do_not_stand_plainly() {
    let lines = [
        "",
        " ",
        "no error found",
        "Error while adding to cart",
        "errors: 0",
        "the ERROR code was 5",
        "ERROR_CODE=5",
        "Info desk opens at 9",
        "information wants to be free",
        "GET /error HTTP/1.1 500",
        "203.0.113.7 - - [22/Nov/2026:10:00:00 +0000] \"GET /warn HTTP/1.1\" 200 12",
        "user warn signed in",
        "reading level: expert",
        "sealevel=error",
        "level=errorless",
        "loglevel-error",
        "[worker] all good",
        "<html><body>error</body></html>",
        "{not json, error: yes}",
        "Ein Fehler: Überlauf",
        "E1122 is a part number",
        "DEBUGGING the cart",
        "[error",
        "checkout - ERROR handling was improved",
        "[http] GET /cart",
        "[Config] reading shop.toml",
        "note: the cart is empty",
        "Success: paid",
        "[E] is a letter",
    ];
    for line in lines {
        assert_eq!(level_of(line), None, "{line}");
    }
}

#[test]
fn levels_of_structured_messages() {
    for (number, level) in [
        (17, r#""E""#),
        (9, r#""http""#),
        (5, r#""verbose""#),
        (1, r#""Trce""#),
        (17, "3"),
        (17, "50"),
        (9, r#"" Log ""#),
    ] {
        assert_eq!(level_of(&format!(r#"{{"level":{level},"x":1}}"#)), Some(number), "{level}");
    }
    for level in ["11", "-1", r#""loud""#, "true", "17.0"] {
        assert_eq!(level_of(&format!(r#"{{"level":{level},"x":1}}"#)), None, "{level}");
    }
}

/// Attributes as `name=value` with the variant of the value told by its form in Debug.
fn attributes_of(message: &str) -> Vec<String> {
    applied(message).attributes.iter().map(|(name, value)| format!("{name}={value:?}")).collect()
}

#[test]
fn json_messages_become_attributes() {
    let record = applied(
        r#" {"level":"warn","msg":"slow\tcart","duration_ms":12.5,"user":{"id":42,"name":"Ö"},"tags":["a",{"b":null}],
            "ok":true,"none":null,"empty":{},"list":[],"big":18446744073709551615,"nul":"a\u0000b","user.id":43} "#,
    );
    assert_eq!(record.severity, Some(Level::Warn.severity()));
    insta::assert_debug_snapshot!(record.attributes);
}

#[test]
fn json_that_is_left_alone() {
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    let deep_array = format!("{{\"a\":{}{}}}", "[".repeat(100_000 / 4), "]".repeat(100_000 / 4));
    let many = format!("{{{}}}", (0..300).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(","));
    let many_items = format!("{{\"a\":[{}]}}", vec!["1"; 300].join(","));
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
    let long_name = format!("{{\"{}\":1}}", "x".repeat(600));
    let swollen = {
        let members = (0..250).map(|n| format!("\"{n}{}\":1", "y".repeat(200))).collect::<Vec<_>>().join(",");
        format!("{{\"{}\":{{{members}}}}}", "x".repeat(300))
    };
    let lines = [
        "{}",
        "{",
        "{\"a\":1",
        "{\"a\":1} and more",
        "{\"a\":1}{\"b\":2}",
        "[1,2]",
        "{'a':1}",
        "{a}",
        "{\"\":1}",
        "{\"a\":1e999}",
        "{\"a\":\"\\ud800\"}",
        &deep,
        &deep_array,
        &many,
        &many_items,
        &long,
        &long_name,
        &swollen,
    ];
    for line in lines {
        assert_eq!(attributes_of(line).len(), 0, "{}", &line[..line.len().min(80)]);
    }
}

#[test]
fn logfmt_messages_become_attributes() {
    let record = applied(
        r#"time=2026-11-22T10:00:00Z level=error msg="card \"visa\" refused\n" user_id=42 took=1.5 zip=01234 v=1.10 exp=1e3 ok=false empty= http.path=/cart -flag neg=-3"#,
    );
    assert_eq!(record.severity, Some(Level::Error.severity()));
    insta::assert_debug_snapshot!(record.attributes);
}

#[test]
fn logfmt_that_is_left_alone() {
    let many = (0..300).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(" ");
    let lines = [
        "a=1",
        "a=1&b=2",
        "a=1, b=2",
        "a=1; b=2",
        "x=1 then y=2 happened",
        "url=http://shop/?a=b is not reachable from here now",
        "authentication failure; logname= uid=0 euid=0",
        "= =",
        "=1 =2",
        "a=\"unclosed b=2",
        "a=\"x\"y b=2",
        "1=2 3=4",
        "a==b",
        &many,
    ];
    for line in lines {
        assert_eq!(attributes_of(line).len(), 0, "{}", &line[..line.len().min(80)]);
    }
}

#[test]
fn nothing_is_overwritten() {
    let mut record = record(r#"{"level":"error","user":"from the message","other":1}"#);
    record.severity = Some(Level::Debug.severity());
    record.attributes = vec![(Cow::Borrowed("user"), Value::Int(7))];
    assert_eq!(Transforms::default().apply(&mut record), Outcome::Keep);
    assert_eq!(record.severity, Some(Level::Debug.severity()));
    assert_eq!(record.field("user"), Some(&Value::Int(7)));
    assert_eq!(record.field("other"), Some(&Value::Int(1)));
}

#[test]
fn attributes_stay_within_their_limit() {
    let mut record = record(r#"{"a":1,"b":2}"#);
    record.attributes = (0..999).map(|n| (Cow::Owned(format!("k{n}")), Value::Int(n))).collect();
    Transforms::default().apply(&mut record);
    assert_eq!(record.attributes.len(), 999, "two more would be too many: none is added");
}

#[test]
fn trace_ids_are_found() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";
    let lines = [
        format!(r#"{{"msg":"x","trace_id":"{TRACE}","span_id":"{SPAN}"}}"#),
        format!(r#"{{"traceId":"{}","spanId":"{SPAN}"}}"#, TRACE.to_uppercase()),
        format!(r#"{{"trace":{{"id":"{TRACE}"}},"span":{{"id":"{SPAN}"}}}}"#),
        format!("msg=x trace_id={TRACE} span_id={SPAN}"),
        format!("msg=x traceparent=00-{TRACE}-{SPAN}-01"),
        format!(r#"{{"otelTraceID":"{TRACE}","otelSpanID":"{SPAN}"}}"#),
        format!(r#"{{"dd":{{"trace_id":"{TRACE}","span_id":"{}"}}}}"#, u64::from_str_radix(SPAN, 16).unwrap()),
    ];
    for line in &lines {
        let record = applied(line);
        assert_eq!(record.trace_id.map(|id| id.to_string()).as_deref(), Some(TRACE), "{line}");
        assert_eq!(record.span_id.map(|id| id.to_string()).as_deref(), Some(SPAN), "{line}");
    }
    let decimal = applied(r#"{"dd.trace_id":"1234567890123456789","dd.span_id":255}"#);
    assert_eq!(decimal.trace_id.unwrap().to_string(), "0000000000000000112210f47de98115");
    assert_eq!(decimal.span_id.unwrap().to_string(), "00000000000000ff");
}

#[test]
fn trace_ids_that_are_none() {
    let lines = [
        r#"{"trace_id":"","span_id":"0000000000000000"}"#,
        r#"{"trace_id":"4bf92f35","span_id":12}"#,
        r#"{"traceparent":"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#,
        r#"{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"}"#,
        r#"{"dd.trace_id":"-5","dd.span_id":-5}"#,
    ];
    for line in lines {
        let record = applied(line);
        assert_eq!((record.trace_id, record.span_id), (None, None), "{line}");
    }
}

#[test]
fn a_parent_of_another_trace_gives_no_span() {
    let mut record = record("msg=x traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    record.trace_id = model::TraceId::from_bytes(&[1; 16]);
    Transforms::default().apply(&mut record);
    assert_eq!(record.span_id, None);
}

#[test]
fn rules_drop_what_they_match() {
    let settings = Settings { drop: vec!["level:debug AND path:\"/healthz\"".to_owned()], ..Settings::default() };
    let transforms = Transforms::new(settings, 3).unwrap();
    assert_eq!(transforms.revision(), 3);
    let mut probe = record("level=debug path=/healthz");
    assert_eq!(transforms.apply(&mut probe), Outcome::Drop("rule: level:debug AND path:\"/healthz\"".to_owned()));
    let mut other = record("level=debug path=/cart");
    assert_eq!(transforms.apply(&mut other), Outcome::Keep);
}

#[test]
fn rules_that_can_not_be_used() {
    let rule = |text: &str| Transforms::new(Settings { drop: vec![text.to_owned()], ..Settings::default() }, 0);
    assert!(matches!(rule("level:"), Err(RuleError::Parse { .. })));
    for relative in ["timestamp>-1h", "timestamp>=now", "NOT timestamp:[-7d TO *]"] {
        let refused = rule(relative);
        assert!(matches!(refused, Err(RuleError::RelativeTime { .. })), "{relative}: {refused:?}");
    }
    assert!(rule("timestamp<2026-01-01T00:00:00Z").is_ok());
    assert!(matches!(rule(""), Err(RuleError::MatchesAll { .. })));
}

#[test]
fn steps_can_be_turned_off() {
    let settings = Settings {
        parse_json: false,
        parse_logfmt: false,
        guess_level: false,
        find_trace: false,
        ..Settings::default()
    };
    let transforms = Transforms::new(settings, 1).unwrap();
    for line in [r#"{"level":"error","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#, "level=error a=1", "ERROR: x"] {
        let mut changed = record(line);
        transforms.apply(&mut changed);
        assert_eq!(changed, record(line));
    }
}

fn messages() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{\"".to_owned()),
        Just("\":".to_owned()),
        Just("\"}".to_owned()),
        Just("level=".to_owned()),
        Just("error".to_owned()),
        Just("ERROR".to_owned()),
        Just(" - ".to_owned()),
        Just("\u{1b}[31m".to_owned()),
        Just("trace_id".to_owned()),
        Just("=\"\\".to_owned()),
        "[a-z]{1,4}=[a-z0-9.-]{0,4} ",
        "\"[a-z]{1,3}\":(null|true|1|1.5|\"x\"|\\[\\]|\\{\\}),",
        "\\PC{0,8}",
    ];
    prop_oneof![
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
        "\\{(\"[a-c]{1,2}\":(null|true|-7|0.5|\"x\\\\u0000\"|\\[1,\\{\"a\":2\\}\\]|\\{\"a\":\\{\"b\":1\\}\\}),){0,5}\"z\":0\\}",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn applying_twice_is_applying_once(message in messages()) {
        let transforms = Transforms::default();
        let mut once = record(&message);
        transforms.apply(&mut once);
        let mut twice = once.clone();
        transforms.apply(&mut twice);
        prop_assert_eq!(&once, &twice);
        prop_assert_eq!(&*once.message, message.as_str());
    }

    #[test]
    fn owned_and_borrowed_messages_agree(message in messages()) {
        let transforms = Transforms::default();
        let mut borrowed = record(&message);
        let mut owned = record(&message).into_owned();
        transforms.apply(&mut borrowed);
        transforms.apply(&mut owned);
        prop_assert_eq!(borrowed, owned);
    }

    #[test]
    fn columns_agree_with_records(
        rows in prop::collection::vec((messages(), any::<bool>(), prop::option::of("trace_id|user_id")), 0..8),
        off in 0_u8..4,
        drops in any::<bool>(),
    ) {
        let settings = Settings {
            parse_json: off != 1,
            guess_level: off != 2,
            find_trace: off != 3,
            drop: if drops { vec!["error".to_owned()] } else { Vec::new() },
            ..Settings::default()
        };
        let transforms = Transforms::new(settings, 1).unwrap();
        let mut batch = Batch::new("".into());
        for (message, has_level, attribute) in &rows {
            let mut record = record(message);
            record.severity = has_level.then(|| Level::Debug.severity());
            let value = Value::String("4bf92f3577b34da6a3ce929d0e0e4736".into());
            record.attributes.extend(attribute.as_ref().map(|name| (Cow::Borrowed(&**name), value)));
            batch.push(&record);
        }
        let sent = batch.clone();
        let others = transforms.apply_to_columns(&mut batch);
        prop_assert!(others.is_sorted());
        for row in 0..sent.len() {
            let mut record = sent.row(row);
            if others.contains(&row) {
                prop_assert_eq!(batch.row(row), record);
            } else {
                prop_assert_eq!(transforms.apply(&mut record), Outcome::Keep);
                prop_assert_eq!(batch.row(row), record);
            }
        }
    }
}

#[test]
fn most_records_take_a_look_at_their_columns_only() {
    let mut batch = Batch::new("".into());
    for message in ["GET /cart 200", "ERROR: refused", "{\"a\":1}", "level=warn a=1", "a=1, b=2, no", ""] {
        batch.push(&record(message));
    }
    assert_eq!(Transforms::default().apply_to_columns(&mut batch), [2, 3]);
    assert_eq!(batch.severities[1], Some(Level::Error.severity()));
}
