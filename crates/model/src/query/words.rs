//! Words of a message and the conditions on them.
//!
//! A word is a longest run of ASCII letters, ASCII digits, `_` and all non-ASCII characters; words compare with A-Z
//! folded to a-z and nothing else. Everything here works on UTF-8 bytes: a byte from 0x80 on belongs to a word.

use std::collections::BTreeSet;

use memchr::memmem;
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Look, Repetition};

use super::glob::{self, Case};
use super::tree::{Text, WordPattern};

/// Whether a byte of UTF-8 text belongs to a word.
#[inline]
pub const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Calls `each` with every word of a message in order, folded.
pub fn tokens(message: &str, mut each: impl FnMut(&[u8])) {
    let bytes = message.as_bytes();
    let mut at = 0;
    while let Some((start, end)) = next_word(bytes, at) {
        fold(&bytes[start..end], &mut each);
        at = end;
    }
}

/// Calls `each` with a word, folded.
#[inline]
pub fn fold(word: &[u8], each: &mut impl FnMut(&[u8])) {
    let mut folded = [0; 64];
    if !word.iter().any(u8::is_ascii_uppercase) {
        each(word);
    } else if let Some(buffer) = folded.get_mut(..word.len()) {
        buffer.copy_from_slice(word);
        buffer.make_ascii_lowercase();
        each(buffer);
    } else {
        each(&word.to_ascii_lowercase());
    }
}

/// The next word that starts at or after `at`, which is no place inside a word.
fn next_word(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = at + bytes[at..].iter().position(|&byte| is_word_byte(byte))?;
    Some((start, word_end(bytes, start)))
}

/// The last word that ends at or before `at`, which is no place inside a word.
fn previous_word(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let last = bytes[..at].iter().rposition(|&byte| is_word_byte(byte))?;
    Some((word_start(bytes, last), last + 1))
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&byte| !is_word_byte(byte)).map_or(bytes.len(), |length| at + length)
}

fn word_start(bytes: &[u8], at: usize) -> usize {
    bytes[..at].iter().rposition(|&byte| !is_word_byte(byte)).map_or(0, |before| before + 1)
}

/// A text condition made ready to be held against many messages, without an allocation for each.
#[derive(Debug, Clone)]
pub struct TextMatcher(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Everything,
    Contains(Needle),
    Phrase { words: Vec<WordPattern>, anchor: Anchor },
    Regex(super::Pattern),
}

/// The word of a phrase that is looked for first: the one with the longest literal piece.
#[derive(Debug, Clone)]
struct Anchor {
    index: usize,
    /// None when every word of the phrase is `*`.
    needle: Option<Needle>,
}

impl TextMatcher {
    pub fn new(text: &Text) -> Self {
        Self(match text {
            Text::Contains(needle) if needle.is_empty() => Kind::Everything,
            Text::Contains(needle) => Kind::Contains(Needle::new(needle)),
            Text::Phrase(words) if words.is_empty() => Kind::Everything,
            Text::Phrase(words) => Kind::Phrase { words: words.clone(), anchor: Anchor::new(words) },
            Text::Regex(pattern) => Kind::Regex(pattern.clone()),
        })
    }

    pub fn matches(&self, message: &str) -> bool {
        self.matches_bytes(message.as_bytes())
    }

    /// The same for a message that is not known to be UTF-8.
    pub fn matches_bytes(&self, message: &[u8]) -> bool {
        match &self.0 {
            Kind::Everything => true,
            Kind::Contains(needle) => needle.find(message, 0).is_some(),
            Kind::Phrase { words, anchor } => phrase_matches(words, anchor, message),
            Kind::Regex(pattern) => pattern.is_match(message),
        }
    }
}

impl Anchor {
    fn new(words: &[WordPattern]) -> Self {
        let longest = |word: &WordPattern| match word {
            WordPattern::Exact(word) => word.clone(),
            WordPattern::Glob(glob) => glob.pieces.iter().max_by_key(|piece| piece.len()).cloned().unwrap_or_default(),
        };
        let pieces = words.iter().map(longest).enumerate();
        let (index, piece) = pieces.max_by_key(|(_, piece)| piece.len()).unwrap_or_default();
        Self { index, needle: (!piece.is_empty()).then(|| Needle::new(&piece)) }
    }
}

