//! One planner from the query tree to SQL, its dialects, and the guard of user-written SQL.
//!
//! - `Planner`: what the store is asked, as a [`Statement`] with bound parameters; the answers are equal to those of
//!   [`store::memory::MemoryStore`];
//! - [`dialect`]: what differs between ClickHouse and PostgreSQL, and the columns that each table must have;
//! - [`rows`]: the rows of the answers, and `answer`: from rows to what the store returns;
//! - [`cell`]: values as text and tag; [`words`]: hashes of words;
//! - `guard`: user-written SQL, checked and bound to one project.
//!
//! The planner's methods, each with the rows of its answer:
//!
//! | method | columns of the answer | from rows to the answer |
//! |---|---|---|
//! | `search(&Search)`, `get(project, id)` | the dialect's `RECORD_COLUMNS` in their order | the store |
//! | `histogram(&Histogram)` | [`rows::HistogramRow`] | `answer::histogram(&Histogram, rows)` |
//! | `aggregate(&Aggregate)` | [`rows::GroupRow`] | `answer::aggregate(&Aggregate, rows)` |
//! | `fields(&Scan)` | [`rows::FieldRow`] | `answer::fields(&Scan, rows, limit)` |
//! | `values(&Scan, &Field, limit)` | [`rows::ValueRow`] | `answer::values(rows)` |
//! | `count_by_origin(project, &[u128])` | [`rows::OriginRow`] | `answer::counts(rows)` |

pub mod cell;
pub mod dialect;
mod json;
pub mod rows;
mod statement;
pub mod words;

pub use statement::{Param, Statement};
