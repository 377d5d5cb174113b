//! Tests of the words: tables of the contract's rules, and the fast matchers held to slow ones.

use proptest::prelude::*;

use super::super::{Glob, Pattern};
use super::*;

fn words_of(message: &str) -> Vec<String> {
    let mut words = Vec::new();
    tokens(message, |word| words.push(String::from_utf8(word.to_vec()).expect("UTF-8")));
    words
}

fn exact(words: &str) -> Text {
    Text::Phrase(words.split(' ').map(|word| WordPattern::Exact(word.into())).collect())
}

fn globs(words: &str) -> Text {
    let pattern = |word: &str| match word.contains('*') {
        true => WordPattern::Glob(Glob { pieces: word.split('*').map(String::from).collect() }),
        false => WordPattern::Exact(word.into()),
    };
    Text::Phrase(words.split(' ').map(pattern).collect())
}

/// Holds a message against the text's regular expression.
fn has_match(text: &Text, message: &str) -> bool {
    regex::bytes::Regex::new(&text.hir().to_string()).expect("regex").is_match(message.as_bytes())
}

#[test]
fn a_word_is_a_run_of_letters_digits_underscores_and_non_ascii() {
    for (message, expected) in [
        ("", vec![]),
        ("--> !", vec![]),
        ("GET /api/v1?x_y=1", vec!["get", "api", "v1", "x_y", "1"]),
        ("10.0.0.1", vec!["10", "0", "0", "1"]),
        ("Café ÉTÉ", vec!["café", "ÉtÉ"]),
        ("日本語、です", vec!["日本語、です"]),
    ] {
        assert_eq!(words_of(message), expected, "{message}");
    }
    assert_eq!(words_of(&"A".repeat(100)), ["a".repeat(100)]);
}

#[test]
fn conditions_on_messages() {
    let contains = |needle: &str| Text::Contains(needle.into());
    let regex = |source: &str| Text::Regex(Pattern::new(source).expect("pattern"));
    for (text, message, expected) in [
        (exact("timeout"), "Timeout: payment", true),
        (exact("timeout"), "timeouts", false),
        (exact("timeout"), "re_timeout", false),
        (exact("timeout"), "étimeout timeout", true),
        (exact("connection reset by"), "connection\treset - BY peer", true),
        (exact("connection reset by"), "connection was reset by", false),
        (exact("reset connection"), "connection reset", false),
        (exact("a b a c"), "a b a b a c", true),
        (exact("10 0 0 1"), "from 10.0.0.1:80", true),
        (globs("time*"), "a timeout", true),
        (globs("*out"), "a timeout", true),
        (globs("t*e"), "the", true),
        (globs("t*e"), "the end, that", true),
        (globs("t*e"), "to be", false),
        (globs("10 *"), "10.1", true),
        (globs("10 *"), "at 10.", false),
        (globs("* *"), "one", false),
        (globs("* *"), "one two", true),
        (contains("meou"), "tiMEOUt", true),
        (contains("out aft"), "timeout after", true),
        (contains("->"), "a->b", true),
        (contains("->"), "a-b", false),
        (contains("été"), "l'été.", true),
        (contains("été"), "l'ÉTÉ.", false),
        (contains(""), "", true),
        (contains("abc"), "ab", false),
        (regex("Re.et$"), "Reset", true),
        (regex("Re.et$"), "reset", false),
    ] {
        assert_eq!(TextMatcher::new(&text).matches(message), expected, "{text:?} on {message:?}");
        assert_eq!(has_match(&text, message), expected, "{text:?} as {} on {message:?}", text.hir());
    }
}

#[test]
fn only_whole_words_are_required() {
    let regex = |source: &str| Text::Regex(Pattern::new(source).expect("pattern"));
    for (text, expected) in [
        (exact("reset by peer reset"), vec!["by", "peer", "reset"]),
        (globs("time* out"), vec!["out"]),
        (Text::Contains("out after x".into()), vec!["after"]),
        (Text::Contains(" out ".into()), vec!["out"]),
        (Text::Contains("timeout".into()), vec![]),
        (regex("Failed password for (invalid user )?[a-z]+ from 1"), vec!["for", "from", "password"]),
        (regex("a (b c d)+ e|f g h"), vec![]),
        (regex("x (?:a B c){2}"), vec!["b"]),
        (regex("(?i) get "), vec![]),
    ] {
        assert_eq!(text.required_words(), expected, "{text:?}");
    }
}

fn slow_phrase(patterns: &[WordPattern], message: &str) -> bool {
    let words = words_of(message);
    words.windows(patterns.len()).any(|window| {
        patterns.iter().zip(window).all(|(pattern, word)| match pattern {
            WordPattern::Exact(exact) => exact == word,
            WordPattern::Glob(pattern) => {
                let escaped: Vec<String> = pattern.pieces.iter().map(|piece| regex::escape(piece)).collect();
                regex::Regex::new(&format!("^(?s:{})$", escaped.join(".*"))).expect("regex").is_match(word)
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn phrases_match_as_the_definition_says(
        words in prop::collection::vec("[ab_é]{1,2}|[ab]?\\*[ab]?", 1..4),
        message in "[abAB_é .-]{0,16}",
    ) {
        let text = globs(&words.join(" "));
        let Text::Phrase(patterns) = &text else { unreachable!() };
        let expected = slow_phrase(patterns, &message);
        prop_assert_eq!(TextMatcher::new(&text).matches(&message), expected);
        prop_assert_eq!(has_match(&text, &message), expected);
    }

    #[test]
    fn contains_is_a_search_in_folded_text(needle in "[abz1é -]{1,3}", message in "[abzABZ1é -]{0,12}") {
        let expected = message.to_ascii_lowercase().contains(&needle);
        let text = Text::Contains(needle);
        prop_assert_eq!(TextMatcher::new(&text).matches(&message), expected);
        prop_assert_eq!(has_match(&text, &message), expected);
    }

    #[test]
    fn required_words_stand_in_every_match(needle in "[ab -]{1,8}", message in "[abAB -]{0,20}") {
        let text = Text::Contains(needle);
        if TextMatcher::new(&text).matches(&message) {
            let words = words_of(&message);
            for required in text.required_words() {
                prop_assert!(words.contains(&required), "{} in {:?}", required, message);
            }
        }
    }
}
