//! ClickHouse, version 26 and newer.
//!
//! The table is `otel_logs` in the connection's database: the OpenTelemetry exporter's columns and ours. The planner
//! reads these:
//!
//! | column | type | |
//! |---|---|---|
//! | `Timestamp` | `DateTime64(9)` | |
//! | `TraceId`, `SpanId` | `String` | lower-case hexadecimal, `''` for none |
//! | `SeverityNumber` | `UInt8` | 0 for none |
//! | `ServiceName` | `LowCardinality(String)` | |
//! | `Body` | `String` | the message |
//! | `ResourceAttributes`, `LogAttributes` | `Map(LowCardinality(String), String)` | texts by [`crate::cell::encode`] |
//! | `ResourceAttributeTypes`, `LogAttributeTypes` | `Map(LowCardinality(String), UInt8)` | tags by the same, the same keys |
//! | `Project` | `LowCardinality(String)` | |
//! | `Observed` | `DateTime64(9)` | |
//! | `HasHost` | `UInt8` | 1 when the record has a host |
//! | `Host` | `LowCardinality(String)` | `''` for none |
//! | `Origin` | `UInt128` | of the record's id |
//! | `RecordIndex` | `UInt32` | of the record's id |
//!
//! An index of words stands on `lower(Body)` (folded; ClickHouse's `lower` folds ASCII only): a `text` index with
//! `tokenizer = 'splitByNonAlpha'`, or `tokenbf_v1`. Both serve `hasToken(lower(Body), …)`, which the planner writes.
//! A bloom filter on `mapValues(LogAttributes)` and `mapValues(ResourceAttributes)` serves `LogAttributes['x'] = 'v'`.
//!
//! Every number in an answer is `Int64`, every text `String`, so that one row type reads both databases.

use std::ops::Bound;

use model::RecordId;
use model::cursor::{Order, SortKey};
use model::query::{Field, Literal};

use super::{Cell, Column, Dialect, Map, Numeric, Parts};
use crate::bounds::Interval;
use crate::cell::{ARRAY, BOOL, DOUBLE, INT, STRING};
use crate::condition::{FALSE, TRUE, all, any};
use crate::pattern::Syntax;
use crate::statement::{Binder, Param};

/// Up to as many numbers a percentile is exact, as in [`store::aggregation::sketch`].
const EXACT_MAX: usize = store::aggregation::sketch::CAPACITY;
/// Beyond, the rank is off by at most one part in this many.
const RANK_PARTS: u32 = 250;
/// Words that narrow one condition: the longest say most.
const NARROW_WORDS_MAX: usize = 8;

/// Texts that read wholly as a number, as [`model::number::Number::parse`] does.
const NUMBER: &str = r"'\\A-?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]{1,3})?\\z'";
const WHOLE: &str = r"'\\A-?[0-9]+\\z'";
const ZERO: &str = r"'\\A-?0+\\z'";
/// The tokens of compact JSON: joined again, they are the whole text.
const TOKENS: &str = r#"'"(?:[^"\\\\]|\\\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null|[\\[\\]{}:,]'"#;

/// ClickHouse's words.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClickHouse;

