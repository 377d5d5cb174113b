//! Tests of the parser: tables of text and tree, of mistakes and their places, and the way back to text.

use std::ops::Bound::{Excluded, Included, Unbounded};

use proptest::prelude::*;

use super::super::tree::{Glob, Literal, WordPattern};
use super::*;
use crate::number::Number::{Double, Int};

const NOW: i64 = 1_800_000_000_000_000_000;
const MINUTE: i64 = 60_000_000_000;

fn read(text: &str) -> Query {
    parse(text, NOW).unwrap_or_else(|error| panic!("{text}: {error} at {}", error.position))
}

fn words(words: &str) -> Query {
    let pattern = |word: &str| match word.contains('*') {
        true => WordPattern::Glob(Glob { pieces: word.split('*').map(String::from).collect() }),
        false => WordPattern::Exact(word.into()),
    };
    Query::Message(Text::Phrase(words.split(' ').map(pattern).collect()))
}

fn contains(needle: &str) -> Query {
    Query::Message(Text::Contains(needle.into()))
}

fn test(name: &str, test: Test) -> Query {
    Query::Field(Field::from_name(name), test)
}

fn equals(name: &str, text: &str) -> Query {
    test(name, Test::Equals(Literal::new(text)))
}

fn glob(text: &str) -> Test {
    Test::Glob(Glob { pieces: text.split('*').map(String::from).collect() })
}

fn not(query: Query) -> Query {
    Query::Not(Box::new(query))
}

