//! PostgreSQL, version 14 and newer, with or without TimescaleDB.
//!
//! The table is `logs`, found by the connection's `search_path`. The planner reads these columns; every text column has
//! `COLLATE "C"`:
//!
//! | column | type | |
//! |---|---|---|
//! | `project`, `service`, `message` | `text not null` | |
//! | `ts` | `timestamptz not null` | microseconds, floored |
//! | `ts_nanos` | `smallint not null` | 0 to 999, the rest of the time |
//! | `observed_ns` | `bigint not null` | nanoseconds since the Unix epoch |
//! | `origin` | `bytea not null` | 16 bytes, big-endian, of the record's id |
//! | `record_index` | `int not null` | of the record's id, 0 to 2^31 - 1 |
//! | `host` | `text` | |
//! | `severity` | `smallint` | 1 to 24 |
//! | `trace_id`, `span_id` | `bytea` | 16 and 8 bytes |
//! | `attributes`, `resource` | `jsonb not null` | an object of plain JSON values ([`fields_to_json`]) |
//! | `attribute_texts`, `resource_texts` | `jsonb` | what `jsonb` loses of them ([`fields_to_json`]); null when nothing |
//! | `words` | `bigint[] not null` | [`crate::words::word_hashes`] of the message |
//!
//! `jsonb` keeps numbers as decimals without their type, and writes arrays and objects in its own form. So each double
//! and each array has its text in the `…_texts` column under the same name:
//!
//! - a double: its shortest text as a JSON string, `{"duration_ms": "1e+21"}`;
//! - an array: `{"tags": {"json": "[\"a\",[1.0]]", "items": [[1, "a"], [3, "1.0"]]}}`: its JSON as text, and the
//!   tag and text ([`crate::cell`]) of each string, number and bool in it and in arrays within it, but not within
//!   objects; and `"key"`, its JSON with `-0.0` written as `0.0`, where that differs.
//!
//! Indexes that serve what the planner writes: `(project, ts, ts_nanos, origin, record_index)`, `(project, origin)`,
//! `(trace_id)`, GIN on `words`, GIN (`jsonb_path_ops`) on each of the four `jsonb` columns: a field is looked for in all
//! of them, so one without an index would make the others useless. Of the texts only those with items are searched, by
//! [`HAS_ITEMS`], so that the others need not be indexed.
//!
//! The functions of [`FUNCTIONS`] must be there: run it with the migrations.
//!
//! Every number in an answer is `bigint` or `double precision`, every text `text`, so that one row type reads both
//! databases.

mod encoding;

use std::ops::Bound;

use model::cursor::{Order, SortKey};
use model::number::Number;
use model::query::{Field, Literal};
use model::{RecordId, SpanId, TraceId};
use serde_json::json;

use super::{Cell, Column, Dialect, Map, Numeric, Parts};
use crate::bounds::Interval;
use crate::cell::{ARRAY, BOOL, DOUBLE, INT, STRING};
use crate::condition::{FALSE, all, any};
use crate::pattern::Syntax;
use crate::statement::{Binder, Param};
use crate::words::word_hash;

pub use encoding::{fields_from_json, fields_to_json};

/// What the rows of an index on a `…_texts` column fulfil, and every condition that it serves.
const HAS_ITEMS: &str = "@? '$.*.items'";

/// The functions that statements call: one text of several `CREATE OR REPLACE FUNCTION`.
pub const FUNCTIONS: &str = include_str!("postgres/functions.sql");

/// From here on more than one integer may equal a double, so that a decimal does not tell what equals a number.
const EXACT_DOUBLES: f64 = 9_007_199_254_740_992.0;

/// PostgreSQL's words.
#[derive(Debug, Clone, Copy, Default)]
pub struct Postgres;

