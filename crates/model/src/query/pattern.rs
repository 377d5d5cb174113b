//! Regular expressions in the common core of RE2 and Rust's `regex`.
//!
//! A pattern is parsed once and written again without flags, escapes and shorthands that dialects read differently:
//! `\w \d \s` and `(?i)` become ASCII classes, `.` a class without line feed. What is left (literals, classes, `^ $ \A
//! \z \b \B`, groups, alternatives, counts) means the same everywhere.

use std::fmt::Write as _;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ast::{
    self, AssertionKind, Ast, ClassAsciiKind, ClassPerlKind, ClassSet, ClassSetItem, Flag, FlagsItemKind, GroupKind,
    RepetitionKind, RepetitionRange,
};
use regex_syntax::hir::Hir;

/// The highest count of a repetition, and the highest product of counts that stand in each other is four times this.
pub const COUNT_MAX: u32 = 255;
/// How deep groups may stand in each other.
const NESTING_MAX: u32 = 50;
/// Memory of one compiled pattern.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A regular expression that was checked against the common core of the dialects.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As the user wrote it, without the slashes and with `\/` as `/`.
    pub source: Arc<str>,
    normal: Arc<str>,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

/// Why a regular expression can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternError {
    pub message: String,
    /// Where in the source, 0-based, in bytes.
    pub offset: usize,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The text is no regular expression, lies outside the common core, or is too large when compiled.
    pub fn new(source: &str) -> Result<Self, PatternError> {
        let ast =
            ast::parse::ParserBuilder::new().nest_limit(NESTING_MAX).build().parse(source).map_err(|error| {
                PatternError { message: error.kind().to_string(), offset: error.span().start.offset }
            })?;
        let mut normal = Normal { out: String::with_capacity(source.len() * 2) };
        normal.write(&ast, &mut Flags::default(), 1)?;
        let regex = RegexBuilder::new(&normal.out)
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|_| PatternError { message: "the regular expression is too large".into(), offset: 0 })?;
        Ok(Self { source: source.into(), normal: normal.out.into(), regex })
    }

    /// The pattern without flags and shorthands, in a syntax that RE2 and Rust's `regex` read alike.
    pub fn normal(&self) -> &str {
        &self.normal
    }

    /// Holds a text against the pattern, unanchored.
    pub fn is_match(&self, text: impl AsRef<[u8]>) -> bool {
        self.regex.is_match(text.as_ref())
    }

    /// The tree of the normal form, for printing other dialects and for finding literals.
    pub fn hir(&self) -> Hir {
        regex_syntax::ParserBuilder::new().utf8(false).build().parse(&self.normal).unwrap_or_else(|_| Hir::empty())
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    ignore_case: bool,
    multi_line: bool,
    dot_matches_line_feed: bool,
}

/// Ranges of characters, both ends included.
type Ranges = Vec<(char, char)>;

struct Normal {
    out: String,
}

fn refuse<T>(message: impl Into<String>, span: &ast::Span) -> Result<T, PatternError> {
    Err(PatternError { message: message.into(), offset: span.start.offset })
}

