//! What a condition on messages says about a template, before a message of it is put together.
//!
//! A template stands for all messages that differ in its holes only. A hole is a whole word with a digit in it, so for
//! words without digits it doesn't matter what stands there: a hole is then held against as the word `0`. Where that
//! can't decide, the answer is [`Verdict::Maybe`] and the messages themselves are asked.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use model::query::words::{TextMatcher, is_word_byte};
use model::query::{Glob, Text, WordPattern};
use parking_lot::Mutex;
use regex::bytes::Regex;

use crate::segment::Dictionary;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every message of the template matches.
    Yes,
    No,
    Maybe,
}

/// By template number.
pub(super) type Verdicts = Arc<[Verdict]>;

/// A condition on messages, decided once for each template of each segment.
#[derive(Debug)]
pub(super) struct Message {
    /// For whole messages.
    pub(super) matcher: TextMatcher,
    /// Must match the template with `0` in its holes, or no message can.
    necessary: Vec<TextMatcher>,
    /// The same for the template with NUL bytes in its holes.
    outline: Option<Regex>,
    enough: Enough,
    /// By segment; decided by the thread that needs a segment's first, while others wait.
    verdicts: Mutex<HashMap<u64, Arc<OnceLock<Verdicts>>>>,
}

/// When a template with holes decides for its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Enough {
    /// What is necessary is enough.
    Necessary,
    /// When the condition holds for the template with `0` in its holes.
    Itself,
    Never,
}

impl Message {
    pub(super) fn new(text: &Text) -> Self {
        let word = |word: String| TextMatcher::new(&Text::Phrase(vec![WordPattern::Exact(word)]));
        let plain = text.required_words().into_iter().filter(|word| !has_digit(word));
        let mut message = Self {
            matcher: TextMatcher::new(text),
            necessary: plain.map(word).collect(),
            outline: None,
            enough: Enough::Never,
            verdicts: Mutex::default(),
        };
        match text {
            Text::Phrase(words) => {
                message.necessary = vec![TextMatcher::new(&Text::Phrase(words.iter().map(in_template).collect()))];
                if words.iter().all(|word| matches!(word, WordPattern::Exact(word) if !has_digit(word))) {
                    message.enough = Enough::Necessary;
                }
            }
            Text::Contains(needle) => {
                message.outline = outline(needle);
                if !has_digit(needle) {
                    message.enough = Enough::Itself;
                }
            }
            Text::Regex(_) => {}
        }
        message
    }

    /// The verdict on each template of a segment by its number. Number 0 is no template: maybe.
    pub(super) fn verdicts(&self, segment: u64, dictionary: &Dictionary) -> Verdicts {
        let verdicts = self.verdicts.lock().entry(segment).or_default().clone();
        let decided = verdicts.get_or_init(|| {
            let mut filled = String::new();
            let each = dictionary.texts().map(|template| self.verdict(template, &mut filled));
            std::iter::once(Verdict::Maybe).chain(each).collect()
        });
        decided.clone()
    }