impl Dialect for ClickHouse {
    const TABLE: &'static str = "otel_logs";
    const PROJECT: &'static str = "Project";
    const SEVERITY: &'static str = "SeverityNumber";
    const MESSAGE: &'static str = "Body";
    const FOLDED_MESSAGE: &'static str = "lower(Body)";
    const SYNTAX: Syntax = Syntax::Re2;
    const FENCE: &'static str = "";
    /// `Int64`, `Int64`, `UInt128`, `UInt32`, `String`, `UInt8`, `String`, `UInt8`, `String`, `String`, `String`, and
    /// twice `Map(String, String)`, `Map(String, UInt8)`.
    const RECORD_COLUMNS: &'static [&'static str] = &[
        "toUnixTimestamp64Nano(Timestamp) AS timestamp",
        "toUnixTimestamp64Nano(Observed) AS observed",
        "Origin AS origin",
        "RecordIndex AS record_index",
        "toString(ServiceName) AS service",
        "HasHost AS has_host",
        "toString(Host) AS host",
        "SeverityNumber AS severity",
        "Body AS message",
        "TraceId AS trace_id",
        "SpanId AS span_id",
        "CAST(LogAttributes, 'Map(String, String)') AS attributes",
        "CAST(LogAttributeTypes, 'Map(String, UInt8)') AS attribute_types",
        "CAST(ResourceAttributes, 'Map(String, String)') AS resource",
        "CAST(ResourceAttributeTypes, 'Map(String, UInt8)') AS resource_types",
    ];

    fn placeholder(index: usize, param: &Param) -> String {
        let kind = match param {
            Param::Text(_) | Param::Bytes(_) => "String",
            Param::Int(_) | Param::Microseconds(_) => "Int64",
            Param::Double(_) => "Float64",
            Param::Origin(_) => "UInt128",
            Param::Origins(_) => "Array(UInt128)",
            Param::Texts(_) => "Array(String)",
            Param::Ints(_) => "Array(Int64)",
        };
        format!("{{p{index}:{kind}}}")
    }

    fn not(condition: &str) -> String {
        format!("NOT ({condition})")
    }

    fn time_within(binder: &mut Binder<Self>, field: &Field, low: Bound<i64>, high: Bound<i64>) -> String {
        let column = if *field == Field::Timestamp { "Timestamp" } else { "Observed" };
        let mut compare =
            |operator, time| format!("{column} {operator} fromUnixTimestamp64Nano({})", binder.bind(Param::Int(time)));
        let mut parts = Vec::new();
        match low {
            Bound::Unbounded => {}
            Bound::Included(time) => parts.push(compare(">=", time)),
            Bound::Excluded(time) => parts.push(compare(">", time)),
        }
        match high {
            Bound::Unbounded => {}
            Bound::Included(time) => parts.push(compare("<=", time)),
            Bound::Excluded(time) => parts.push(compare("<", time)),
        }
        all(parts)
    }

    fn nanoseconds() -> &'static str {
        "toUnixTimestamp64Nano(Timestamp)"
    }

    fn after(binder: &mut Binder<Self>, key: &SortKey, order: Order) -> String {
        let operator = if order == Order::Ascending { ">" } else { "<" };
        let time = format!("fromUnixTimestamp64Nano({})", binder.bind(Param::Int(key.timestamp)));
        let origin = binder.bind(Param::Origin(key.id.origin));
        let index = binder.bind(Param::Int(key.id.index.into()));
        // The first part is implied and lets the primary index narrow.
        format!(
            "Timestamp {operator}= {time} AND (Timestamp {operator} {time} OR Origin {operator} {origin} OR (Origin = \
             {origin} AND RecordIndex {operator} {index}))"
        )
    }

    fn sort_columns() -> &'static [&'static str] {
        &["Timestamp", "Origin", "RecordIndex"]
    }

    fn id_equals(binder: &mut Binder<Self>, id: RecordId) -> String {
        let origin = binder.bind(Param::Origin(id.origin));
        format!("(Origin = {origin} AND RecordIndex = {})", binder.bind(Param::Int(id.index.into())))
    }

    fn origin_among(binder: &mut Binder<Self>, origins: &[u128]) -> String {
        format!("Origin IN {}", binder.bind(Param::Origins(origins.to_vec())))
    }

    fn origin_text() -> &'static str {
        "leftPad(lower(hex(Origin)), 32, '0')"
    }

    fn column(field: &Field) -> Option<Column> {
        let always = |text: &str| Some(Column { text: text.to_owned(), present: None });
        let unless_empty =
            |text: &str| Some(Column { text: text.to_owned(), present: Some(format!("notEmpty({text})")) });
        match field {
            Field::Id => {
                always("concat(leftPad(lower(hex(Origin)), 32, '0'), leftPad(lower(hex(RecordIndex)), 8, '0'))")
            }
            Field::Project => always("toString(Project)"),
            Field::Service => always("toString(ServiceName)"),
            Field::Host => Some(Column { text: "toString(Host)".to_owned(), present: Some("HasHost <> 0".to_owned()) }),
            Field::Message => always("Body"),
            Field::TraceId => unless_empty("TraceId"),
            Field::SpanId => unless_empty("SpanId"),
            _ => None,
        }
    }

    fn column_equals(binder: &mut Binder<Self>, field: &Field, text: &str) -> Option<String> {
        // By the column as it is, so that an index on it serves.
        let (column, present) = match field {
            Field::Project => ("Project", None),
            Field::Service => ("ServiceName", None),
            Field::Host => ("Host", Some("HasHost <> 0")),
            Field::TraceId | Field::SpanId if text.is_empty() => return Some(FALSE.to_owned()),
            _ => return None,
        };
        let equal = format!("{column} = {}", binder.text(text));
        Some(all(vec![equal, present.unwrap_or(TRUE).to_owned()]))
    }

    fn group_cell(binder: &mut Binder<Self>, field: &Field) -> Cell {
        if let Some(Column { text, present }) = Self::column(field) {
            let tag = present.map_or_else(|| "1".to_owned(), |present| format!("if({present}, 1, 0)"));
            return Cell { tag, text };
        }
        let time = |column: &str| Cell {
            tag: "1".to_owned(),
            text: format!("concat(replaceOne(toString(toTimeZone({column}, 'UTC')), ' ', 'T'), 'Z')"),
        };
        match field {
            Field::Timestamp => time("Timestamp"),
            Field::ObservedTimestamp => time("Observed"),
            Field::Level => Cell {
                tag: "if(SeverityNumber = 0, 0, 1)".to_owned(),
                text: "['trace', 'debug', 'info', 'warn', 'error', 'fatal'][intDiv(SeverityNumber + 3, 4)]".to_owned(),
            },
            Field::SeverityNumber => Cell {
                tag: format!("if(SeverityNumber = 0, 0, {INT})"),
                text: "if(SeverityNumber = 0, '', toString(SeverityNumber))".to_owned(),
            },
            Field::Attribute(name) => map_group_cell(binder, Map::Attributes, name),
            Field::Resource(name) => map_group_cell(binder, Map::Resource, name),
            Field::Any(name) => {
                let first = map_group_cell(binder, Map::Attributes, name);
                let second = map_group_cell(binder, Map::Resource, name);
                let choose = |a: &str, b: &str| format!("if({} <> 0, {a}, {b})", first.tag);
                Cell { tag: choose(&first.tag, &second.tag), text: choose(&first.text, &second.text) }
            }
            _ => Cell { tag: "0".to_owned(), text: "''".to_owned() },
        }
    }

    fn map_cell(binder: &mut Binder<Self>, map: Map, name: &str) -> Cell {
        let (values, types) = columns(map);
        let name = binder.text(name);
        Cell { tag: format!("{types}[{name}]"), text: format!("{values}[{name}]") }
    }

    fn any_element(
        binder: &mut Binder<Self>,
        map: Map,
        name: &str,
        test: &mut dyn FnMut(&mut Binder<Self>, &Cell) -> String,
    ) -> String {
        let Cell { tag, text } = Self::map_cell(binder, map, name);
        let test = test(binder, &Cell { tag: "e.1".to_owned(), text: "e.2".to_owned() });
        if test == FALSE {
            return FALSE.to_owned();
        }
        let elements = elements(&format!("if({tag} = {ARRAY}, {text}, '')"));
        format!("({tag} = {ARRAY} AND arrayExists(e -> {test}, {elements}))")
    }

    fn map_equals(_: &mut Binder<Self>, _: Map, _: &str, _: &Literal) -> Option<String> {
        None
    }

    fn number_within(binder: &mut Binder<Self>, cell: &Cell, interval: &Interval, strings: bool) -> String {
        let Cell { tag, text } = cell;
        let mut ways = Vec::new();
        if let Some(integers) = integers_within(binder, text, interval) {
            ways.push(all(vec![format!("{tag} = {INT}"), integers]));
        }
        ways.push(all(vec![format!("{tag} = {DOUBLE}"), double_within(binder, text, interval)]));
        if strings {
            ways.push(all(vec![format!("{tag} = {STRING}"), Self::text_within(binder, text, interval)]));
        }
        any(ways)
    }

    fn text_within(binder: &mut Binder<Self>, text: &str, interval: &Interval) -> String {
        let integers = integers_within(binder, text, interval).unwrap_or_else(|| FALSE.to_owned());
        let double = double_within(binder, text, interval);
        format!(
            "(match({text}, {NUMBER}) AND if({whole}, {integers}, isFinite(toFloat64OrZero({text})) AND {double}))",
            whole = whole(text)
        )
    }

    fn matches(text: &str, pattern: &str) -> String {
        format!("match({text}, {pattern})")
    }

    fn contains(text: &str, part: &str) -> String {
        format!("position({text}, {part}) > 0")
    }

    fn words_narrow(binder: &mut Binder<Self>, words: &[String]) -> Option<String> {
        // The index splits words at `_`, and its words have ASCII separators only, as ours.
        let mut parts: Vec<&str> =
            words.iter().flat_map(|word| word.split('_')).filter(|part| !part.is_empty()).collect();
        parts.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        parts.dedup();
        parts.truncate(NARROW_WORDS_MAX);
        let tests: Vec<String> =
            parts.into_iter().map(|part| format!("hasToken(lower(Body), {})", binder.text(part))).collect();
        (!tests.is_empty()).then(|| all(tests))
    }

    fn number_columns(index: usize) -> String {
        let (tag, text) = (format!("t{index}"), format!("x{index}"));
        let double = format!("if(isFinite(toFloat64OrZero({text})), {DOUBLE}, 0)");
        format!(
            "multiIf({tag} IN ({INT}, {DOUBLE}), {tag}, {tag} = {STRING} AND match({text}, {NUMBER}), if({whole}, \
             {INT}, {double}), 0) AS k{index}, toInt64OrZero({text}) AS i{index}, toFloat64OrZero({text}) AS d{index}",
            whole = whole(&text)
        )
    }

    fn number_parts(index: usize, numeric: Numeric) -> Parts {
        let (kind, integer, double) = (format!("k{index}"), format!("i{index}"), format!("d{index}"));
        let two = |function: &str, of_doubles: &str, integer: &str| Parts {
            count: format!("countIf({kind} <> 0)"),
            doubles: Some(format!("countIf({kind} = {DOUBLE})")),
            integers: Some(format!("toString({function}({integer}, {kind} = {INT}))")),
            numbers: Some(format!("toString({of_doubles}({double}, {kind} = {DOUBLE}))")),
        };
        match numeric {
            Numeric::Sum => two("sumIf", "sumKahanIf", &format!("toInt128({integer})")),
            Numeric::Min => two("minIf", "minIf", &integer),
            Numeric::Max => two("maxIf", "maxIf", &integer),
            Numeric::Percentile(percentile) => {
                let count = format!("countIf({kind} <> 0)");
                let rank = format!("greatest(1, intDiv({count} * {percentile} + 99, 100))");
                let level = f64::from(percentile) / 100.0;
                let large =
                    format!("{kind} = {INT} AND ({integer} > {SAFE} OR {integer} < -{SAFE})", SAFE = 1_i64 << 53);
                Parts {
                    doubles: Some(format!("countIf({kind} = {DOUBLE} OR ({large}))")),
                    integers: None,
                    numbers: Some(format!(
                        "toString(if({count} <= {EXACT_MAX}, arraySort(groupArrayIf({EXACT_MAX})({double}, {kind} <> \
                         0))[{rank}], quantileGKIf({RANK_PARTS}, {level})({double}, {kind} <> 0)))"
                    )),
                    count,
                }
            }
        }
    }

    fn distinct(index: usize) -> String {
        format!("uniqExactIf((t{index}, x{index}), t{index} <> 0)")
    }

    fn count_where(condition: &str) -> String {
        format!("countIf({condition})")
    }

    fn list(items: &[String], of_texts: bool) -> String {
        let of = if of_texts { "String" } else { "Int64" };
        format!("CAST([{}], 'Array({of})')", items.join(", "))
    }

    fn int64(number: &str) -> String {
        format!("toInt64({number})")
    }

    fn fields(condition: &str) -> String {
        let of_map = |types: &str, source: &str| {
            format!(
                "arrayMap((name, tag) -> (toUInt8({source}), toString(name), tag), mapKeys({types}), mapValues({types}))"
            )
        };
        let shadowed = "if(mapContains(LogAttributeTypes, name), 3, 2)";
        let of_record =
            |name: &str, tag: u8, present: &str| format!("(toUInt8(0), '{name}', toUInt8(if({present}, {tag}, 0)))");
        let record = [
            "(toUInt8(0), '', toUInt8(0))".to_owned(),
            of_record("service", STRING, "1"),
            of_record("message", STRING, "1"),
            of_record("host", STRING, "HasHost <> 0"),
            of_record("level", STRING, "SeverityNumber <> 0"),
            of_record("severity_number", INT, "SeverityNumber <> 0"),
            of_record("trace_id", STRING, "notEmpty(TraceId)"),
            of_record("span_id", STRING, "notEmpty(SpanId)"),
        ];
        format!(
            "SELECT toInt64(field.1) AS source, field.2 AS name, toInt64(field.3) AS tag, toInt64(count()) AS count \
             FROM (SELECT arrayJoin(arrayConcat([{record}], {attributes}, {resource})) AS field FROM {table} WHERE \
             {condition}) WHERE tag <> 0 OR name = '' GROUP BY source, name, tag",
            record = record.join(", "),
            attributes = of_map("LogAttributeTypes", "1"),
            resource = of_map("ResourceAttributeTypes", shadowed),
            table = Self::TABLE,
        )
    }
}

