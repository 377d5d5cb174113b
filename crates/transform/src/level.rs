//! The level of a record that came without one, where it stands plainly.
//!
//! In a parsed message: under one of the names that loggers use, as a level's name or as a logger's number.
//!
//! In plain text: in its *header*, the tokens before the first word of prose. Tokens are parted by spaces; what stands
//! in `[]`, `<>`, `()` or `{}` is one. Part of the header is what holds a digit (times, process ids, addresses), what
//! is in brackets, punctuation, words of dates, and a name with a separator after it (`-`, `|`). The level stands there
//!
//! - in brackets, in any case: `[warn]`, `<error>`, `[core:error]`;
//! - as a word with a colon, in any case: `ERROR:`, `warning: `, `ERROR:root:`;
//! - as a word in capitals: `2026-11-22 10:00:00,123 INFO main`; behind a name only between separators:
//!   `10:00:00 | app | INFO | started`;
//! - as glog's letter: `E1122 10:00:00.123456 1 main.go:12]`;
//!
//! or anywhere near the start as `level=error`, `"level":"error"` and the like. "Contains the word error" is not
//! plainly: `no error found` has no level.

use model::{Fields, Level, Severity, Value};

/// Where a level is looked for, in bytes.
const WINDOW_BYTES: usize = 256;

/// Tokens of a header; a longer one is prose.
const TOKENS_MAX: usize = 16;

/// The names under which loggers write a level in structured messages, the likeliest first.
const KEYS: [&str; 11] = [
    "level",
    "severity",
    "lvl",
    "log.level",
    "log_level",
    "loglevel",
    "levelname",
    "severity_text",
    "severityText",
    "@l",
    "Level",
];

/// The level among the fields of a parsed message.
pub(crate) fn of_fields(fields: &Fields<'_>) -> Option<Severity> {
    KEYS.iter().find_map(|key| model::record::lookup(fields, key).and_then(of_value))
}

/// A level's name in any case, or a logger's number.
fn of_value(value: &Value<'_>) -> Option<Severity> {
    match value {
        Value::String(text) => Severity::from_name(text),
        Value::Int(number) => Severity::from_logger_number(*number),
        _ => None,
    }
}

/// The level that stands plainly in a message.
pub(crate) fn of_message(message: &str) -> Option<Severity> {
    let bytes = message.as_bytes();
    let window = bytes.get(..WINDOW_BYTES).unwrap_or(bytes);
    of_header(window).or_else(|| of_pair(window))
}

fn of_header(window: &[u8]) -> Option<Severity> {
    if let Some(severity) = glog(window) {
        return Some(severity);
    }
    let mut rest = window;
    let mut after_name = false;
    for _ in 0..TOKENS_MAX {
        rest = skip_blank(rest);
        let (token, after) = next_token(rest)?;
        match token {
            Token::Bracketed(inner) => {
                if let Some(severity) = bracketed(inner) {
                    return Some(severity);
                }
            }
            Token::Word(word) => match word_level(word, after, after_name) {
                WordLevel::Level(severity) => return Some(severity),
                WordLevel::Header => {}
                WordLevel::Prose if begins_with_separator(after) => after_name = true,
                WordLevel::Prose => return None,
            },
        }
        rest = after;
    }
    None
}