    fn verdict(&self, template: &str, filled: &mut String) -> Verdict {
        let decided = |matches: bool| if matches { Verdict::Yes } else { Verdict::No };
        filled.clear();
        let mut parts = template.split('\0');
        filled.extend(parts.next());
        let before = filled.len();
        parts.for_each(|part| filled.extend(["0", part]));
        let holes = filled.len() > before;
        if !holes {
            return decided(self.matcher.matches(template));
        }
        if !self.necessary.iter().all(|necessary| necessary.matches(filled)) {
            return Verdict::No;
        }
        match self.enough {
            Enough::Necessary => return Verdict::Yes,
            Enough::Itself if self.matcher.matches(filled) => return Verdict::Yes,
            Enough::Itself | Enough::Never => {}
        }
        let fits = self.outline.as_ref().is_none_or(|outline| outline.is_match(template.as_bytes()));
        if fits { Verdict::Maybe } else { Verdict::No }
    }
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

/// What stands in a filled template where a word of the phrase stands in a message.
fn in_template(word: &WordPattern) -> WordPattern {
    match word {
        WordPattern::Exact(word) if has_digit(word) => WordPattern::Exact("0".to_owned()),
        WordPattern::Exact(_) => word.clone(),
        WordPattern::Glob(_) => WordPattern::Glob(Glob { pieces: vec![String::new(), String::new()] }),
    }
}

/// What a template looks like, with NUL bytes in its holes, that has a message with this text in it. None: that can't be
/// said.
fn outline(needle: &str) -> Option<Regex> {
    let bytes = needle.as_bytes();
    let mut pattern = String::from("(?i-u)");
    let mut start = 0;
    for part in bytes.chunk_by(|a, b| is_word_byte(*a) == is_word_byte(*b)) {
        let end = start + part.len();
        let text = needle.get(start..end)?;
        let at_edge = start == 0 || end == bytes.len();
        match (is_word_byte(part[0]), has_digit(text)) {
            (true, true) => pattern.push_str("\\x00"),
            // Perhaps only an end of the word that stands in the hole.
            (true, false) if at_edge => pattern.push_str(&format!("(?:{}|\\x00)", regex::escape(text))),
            _ => pattern.push_str(&regex::escape(text)),
        }
        start = end;
    }
    Regex::new(&pattern).ok()
}

#[cfg(test)]
mod tests {
    use model::query::Query;
    use proptest::prelude::*;

    use super::*;

    fn text(query: &str) -> Text {
        match model::query::parse(query, 0) {
            Ok(Query::Message(text)) => text,
            other => panic!("{query} is {other:?}"),
        }
    }

    fn verdict(query: &str, template: &str) -> Verdict {
        Message::new(&text(query)).verdict(template, &mut String::new())
    }

    #[test]
    fn what_can_be_decided_is() {
        let template = "Failed password for root from \0.\0 port \0";
        assert_eq!(verdict("\"password for\"", template), Verdict::Yes);
        assert_eq!(verdict("\"port failed\"", template), Verdict::No);
        assert_eq!(verdict("\"from port\"", template), Verdict::No);
        assert_eq!(verdict("\"port 22\"", template), Verdict::Maybe);
        assert_eq!(verdict("\"for 22\"", template), Verdict::No);
        assert_eq!(verdict("\"*word for roo*\"", template), Verdict::Yes);
        assert_eq!(verdict("\"*b port*\"", template), Verdict::Maybe);
        assert_eq!(verdict("\"*b root*\"", template), Verdict::No);
        assert_eq!(verdict("/password for .* port/", template), Verdict::Maybe);
        assert_eq!(verdict("/ user for .* port/", template), Verdict::No);
    }

    proptest! {
        #[test]
        fn a_verdict_holds_for_every_message(
            template in "([ab ._]|\\x00( |\\.)){0,10}",
            word in "[ab]{0,1}[0-2]{1,2}[ab]{0,1}",
            kind in 0..3,
            needle in "[ab0-2]{1,2}([ .][ab0-2]{1,2}){0,2}",
        ) {
            // Holes next to letters or to each other are no holes.
            let template = template.replace("a\0", "a.\0").replace("b\0", "b.\0").replace("_\0", "_.\0");
            let query = match kind {
                0 => format!("\"{needle}\""),
                1 => format!("\"*{needle}*\""),
                _ => format!("/{}/", regex::escape(&needle)),
            };
            let Ok(Query::Message(text)) = model::query::parse(&query, 0) else { return Ok(()) };
            let message = template.replace('\0', &word);
            let matches = TextMatcher::new(&text).matches(&message);
            match Message::new(&text).verdict(&template, &mut String::new()) {
                Verdict::Yes => prop_assert!(matches, "{query} {template:?} {message:?}"),
                Verdict::No => prop_assert!(!matches, "{query} {template:?} {message:?}"),
                Verdict::Maybe => {}
            }
        }
    }
}