impl Dialect for Postgres {
    const TABLE: &'static str = "logs";
    const PROJECT: &'static str = "project";
    const SEVERITY: &'static str = "severity";
    const MESSAGE: &'static str = "message";
    // Under the collation "C" this folds ASCII only.
    const FOLDED_MESSAGE: &'static str = "lower(message)";
    const SYNTAX: Syntax = Syntax::Postgres;
    const FENCE: &'static str = " OFFSET 0";
    /// `bigint`, `bigint`, `bytea`, `int`, `text`, `text`, `smallint`, `text`, `bytea`, `bytea`, four times `text`.
    const RECORD_COLUMNS: &'static [&'static str] = &[
        "((extract(epoch FROM ts) * 1000000)::bigint * 1000 + ts_nanos) AS timestamp",
        "observed_ns AS observed",
        "origin",
        "record_index",
        "service",
        "host",
        "severity",
        "message",
        "trace_id",
        "span_id",
        "attributes::text AS attributes",
        "attribute_texts::text AS attribute_texts",
        "resource::text AS resource",
        "resource_texts::text AS resource_texts",
    ];

    fn placeholder(index: usize, param: &Param) -> String {
        let kind = match param {
            Param::Text(_) => "text",
            Param::Int(_) => "bigint",
            Param::Double(_) => "double precision",
            Param::Microseconds(_) => "timestamptz",
            Param::Origin(_) | Param::Bytes(_) => "bytea",
            Param::Origins(_) => "bytea[]",
            Param::Texts(_) => "text[]",
            Param::Ints(_) => "bigint[]",
        };
        format!("${}::{kind}", index + 1)
    }

    fn not(condition: &str) -> String {
        format!("({condition}) IS NOT TRUE")
    }

    fn time_within(binder: &mut Binder<Self>, field: &Field, low: Bound<i64>, high: Bound<i64>) -> String {
        let mut compare = |operator: &str, strict: &str, time: i64| {
            if *field == Field::ObservedTimestamp {
                return format!("observed_ns {operator} {}", binder.bind(Param::Int(time)));
            }
            let (micros, rest) = (binder.bind(Param::Microseconds(time.div_euclid(1_000))), time.rem_euclid(1_000));
            match (operator, rest) {
                (">=" | "<", 0) => format!("ts {operator} {micros}"),
                _ => format!("ts {strict}= {micros} AND (ts {strict} {micros} OR ts_nanos {operator} {rest})"),
            }
        };
        let mut parts = Vec::new();
        match low {
            Bound::Unbounded => {}
            Bound::Included(time) => parts.push(compare(">=", ">", time)),
            Bound::Excluded(time) => parts.push(compare(">", ">", time)),
        }
        match high {
            Bound::Unbounded => {}
            Bound::Included(time) => parts.push(compare("<=", "<", time)),
            Bound::Excluded(time) => parts.push(compare("<", "<", time)),
        }
        all(parts)
    }

    fn nanoseconds() -> &'static str {
        "((extract(epoch FROM ts) * 1000000)::bigint * 1000 + ts_nanos)"
    }

    fn after(binder: &mut Binder<Self>, key: &SortKey, order: Order) -> String {
        let operator = if order == Order::Ascending { ">" } else { "<" };
        let micros = binder.bind(Param::Microseconds(key.timestamp.div_euclid(1_000)));
        let rest = binder.bind(Param::Int(key.timestamp.rem_euclid(1_000)));
        let origin = binder.bind(Param::Origin(key.id.origin));
        let index = binder.bind(Param::Int(key.id.index.into()));
        format!("(ts, ts_nanos, origin, record_index) {operator} ({micros}, {rest}, {origin}, {index})")
    }

    fn sort_columns() -> &'static [&'static str] {
        &["ts", "ts_nanos", "origin", "record_index"]
    }

    fn id_equals(binder: &mut Binder<Self>, id: RecordId) -> String {
        let origin = binder.bind(Param::Origin(id.origin));
        format!("(origin = {origin} AND record_index = {})", binder.bind(Param::Int(id.index.into())))
    }

    fn origin_among(binder: &mut Binder<Self>, origins: &[u128]) -> String {
        format!("origin = ANY({})", binder.bind(Param::Origins(origins.to_vec())))
    }

    fn origin_text() -> &'static str {
        "encode(origin, 'hex')"
    }

    fn column(field: &Field) -> Option<Column> {
        let (text, present) = match field {
            Field::Id => ("(encode(origin, 'hex') || lpad(to_hex(record_index), 8, '0'))", None),
            Field::Project => ("project", None),
            Field::Service => ("service", None),
            Field::Host => ("host", Some("host IS NOT NULL")),
            Field::Message => ("message", None),
            Field::TraceId => ("encode(trace_id, 'hex')", Some("trace_id IS NOT NULL")),
            Field::SpanId => ("encode(span_id, 'hex')", Some("span_id IS NOT NULL")),
            _ => return None,
        };
        Some(Column { text: text.to_owned(), present: present.map(str::to_owned) })
    }

    fn column_equals(binder: &mut Binder<Self>, field: &Field, text: &str) -> Option<String> {
        let (column, bytes) = match field {
            Field::TraceId => {
                ("trace_id", text.parse::<TraceId>().ok().filter(|id| id.to_string() == text)?.0.to_vec())
            }
            Field::SpanId => ("span_id", text.parse::<SpanId>().ok().filter(|id| id.to_string() == text)?.0.to_vec()),
            _ => return None,
        };
        Some(format!("{column} = {}", binder.bind(Param::Bytes(bytes))))
    }

    fn group_cell(binder: &mut Binder<Self>, field: &Field) -> Cell {
        if let Some(Column { text, present }) = Self::column(field) {
            let Some(present) = present else { return cell("1", &text) };
            return cell(&format!("CASE WHEN {present} THEN 1 ELSE 0 END"), &format!("coalesce({text}, '')"));
        }
        let present = "CASE WHEN severity IS NULL THEN 0 ELSE";
        match field {
            Field::Timestamp => cell(
                "1",
                "to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') || lpad(ts_nanos::text, 3, '0') || 'Z'",
            ),
            Field::ObservedTimestamp => cell(
                "1",
                "to_char(timestamp 'epoch' + (observed_ns / 1000000000) * interval '1 second', \
                 'YYYY-MM-DD\"T\"HH24:MI:SS') || '.' || lpad((observed_ns % 1000000000)::text, 9, '0') || 'Z'",
            ),
            Field::Level => cell(
                &format!("{present} 1 END"),
                "coalesce((ARRAY['trace', 'debug', 'info', 'warn', 'error', 'fatal'])[(severity + 3) / 4], '')",
            ),
            Field::SeverityNumber => cell(&format!("{present} {INT} END"), "coalesce(severity::text, '')"),
            Field::Attribute(name) => map_group_cell(binder, Map::Attributes, name),
            Field::Resource(name) => map_group_cell(binder, Map::Resource, name),
            Field::Any(name) => {
                let first = map_group_cell(binder, Map::Attributes, name);
                let second = map_group_cell(binder, Map::Resource, name);
                let choose = |a: &str, b: &str| format!("CASE WHEN {} <> 0 THEN {a} ELSE {b} END", first.tag);
                Cell { tag: choose(&first.tag, &second.tag), text: choose(&first.text, &second.text) }
            }
            _ => cell("0", "''"),
        }
    }

    fn map_cell(binder: &mut Binder<Self>, map: Map, name: &str) -> Cell {
        let (values, texts) = columns(map);
        let name = binder.text(name);
        let tag = tag(&format!("{values} -> {name}"), &format!("{texts} -> {name}"));
        Cell { tag, text: format!("coalesce({texts} ->> {name}, {values} ->> {name}, '')") }
    }

    fn any_element(
        binder: &mut Binder<Self>,
        map: Map,
        name: &str,
        test: &mut dyn FnMut(&mut Binder<Self>, &Cell) -> String,
    ) -> String {
        let element = Cell { tag: "(item ->> 0)::int".to_owned(), text: "(item ->> 1)".to_owned() };
        let test = test(binder, &element);
        if test == FALSE {
            return test;
        }
        let items = format!("{} -> {} -> 'items'", columns(map).1, binder.text(name));
        format!("EXISTS (SELECT 1 FROM jsonb_array_elements({items}) AS e(item) WHERE {test})")
    }

    fn map_equals(binder: &mut Binder<Self>, map: Map, name: &str, literal: &Literal) -> Option<String> {
        let (values, texts) = columns(map);
        let mut elements = vec![(STRING, literal.text.clone())];
        let mut scalars = vec![json!({ name: literal.text })];
        if let Some(flag) = literal.boolean {
            scalars.push(json!({ name: flag }));
            elements.push((BOOL, literal.text.clone()));
        }
        let mut ways = Vec::new();
        match literal.number {
            Some(number) if number.as_f64().abs() < EXACT_DOUBLES => {
                let value = number.as_f64();
                match number {
                    Number::Int(number) => scalars.push(json!({ name: number })),
                    Number::Double(number) => scalars.push(json!({ name: number })),
                }
                if value.fract() == 0.0 {
                    elements.push((INT, Number::Int(value as i64).to_string()));
                }
                elements.push((DOUBLE, Number::Double(value).to_string()));
                if value == 0.0 {
                    elements.push((DOUBLE, Number::Double(-value).to_string()));
                }
            }
            Some(number) => {
                let interval = Interval::equal_to(number);
                let cell = Self::map_cell(binder, map, name);
                ways.push(Self::number_within(binder, &cell, &interval, false));
                ways.push(Self::any_element(binder, map, name, &mut |binder, cell| {
                    Self::number_within(binder, cell, &interval, false)
                }));
            }
            None => {}
        }
        for scalar in scalars {
            ways.push(format!("{values} @> ({})::jsonb", binder.text(&scalar.to_string())));
        }
        for element in elements {
            let element = json!({ name: { "items": [element] } });
            let element = binder.text(&element.to_string());
            ways.push(format!("({texts} {HAS_ITEMS} AND {texts} @> ({element})::jsonb)"));
        }
        Some(any(ways))
    }

    fn number_within(binder: &mut Binder<Self>, cell: &Cell, interval: &Interval, strings: bool) -> String {
        let text = &cell.text;
        let mut arms = String::new();
        if let Some((first, last)) = interval.integers {
            let (first, last) = (binder.bind(Param::Int(first)), binder.bind(Param::Int(last)));
            arms.push_str(&format!(" WHEN {INT} THEN ({text})::bigint BETWEEN {first} AND {last}"));
        }
        let double = double_within(binder, &format!("({text})::double precision"), interval);
        arms.push_str(&format!(" WHEN {DOUBLE} THEN {double}"));
        if strings {
            arms.push_str(&format!(" WHEN {STRING} THEN {}", Self::text_within(binder, text, interval)));
        }
        format!("(CASE {}{arms} ELSE FALSE END)", cell.tag)
    }

    fn text_within(binder: &mut Binder<Self>, text: &str, interval: &Interval) -> String {
        let mut ways = Vec::new();
        if let Some((first, last)) = interval.integers {
            let (first, last) = (binder.bind(Param::Int(first)), binder.bind(Param::Int(last)));
            ways.push(format!("devlogs_int({text}) BETWEEN {first} AND {last}"));
        }
        ways.push(double_within(binder, &format!("devlogs_double({text})"), interval));
        any(ways)
    }

    fn matches(text: &str, pattern: &str) -> String {
        format!("{text} ~ {pattern}")
    }

    fn contains(text: &str, part: &str) -> String {
        format!("strpos({text}, {part}) > 0")
    }

    fn words_narrow(binder: &mut Binder<Self>, words: &[String]) -> Option<String> {
        let hashes: Vec<i64> = words.iter().map(|word| word_hash(word.as_bytes())).collect();
        (!hashes.is_empty()).then(|| format!("words @> {}", binder.bind(Param::Ints(hashes))))
    }

    fn number_columns(index: usize) -> String {
        format!(
            "CASE t{index} WHEN {INT} THEN x{index}::bigint WHEN {STRING} THEN devlogs_int(x{index}) END AS i{index}, \
             CASE t{index} WHEN {DOUBLE} THEN x{index}::double precision WHEN {STRING} THEN devlogs_double(x{index}) \
             END AS d{index}"
        )
    }

    fn number_parts(index: usize, numeric: Numeric) -> Parts {
        let count = format!("(count(i{index}) + count(d{index}))");
        let doubles = Some(format!("count(d{index})"));
        let text = |number: String| Some(format!("coalesce(({number})::text, '')"));
        match numeric {
            // Decimals add up exactly, and never overflow.
            Numeric::Sum => Parts {
                count,
                doubles,
                integers: text(format!("sum(i{index})")),
                numbers: text(format!("sum(d{index}::text::numeric)")),
            },
            Numeric::Min => Parts {
                count,
                doubles,
                integers: text(format!("min(i{index})")),
                numbers: text(format!("min(d{index})")),
            },
            Numeric::Max => Parts {
                count,
                doubles,
                integers: text(format!("max(i{index})")),
                numbers: text(format!("max(d{index})")),
            },
            Numeric::Percentile(percentile) => {
                // A little less, so that a product that is whole stays so when it is rounded.
                let share = f64::from(percentile) / 100.0 - 1e-12;
                Parts {
                    count,
                    doubles: Some(format!(
                        "(count(d{index}) + count(*) FILTER (WHERE i{index} NOT BETWEEN -{SAFE} AND {SAFE}))",
                        SAFE = 1_i64 << 53
                    )),
                    integers: None,
                    numbers: text(format!(
                        "percentile_disc({share}) WITHIN GROUP (ORDER BY coalesce(d{index}, i{index}::double precision))"
                    )),
                }
            }
        }
    }

    fn distinct(index: usize) -> String {
        format!("count(DISTINCT (t{index}::text || x{index}) COLLATE \"C\") FILTER (WHERE t{index} <> 0)")
    }

    fn count_where(condition: &str) -> String {
        format!("count(*) FILTER (WHERE {condition})")
    }

    fn list(items: &[String], of_texts: bool) -> String {
        let of = if of_texts { "text" } else { "bigint" };
        format!("ARRAY[{}]::{of}[]", items.join(", "))
    }

    fn int64(number: &str) -> String {
        format!("({number})::bigint")
    }

    fn fields(condition: &str) -> String {
        let present = |column: &str, tag: u8| format!("CASE WHEN {column} IS NOT NULL THEN {tag} END");
        format!(
            "SELECT source::bigint AS source, name, tag::bigint AS tag, count(*) AS count FROM {table} CROSS JOIN \
             LATERAL (SELECT 0 AS source, v.name, v.tag FROM (VALUES ('', 0), ('service', {STRING}), ('message', \
             {STRING}), ('host', {host}), ('level', {level}), ('severity_number', {number}), ('trace_id', {trace}), \
             ('span_id', {span})) AS v(name, tag) WHERE v.tag IS NOT NULL UNION ALL SELECT 1, key, {attribute} FROM \
             jsonb_each(attributes) UNION ALL SELECT CASE WHEN jsonb_exists(attributes, key) THEN 3 ELSE 2 END, key, \
             {resource} FROM jsonb_each(resource)) AS f WHERE {condition} GROUP BY 1, 2, 3",
            table = Self::TABLE,
            host = present("host", STRING),
            level = present("severity", STRING),
            number = present("severity", INT),
            trace = present("trace_id", STRING),
            span = present("span_id", STRING),
            attribute = tag("value", "attribute_texts -> key"),
            resource = tag("value", "resource_texts -> key"),
        )
    }
}

