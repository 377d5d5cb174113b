//! The query tree, the only thing that search, histogram, aggregate, tail and export take.
//!
//! Text → [`tree`] by the [`parser`]; [`eval`] holds a record in memory against it. Stores translate the tree; where
//! they narrow by an index, the matchers of [`eval`] have the last word.

mod bare;
pub mod eval;
pub mod glob;
pub mod parser;
pub mod pattern;
mod print;
mod scan;
pub mod tree;
mod value;
pub mod words;

pub use eval::{Evaluator, TestMatcher};
pub use parser::{ParseError, parse};
pub use pattern::{Pattern, PatternError};
pub use tree::{Field, Glob, Literal, Query, Test, Text, WordPattern};
pub use words::TextMatcher;
