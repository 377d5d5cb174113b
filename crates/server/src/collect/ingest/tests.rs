use std::fmt::Write as _;

use model::otlp::{self, DecodeContext};
use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_700_000_000_000_000_000;

fn limits() -> Limits {
    Limits::default()
}

fn decoded(body: &[u8]) -> Decoded {
    decode(body, &limits(), NOW, HandOver::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The messages that the queue would hold.
fn messages(decoded: &Decoded) -> Vec<String> {
    let limits = limits();
    let context = DecodeContext { project: "p", received: NOW, origin: 1, limits: &limits };
    let mut messages = Vec::new();
    otlp::decode(&decoded.payload, &context, &mut |_, record| messages.push(record.unwrap().message.into_owned()))
        .unwrap();
    assert_eq!(messages.len() as u32, decoded.accepted);
    messages
}

fn reasons(decoded: &Decoded) -> Vec<(u32, &str)> {
    decoded.rejected.iter().map(|rejected| (rejected.index, &*rejected.reason)).collect()
}

#[test]
fn the_first_byte_tells_the_form() {
    let cases: [(&[u8], &[&str]); 9] = [
        (br#"{"message":"a"}"#, &["a"]),
        (b"\n\n  {\"message\":\"a\"}\r\n\r\n{\"message\":\"b\"}\n", &["a", "b"]),
        (br#" [{"message":"a"},{"message":"b"}] "#, &["a", "b"]),
        (b"\xef\xbb\xbf{\"message\":\"a\"}", &["a"]),
        (b"{\n  \"message\": \"a\",\n  \"n\": [\n    1\n  ]\n}\n", &["a"]),
        (br#"[{"message":"],[{\"","n":[[1],{}]} , {"message":"b\\"}]"#, &["],[{\"", "b\\"]),
        (b"[]", &[]),
        (b"[ \n ]", &[]),
        (b"{\"message\":\"a\"}\n{\"message\":\"b\"}", &["a", "b"]),
    ];
    for (body, expected) in cases {
        let decoded = decoded(body);
        assert_eq!(messages(&decoded), expected, "{}", String::from_utf8_lossy(body));
        assert_eq!(reasons(&decoded), []);
    }
}

#[test]
fn a_malformed_line_costs_only_itself() {
    let body = b"{\"message\":\"1\"}\n{\"message\":\"2\"}\n{\"message\":\n{\"message\":\"4\"}\n\n{\"message\":\"5\"}\n";
    let decoded = decoded(body);
    assert_eq!(messages(&decoded), ["1", "2", "4", "5"]);
    assert_eq!(reasons(&decoded), [(2, "EOF while parsing a value at byte 11")]);
}

#[test]
fn what_is_no_record_is_named() {
    let cases: [(&[u8], &str); 10] = [
        (b"{}", "the record is empty"),
        (b"5", "expected a JSON object"),
        (b"hello world", "expected value"),
        (b"null", "expected a JSON object"),
        (b"[[1]]", "expected a JSON object"),
        (b"[,]", "EOF while parsing"),
        (b"[{\"a\":1},]", "EOF while parsing"),
        (b"{\"a\":1}{\"b\":2}", "trailing characters"),
        (b"{\"a\":\"\xff\"}", "not UTF-8"),
        (b"{\"a\":\"\t\"}", "control character"),
    ];
    for (body, reason) in cases {
        let decoded = decoded(body);
        let last = decoded.rejected.last().expect("a rejection");
        assert!(last.reason.contains(reason), "{}: {}", String::from_utf8_lossy(body), last.reason);
    }
}

#[test]
fn text_that_is_not_utf8_costs_only_its_record() {
    let lines = decoded(b"{\"message\":\"1\"}\n{\"message\":\"\xff\"}\n{\"message\":\"\xc3\xa9\"}");
    assert_eq!((messages(&lines), reasons(&lines)[0].0), (vec!["1".to_owned(), "é".to_owned()], 1));
    let array = decoded(b"[{\"message\":\"\xff\"},{\"message\":\"2\"}]");
    assert_eq!((messages(&array), reasons(&array)[0].0), (vec!["2".to_owned()], 0));
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = format!("{{\"a\":{}}}\n{{\"message\":\"ok\"}}", "[".repeat(10_000));
    let decoded_deep = decoded(deep.as_bytes());
    assert_eq!(messages(&decoded_deep), ["ok"]);
    assert!(decoded_deep.rejected[0].reason.contains("more than 32 deep"), "{:?}", decoded_deep.rejected);
    let deep_array = format!("[{}{},{{\"message\":\"ok\"}}]", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(messages(&decoded(deep_array.as_bytes())), ["ok"]);

    let long_name = format!("{{\"{}\":1}}", "k".repeat(1 << 20));
    assert!(decoded(long_name.as_bytes()).rejected[0].reason.contains("name has 1048576 bytes"));
    let many = (0..1001).fold(String::new(), |mut text, n| {
        write!(text, "{}\"k{n}\":1", if n == 0 { "{" } else { "," }).unwrap();
        text
    }) + "}";
    assert!(decoded(many.as_bytes()).rejected[0].reason.contains("1001 attributes"));
    let large = format!("{{\"message\":\"{}\"}}", "x".repeat((1 << 20) + 1));
    assert!(decoded(large.as_bytes()).rejected[0].reason.contains("at most 1048576"));
    let padded = format!("{{\"a\":1{}}}", " ".repeat(5 << 20));
    assert!(decoded(padded.as_bytes()).rejected[0].reason.contains("at most 1048576"));
}

#[test]
fn nul_and_surrogates_are_mended() {
    assert_eq!(messages(&decoded(br#"{"message":"a\u0000b\ud800"}"#)), ["a\u{fffd}b\u{fffd}"]);
}

#[test]
fn requests_that_are_no_requests_are_refused_whole() {
    let limits = Limits { records_max: 2, ..limits() };
    let code = |body: &[u8]| decode(body, &limits, NOW, HandOver::default()).map(|_| ()).map_err(|error| error.code());
    assert_eq!(code(b""), Err(Code::Malformed));
    assert_eq!(code(b" \n "), Err(Code::Malformed));
    assert_eq!(code(b"[{\"a\":1},{\"b\":"), Err(Code::Malformed));
    assert_eq!(code(b"[{\"a\":1}}"), Err(Code::Malformed));
    assert_eq!(code(b"[{\"a\":1}] x"), Err(Code::Malformed));
    assert_eq!(code(b"[{\"a\":1},{\"a\":1},{\"a\":1}]"), Err(Code::TooLarge));
    assert_eq!(code(b"{\"a\":1}\nx\n{\"a\":1}"), Err(Code::TooLarge));
    assert_eq!(code(b"{\"a\":1}\n{\"a\":1}\n\n"), Ok(()));
}

#[test]
fn a_form_is_no_json() {
    let check = |value: &str| {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
        check_content_type(&headers).map_err(|error| error.code())
    };
    for good in ["application/json", "Application/JSON; charset=utf-8", "application/x-ndjson", "text/plain", ""] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/x-protobuf"] {
        assert_eq!(check(bad), Err(Code::UnsupportedMediaType), "{bad}");
    }
    assert!(check_content_type(&HeaderMap::new()).is_ok());
}

/// Prints what a record costs: `cargo test --release -p devlogs-server -- --ignored --nocapture microseconds`
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "a measurement is to be read")]
fn microseconds_for_a_record() {
    for (way, user) in [("short", r#"{"id":"u-1","plan":"pro"}"#), ("long", r#"["u-12345","professional"]"#)] {
        let mut body = String::new();
        for n in 0..50_000 {
            writeln!(
                body,
                r#"{{"timestamp":"2026-11-22T10:{:02}:{:02}.{:06}Z","level":"info","service":"shop-web","host":"web-{}","message":"GET /api/cart/{n} finished in {} ms","trace_id":"{:032x}","span_id":"{:016x}","http.method":"GET","http.route":"/api/cart/{{id}}","http.status_code":200,"duration_ms":{}.25,"user":{user}}}"#,
                n / 3600 % 60,
                n % 60,
                n,
                n % 7,
                n % 900,
                n + 1,
                n + 1,
                n % 900,
            )
            .unwrap();
        }
        for _ in 0..5 {
            let began = std::time::Instant::now();
            let decoded = decoded(body.as_bytes());
            let took = began.elapsed();
            println!(
                "{way} way: {:.2} µs a record, {:.0} MB/s, {} records of {} bytes",
                took.as_secs_f64() * 1e6 / f64::from(decoded.accepted),
                body.len() as f64 / took.as_secs_f64() / 1e6,
                decoded.accepted,
                body.len() / decoded.accepted as usize,
            );
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..256)) {
        for body in [body.clone(), [b"[", &*body].concat(), [b"{\"a\":", &*body, b"}\n{}"].concat()] {
            let _ = decode(&body, &limits(), NOW, HandOver::default());
        }
    }

    #[test]
    fn nearly_json_never_panics(body in "[\\[\\]{}:,\"\\\\u0-9aeE.+\\-\n t]{0,64}") {
        if let Ok(decoded) = decode(body.as_bytes(), &limits(), NOW, HandOver::default()) {
            messages(&decoded);
        }
    }
}
