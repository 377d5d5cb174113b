//! What a condition on messages says about a template, before a message of it is put together.
//!
//! A template stands for all messages that differ in its holes only. A hole is a whole word with a digit in it, so for
//! words without digits it doesn't matter what stands there: a hole is then held against as the word `0`. Where that
//! can't decide, the answer is [`Verdict::Maybe`] and the messages themselves are asked; or [`Verdict::InHole`] where
//! only a part of a word in a hole can match, and the block tells whether it has such a word.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use memchr::memmem;
use model::query::words::{TextMatcher, is_word_byte};
use model::query::{Glob, Text, WordPattern};
use parking_lot::Mutex;
use regex::bytes::Regex;
use store::StoreError;

use super::automaton::Automaton;
use super::unit::Rows;
use crate::filter::Needs;
use crate::segment::Dictionary;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Verdict {
    /// Every message of the template matches.
    Yes = 1,
    No,
    /// As [`Message::can_be_in_hole`] says of the block.
    InHole,
    Maybe,
}

/// Verdicts on the templates of a segment by number (0, no template: maybe), each found when it is first asked for.
#[derive(Debug)]
pub(super) struct Verdicts(Box<[AtomicU8]>);

/// A condition on messages, decided once for each template of each segment.
#[derive(Debug)]
pub(super) struct Message {
    /// For whole messages.
    pub(super) matcher: TextMatcher,
    /// Fewer holes can't hold the words with digits that every match has.
    holes_min: usize,
    /// Folded, must stand in the template, or no message can match.
    literal: Option<memmem::Finder<'static>>,
    /// Must match the template with `0` in its holes, or no message can.
    necessary: Vec<TextMatcher>,
    /// The same for the template with NUL bytes in its holes.
    outline: Option<Outline>,
    enough: Enough,
    verdicts: Mutex<HashMap<u64, Arc<Verdicts>>>,
    /// Must stand in the words of a template's holes, if one of its messages matches.
    in_words: Option<TextMatcher>,
    text: Text,
    automaton: OnceLock<Option<Automaton>>,
}

/// What a template looks like that may have a message with some text in it.
#[derive(Debug)]
struct Outline {
    /// NUL bytes for words with digits, and for what may be a part of a word with digits.
    loose: Regex,
    /// Where the block can tell whether it has such words.
    parts: Option<Parts>,
}

/// Text that begins or ends inside a word.
#[derive(Debug)]
struct Parts {
    /// The outline without parts of words in holes.
    strict: Regex,
    /// What a block has if a word in a hole has a part of the text.
    in_hole: InHole,
}

