//! How numbers are read, compared and printed, the same on every store.

use std::cmp::Ordering;
use std::fmt;

/// A number of a record or a query. Two integers compare exactly, any other pair as doubles.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    Int(i64),
    /// Finite.
    Double(f64),
}

impl Number {
    /// Reads a text that is wholly a decimal number: `-?\d+(\.\d+)?([eE][+-]?\d{1,3})?`, finite as a double.
    /// A 64-bit integer without fraction and exponent stays one, anything else is a double.
    pub fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, rest) = split_digits(unsigned);
        if whole.is_empty() {
            return None;
        }
        if rest.is_empty()
            && let Ok(value) = text.parse()
        {
            return Some(Number::Int(value));
        }
        let rest = match rest.strip_prefix('.') {
            Some(rest) => {
                let (fraction, rest) = split_digits(rest);
                if fraction.is_empty() {
                    return None;
                }
                rest
            }
            None => rest,
        };
        if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
            let (digits, end) = split_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
            if !(1..=3).contains(&digits.len()) || !end.is_empty() {
                return None;
            }
        } else if !rest.is_empty() {
            return None;
        }
        text.parse().ok().filter(|value: &f64| value.is_finite()).map(Number::Double)
    }

    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Double(value) => value,
        }
    }

    pub fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => a.cmp(&b),
            (a, b) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        }
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.compare(*other) == Ordering::Equal
    }
}

/// The number's JSON text: a decimal integer, or the shortest double that reads back the same (`0.1`, `500.0`,
/// `1e+21`). Wildcards and regular expressions look at this text.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Int(value) => value.fmt(f),
            Number::Double(value) => {
                let mut text = [0; 32];
                let mut free = &mut text[..];
                serde_json::to_writer(&mut free, value).map_err(|_| fmt::Error)?;
                let length = 32 - free.len();
                f.write_str(std::str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Number::{Double, Int};
    use super::*;

    #[test]
    fn reads_what_is_wholly_a_number() {
        let int = |value| Some(Int(value));
        let double = |value| Some(Double(value));
        for (text, expected) in [
            ("0", int(0)),
            ("-0", int(0)),
            ("007", int(7)),
            ("500", int(500)),
            ("-9223372036854775808", int(i64::MIN)),
            ("9223372036854775807", int(i64::MAX)),
            ("9223372036854775808", double(9_223_372_036_854_775_808.0)),
            ("500.0", double(500.0)),
            ("1e3", double(1000.0)),
            ("1E+03", double(1000.0)),
            ("-1.5e-3", double(-0.0015)),
            ("1e308", double(1e308)),
        ] {
            let read = Number::parse(text);
            assert_eq!(read, expected, "{text}");
            assert_eq!(matches!(read, Some(Int(_))), matches!(expected, Some(Int(_))), "{text}");
        }
        for text in
            ["", "-", "+1", " 1", "1 ", "1.", ".5", "1e", "1e1000", "1e+", "1e999", "1.5.2", "0x10", "1_000", "NaN"]
        {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn integers_compare_exactly_and_mixed_pairs_as_doubles() {
        assert_eq!(Int(9_007_199_254_740_993).compare(Int(9_007_199_254_740_992)), Ordering::Greater);
        assert_eq!(Int(9_007_199_254_740_993).compare(Double(9_007_199_254_740_992.0)), Ordering::Equal);
        assert_eq!(Int(500), Double(500.0));
        assert_eq!(Int(1).compare(Double(1.5)), Ordering::Less);
    }

    #[test]
    fn prints_the_shortest_text_that_reads_back() {
        for (number, text) in [
            (Int(-7), "-7"),
            (Double(500.0), "500.0"),
            (Double(0.1), "0.1"),
            (Double(1e21), "1e+21"),
            (Double(-5e-324), "-5e-324"),
            (Double(f64::MAX), "1.7976931348623157e+308"),
        ] {
            assert_eq!(number.to_string(), text);
            assert_eq!(Number::parse(text), Some(number));
        }
    }
}
