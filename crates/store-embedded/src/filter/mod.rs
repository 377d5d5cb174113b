//! The token filter of a block: which words, ids and text fields it may hold.

mod block;
mod distinct;
mod fuse;
mod tokens;

use model::{RecordId, TraceId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use block::BlockFilter;
pub(crate) use fuse::Filter;
pub(crate) use tokens::Tokens;

/// What a block must hold to have a match, as far as a filter can tell. It only narrows: a block that passes may
/// hold no match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Needs {
    /// Nothing that a filter could know: every block passes.
    #[default]
    Nothing,
    /// This token.
    Token(u64),
    All(Vec<Needs>),
    /// At least one; none passes when it is empty.
    Any(Vec<Needs>),
}

/// Of a word in the hole of a template so much of both ends is in the filter, if it has no digit.
pub(crate) const EDGE_BYTES: usize = 3;

/// Longest text of a field that is in the filter.
const VALUE_BYTES_MAX: usize = 128;

impl Needs {
    /// A whole folded word of the message, as `model::query::words` cuts it.
    pub fn word(folded: &[u8]) -> Self {
        Self::Token(token(Kind::Word, &[folded]))
    }

    /// A word in the hole of a template that begins with these three bytes.
    pub(crate) fn head(folded: [u8; EDGE_BYTES]) -> Self {
        Self::Token(token(Kind::Head, &[&folded]))
    }

    /// A word in the hole of a template that ends with these three bytes.
    pub(crate) fn tail(folded: [u8; EDGE_BYTES]) -> Self {
        Self::Token(token(Kind::Tail, &[&folded]))
    }

    pub fn trace_id(id: TraceId) -> Self {
        Self::Token(token(Kind::TraceId, &[&id.0]))
    }

    /// Some record of the request that `id` came with.
    pub fn id(id: RecordId) -> Self {
        Self::Token(token(Kind::Origin, &[&id.origin.to_be_bytes()]))
    }

    pub fn service(value: &str) -> Self {
        Self::Token(token(Kind::Service, &[value.as_bytes()]))
    }

    pub fn host(value: &str) -> Self {
        Self::field_token(Kind::Host, &[], value)
    }

    /// An attribute or resource value `name` that is this string, or an array with this string in it. Numbers and
    /// booleans are not in the filter: ask only when the text can't be one ([`model::query::Literal`] has neither
    /// number nor boolean).
    pub fn field(name: &str, value: &str) -> Self {
        Self::field_token(Kind::Field, name.as_bytes(), value)
    }

    pub fn severity(number: u8) -> Self {
        Self::Token(token(Kind::Severity, &[&[number]]))
    }

    fn field_token(kind: Kind, name: &[u8], value: &str) -> Self {
        if value.len() > VALUE_BYTES_MAX {
            return Self::Nothing;
        }
        Self::Token(token(kind, &[name, value.as_bytes()]))
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Word = 1,
    TraceId,
    Origin,
    Service,
    Host,
    Field,
    Severity,
    Head,
    Tail,
}

/// The hash that stands for a token, never 0. It is part of the file format.
fn token(kind: Kind, parts: &[&[u8]]) -> u64 {
    parts.iter().fold(kind as u64, |seed, part| xxh3_64_with_seed(part, seed)).max(1)
}