fn phrase_matches(words: &[WordPattern], anchor: &Anchor, message: &[u8]) -> bool {
    let mut from = 0;
    loop {
        let found = match &anchor.needle {
            Some(needle) => needle.find(message, from).map(|hit| (word_start(message, hit), word_end(message, hit))),
            None => next_word(message, from),
        };
        let Some((start, end)) = found else { return false };
        if word_matches(&words[anchor.index], &message[start..end])
            && words_before(&words[..anchor.index], message, start)
            && words_after(&words[anchor.index + 1..], message, end)
        {
            return true;
        }
        // A second hit in the same word would lead to the same word again. Words never overlap, so the end is beyond.
        from = end.max(from + 1);
    }
}

fn words_before(words: &[WordPattern], message: &[u8], mut at: usize) -> bool {
    words.iter().rev().all(|word| {
        previous_word(message, at).is_some_and(|(start, end)| {
            at = start;
            word_matches(word, &message[start..end])
        })
    })
}

fn words_after(words: &[WordPattern], message: &[u8], mut at: usize) -> bool {
    words.iter().all(|word| {
        next_word(message, at).is_some_and(|(start, end)| {
            at = end;
            word_matches(word, &message[start..end])
        })
    })
}

fn word_matches(pattern: &WordPattern, word: &[u8]) -> bool {
    match pattern {
        WordPattern::Exact(exact) => word.eq_ignore_ascii_case(exact.as_bytes()),
        WordPattern::Glob(pattern) => glob::matches(&pattern.pieces, word, Case::Folded),
    }
}

/// A folded text to be found in any case.
#[derive(Debug, Clone)]
enum Needle {
    /// The text has no letters: a plain search.
    Plain(Box<memmem::Finder<'static>>),
    /// Looked for by its rarest byte in both cases.
    Folded { text: Box<[u8]>, rare: usize },
}

impl Needle {
    fn new(text: &str) -> Self {
        let text: Box<[u8]> = text.to_ascii_lowercase().into_bytes().into();
        if !text.iter().any(u8::is_ascii_lowercase) {
            return Self::Plain(Box::new(memmem::Finder::new(&text).into_owned()));
        }
        let rare = (0..text.len()).min_by_key(|&at| commonness(text[at])).unwrap_or(0);
        Self::Folded { text, rare }
    }