#[derive(Debug)]
enum InHole {
    /// The ends of words.
    Edge(Needs),
    /// The whole text in one of its words.
    Inside,
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
        let (digits, plain): (Vec<_>, Vec<_>) = text.required_words().into_iter().partition(|word| has_digit(word));
        let longest = |words: &[String]| words.iter().max_by_key(|word| word.len()).cloned();
        let mut message = Self {
            matcher: TextMatcher::new(text),
            holes_min: digits.len(),
            literal: longest(&plain).map(|word| memmem::Finder::new(&word).into_owned()),
            in_words: longest(&digits).map(|word| TextMatcher::new(&Text::Contains(word))),
            necessary: plain.into_iter().map(word).collect(),
            outline: None,
            enough: Enough::Never,
            verdicts: Mutex::default(),
            text: text.clone(),
            automaton: OnceLock::new(),
        };
        match text {
            Text::Phrase(words) => {
                message.necessary = vec![TextMatcher::new(&Text::Phrase(words.iter().map(in_template).collect()))];
                if words.iter().all(|word| matches!(word, WordPattern::Exact(word) if !has_digit(word))) {
                    message.enough = Enough::Necessary;
                }
            }
            Text::Contains(needle) => {
                message.outline = Outline::new(needle);
                if !has_digit(needle) {
                    message.enough = Enough::Itself;
                }
            }
            Text::Regex(_) => {}
        }
        message
    }

    /// Whether words with digits are all that is known of a match, so that templates tell little about it.
    pub(super) fn is_in_words_only(&self) -> bool {
        self.in_words.is_some() && self.literal.is_none()
    }

    /// Whether a template that can't decide may have a message that matches, if these are the words of its holes.
    pub(super) fn can_be_of_words(&self, words: &[u8]) -> bool {
        self.in_words.as_ref().is_none_or(|in_words| in_words.matches_bytes(words))
    }

    /// For the messages of templates that can't decide; None when it would be too large.
    pub(super) fn automaton(&self) -> Option<&Automaton> {
        self.automaton.get_or_init(|| Automaton::new(&self.text.hir())).as_ref()
    }

    /// The verdicts on the templates of a segment.
    pub(super) fn verdicts(&self, segment: u64, dictionary: &Dictionary) -> Arc<Verdicts> {
        let new = || Arc::new(self.first_verdicts(dictionary));
        self.verdicts.lock().entry(segment).or_insert_with(new).clone()
    }

    /// Most templates lack the literal, and are told without a look at each.
    fn first_verdicts(&self, dictionary: &Dictionary) -> Verdicts {
        let undecided = 0;
        let first = if self.literal.is_some() { Verdict::No as u8 } else { undecided };
        let mut verdicts: Box<[AtomicU8]> = (0..=dictionary.len()).map(|_| AtomicU8::new(first)).collect();
        if let Some(literal) = &self.literal {
            dictionary.having(literal).for_each(|number| *verdicts[usize::from(number)].get_mut() = undecided);
        }
        *verdicts[0].get_mut() = Verdict::Maybe as u8;
        Verdicts(verdicts)
    }

    /// The verdict on a template by its number.
    #[inline]
    pub(super) fn decide(
        &self,
        verdicts: &Verdicts,
        dictionary: &Dictionary,
        number: u16,
        scratch: &mut String,
    ) -> Verdict {
        let Some(known) = verdicts.0.get(usize::from(number)) else { return Verdict::Maybe };
        match Verdict::of(known.load(Ordering::Relaxed)) {
            Some(verdict) => verdict,
            None => self.decide_first(known, dictionary, number, scratch),
        }
    }

    #[inline(never)]
    fn decide_first(&self, known: &AtomicU8, dictionary: &Dictionary, number: u16, scratch: &mut String) -> Verdict {
        let verdict = match dictionary.holes(number) < self.holes_min {
            true => Verdict::No,
            false => self.verdict(dictionary.text(number), scratch),
        };
        known.store(verdict as u8, Ordering::Relaxed);
        verdict
    }

    /// Whether templates with the verdict [`Verdict::InHole`] may have a message that matches among these rows.
    pub(super) fn can_be_in_hole(&self, rows: &mut Rows<'_>) -> Result<bool, StoreError> {
        let parts = self.outline.as_ref().and_then(|outline| outline.parts.as_ref());
        match parts {
            Some(Parts { in_hole: InHole::Edge(needs), .. }) => rows.may_hold(needs),
            Some(Parts { in_hole: InHole::Inside, strict }) => {
                Ok(rows.words()?.iter().any(|words| strict.is_match(words)))
            }
            None => Ok(true),
        }
    }

    fn verdict(&self, template: &str, filled: &mut String) -> Verdict {
        let decided = |matches: bool| if matches { Verdict::Yes } else { Verdict::No };
        filled.clear();
        let mut kept = 0;
        for hole in memchr::memchr_iter(0, template.as_bytes()) {
            filled.extend([&template[kept..hole], "0"]);
            kept = hole + 1;
        }
        if kept == 0 {
            return decided(self.matcher.matches(template));
        }
        filled.push_str(&template[kept..]);
        if !self.necessary.iter().all(|necessary| necessary.matches(filled)) {
            return Verdict::No;
        }
        match self.enough {
            Enough::Necessary => return Verdict::Yes,
            Enough::Itself if self.matcher.matches(filled) => return Verdict::Yes,
            Enough::Itself | Enough::Never => {}
        }
        let Some(Outline { loose, parts }) = &self.outline else { return Verdict::Maybe };
        match loose.is_match(template.as_bytes()) {
            false => Verdict::No,
            true if parts.as_ref().is_some_and(|parts| !parts.strict.is_match(template.as_bytes())) => Verdict::InHole,
            true => Verdict::Maybe,
        }
    }
}

impl Verdict {
    /// From its number; None: not decided yet.
    #[inline]
    fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Yes),
            2 => Some(Self::No),
            3 => Some(Self::InHole),
            4 => Some(Self::Maybe),
            _ => None,
        }
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

impl Outline {
    /// None: nothing can be said.
    fn new(needle: &str) -> Option<Self> {
        const HOLE: &str = "\\x00";
        let bytes = needle.as_bytes();
        let (mut loose, mut strict) = (String::from("(?i-u)"), String::from("(?i-u)"));
        let mut edges = Vec::new();
        let mut start = 0;
        for part in bytes.chunk_by(|a, b| is_word_byte(*a) == is_word_byte(*b)) {
            let end = start + part.len();
            let text = needle.get(start..end)?;
            let (is_word, is_first, is_last) = (is_word_byte(part[0]), start == 0, end == bytes.len());
            start = end;
            let literal = regex::escape(text);
            let digits = is_word && has_digit(text);
            // Perhaps only a part of the word that stands in the hole.
            let cut = is_word && (is_first || is_last);
            loose.push_str(&match (digits, cut) {
                (true, _) => HOLE.to_owned(),
                (false, true) => format!("(?:{literal}|{HOLE})"),
                (false, false) => literal.clone(),
            });
            let whole = is_first && is_last;
            strict.push_str(if digits && !whole { HOLE } else { &literal });
            if cut && !digits && !whole {
                let part = part.to_ascii_lowercase();
                edges.push(match is_first {
                    true => part.last_chunk().copied().map(Needs::tail),
                    false => part.first_chunk().copied().map(Needs::head),
                });
            }
        }
        let in_hole = match bytes.iter().all(|byte| is_word_byte(*byte)) {
            true => Some(InHole::Inside),
            false => edges.into_iter().collect::<Option<_>>().map(|edges| InHole::Edge(Needs::Any(edges))),
        };
        let strict = Regex::new(&strict).ok()?;
        let parts = in_hole.map(|in_hole| Parts { strict, in_hole });
        Some(Self { loose: Regex::new(&loose).ok()?, parts })
    }
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
        assert_eq!(verdict("\"*abc port*\"", template), Verdict::InHole);
        assert_eq!(verdict("\"*abc*\"", template), Verdict::InHole);
        assert_eq!(verdict("\"*22*\"", template), Verdict::InHole);
        assert_eq!(verdict("\"*22 por*\"", template), Verdict::Maybe);
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
                Verdict::InHole | Verdict::Maybe => {}
            }
        }
    }
}
