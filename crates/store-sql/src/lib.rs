//! One planner from the query tree to SQL, its dialects, and the guard of user-written SQL.
//!
//! - [`Planner`]: what the store is asked, as a [`Statement`] with bound parameters; the answers are equal to those of
//!   [`store::memory::MemoryStore`];
//! - [`dialect`]: what differs between ClickHouse and PostgreSQL, and the columns that each table must have;
//! - [`rows`]: the rows of the answers, and [`answer`]: from rows to what the store returns;
//! - [`cell`]: values as text and tag; [`words`]: hashes of words;
//! - [`guard`]: user-written SQL, checked and bound to one project.
//!
//! The planner's methods, each with the rows of its answer:
//!
//! | method | columns of the answer | from rows to the answer |
//! |---|---|---|
//! | `search(&Search)`, `get(project, id)` | [`dialect::Dialect::RECORD_COLUMNS`] | the store |
//! | `histogram(&Histogram)` | [`rows::HistogramRow`] | [`answer::HistogramAnswer`] |
//! | `aggregate(&Aggregate)` | [`rows::GroupRow`] | [`answer::aggregate`] |
//! | `fields(&Scan)` | [`rows::FieldRow`] | [`answer::fields`] |
//! | `values(&Scan, &Field, most)` | [`rows::ValueRow`] | [`answer::values`] |
//! | `count_by_origin(project, &[u128])` | [`rows::OriginRow`] | [`answer::counts`] |

pub mod answer;
mod bounds;
pub mod cell;
mod condition;
pub mod dialect;
pub mod guard;
mod pattern;
mod planner;
pub mod rows;
mod statement;
pub mod words;

pub use planner::{ORIGINS_MAX, Planner};
pub use statement::{Param, Statement};
