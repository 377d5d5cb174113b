//! Regular expressions for each dialect, printed from the tree of `regex-syntax`.

use std::fmt::Write as _;

use model::query::{Glob, WordPattern};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition};

/// What differs between the syntaxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// RE2, as ClickHouse's `match` reads it.
    Re2,
    /// PostgreSQL's advanced regular expressions.
    Postgres,
}

/// The highest product of counts that RE2 takes.
const RE2_COUNT_MAX: u32 = 1_000;

/// Prints a pattern. Only assertions on single characters are used where a syntax lacks one, so that the answer hangs
/// on no locale.
pub(crate) fn print(hir: &Hir, syntax: Syntax) -> String {
    let mut printer = Printer { out: String::new(), syntax };
    printer.node(hir, 1);
    printer.out
}

struct Printer {
    out: String,
    syntax: Syntax,
}

impl Printer {
    /// `product` is that of the counts around.
    fn node(&mut self, hir: &Hir, product: u32) {
        match hir.kind() {
            HirKind::Empty => self.out.push_str("(?:)"),
            HirKind::Literal(literal) => String::from_utf8_lossy(&literal.0).chars().for_each(|c| self.literal(c)),
            HirKind::Class(Class::Unicode(class)) => self.class(class.ranges()),
            HirKind::Class(Class::Bytes(class)) => match class.to_unicode_class() {
                Some(class) => self.class(class.ranges()),
                None => self.class(&[]),
            },
            HirKind::Look(look) => self.look(*look),
            HirKind::Repetition(repetition) => self.repetition(repetition, product),
            HirKind::Capture(capture) => self.group(&capture.sub, product),
            HirKind::Concat(parts) => parts.iter().for_each(|part| match part.kind() {
                HirKind::Alternation(_) => self.group(part, product),
                _ => self.node(part, product),
            }),
            HirKind::Alternation(branches) => {
                for (index, branch) in branches.iter().enumerate() {
                    if index > 0 {
                        self.out.push('|');
                    }
                    self.node(branch, product);
                }
            }
        }
    }

    fn group(&mut self, hir: &Hir, product: u32) {
        self.out.push_str("(?:");
        self.node(hir, product);
        self.out.push(')');
    }

    fn repetition(&mut self, repetition: &Repetition, product: u32) {
        let Repetition { min, max, sub, .. } = repetition;
        let highest = max.unwrap_or(*min).max(*min).max(1);
        let product = product.saturating_mul(highest);
        if self.syntax == Syntax::Re2 && product > RE2_COUNT_MAX && highest > 1 {
            // Written out, since RE2 counts nested repetitions together.
            (0..*min).for_each(|_| self.group(sub, product / highest));
            match max {
                None => {
                    self.group(sub, product / highest);
                    self.out.push('*');
                }
                Some(max) => (*min..*max).for_each(|_| {
                    self.group(sub, product / highest);
                    self.out.push('?');
                }),
            }
            return;
        }
        self.group(sub, product);
        // Writing to a string can't fail.
        let _ = match (min, max) {
            (0, Some(1)) => write!(self.out, "?"),
            (0, None) => write!(self.out, "*"),
            (1, None) => write!(self.out, "+"),
            (min, None) => write!(self.out, "{{{min},}}"),
            (min, Some(max)) if min == max => write!(self.out, "{{{min}}}"),
            (min, Some(max)) => write!(self.out, "{{{min},{max}}}"),
        };
    }

    fn look(&mut self, look: Look) {
        self.out.push_str(match (self.syntax, look) {
            (_, Look::Start) => "\\A",
            (Syntax::Re2, Look::End) => "\\z",
            (Syntax::Re2, Look::StartLF) => "(?m:^)",
            (Syntax::Re2, Look::EndLF) => "(?m:$)",
            (Syntax::Re2, Look::WordAscii) => "\\b",
            (Syntax::Re2, Look::WordAsciiNegate) => "\\B",
            (Syntax::Postgres, Look::End) => "\\Z",
            (Syntax::Postgres, Look::StartLF) => "(?:\\A|(?<=\\n))",
            (Syntax::Postgres, Look::EndLF) => "(?:\\Z|(?=\\n))",
            (Syntax::Postgres, Look::WordAscii) => {
                "(?:(?<![0-9A-Za-z_])(?=[0-9A-Za-z_])|(?<=[0-9A-Za-z_])(?![0-9A-Za-z_]))"
            }
            (Syntax::Postgres, Look::WordAsciiNegate) => {
                "(?:(?<![0-9A-Za-z_])(?![0-9A-Za-z_])|(?<=[0-9A-Za-z_])(?=[0-9A-Za-z_]))"
            }
            // The model refuses all other assertions when it reads a pattern.
            _ => return self.class(&[]),
        });
    }

    fn literal(&mut self, c: char) {
        match (self.syntax, c) {
            (_, c) if c.is_ascii_alphanumeric() || c == '_' || c == ' ' || !c.is_ascii() => self.out.push(c),
            // No stored text has this character.
            (Syntax::Postgres, '\0') => self.class(&[]),
            (_, c) => self.escaped(c),
        }
    }

    fn escaped(&mut self, c: char) {
        // Writing to a string can't fail.
        let _ = match self.syntax {
            Syntax::Re2 => write!(self.out, "\\x{{{:X}}}", u32::from(c)),
            Syntax::Postgres => write!(self.out, "\\U{:08x}", u32::from(c)),
        };
    }