impl Normal {
    /// Writes a node. `flags` change for what follows in the same group; `product` is that of the counts around.
    fn write(&mut self, ast: &Ast, flags: &mut Flags, product: u32) -> Result<(), PatternError> {
        match ast {
            Ast::Empty(_) => {}
            Ast::Flags(set) => apply(&set.flags, flags)?,
            Ast::Literal(literal) => self.literal(literal.c, *flags),
            Ast::Dot(_) if flags.dot_matches_line_feed => self.out.push_str("[\\x00-\\x{10FFFF}]"),
            Ast::Dot(_) => self.out.push_str("[^\\n]"),
            Ast::Assertion(assertion) => self.assertion(assertion, *flags)?,
            Ast::ClassUnicode(class) => return refuse(NO_UNICODE, &class.span),
            Ast::ClassPerl(class) => self.class(perl(&class.kind), class.negated),
            Ast::ClassBracketed(class) => {
                let mut ranges = Vec::new();
                set_ranges(&class.kind, &mut ranges)?;
                if flags.ignore_case {
                    fold(&mut ranges);
                }
                self.class(ranges, class.negated);
            }
            Ast::Repetition(repetition) => self.repetition(repetition, flags, product)?,
            Ast::Group(group) => {
                let mut inner = *flags;
                if let GroupKind::NonCapturing(set) = &group.kind {
                    apply(set, &mut inner)?;
                }
                self.out.push_str("(?:");
                self.write(&group.ast, &mut inner, product)?;
                self.out.push(')');
            }
            Ast::Alternation(alternation) => {
                // In a group, so that a flag before it, which writes nothing, leaves no ambiguity.
                self.out.push_str("(?:");
                for (index, branch) in alternation.asts.iter().enumerate() {
                    if index > 0 {
                        self.out.push('|');
                    }
                    self.write(branch, flags, product)?;
                }
                self.out.push(')');
            }
            Ast::Concat(concat) => {
                for part in &concat.asts {
                    self.write(part, flags, product)?;
                }
            }
        }
        Ok(())
    }

    fn literal(&mut self, c: char, flags: Flags) {
        if flags.ignore_case && c.is_ascii_alphabetic() {
            self.class(vec![(c, c), (swap_case(c), swap_case(c))], false);
        } else {
            push_escaped(&mut self.out, c);
        }
    }

    fn assertion(&mut self, assertion: &ast::Assertion, flags: Flags) -> Result<(), PatternError> {
        self.out.push_str(match assertion.kind {
            AssertionKind::StartLine if flags.multi_line => "(?m:^)",
            AssertionKind::EndLine if flags.multi_line => "(?m:$)",
            AssertionKind::StartLine | AssertionKind::StartText => "\\A",
            AssertionKind::EndLine | AssertionKind::EndText => "\\z",
            AssertionKind::WordBoundary => "(?-u:\\b)",
            AssertionKind::NotWordBoundary => "(?-u:\\B)",
            _ => return refuse("word boundaries other than \\b and \\B are not supported", &assertion.span),
        });
        Ok(())
    }

    fn class(&mut self, mut ranges: Ranges, negated: bool) {
        ranges.sort_unstable();
        self.out.push_str(if negated { "[^" } else { "[" });
        for (start, end) in ranges {
            push_escaped(&mut self.out, start);
            if start != end {
                self.out.push('-');
                push_escaped(&mut self.out, end);
            }
        }
        self.out.push(']');
    }

    fn repetition(&mut self, node: &ast::Repetition, flags: &mut Flags, product: u32) -> Result<(), PatternError> {
        let (text, highest) = match &node.op.kind {
            RepetitionKind::ZeroOrOne => ("?".to_owned(), 1),
            RepetitionKind::ZeroOrMore => ("*".to_owned(), 1),
            RepetitionKind::OneOrMore => ("+".to_owned(), 1),
            RepetitionKind::Range(RepetitionRange::Exactly(n)) => (format!("{{{n}}}"), *n),
            RepetitionKind::Range(RepetitionRange::AtLeast(n)) => (format!("{{{n},}}"), *n),
            RepetitionKind::Range(RepetitionRange::Bounded(n, m)) => (format!("{{{n},{m}}}"), *m),
        };
        let product = product.saturating_mul(highest.max(1));
        if highest > COUNT_MAX || product > COUNT_MAX * 4 {
            let message =
                format!("a repetition counts to {COUNT_MAX} at most, nested ones to {} together", COUNT_MAX * 4);
            return refuse(message, &node.op.span);
        }
        self.out.push_str("(?:");
        self.write(&node.ast, flags, product)?;
        self.out.push(')');
        self.out.push_str(&text);
        Ok(())
    }
}

const NO_UNICODE: &str = "Unicode classes (\\p) are not supported: list the characters in [ ]";