/// The column of values and the column of texts.
fn columns(map: Map) -> (&'static str, &'static str) {
    match map {
        Map::Attributes => ("attributes", "attribute_texts"),
        Map::Resource => ("resource", "resource_texts"),
    }
}

fn cell(tag: &str, text: &str) -> Cell {
    Cell { tag: tag.to_owned(), text: format!("({text}) COLLATE \"C\"") }
}

/// The tag of a value by its `jsonb` and by what the column of texts has of it.
fn tag(value: &str, text: &str) -> String {
    format!(
        "(CASE jsonb_typeof({value}) WHEN 'string' THEN {STRING} WHEN 'number' THEN CASE WHEN {text} IS NULL THEN {INT} \
         ELSE {DOUBLE} END WHEN 'boolean' THEN {BOOL} WHEN 'array' THEN {ARRAY} ELSE 0 END)"
    )
}

/// Zeros of either sign are equal in groups.
fn map_group_cell(binder: &mut Binder<Postgres>, map: Map, name: &str) -> Cell {
    let (values, texts) = columns(map);
    let name = binder.text(name);
    let tag = tag(&format!("{values} -> {name}"), &format!("{texts} -> {name}"));
    let text = format!(
        "CASE {tag} WHEN 0 THEN '' WHEN {DOUBLE} THEN CASE {texts} ->> {name} WHEN '-0.0' THEN '0.0' ELSE {texts} ->> \
         {name} END WHEN {ARRAY} THEN coalesce({texts} -> {name} ->> 'key', {texts} -> {name} ->> 'json') ELSE \
         {values} ->> {name} END"
    );
    cell(&tag, &text)
}

fn double_within(binder: &mut Binder<Postgres>, number: &str, interval: &Interval) -> String {
    let mut parts = Vec::new();
    let mut compare =
        |operator, bound| parts.push(format!("{number} {operator} {}", binder.bind(Param::Double(bound))));
    match interval.low {
        Bound::Unbounded => {}
        Bound::Included(low) => compare(">=", low),
        Bound::Excluded(low) => compare(">", low),
    }
    match interval.high {
        Bound::Unbounded => {}
        Bound::Included(high) => compare("<=", high),
        Bound::Excluded(high) => compare("<", high),
    }
    if parts.is_empty() { format!("{number} IS NOT NULL") } else { all(parts) }
}