enum Token<'a> {
    /// What stands between the brackets.
    Bracketed(&'a [u8]),
    Word(&'a [u8]),
}

fn next_token(text: &[u8]) -> Option<(Token<'_>, &[u8])> {
    let close = match text.first()? {
        b'[' => Some(b']'),
        b'<' => Some(b'>'),
        b'(' => Some(b')'),
        b'{' => Some(b'}'),
        _ => None,
    };
    if let Some(close) = close
        && let Some(end) = memchr::memchr(close, text)
    {
        return Some((Token::Bracketed(text.get(1..end)?), text.get(end + 1..)?));
    }
    let inner = text.get(1..)?;
    let end =
        inner.iter().position(|&byte| is_blank(byte) || matches!(byte, b'[' | b'<')).map_or(text.len(), |at| at + 1);
    Some((Token::Word(text.get(..end)?), text.get(end..)?))
}

enum WordLevel {
    Level(Severity),
    Header,
    Prose,
}

fn word_level(word: &[u8], after: &[u8], after_name: bool) -> WordLevel {
    let letters = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (name, tail) = word.split_at(letters);
    let in_capitals = name.iter().all(u8::is_ascii_uppercase);
    let separated = after_name && !(tail.is_empty() && begins_with_separator(after));
    if letters >= 3
        && !separated
        && (tail.first() == Some(&b':') || in_capitals && (tail.is_empty() || tail == b"," || tail == b"|"))
        && let Some(severity) = named(name)
    {
        return WordLevel::Level(severity);
    }
    if is_header_word(word) { WordLevel::Header } else { WordLevel::Prose }
}

/// Holds a digit, has no letter, is a word of dates, or is the letter and comma of Ruby's logger.
fn is_header_word(word: &[u8]) -> bool {
    const OF_DATES: [&[u8]; 31] = [
        b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun", b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul",
        b"Aug", b"Sep", b"Oct", b"Nov", b"Dec", b"UTC", b"GMT", b"CET", b"CEST", b"EST", b"EDT", b"CST", b"PST",
        b"PDT", b"Z", b"AM", b"PM",
    ];
    let has_digit = word.iter().any(u8::is_ascii_digit);
    let has_letter = word.iter().any(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii());
    let word_of_dates = word.strip_suffix(b",").unwrap_or(word);
    has_digit
        || !has_letter
        || OF_DATES.contains(&word_of_dates)
        || matches!(word, [b'D' | b'I' | b'W' | b'E' | b'F' | b'A', b','])
}

/// `warn`, ` INFO `, `core:error`
fn bracketed(inner: &[u8]) -> Option<Severity> {
    let inner = strip_colour(inner).trim_ascii();
    named(inner).or_else(|| {
        let colon = memchr::memchr(b':', inner)?;
        let (module, level) = inner.split_at(colon);
        module.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').then(|| named(level.get(1..)?))?
    })
}

/// `E1122 10:00:00.123456`: a letter, month and day, a time.
fn glog(window: &[u8]) -> Option<Severity> {
    let (letter, rest) = window.split_first()?;
    let level = match letter {
        b'I' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        b'F' => Level::Fatal,
        _ => return None,
    };
    let shape = b"dddd dd:dd:dd";
    let fits = rest.len() >= shape.len()
        && rest.iter().zip(shape).all(|(byte, want)| if *want == b'd' { byte.is_ascii_digit() } else { byte == want });
    fits.then(|| level.severity())
}

/// `level=error`, `"level":"error"`, `"severity": "WARN"`: one of three names as a whole word, `=` or `:`, and a name.
fn of_pair(window: &[u8]) -> Option<Severity> {
    memchr::memchr2_iter(b'=', b':', window).find_map(|at| {
        let (before, after) = window.split_at(at);
        let quoted = before.ends_with(b"\"");
        if after.first() == Some(&b':') && !quoted {
            return None;
        }
        let before = before.strip_suffix(b"\"").unwrap_or(before);
        let key = [&b"level"[..], b"severity", b"lvl"].into_iter().find(|key| before.ends_with(key))?;
        let start = before.get(..before.len() - key.len())?;
        if start.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')) {
            return None;
        }
        let value = after.get(1..)?.trim_ascii_start();
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        let end = value.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(value.len());
        let ends = !value.get(end).is_some_and(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.'));
        if ends { named(value.get(..end)?) } else { None }
    })
}

/// A level's whole name, in any case. Single letters, and names that text has more often for something else, are none:
/// `[http]` and `[config]` are modules, `note:` and `success:` begin a sentence.
fn named(name: &[u8]) -> Option<Severity> {
    const ALSO_WORDS: [&[u8]; 10] =
        [b"config", b"failure", b"fine", b"finer", b"finest", b"http", b"log", b"note", b"silly", b"success"];
    if name.len() < 3 || ALSO_WORDS.iter().any(|word| name.eq_ignore_ascii_case(word)) {
        return None;
    }
    Severity::from_name(std::str::from_utf8(name).ok()?)
}

fn begins_with_separator(text: &[u8]) -> bool {
    let text = skip_blank(text);
    match text.split_first() {
        Some((b'|', _)) => true,
        Some((b'-', rest)) => rest.first().is_none_or(|&byte| is_blank(byte)),
        _ => false,
    }
}

/// Without leading blanks and terminal colours.
fn skip_blank(mut text: &[u8]) -> &[u8] {
    loop {
        let trimmed = strip_colour(text.trim_ascii_start());
        if trimmed.len() == text.len() {
            return text;
        }
        text = trimmed;
    }
}

/// Without a leading escape sequence that sets a colour.
fn strip_colour(text: &[u8]) -> &[u8] {
    let Some(sequence) = text.strip_prefix(b"\x1b[") else { return text };
    let end = sequence.iter().position(|byte| !byte.is_ascii_digit() && *byte != b';');
    match end {
        Some(end) if sequence.get(end) == Some(&b'm') => sequence.get(end + 1..).unwrap_or_default(),
        _ => text,
    }
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x1b
}
