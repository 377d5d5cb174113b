//! Messages that are logfmt: `level=info msg="user signed in" user=42`.
//!
//! A message is logfmt when it begins with a pair, has at least two pairs, and hardly anything else: at most one bare
//! word to four pairs (bare words say nothing and are left out). Values in double quotes know `\"`, `\\`, `\n`, `\r`
//! and `\t`. An unquoted value that ends with a comma or semicolon means that this is another format.
//!
//! `true` and `false` become booleans. A number becomes one where printing it gives the same text again, so that
//! `1.10`, `007` and `1e3` stay as they were written.

use std::borrow::Cow;

use model::{Fields, Value};

use crate::bounds::{FIELDS_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX};
use crate::merge::put_last;

/// Pairs that a message must have for each bare word.
const PAIRS_PER_BARE_WORD: usize = 4;

/// Whether it is worth parsing: it begins with a key and `=`, has another `=`, and is not too long.
pub(crate) fn looks_like(text: &str) -> bool {
    let bytes = text.as_bytes();
    if !bytes.first().is_some_and(|&byte| starts_key(byte)) || bytes.len() > MESSAGE_BYTES_MAX {
        return false;
    }
    let key = bytes.iter().take_while(|&&byte| in_key(byte)).count();
    bytes.get(key) == Some(&b'=') && bytes.get(key + 1..).is_some_and(|rest| memchr::memchr(b'=', rest).is_some())
}

/// The fields of the message, or None when it is not logfmt or is past a bound.
pub(crate) fn parse(text: &str) -> Option<Fields<'_>> {
    let mut fields = Fields::new();
    let (mut pairs, mut bare) = (0, 0);
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let key = rest.bytes().take_while(|&byte| in_key(byte)).count();
        let (name, after) = rest.split_at_checked(key)?;
        let is_pair = after.starts_with('=') && name.bytes().next().is_some_and(starts_key);
        if is_pair {
            if name.len() > NAME_BYTES_MAX || pairs == FIELDS_MAX {
                return None;
            }
            let (value, after) = value(after.get(1..)?)?;
            put_last(&mut fields, Cow::Borrowed(name), value);
            pairs += 1;
            rest = after;
        } else {
            bare += 1;
            rest = rest.split_once(|c: char| c.is_ascii_whitespace()).map_or("", |(_, after)| after);
        }
        rest = rest.trim_ascii_start();
    }
    (pairs >= 2 && bare * PAIRS_PER_BARE_WORD <= pairs).then_some(fields)
}

/// The value at the start of the text, and what follows it.
fn value(text: &str) -> Option<(Value<'_>, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, rest) = quoted_text(quoted)?;
        let ends = rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_whitespace());
        return ends.then_some((Value::String(value), rest));
    }
    let end = text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    if word.ends_with([',', ';']) || word.contains('"') {
        return None;
    }
    Some((typed(word), rest))
}

/// The text up to the closing quote, with its escapes resolved, and what follows the quote.
fn quoted_text(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let first = memchr::memchr2(b'"', b'\\', text.as_bytes())?;
    let (head, tail) = text.split_at_checked(first)?;
    if let Some(rest) = tail.strip_prefix('"') {
        return Some((Cow::Borrowed(head), rest));
    }
    let mut value = String::from(head);
    let mut chars = tail.chars();
    loop {
        match chars.next()? {
            '"' => return Some((Cow::Owned(value), chars.as_str())),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                quoted @ ('"' | '\\' | '/') => value.push(quoted),
                other => value.extend(['\\', other]),
            },
            plain => value.push(plain),
        }
    }
}

/// A boolean, a number that prints as it was written, or text.
fn typed(word: &str) -> Value<'_> {
    match word {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    let begins_number = word.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'-');
    if begins_number && word.len() <= 24 {
        if let Ok(number) = word.parse::<i64>()
            && number.to_string() == word
        {
            return Value::Int(number);
        }
        if let Ok(number) = word.parse::<f64>()
            && number.is_finite()
            && word.contains('.')
            && number.to_string() == word
        {
            return Value::Double(number);
        }
    }
    Value::String(Cow::Borrowed(word))
}

fn starts_key(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'@')
}

fn in_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@' | b'.' | b'-' | b'/')
}