/// The column of texts and the column of tags.
fn columns(map: Map) -> (&'static str, &'static str) {
    match map {
        Map::Attributes => ("LogAttributes", "LogAttributeTypes"),
        Map::Resource => ("ResourceAttributes", "ResourceAttributeTypes"),
    }
}

/// Zeros of either sign are equal in groups.
fn map_group_cell(binder: &mut Binder<ClickHouse>, map: Map, name: &str) -> Cell {
    let Cell { tag, text } = ClickHouse::map_cell(binder, map, name);
    let array = format!("{tag} = {ARRAY} AND position({text}, '-0.0') > 0");
    let tokens = format!("extractAll(if({array}, {text}, ''), {TOKENS})");
    let unsigned = format!("arrayStringConcat(arrayMap(token -> if(token = '-0.0', '0.0', token), {tokens}))");
    let text = format!("multiIf({tag} = {DOUBLE} AND {text} = '-0.0', '0.0', {array}, {unsigned}, {text})");
    Cell { tag, text }
}

/// A text that reads wholly as a number is a 64-bit integer.
fn whole(text: &str) -> String {
    format!("(match({text}, {WHOLE}) AND (toInt64OrZero({text}) <> 0 OR match({text}, {ZERO})))")
}

fn integers_within(binder: &mut Binder<ClickHouse>, text: &str, interval: &Interval) -> Option<String> {
    let (first, last) = interval.integers?;
    let mut parts = Vec::new();
    if first == last {
        parts.push(format!("toInt64OrZero({text}) = {}", binder.bind(Param::Int(first))));
    } else {
        if first > i64::MIN {
            parts.push(format!("toInt64OrZero({text}) >= {}", binder.bind(Param::Int(first))));
        }
        if last < i64::MAX {
            parts.push(format!("toInt64OrZero({text}) <= {}", binder.bind(Param::Int(last))));
        }
    }
    Some(all(parts))
}

fn double_within(binder: &mut Binder<ClickHouse>, text: &str, interval: &Interval) -> String {
    let mut parts = Vec::new();
    let mut compare = |operator, bound| {
        parts.push(format!("toFloat64OrZero({text}) {operator} {}", binder.bind(Param::Double(bound))));
    };
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
    all(parts)
}

/// The strings, numbers and bools in the JSON of an array, in arrays within it too but not in objects, as (tag, text).
fn elements(json: &str) -> String {
    let tokens = format!("extractAll({json}, {TOKENS})");
    let depths = format!("arrayCumSum(token -> toInt8(token = '{{') - toInt8(token = '}}'), {tokens})");
    let tag = format!(
        "multiIf(depth <> 0, 0, startsWith(token, '\"'), {STRING}, token IN ('true', 'false'), {BOOL}, match(token, \
         '^-?[0-9]'), if(match(token, '[.eE]'), {DOUBLE}, {INT}), 0)"
    );
    let text = "if(startsWith(token, '\"'), JSONExtractString(token), token)";
    let pairs = format!("arrayMap((token, depth) -> ({tag}, {text}), {tokens}, {depths})");
    format!("arrayFilter(pair -> pair.1 <> 0, {pairs})")
}
