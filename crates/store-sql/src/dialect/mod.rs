//! What differs between the databases: the words of SQL for the same meaning.
//!
//! Conditions are composed of what is written here. Within `AND` and `OR` a condition may be null where it does not
//! hold; [`Dialect::not`] makes two-valued logic of it.

pub mod clickhouse;
pub mod postgres;

use std::fmt::Debug;
use std::ops::Bound;

use model::RecordId;
use model::cursor::{Order, SortKey};
use model::query::{Field, Literal};

use crate::bounds::Interval;

use crate::statement::{Binder, Param};

pub use crate::pattern::Syntax;
pub use clickhouse::ClickHouse;
pub use postgres::Postgres;

/// One of the two maps of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    Attributes,
    Resource,
}

/// Expressions of a value's tag and text; see [`crate::cell`]. Neither is ever null.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub tag: String,
    pub text: String,
}

/// A record field that is text.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub text: String,
    /// The condition that the field is there; None when it always is.
    pub present: Option<String>,
}

/// The parts of a metric; see [`crate::rows::GroupRow`]. None for one that the metric doesn't have.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    pub count: String,
    pub doubles: Option<String>,
    pub integers: Option<String>,
    pub numbers: Option<String>,
}

/// What a numeric metric computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numeric {
    Sum,
    Min,
    Max,
    /// 1 to 99.
    Percentile(u8),
}

/// The words of one database. Arguments and results are SQL expressions; values come as parameters from the binder.
pub trait Dialect: Debug + Sized {
    const TABLE: &'static str;
    const PROJECT: &'static str;
    /// 1 to 24; null or 0 for none.
    const SEVERITY: &'static str;
    const MESSAGE: &'static str;
    /// The message with A-Z as a-z.
    const FOLDED_MESSAGE: &'static str;
    const SYNTAX: Syntax;
    /// What ends a sub-query whose columns are to be computed once for each row.
    const FENCE: &'static str;
    /// The columns of a record in the answers of search and get, as expressions in the order in which they come.
    const RECORD_COLUMNS: &'static [&'static str];

    fn placeholder(index: usize, param: &Param) -> String;

    /// The opposite of a condition, also where that is null.
    fn not(condition: &str) -> String;

    /// A time field within bounds, nanoseconds since the Unix epoch.
    fn time_within(binder: &mut Binder<Self>, field: &Field, low: Bound<i64>, high: Bound<i64>) -> String;

    /// Timestamp in nanoseconds since the Unix epoch.
    fn nanoseconds() -> &'static str;

    /// What comes after a key in an order.
    fn after(binder: &mut Binder<Self>, key: &SortKey, order: Order) -> String;

    /// The columns that order records by time and id, rising.
    fn sort_columns() -> &'static [&'static str];

    fn id_equals(binder: &mut Binder<Self>, id: RecordId) -> String;

    fn origin_among(binder: &mut Binder<Self>, origins: &[u128]) -> String;

    /// The origin as 32 hexadecimal digits.
    fn origin_text() -> &'static str;

    /// A record field as text; None for times and severities.
    fn column(field: &Field) -> Option<Column>;

    /// An id's field equals a text, where the column is better compared in another form than its text.
    fn column_equals(binder: &mut Binder<Self>, field: &Field, text: &str) -> Option<String>;

    /// Any field for groups, metrics and lists of values: equal values have equal cells.
    fn group_cell(binder: &mut Binder<Self>, field: &Field) -> Cell;

    /// A value of a map, for tests. The text of an array has no meaning.
    fn map_cell(binder: &mut Binder<Self>, map: Map, name: &str) -> Cell;

    /// The value of a map is an array that has an element, at whatever depth of arrays, for which `test` holds.
    fn any_element(
        binder: &mut Binder<Self>,
        map: Map,
        name: &str,
        test: &mut dyn FnMut(&mut Binder<Self>, &Cell) -> String,
    ) -> String;

    /// The value of a map, or an element of it, equals a literal, by an index; None where the plain tests are as good.
    fn map_equals(binder: &mut Binder<Self>, map: Map, name: &str, literal: &Literal) -> Option<String>;

    /// A cell is a number (or, with `strings`, a string that reads wholly as one) within an interval.
    fn number_within(binder: &mut Binder<Self>, cell: &Cell, interval: &Interval, strings: bool) -> String;

    /// A text reads wholly as a number within an interval.
    fn text_within(binder: &mut Binder<Self>, text: &str, interval: &Interval) -> String;

    /// A text matches a regular expression of the dialect, unanchored.
    fn matches(text: &str, pattern: &str) -> String;

    /// A text has another in it.
    fn contains(text: &str, part: &str) -> String;

    /// The message may have all of these folded words: what an index of words can tell. None when it can tell nothing.
    fn words_narrow(binder: &mut Binder<Self>, words: &[String]) -> Option<String>;

    /// The columns that `number_parts` reads, made from the columns `t{index}` and `x{index}` of a cell.
    fn number_columns(index: usize) -> String;

    /// The parts of a numeric metric over the number columns of a field.
    fn number_parts(index: usize, numeric: Numeric) -> Parts;

    /// How many different values the cell `index` has.
    fn distinct(index: usize) -> String;

    /// How many rows satisfy a condition.
    fn count_where(condition: &str) -> String;

    /// A list of 64-bit integers, or of texts.
    fn list(items: &[String], of_texts: bool) -> String;

    /// A number as 64 bits, signed.
    fn int64(number: &str) -> String;

    /// The statement that lists fields: `FieldRow`s over the rows of a condition.
    fn fields(condition: &str) -> String;
}
