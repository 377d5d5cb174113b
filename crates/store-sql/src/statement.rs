//! SQL text with its bound parameters.

use std::fmt::Write as _;
use std::marker::PhantomData;

use crate::dialect::Dialect;

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

/// Stands on both sides of a parameter's index in a statement in the making; SQL has no such character.
const MARK: char = '\u{1a}';

/// The parameters of a statement in the making.
#[derive(Debug)]
pub struct Binder<D> {
    params: Vec<Param>,
    dialect: PhantomData<D>,
}

impl<D: Dialect> Binder<D> {
    pub(crate) fn new() -> Self {
        Self { params: Vec::new(), dialect: PhantomData }
    }

    /// What stands for a value in the SQL; equal values share one parameter.
    pub(crate) fn bind(&mut self, param: Param) -> String {
        let index = self.params.iter().position(|known| *known == param).unwrap_or_else(|| {
            self.params.push(param);
            self.params.len() - 1
        });
        format!("{MARK}{index}{MARK}")
    }

    pub(crate) fn text(&mut self, text: &str) -> String {
        self.bind(Param::Text(text.to_owned()))
    }

    /// Numbers the parameters as they come; one that no condition needs any more is left out, since PostgreSQL can't
    /// tell the type of a parameter that it doesn't see.
    pub(crate) fn finish(self, sql: &str) -> Statement {
        let mut places: Vec<Option<usize>> = vec![None; self.params.len()];
        let mut params = Vec::with_capacity(self.params.len());
        let mut out = String::with_capacity(sql.len() * 2);
        for (at, piece) in sql.split(MARK).enumerate() {
            let param = piece.parse().ok().and_then(|index: usize| Some((index, self.params.get(index)?)));
            let (1, Some((index, param))) = (at % 2, param) else {
                out.push_str(piece);
                continue;
            };
            let place = *places[index].get_or_insert_with(|| {
                params.push(param.clone());
                params.len() - 1
            });
            out.push_str(&D::placeholder(place, param));
        }
        Statement { sql: out, params }
    }
}