    /// Where the text begins, at or after `from`.
    fn find(&self, message: &[u8], from: usize) -> Option<usize> {
        if from > message.len() {
            return None;
        }
        let (text, rare) = match self {
            Needle::Plain(finder) => return finder.find(&message[from..]).map(|at| from + at),
            Needle::Folded { text, rare } => (text, *rare),
        };
        // The rare byte of a hit stands between these bounds.
        let (low, high) = (from + rare, (message.len() + rare + 1).saturating_sub(text.len()));
        let (lower, upper) = (text[rare], text[rare].to_ascii_uppercase());
        let window = message.get(low..high)?;
        memchr::memchr2_iter(lower, upper, window)
            .map(|at| from + at)
            .find(|&start| message[start..start + text.len()].eq_ignore_ascii_case(text))
    }
}

/// How often a byte stands in log messages, roughly: the rarer, the fewer places are looked at.
fn commonness(byte: u8) -> u8 {
    const ORDER: &[u8] = b"zqjxkvwyb~`^|{}\\#;!@%&$+?<>*'gphfmudcl\"9876543()[]=,nsriota21e0_-:/. ";
    match ORDER.iter().position(|&other| other == byte) {
        Some(place) => place as u8 + 1,
        None => 0,
    }
}

impl Text {
    /// Folded words that every message which matches has among its words: what an index of words may narrow by.
    /// Sorted, without repeats; empty when nothing can be said.
    pub fn required_words(&self) -> Vec<String> {
        let mut words = BTreeSet::new();
        match self {
            Text::Phrase(patterns) => words.extend(patterns.iter().filter_map(|pattern| match pattern {
                WordPattern::Exact(word) => Some(word.clone()),
                WordPattern::Glob(_) => None,
            })),
            Text::Contains(needle) => inner_words(needle.as_bytes(), &mut words),
            Text::Regex(pattern) => literal_words(&pattern.hir(), &mut words),
        }
        words.into_iter().collect()
    }
}

impl Text {
    /// The same condition as a regular expression over bytes, unanchored: it has a match in the messages that match.
    pub fn hir(&self) -> Hir {
        match self {
            Text::Contains(needle) => folded(needle),
            Text::Phrase(words) if words.is_empty() => Hir::empty(),
            Text::Phrase(words) => {
                let outside = || Hir::class(Class::Bytes(outside_words()));
                let mut parts = vec![Hir::alternation(vec![Hir::look(Look::Start), outside()])];
                for (index, word) in words.iter().enumerate() {
                    if index > 0 {
                        parts.push(repeat(outside(), 1));
                    }
                    parts.push(word_hir(word));
                }
                parts.push(Hir::alternation(vec![Hir::look(Look::End), outside()]));
                Hir::concat(parts)
            }
            Text::Regex(pattern) => pattern.hir(),
        }
    }
}

fn word_hir(word: &WordPattern) -> Hir {
    match word {
        WordPattern::Exact(word) => folded(word),
        WordPattern::Glob(glob) => {
            let mut inside = outside_words();
            inside.negate();
            let mut parts = Vec::with_capacity(glob.pieces.len() * 2);
            for (index, piece) in glob.pieces.iter().enumerate() {
                if index > 0 {
                    parts.push(repeat(Hir::class(Class::Bytes(inside.clone())), 0));
                }
                parts.push(folded(piece));
            }
            // A word has at least one byte, which `*` alone does not say; what stands around it does not either.
            if glob.pieces.iter().all(String::is_empty) {
                parts = vec![repeat(Hir::class(Class::Bytes(inside)), 1)];
            }
            Hir::concat(parts)
        }
    }
}

fn outside_words() -> ClassBytes {
    let mut ranges = Vec::new();
    for byte in (0..=u8::MAX).filter(|byte| !is_word_byte(*byte)) {
        ranges.push(ClassBytesRange::new(byte, byte));
    }
    ClassBytes::new(ranges)
}

/// A folded text in any case.
fn folded(text: &str) -> Hir {
    let byte = |byte: u8| match byte.is_ascii_lowercase() {
        true => {
            let cases = [byte, byte.to_ascii_uppercase()].map(|byte| ClassBytesRange::new(byte, byte));
            Hir::class(Class::Bytes(ClassBytes::new(cases)))
        }
        false => Hir::literal([byte]),
    };
    Hir::concat(text.bytes().map(byte).collect())
}

fn repeat(sub: Hir, min: u32) -> Hir {
    Hir::repetition(Repetition { min, max: None, greedy: true, sub: Box::new(sub) })
}

/// The words of a text that have a byte outside of words on both sides: only these are whole wherever it is found.
fn inner_words(text: &[u8], words: &mut BTreeSet<String>) {
    let mut at = 0;
    while let Some((start, end)) = next_word(text, at) {
        if start > 0
            && end < text.len()
            && let Ok(word) = std::str::from_utf8(&text[start..end])
        {
            words.insert(word.to_ascii_lowercase());
        }
        at = end;
    }
}

/// The inner words of the literals that every match of a regular expression has.
fn literal_words(hir: &Hir, words: &mut BTreeSet<String>) {
    match hir.kind() {
        HirKind::Literal(literal) => inner_words(&literal.0, words),
        HirKind::Capture(capture) => literal_words(&capture.sub, words),
        HirKind::Concat(parts) => parts.iter().for_each(|part| literal_words(part, words)),
        HirKind::Repetition(repetition) if repetition.min > 0 => literal_words(&repetition.sub, words),
        _ => {}
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