    fn class(&mut self, ranges: &[ClassUnicodeRange]) {
        let storable = |range: &&ClassUnicodeRange| self.syntax == Syntax::Re2 || range.end() != '\0';
        let ranges: Vec<_> = ranges.iter().filter(storable).collect();
        if ranges.is_empty() {
            self.out.push_str(match self.syntax {
                Syntax::Re2 => "[^\\x{0}-\\x{10FFFF}]",
                Syntax::Postgres => "(?:a(?!a)(?=a))",
            });
            return;
        }
        self.out.push('[');
        for range in ranges {
            let start = if self.syntax == Syntax::Postgres { range.start().max('\u{1}') } else { range.start() };
            self.escaped(start);
            if range.end() > start {
                self.out.push('-');
                self.escaped(range.end());
            }
        }
        self.out.push(']');
    }
}

/// A pattern for folded messages that have these words next to each other; None when no message can.
pub(crate) fn phrase(words: &[WordPattern]) -> Option<Hir> {
    let mut parts = vec![Hir::alternation(vec![Hir::look(Look::Start), separator()])];
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            parts.push(repeated(separator(), 1));
        }
        match word {
            WordPattern::Exact(word) if word.is_empty() => return None,
            WordPattern::Exact(word) => parts.push(literal(word)?),
            WordPattern::Glob(glob) => parts.extend(word_of(glob)?),
        }
    }
    parts.push(Hir::alternation(vec![Hir::look(Look::End), separator()]));
    Some(Hir::concat(parts))
}

fn word_of(glob: &Glob) -> Option<Vec<Hir>> {
    if glob.pieces.iter().all(String::is_empty) {
        // A single empty piece is no word, several are any word.
        return (glob.pieces.len() > 1).then(|| vec![repeated(word_character(), 1)]);
    }
    let mut parts = Vec::new();
    for (index, piece) in glob.pieces.iter().enumerate() {
        if index > 0 {
            parts.push(repeated(word_character(), 0));
        }
        parts.push(literal(piece)?);
    }
    Some(parts)
}

/// None when the text is not all of one word.
fn literal(piece: &str) -> Option<Hir> {
    let whole = piece.bytes().all(model::query::words::is_word_byte);
    whole.then(|| Hir::literal(piece.to_ascii_lowercase().into_bytes()))
}

fn repeated(hir: Hir, min: u32) -> Hir {
    Hir::repetition(Repetition { min, max: None, greedy: true, sub: Box::new(hir) })
}

/// The characters of words in folded text.
fn word_class() -> ClassUnicode {
    let ranges = [('0', '9'), ('_', '_'), ('a', 'z'), ('A', 'Z'), ('\u{80}', char::MAX)];
    ClassUnicode::new(ranges.map(|(start, end)| ClassUnicodeRange::new(start, end)))
}

fn word_character() -> Hir {
    Hir::class(Class::Unicode(word_class()))
}

fn separator() -> Hir {
    let mut class = word_class();
    class.negate();
    Hir::class(Class::Unicode(class))
}

#[cfg(test)]
mod tests {
    use model::query::Pattern;

    use super::*;

    fn printed(source: &str) -> (String, String) {
        let hir = Pattern::new(source).expect(source).hir();
        (print(&hir, Syntax::Re2), print(&hir, Syntax::Postgres))
    }

    #[test]
    fn assertions_and_characters_are_written_for_each_syntax() {
        for (source, re2, postgres) in [
            ("^a$", "\\Aa\\z", "\\Aa\\Z"),
            ("a.c", "a[\\x{0}-\\x{9}\\x{B}-\\x{10FFFF}]c", "a[\\U00000001-\\U00000009\\U0000000b-\\U0010ffff]c"),
            ("é+", "(?:é)+", "(?:é)+"),
            ("a{2,3}?", "(?:a){2,3}", "(?:a){2,3}"),
            ("x=", "x\\x{3D}", "x\\U0000003d"),
            ("(?m)^a", "(?m:^)a", "(?:\\A|(?<=\\n))a"),
        ] {
            assert_eq!(printed(source), (re2.to_owned(), postgres.to_owned()), "{source}");
        }
        assert!(printed("\\ba").1.starts_with("(?:(?<![0-9A-Za-z_])"));
    }

    #[test]
    fn nested_counts_that_re2_refuses_are_written_out() {
        let (re2, postgres) = printed("(?:a{255}){4}");
        assert_eq!(re2, format!("(?:{}){{4}}", "(?:a)".repeat(255)));
        assert_eq!(postgres, "(?:(?:a){255}){4}");
    }

    #[test]
    fn a_phrase_that_no_message_can_have_has_no_pattern() {
        let exact = |word: &str| WordPattern::Exact(word.to_owned());
        let glob = |pieces: &[&str]| {
            WordPattern::Glob(Glob { pieces: pieces.iter().map(|piece| (*piece).to_owned()).collect() })
        };
        for words in [vec![exact("")], vec![exact("a b")], vec![exact("a"), glob(&["-", ""])], vec![glob(&[""])]] {
            assert!(phrase(&words).is_none(), "{words:?}");
        }
        for words in [vec![exact("a_1")], vec![glob(&["", ""])], vec![exact("é"), glob(&["a", "b"])]] {
            assert!(phrase(&words).is_some(), "{words:?}");
        }
    }
}
