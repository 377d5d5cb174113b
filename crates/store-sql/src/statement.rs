//! SQL text with its bound parameters.

use std::fmt::Write as _;

/// A statement as the server takes it. No value that a user gave stands in `sql`; each is a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// With placeholders: `{p0:String}`, `{p1:Int64}` … in ClickHouse, `$1`, `$2` … (each cast to its type) in
    /// PostgreSQL. The parameter of `{pN:…}` is `params[N]`, that of `$N` is `params[N - 1]`.
    pub sql: String,
    pub params: Vec<Param>,
}

/// A value to bind.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// ClickHouse `String`, PostgreSQL `text`.
    Text(String),
    /// ClickHouse `Int64`, PostgreSQL `bigint`.
    Int(i64),
    /// ClickHouse `Float64`, PostgreSQL `double precision`. Finite.
    Double(f64),
    /// PostgreSQL `timestamptz`, microseconds since the Unix epoch. Not used in ClickHouse.
    Microseconds(i64),
    /// ClickHouse `UInt128`, PostgreSQL `bytea` of 16 bytes, big-endian.
    Origin(u128),
    /// ClickHouse `Array(UInt128)`, PostgreSQL `bytea[]`.
    Origins(Vec<u128>),
    /// PostgreSQL `bytea`. Not used in ClickHouse.
    Bytes(Vec<u8>),
    /// ClickHouse `Array(String)`, PostgreSQL `text[]`.
    Texts(Vec<String>),
    /// ClickHouse `Array(Int64)`, PostgreSQL `bigint[]`.
    Ints(Vec<i64>),
}

impl Param {
    /// The value of ClickHouse's URL parameter `param_pN` (before the URL's own escaping).
    pub fn to_clickhouse(&self) -> String {
        match self {
            Self::Text(text) => escaped(text, false),
            Self::Int(number) | Self::Microseconds(number) => number.to_string(),
            Self::Double(number) => number.to_string(),
            Self::Origin(origin) => origin.to_string(),
            Self::Origins(origins) => list(origins, u128::to_string),
            Self::Bytes(bytes) => bytes.iter().fold(String::new(), |mut text, byte| {
                // Writing to a string can't fail.
                let _ = write!(text, "\\x{byte:02X}");
                text
            }),
            Self::Texts(texts) => list(texts, |text| format!("'{}'", escaped(text, true))),
            Self::Ints(numbers) => list(numbers, i64::to_string),
        }
    }
}

fn list<T>(items: &[T], print: impl Fn(&T) -> String) -> String {
    format!("[{}]", items.iter().map(print).collect::<Vec<_>>().join(","))
}

/// ClickHouse's escaping of tab-separated text. A text within an array is read twice: first as this, then as a literal.
fn escaped(text: &str, within_array: bool) -> String {
    let once = |text: &str, quote: bool| {
        let mut out = String::with_capacity(text.len() + 8);
        for c in text.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\0' => out.push_str("\\0"),
                '\'' if quote => out.push_str("\\'"),
                c => out.push(c),
            }
        }
        out
    };
    if within_array { once(&once(text, true), false) } else { once(text, false) }
}

/// A statement in the making: hands out placeholders.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<Param>);

impl Params {
    /// The place of a parameter; equal ones share one.
    pub(crate) fn add(&mut self, param: Param) -> usize {
        if let Some(index) = self.0.iter().position(|known| *known == param) {
            return index;
        }
        self.0.push(param);
        self.0.len() - 1
    }

    pub(crate) fn get(&self, index: usize) -> &Param {
        &self.0[index]
    }

    pub(crate) fn finish(self, sql: String) -> Statement {
        Statement { sql, params: self.0 }
    }
}
