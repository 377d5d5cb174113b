//! The lexical part of the query language: runs of bare text, quoted text, regular expressions and field names.

use super::ParseError;

/// A place in the query text.
#[derive(Debug)]
pub(super) struct Scanner<'q> {
    text: &'q str,
    /// In bytes, always between characters.
    at: usize,
}

/// How a field is held against what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Is,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What comes next in an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    End,
    Close,
    And,
    Or,
    Not,
    Operand,
}

impl<'q> Scanner<'q> {
    pub(super) fn new(text: &'q str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the scanner stands, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// An error at a place given in bytes.
    pub(super) fn error(&self, at: usize, message: impl Into<String>, hint: impl Into<String>) -> ParseError {
        let position = self.text.get(..at).unwrap_or(self.text).chars().count();
        ParseError { message: message.into(), position, hint: Some(hint.into()).filter(|hint| !hint.is_empty()) }
    }

    fn rest(&self) -> &'q str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn eat(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.at += expected.len_utf8();
        }
        found
    }

    pub(super) fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Skips space and tells what follows, without taking it.
    pub(super) fn next(&mut self) -> Next {
        self.skip_space();
        match self.peek() {
            None => Next::End,
            Some(')') => Next::Close,
            Some(_) => match self.peek_run() {
                "AND" => Next::And,
                "OR" => Next::Or,
                "NOT" => Next::Not,
                _ => Next::Operand,
            },
        }
    }

    /// The bare text up to a space, a parenthesis or a quote; may be empty.
    pub(super) fn run(&mut self) -> &'q str {
        let run = self.peek_run();
        self.at += run.len();
        run
    }

    fn peek_run(&self) -> &'q str {
        until(self.rest(), ends_run)
    }

    /// The bare bound of a range: as [`Scanner::run`], and up to a closing bracket.
    pub(super) fn bound(&mut self) -> &'q str {
        let run = until(self.rest(), |c| ends_run(c) || matches!(c, ']' | '}'));
        self.at += run.len();
        run
    }

    /// Whether a minus that stands here negates: `-a`, `-"a b"`, `-(a)`, `-/re/`, but not `->` or `--`, which are text.
    pub(super) fn minus_negates(&self) -> bool {
        let Some(rest) = self.rest().strip_prefix('-') else { return false };
        rest.starts_with(['"', '(', '/'])
            || until(rest, ends_run).chars().any(|c| c.is_ascii_alphanumeric() || c == '_' || c == '*' || !c.is_ascii())
    }

    /// The name of a field and its operator, if they stand here. Else nothing is taken.
    pub(super) fn field(&mut self) -> Result<Option<(String, Operator)>, ParseError> {
        let start = self.at;
        let name = if self.peek() == Some('"') {
            self.quoted()?
        } else {
            let name = until(self.rest(), |c| !is_name_char(c));
            self.at += name.len();
            // `a->b` is text.
            if name.is_empty() || name.ends_with('-') && self.peek() == Some('>') {
                self.at = start;
                return Ok(None);
            }
            name.to_owned()
        };
        let operator = if self.eat(':') {
            Operator::Is
        } else if self.eat('<') {
            if self.eat('=') { Operator::LessOrEqual } else { Operator::Less }
        } else if self.eat('>') {
            if self.eat('=') { Operator::GreaterOrEqual } else { Operator::Greater }
        } else {
            self.at = start;
            return Ok(None);
        };
        Ok(Some((name, operator)))
    }

    /// Text in double quotes, without them; `\"` and `\\` escape.
    pub(super) fn quoted(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += offset + 1;
                    return Ok(text);
                }
                '\\' if chars.as_str().starts_with(['"', '\\']) => text.extend(chars.next().map(|(_, c)| c)),
                _ => text.push(c),
            }
        }
        Err(self.error(
            start,
            "this quote is never closed",
            "add a \" at the end, or write \\\" for a quote in the text",
        ))
    }

    /// A regular expression between slashes, without them; `\/` is a slash.
    pub(super) fn regex(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        self.at += 1;
        let mut source = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                '/' => {
                    self.at += offset + 1;
                    return Ok(source);
                }
                '\\' if chars.as_str().starts_with('/') => source.extend(chars.next().map(|(_, c)| c)),
                '\\' => {
                    source.push(c);
                    source.extend(chars.next().map(|(_, c)| c));
                }
                _ => source.push(c),
            }
        }
        Err(self.error(
            start,
            "this regular expression is never closed",
            "add a / at the end, or put text that begins with / in double quotes",
        ))
    }

    /// Where in the query the byte `offset` of the regular expression stands that begins at `start`.
    pub(super) fn place_in_regex(&self, start: usize, offset: usize) -> usize {
        let raw = &self.text[start + 1..];
        let mut source_bytes = 0;
        let mut chars = raw.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if source_bytes >= offset {
                return start + 1 + at;
            }
            if !(c == '\\' && chars.peek().is_some_and(|&(_, next)| next == '/')) {
                source_bytes += c.len_utf8();
            }
        }
        self.text.len()
    }

    /// Checks that a value or a regular expression ends where the scanner stands.
    pub(super) fn expect_end(&self) -> Result<(), ParseError> {
        match self.peek() {
            None | Some(')') => Ok(()),
            Some(c) if c.is_whitespace() => Ok(()),
            Some(c) => Err(self.error(
                self.at,
                format!("a value ends before this {c}"),
                "put a space between two terms, or the whole value in double quotes",
            )),
        }
    }
}

fn until(text: &str, ends: impl Fn(char) -> bool) -> &str {
    &text[..text.find(ends).unwrap_or(text.len())]
}

fn ends_run(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '"')
}

/// What a field's name may have without quotes.
pub(super) fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '@' | '/')
}