#[test]
fn bare_text() {
    for (text, expected) in [
        ("", Query::All),
        (" \t", Query::All),
        ("*", Query::All),
        ("**", Query::All),
        ("\"\"", Query::All),
        ("timeout", words("timeout")),
        ("TimeOut", words("timeout")),
        ("10.0.0.1", words("10 0 0 1")),
        ("foo-bar", words("foo bar")),
        ("[error]", words("error")),
        ("a->b", words("a b")),
        ("\"connection reset by\"", words("connection reset by")),
        ("\"a, b*\"", words("a b")),
        ("\"say \\\"hi\\\" \\\\ \\n\"", words("say hi n")),
        ("time*", words("time*")),
        ("*out", words("*out")),
        ("T*e", words("t*e")),
        ("10.0.*", words("10 0 *")),
        ("*a*b*", words("*a*b*")),
        ("*meOU*", contains("meou")),
        ("*foo-bar*", contains("foo-bar")),
        ("\"*out aft*\"", contains("out aft")),
        ("\"*a*b*\"", contains("a*b")),
        ("\"*\"", contains("*")),
        ("->", contains("->")),
        ("-", contains("-")),
        ("-->", contains("-->")),
        ("Été", contains("Été")),
        ("\"un Été, ICI\"", contains("un Été, ici")),
        ("日本*", contains("日本")),
        ("日*語", words("*日*語*")),
        ("/Reg.*ex \\/x/", Query::Message(Text::Regex(Pattern::new("Reg.*ex /x").expect("pattern")))),
        ("TO", words("to")),
        ("and", words("and")),
        ("\"AND\"", words("and")),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn operators() {
    let (a, b, c, d) = (words("a"), words("b"), words("c"), words("d"));
    let and = |parts: &[&Query]| Query::And(parts.iter().map(|&part| part.clone()).collect());
    let or = |parts: &[&Query]| Query::Or(parts.iter().map(|&part| part.clone()).collect());
    for (text, expected) in [
        ("a b", and(&[&a, &b])),
        ("a AND b", and(&[&a, &b])),
        ("(a b) AND (c d)", and(&[&a, &b, &c, &d])),
        ("a OR b", or(&[&a, &b])),
        ("a OR (b OR c)", or(&[&a, &b, &c])),
        ("a b OR c AND d", or(&[&and(&[&a, &b]), &and(&[&c, &d])])),
        ("a (b OR c)", and(&[&a, &or(&[&b, &c])])),
        ("a(b)", and(&[&a, &b])),
        ("NOT a", not(a.clone())),
        ("-a", not(a.clone())),
        ("--a", not(not(a.clone()))),
        ("NOT a b", and(&[&not(a.clone()), &b])),
        ("a NOT b", and(&[&a, &not(b.clone())])),
        ("a AND -b", and(&[&a, &not(b.clone())])),
        ("NOT NOT a", not(not(a.clone()))),
        ("-(a OR b)", not(or(&[&a, &b]))),
        ("NOT(a)", not(a.clone())),
        ("-\"a\"", not(a.clone())),
        ("* a", a.clone()),
        ("* OR a", Query::All),
        ("NOT *", not(Query::All)),
        ("((a))", a.clone()),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn fields() {
    for (text, expected) in [
        ("service:shop", equals("service", "shop")),
        ("service:\"two words\"", equals("service", "two words")),
        ("service:Shop*", test("service", glob("Shop*"))),
        ("x:\"a*\"", equals("x", "a*")),
        ("x:*", test("x", Test::Exists)),
        ("x:**", test("x", Test::Exists)),
        ("x:-5", equals("x", "-5")),
        ("x:a:b", equals("x", "a:b")),
        ("x:AND", equals("x", "AND")),
        ("x:/a\\/b/", test("x", Test::Regex(Pattern::new("a/b").expect("pattern")))),
        ("\"http status\":200", equals("http status", "200")),
        ("\"http status\">=200", test("http status", Test::Number(Included(Int(200)), Unbounded))),
        ("@timestamp:x", equals("@timestamp", "x")),
        ("app.kubernetes.io/name:x", equals("app.kubernetes.io/name", "x")),
        ("größe:5", equals("größe", "5")),
        ("NOT x:y", not(equals("x", "y"))),
        ("-x:y", not(equals("x", "y"))),
        ("status>=500", test("status", Test::Number(Included(Int(500)), Unbounded))),
        ("status>\"500\"", test("status", Test::Number(Excluded(Int(500)), Unbounded))),
        ("ms<10.5", test("ms", Test::Number(Unbounded, Excluded(Double(10.5))))),
        ("ms<=-1e3", test("ms", Test::Number(Unbounded, Included(Double(-1000.0))))),
        ("s:[500 TO 599]", test("s", Test::Number(Included(Int(500)), Included(Int(599))))),
        ("s:{ 500 TO 599 }", test("s", Test::Number(Excluded(Int(500)), Excluded(Int(599))))),
        ("s:[\"500\" TO *}", test("s", Test::Number(Included(Int(500)), Unbounded))),
        ("s:[* TO *]", test("s", Test::Number(Unbounded, Unbounded))),
        ("s:(a OR b)", Query::Or(vec![equals("s", "a"), equals("s", "b")])),
        ("s:(a* NOT \"b c\")", Query::And(vec![test("s", glob("a*")), not(equals("s", "b c"))])),
        (
            "s:(-1 OR [5 TO *])",
            Query::Or(vec![equals("s", "-1"), test("s", Test::Number(Included(Int(5)), Unbounded))]),
        ),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn levels_and_times() {
    let severity = |low, high| test("level", Test::Severity(low, high));
    let time = |low, high| test("timestamp", Test::Time(low, high));
    for (text, expected) in [
        ("level:ERROR", equals("level", "error")),
        ("level:warning", equals("level", "warn")),
        ("level:Loud", equals("level", "loud")),
        ("level:E*", test("level", glob("e*"))),
        ("level:17", severity(Included(17), Included(17))),
        ("level:notice", severity(Included(10), Included(10))),
        ("level>=warn", severity(Included(13), Unbounded)),
        ("level>warn", severity(Excluded(16), Unbounded)),
        ("level<=Warn", severity(Unbounded, Included(16))),
        ("level<warn", severity(Unbounded, Excluded(13))),
        ("level>=14", severity(Included(14), Unbounded)),
        ("level:[info TO error]", severity(Included(9), Included(20))),
        ("level:{info TO error}", severity(Excluded(12), Excluded(17))),
        ("timestamp>=-15m", time(Included(NOW - 15 * MINUTE), Unbounded)),
        ("timestamp<now", time(Unbounded, Excluded(NOW))),
        ("timestamp:[1000 TO \"1970-01-01 00:00:02\"]", time(Included(1_000_000_000), Included(2_000_000_000))),
        ("timestamp:1970-01-01T00:00:01Z", time(Included(1_000_000_000), Included(1_000_000_000))),
        ("timestamp:*", test("timestamp", Test::Exists)),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, position, message) in [
        ("\"open", 0, "quote is never closed"),
        ("é \"open", 2, "quote is never closed"),
        ("(a", 0, "parenthesis is never closed"),
        ("a )", 2, "never opened"),
        ("()", 0, "nothing in these"),
        ("a ()", 2, "nothing in these"),
        ("/open", 0, "regular expression is never closed"),
        ("/a(b/", 2, "unclosed group"),
        ("x:/a\\/\\pL/", 6, "Unicode classes"),
        ("/a/b", 3, "a value ends before"),
        ("path:/api/users", 10, "a value ends before"),
        ("a AND", 2, "AND with nothing after it"),
        ("a OR", 2, "OR with nothing after it"),
        ("(a OR)", 3, "OR with nothing after it"),
        ("NOT", 0, "NOT with nothing after it"),
        ("AND a", 0, "nothing before it"),
        ("a OR OR b", 2, "OR with nothing after it"),
        ("status>=abc", 8, "a comparison takes a number"),
        ("status>=", 8, "nothing to compare with"),
        ("status>*", 7, "a comparison takes a number"),
        ("status:[a TO 5]", 8, "a comparison takes a number"),
        ("status:[1 TO x]", 13, "a comparison takes a number"),
        ("status:[1 5]", 10, "two bounds with TO"),
        ("status:[1 to 5]", 10, "two bounds with TO"),
        ("status:[TO 5]", 11, "two bounds with TO"),
        ("status:[1 TO 5", 7, "range is never closed"),
        ("status:[]", 7, "two bounds with TO"),
        ("field:", 6, "without a value"),
        ("field: x", 6, "without a value"),
        ("field:()", 6, "nothing in these"),
        ("field:(a", 6, "parenthesis is never closed"),
        ("field:f(x)", 7, "a value ends before"),
        ("field:\"a\"b", 9, "a value ends before"),
        ("level>=loud", 7, "level compares with"),
        ("level>25", 6, "level compares with"),
        ("timestamp>yesterday", 10, "takes a time"),
        ("timestamp:2026*", 10, "takes a time"),
        ("timestamp:/2026/", 10, "takes a time"),
    ] {
        let error = parse(text, NOW).expect_err(text);
        assert!(error.message.contains(message), "{text}: {error}");
        assert_eq!(error.position, position, "{text}: {error}");
        assert!(error.hint.is_some(), "{text}");
    }
}

#[test]
fn everything_has_a_limit() {
    for text in [
        "a".repeat(QUERY_BYTES_MAX + 1),
        format!("{}a{}", "(".repeat(65), ")".repeat(65)),
        "(".repeat(QUERY_BYTES_MAX),
        format!("{}a", "-".repeat(100)),
        "NOT ".repeat(1_000) + "a",
        "a ".repeat(TERMS_MAX + 1),
        "/a/ ".repeat(REGEXES_MAX + 1),
        format!("x:{}", "(".repeat(1_000)),
    ] {
        assert!(parse(&text, NOW).is_err(), "{text:.40}");
    }
    for text in [
        format!("{}a{}", "(".repeat(63), ")".repeat(63)),
        "a ".repeat(TERMS_MAX),
        "-".repeat(QUERY_BYTES_MAX),
        "/a/ ".repeat(REGEXES_MAX),
    ] {
        assert!(parse(&text, NOW).is_ok(), "{text:.40}");
    }
}

/// Pieces that make up queries, right ones and wrong ones.
const PIECES: &[&str] = &[
    "a",
    "Time",
    "AND",
    "OR",
    "NOT",
    "TO",
    "-",
    "(",
    ")",
    "\"",
    "*",
    "/",
    " ",
    " ",
    " ",
    "\\",
    "é",
    "日本",
    "x:",
    "level:",
    "level>=",
    "timestamp<",
    "attributes.x:",
    "\"a b\":",
    ">",
    "<=",
    "[",
    "]",
    "{",
    "}",
    "500",
    "-1.5e3",
    "warn",
    "-15m",
    "10.0.*",
    "*me*",
    "\"b c\"",
    "/r\\/e.x/",
    "[1 TO 5]",
    "{* TO 2.5]",
    "(a OR b)",
    ":",
    "->",
    ".",
    "now",
    "@",
    "true",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_prints_as_text_that_parses_to_it(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..12)) {
        if let Ok(tree) = parse(&pieces.concat(), NOW) {
            let printed = tree.to_string();
            prop_assert_eq!(parse(&printed, NOW), Ok(tree), "{} -> {}", pieces.concat(), printed);
        }
    }

    #[test]
    fn terms_in_any_arrangement_print_and_parse(
        terms in prop::collection::vec(prop::sample::select(PIECES), 1..6),
        shape in prop::collection::vec(0..4_u8, 6),
    ) {
        let mut text = String::new();
        for (term, shape) in terms.iter().zip(shape) {
            let joined = match shape { 0 => format!("{text} {term}"), 1 => format!("({text}) OR {term}"),
                2 => format!("NOT ({text}) {term}"), _ => format!("{term} ({text} OR *x)") };
            if parse(&joined, NOW).is_ok() {
                text = joined;
            }
        }
        let tree = read(&text);
        prop_assert_eq!(read(&tree.to_string()), tree, "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        if let Err(error) = parse(&text, NOW) {
            prop_assert!(error.position <= text.chars().count());
        }
    }
}
