//! Rows of planned statements as the client reads them: the planner's own row types, which are not the client's.

use clickhouse::Row;
use serde::Deserialize;
use store_sql::rows;

/// A row type of the client, and how it becomes the planner's.
macro_rules! row {
    ($name:ident { $($field:ident: $kind:ty),+ }) => {
        #[derive(Debug, Row, Deserialize)]
        pub struct $name {
            $($field: $kind),+
        }

        impl From<$name> for rows::$name {
            fn from(row: $name) -> Self {
                Self { $($field: row.$field),+ }
            }
        }
    };
}

row!(HistogramRow { start: i64, place: i64, tag: i64, text: String, count: i64 });
row!(GroupRow {
    start: i64,
    tags: Vec<i64>,
    texts: Vec<String>,
    counts: Vec<i64>,
    doubles: Vec<i64>,
    integers: Vec<String>,
    numbers: Vec<String>
});
row!(FieldRow { source: i64, name: String, tag: i64, count: i64 });
row!(ValueRow { tag: i64, text: String, count: i64 });
row!(OriginRow { origin: String, count: i64 });