fn apply(set: &ast::Flags, flags: &mut Flags) -> Result<(), PatternError> {
    let mut on = true;
    for item in &set.items {
        match item.kind {
            FlagsItemKind::Negation => on = false,
            FlagsItemKind::Flag(Flag::CaseInsensitive) => flags.ignore_case = on,
            FlagsItemKind::Flag(Flag::MultiLine) => flags.multi_line = on,
            FlagsItemKind::Flag(Flag::DotMatchesNewLine) => flags.dot_matches_line_feed = on,
            // Greediness changes what is matched, not whether.
            FlagsItemKind::Flag(Flag::SwapGreed) => {}
            FlagsItemKind::Flag(_) => return refuse("only the flags i, m, s and U are supported", &item.span),
        }
    }
    Ok(())
}

fn perl(kind: &ClassPerlKind) -> Ranges {
    match kind {
        ClassPerlKind::Digit => vec![('0', '9')],
        // RE2's: no vertical tab.
        ClassPerlKind::Space => vec![('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')],
        ClassPerlKind::Word => vec![('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
    }
}

fn ascii(kind: &ClassAsciiKind) -> Ranges {
    match kind {
        ClassAsciiKind::Alnum => vec![('0', '9'), ('A', 'Z'), ('a', 'z')],
        ClassAsciiKind::Alpha => vec![('A', 'Z'), ('a', 'z')],
        ClassAsciiKind::Ascii => vec![('\0', '\x7f')],
        ClassAsciiKind::Blank => vec![('\t', '\t'), (' ', ' ')],
        ClassAsciiKind::Cntrl => vec![('\0', '\x1f'), ('\x7f', '\x7f')],
        ClassAsciiKind::Digit => vec![('0', '9')],
        ClassAsciiKind::Graph => vec![('!', '~')],
        ClassAsciiKind::Lower => vec![('a', 'z')],
        ClassAsciiKind::Print => vec![(' ', '~')],
        ClassAsciiKind::Punct => vec![('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        ClassAsciiKind::Space => vec![('\t', '\r'), (' ', ' ')],
        ClassAsciiKind::Upper => vec![('A', 'Z')],
        ClassAsciiKind::Word => perl(&ClassPerlKind::Word),
        ClassAsciiKind::Xdigit => vec![('0', '9'), ('A', 'F'), ('a', 'f')],
    }
}

fn set_ranges(set: &ClassSet, ranges: &mut Ranges) -> Result<(), PatternError> {
    match set {
        ClassSet::Item(item) => item_ranges(item, ranges),
        ClassSet::BinaryOp(operation) => refuse("&&, -- and ~~ between classes are not supported", &operation.span),
    }
}

fn item_ranges(item: &ClassSetItem, ranges: &mut Ranges) -> Result<(), PatternError> {
    match item {
        ClassSetItem::Empty(_) => {}
        ClassSetItem::Literal(literal) => ranges.push((literal.c, literal.c)),
        ClassSetItem::Range(range) => ranges.push((range.start.c, range.end.c)),
        ClassSetItem::Ascii(class) => extend(ranges, ascii(&class.kind), class.negated),
        ClassSetItem::Perl(class) => extend(ranges, perl(&class.kind), class.negated),
        ClassSetItem::Unicode(class) => return refuse(NO_UNICODE, &class.span),
        ClassSetItem::Bracketed(class) => {
            return refuse("a class inside a class is not supported: write \\[ for the character", &class.span);
        }
        ClassSetItem::Union(union) => {
            for item in &union.items {
                item_ranges(item, ranges)?;
            }
        }
    }
    Ok(())
}

fn extend(ranges: &mut Ranges, class: Ranges, negated: bool) {
    if !negated {
        ranges.extend(class);
        return;
    }
    // Both ends of every range here are ASCII, so that the neighbours are characters.
    let mut next = 0_u8;
    for (start, end) in class {
        if (start as u8) > next {
            ranges.push((next as char, (start as u8 - 1) as char));
        }
        next = end as u8 + 1;
    }
    ranges.push((next as char, char::MAX));
}

/// Adds the other case of the ASCII letters in the ranges.
fn fold(ranges: &mut Ranges) {
    let overlap = |(start, end): (char, char), (low, high): (char, char)| {
        let (start, end) = (start.max(low), end.min(high));
        (start <= end).then(|| (swap_case(start), swap_case(end)))
    };
    let other: Ranges =
        ranges.iter().flat_map(|&range| [overlap(range, ('a', 'z')), overlap(range, ('A', 'Z'))]).flatten().collect();
    ranges.extend(other);
}

fn swap_case(c: char) -> char {
    if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
}

/// Writes a character so that it stands for itself in and outside of classes.
fn push_escaped(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || c == '_' || c == ' ' || !c.is_ascii() {
        out.push(c);
    } else if c == '\n' {
        out.push_str("\\n");
    } else if c.is_ascii_control() {
        // Writing to a string can't fail.
        let _ = write!(out, "\\x{:02X}", c as u32);
    } else {
        out.push('\\');
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_form_is_free_of_flags_and_shorthands() {
        for (source, normal) in [
            ("reg.*ex", "reg(?:[^\\n])*ex"),
            ("(?i)ab1", "[Aa][Bb]1"),
            ("(?s).", "[\\x00-\\x{10FFFF}]"),
            ("\\d\\W", "[0-9][^0-9A-Z_a-z]"),
            ("[\\D]", "[\\x00-\\/\\:-\u{10FFFF}]"),
            ("(?i)[b-d]", "[B-Db-d]"),
            ("a|b", "(?:a|b)"),
            ("(?P<name>a){2,3}?", "(?:(?:a)){2,3}"),
            ("^a$", "\\Aa\\z"),
            ("\\bé/", "(?-u:\\b)é\\/"),
        ] {
            assert_eq!(Pattern::new(source).expect(source).normal(), normal, "{source}");
        }
    }

    #[test]
    fn matches_as_the_common_core_says() {
        for (source, text, expected) in [
            ("rese.", "connection reset", true),
            ("^reset", "connection reset", false),
            ("a.b", "a\nb", false),
            ("(?s)a.b", "a\nb", true),
            ("(?m)^b$", "a\nb\nc", true),
            ("(?i)K", "\u{212A}", false),
            ("(?i)k(?-i)k", "Kk", true),
            ("(?i)k(?-i)k", "KK", false),
            ("(?i:k)k", "KK", false),
            ("\\w", "é", false),
            ("^\\W$", "é", true),
            ("\\d", "٣", false),
            ("\\bé", "é", false),
            ("x{255}", &"x".repeat(255), true),
            ("", "", true),
            ("a||b", "", true),
            ("[[:alpha:]]{3}", "abc", true),
            ("[^[:space:]]", " ", false),
            ("\\s", "\u{b}", false),
        ] {
            assert_eq!(Pattern::new(source).expect(source).is_match(text), expected, "{source} on {text:?}");
        }
    }

    #[test]
    fn what_lies_outside_the_core_is_refused_with_its_place() {
        for (source, offset) in [
            ("a\\pL", 1),
            ("[\\p{Greek}]", 1),
            ("a(?=b)", 1),
            ("(a)\\1", 3),
            ("a{256}", 1),
            ("(?:a{200}){200}", 4),
            ("(a", 0),
            ("a)", 1),
            ("[a", 0),
            ("*", 0),
            ("(?x)a", 2),
            ("(?-u)a", 3),
            ("[a&&b]", 1),
            ("[a[b]]", 2),
            ("\\b{start}a", 0),
        ] {
            let error = Pattern::new(source).expect_err(source);
            assert_eq!(error.offset, offset, "{source}: {error}");
        }
        assert!(Pattern::new(&"(".repeat(10_000)).is_err());
        assert!(Pattern::new("(?:[a-zé]{255}){4}(?:[a-zé]{255}){4}(?:[a-zé]{255}){4}(?:.{255}){4}").is_err());
    }
}
