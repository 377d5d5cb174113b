use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Result<Fields<'_>, String> {
    let mut fields = Fields::new();
    parse_object(text, 32, &mut fields).map_err(|error| error.to_string())?;
    Ok(fields)
}

/// The one value of `{"v": …}`.
fn value(json: &str) -> Value<'static> {
    let text = format!("{{\"v\":{json}}}");
    let mut fields = parsed(&text).unwrap_or_else(|error| panic!("{json}: {error}"));
    fields.remove(0).1.into_owned()
}

#[test]
fn values_keep_their_types() {
    let text = |text: &str| Value::String(text.to_owned().into());
    let cases = [
        ("null", Value::Null),
        ("true", Value::Bool(true)),
        ("1", Value::Int(1)),
        ("-9223372036854775808", Value::Int(i64::MIN)),
        ("9223372036854775807", Value::Int(i64::MAX)),
        ("1.0", Value::Double(1.0)),
        ("1e3", Value::Double(1000.0)),
        ("-0", Value::Double(-0.0)),
        ("1e300", Value::Double(1e300)),
        ("1e-400", Value::Double(0.0)),
        ("\"a\"", text("a")),
        ("[1,[],\"x\"]", Value::Array(vec![Value::Int(1), Value::Array(vec![]), text("x")])),
        ("{}", Value::Map(vec![])),
    ];
    for (json, expected) in cases {
        assert_eq!(value(json), expected, "{json}");
    }
}

#[test]
fn numbers_beyond_their_type_become_text() {
    for json in [
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "123456789012345678901234567890",
        "1e400",
        "-1.5E+999",
    ] {
        assert_eq!(value(json), Value::String(json.into()), "{json}");
        assert_eq!(value(&format!("[1,{json}]")), Value::Array(vec![Value::Int(1), Value::String(json.into())]));
    }
    assert_eq!(value("1e19"), Value::Double(1e19));
    for bad in ["01", "-", "1.", ".5", "1e", "+1", "99999999999999999999.", "1-1"] {
        assert!(parsed(&format!("{{\"v\":{bad}}}")).is_err(), "{bad}");
    }
}

#[test]
fn lone_surrogates_become_replacement_characters() {
    for (json, expected) in [
        (r#""\ud800""#, "\u{fffd}"),
        (r#""a\udc00b""#, "a\u{fffd}b"),
        (r#""\ud83d\ude00""#, "😀"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
        (r#""\\ud800""#, "\\ud800"),
        (r#""\ud800\u0041""#, "\u{fffd}A"),
        (r#""\ud800\n""#, "\u{fffd}\n"),
    ] {
        assert_eq!(value(json), Value::String(expected.into()), "{json}");
    }
    assert_eq!(parsed(r#"{"\ud800":1}"#).unwrap()[0].0, "\u{fffd}");
    assert!(parsed(r#"{"v":"\ud800"#).is_err());
    assert!(parsed(r#"{"v":"\uZZZZ"}"#).is_err());
}

#[test]
fn equal_names_are_all_there_in_order() {
    let fields = parsed(r#"{"a":1,"b":2,"a":3}"#).unwrap();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, value.clone())).collect();
    assert_eq!(fields, [("a", Value::Int(1)), ("b", Value::Int(2)), ("a", Value::Int(3))]);
}

#[test]
fn text_without_escapes_is_borrowed() {
    let fields = parsed(r#"{"name":"value","e":"\n"}"#).unwrap();
    assert!(matches!(&fields[0], (Cow::Borrowed("name"), Value::String(Cow::Borrowed("value")))));
    assert!(matches!(&fields[1].1, Value::String(Cow::Owned(text)) if text == "\n"));
}

#[test]
fn nesting_is_bounded_without_recursing() {
    let nested = |depth: usize| format!("{{\"v\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(parsed(&nested(31)).is_ok());
    assert!(parsed(&nested(32)).unwrap_err().contains("more than 32 deep"));
    assert!(parsed(&nested(10_000)).unwrap_err().contains("more than 32 deep"));
    assert!(parsed(&"{\"a\":".repeat(10_000)).unwrap_err().contains("more than 32 deep"));
}

#[test]
fn errors_say_what_and_where() {
    assert_eq!(parsed("{\"a\":1,}").unwrap_err(), "trailing comma at byte 8");
    assert_eq!(parsed("{\"a\" 1}").unwrap_err(), "expected `:` at byte 6");
    assert!(parsed("5").unwrap_err().contains("expected a JSON object"));
    assert!(parsed("{} {}").unwrap_err().contains("trailing characters"));
    let mut fields = Fields::new();
    assert!(parse_object("{\"a\":", 32, &mut fields).unwrap_err().is_cut());
    assert!(!parse_object("{]", 32, &mut fields).unwrap_err().is_cut());
}

/// JSON values that serde_json's own tree holds without loss.
fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<i32>().prop_map(|number| (f64::from(number) / 1000.0).into()),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_serde_json(value in json_value()) {
        let text = serde_json::json!({ "v": value }).to_string();
        let fields = parsed(&text).unwrap();
        prop_assert_eq!(serde_json::to_value(&fields[0].1).unwrap(), value);
    }

    #[test]
    fn takes_nothing_that_is_not_json(text in "[\\[\\]{}:,\"\\\\ud8c0-9eE.+\\- ]{0,24}") {
        let ours = parsed(&text).is_ok();
        let theirs = serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(&text).is_ok();
        // What we mend, serde_json refuses; nothing else may differ.
        if ours != theirs {
            prop_assert!(ours && mend(&text).is_some(), "{}", text);
        }
    }

    #[test]
    fn random_text_never_panics(text in any::<String>()) {
        let _ = parsed(&text);
        let _ = parsed(&format!("{{\"{text}\":{text}}}"));
        let _ = mend(&text);
    }
}
