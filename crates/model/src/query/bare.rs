//! Bare text to a condition on the message.

use super::tree::{Glob, Query, Text, WordPattern};
use super::words::is_word_byte;

/// Text in double quotes: a phrase, literal but for stars at both ends.
pub(super) fn quoted(text: &str) -> Query {
    match text.strip_prefix('*').and_then(|text| text.strip_suffix('*')) {
        Some(inner) => contains(inner),
        None => literal(text),
    }
}

/// A run of text without quotes: a word, a phrase of the words between its punctuation, or a wildcard.
pub(super) fn unquoted(run: &str) -> Query {
    if !run.contains('*') {
        return literal(run);
    }
    let run = Glob::join_stars(run);
    if run == "*" {
        return Query::All;
    }
    let inner = run.strip_prefix('*').unwrap_or(&run);
    let inner = inner.strip_suffix('*').unwrap_or(inner);
    let one_sided = inner.len() + 2 > run.len();
    if !inner.contains('*') && (!one_sided || !inner.is_ascii()) {
        return contains(inner);
    }
    let mut words: Vec<WordPattern> =
        run.split(|c: char| c != '*' && !is_word(c)).filter(|word| !word.is_empty()).map(pattern).collect();
    if !run.is_ascii() {
        open_ends(&mut words);
    }
    if let [WordPattern::Glob(glob)] = &words[..]
        && let [first, inner, last] = &glob.pieces[..]
        && first.is_empty()
        && last.is_empty()
    {
        return contains(inner);
    }
    Query::Message(Text::Phrase(words))
}

/// The phrase of the text's words; the text itself where words do not tell enough.
fn literal(text: &str) -> Query {
    if !text.is_ascii() {
        return contains(text);
    }
    let words: Vec<WordPattern> =
        text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(pattern_exact).collect();
    if words.is_empty() { contains(text) } else { Query::Message(Text::Phrase(words)) }
}

fn contains(text: &str) -> Query {
    if text.is_empty() { Query::All } else { Query::Message(Text::Contains(text.to_ascii_lowercase())) }
}

fn is_word(c: char) -> bool {
    !c.is_ascii() || is_word_byte(c as u8)
}

fn pattern(word: &str) -> WordPattern {
    if word.contains('*') {
        WordPattern::Glob(Glob { pieces: word.to_ascii_lowercase().split('*').map(String::from).collect() })
    } else {
        pattern_exact(word)
    }
}

fn pattern_exact(word: &str) -> WordPattern {
    WordPattern::Exact(word.to_ascii_lowercase())
}

/// Lets a phrase with non-ASCII characters begin and end inside of words, since scripts without spaces have long ones.
fn open_ends(words: &mut [WordPattern]) {
    if let Some(first) = words.first_mut() {
        let mut pieces = pieces(first);
        if !pieces[0].is_empty() {
            pieces.insert(0, String::new());
        }
        *first = WordPattern::Glob(Glob { pieces });
    }
    if let Some(last) = words.last_mut() {
        let mut pieces = pieces(last);
        if pieces.last().is_some_and(|piece| !piece.is_empty()) {
            pieces.push(String::new());
        }
        *last = WordPattern::Glob(Glob { pieces });
    }
}

fn pieces(word: &WordPattern) -> Vec<String> {
    match word {
        WordPattern::Exact(word) => vec![word.clone()],
        WordPattern::Glob(glob) => glob.pieces.clone(),
    }
}
