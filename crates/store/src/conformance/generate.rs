//! Records and queries made from a seed: small vocabularies, so that queries match, and every odd shape that a record
//! may have. The same seed always makes the same, so a failure is found again by its seed.

use std::borrow::Cow;
use std::ops::{Bound, Range};
use std::sync::Arc;

use model::number::Number;
use model::position::{Incarnation, Partition, Position};
use model::query::{Field, Glob, Literal, Pattern, Query, Test, Text, WordPattern};
use model::{Batch, Fields, Level, Record, RecordId, Severity, SpanId, TraceId, Value};

use crate::WriteBatch;

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `bound`, without it.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'t, T: ?Sized>(&mut self, of: &[&'t T]) -> &'t T {
        of[self.below(of.len())]
    }
}

/// The first generated timestamp, nanoseconds since the Unix epoch: 2026-01-15T23:59:30Z, so that a day ends within
/// the generated range.
pub const TIMES_START: i64 = 1_768_521_570_000_000_000;
/// How far generated timestamps spread, nanoseconds.
pub const TIMES_SPAN: i64 = 60_000_000_000;

const WORDS: [&str; 24] = [
    "timeout",
    "Timeout",
    "payment",
    "connection",
    "reset",
    "by",
    "peer",
    "user_id",
    "10.0.0.1",
    "foo-bar",
    "err",
    "error",
    "grüße",
    "日本語",
    "a",
    "Ab",
    "->",
    "42",
    "x=1",
    "[ok]",
    "%",
    "_",
    "tim",
    "out",
];
const SERVICES: [&str; 5] = ["shop-web", "auth-api", "payments", "Shop-Web", "unknown_service"];
const HOSTS: [&str; 4] = ["web-1", "web-2", "WEB-1", ""];
const STRINGS: [&str; 16] = [
    "",
    "500",
    "500.0",
    "5e2",
    "-1",
    "true",
    "false",
    "GET",
    "get",
    "/a/b",
    "x y",
    "naïve",
    "007",
    "1e999",
    " 5",
    "quote\"back\\slash",
];
const NAMES: [&str; 12] = [
    "status",
    "duration_ms",
    "http.method",
    "ok",
    "tags",
    "mixed",
    "service",
    "http status",
    "k8s.pod.name",
    "empty",
    "attributes.x",
    "naïve",
];
const NUMBERS: [f64; 9] = [0.0, 1.0, -1.0, 0.1, 500.0, 499.5, 1e300, -2.5e-7, 9_007_199_254_740_993.0];
const INTEGERS: [i64; 8] = [0, 1, -1, 500, 404, i64::MAX, i64::MIN, 9_007_199_254_740_993];

/// Words between separators, of mixed case and script.
pub fn message(random: &mut Random) -> String {
    let separators = [" ", " ", " ", ", ", ": ", "-", "\n", "/"];
    let mut text = String::new();
    for index in 0..random.below(9) {
        if index > 0 {
            text.push_str(random.pick(&separators));
        }
        text.push_str(random.pick(&WORDS));
    }
    text
}

/// A value as an attribute may have it; arrays hold what arrays may hold.
pub fn value(random: &mut Random, nested: bool) -> Value<'static> {
    match random.below(if nested { 9 } else { 7 }) {
        0 | 1 => Value::String(Cow::Borrowed(random.pick(&STRINGS))),
        2 | 3 => Value::Int(INTEGERS[random.below(INTEGERS.len())]),
        4 | 5 => Value::Double(NUMBERS[random.below(NUMBERS.len())]),
        6 if nested => Value::Null,
        6 => Value::Array((0..random.below(4)).map(|_| value(random, true)).collect()),
        7 => Value::Map(vec![(Cow::Borrowed("k"), value(random, false))]),
        _ => Value::Bool(random.once_in(2)),
    }
}

fn fields(random: &mut Random) -> Fields<'static> {
    let mut fields: Fields<'static> = Vec::new();
    for _ in 0..random.below(5) {
        let name = random.pick(&NAMES);
        if fields.iter().any(|(taken, _)| taken == name) {
            continue;
        }
        let value = match name {
            "duration_ms" => Value::Double(random.below(2_000) as f64 / 8.0),
            "status" if !random.once_in(4) => Value::Int([200, 404, 500, 503][random.below(4)]),
            "ok" => Value::Bool(random.once_in(2)),
            "http.method" => Value::String(Cow::Borrowed(random.pick(&["GET", "POST", "get"]))),
            _ => value(random, false),
        };
        fields.push((Cow::Borrowed(name), value));
    }
    fields
}

/// A record whose id is unique by `index`; many share their time.
pub fn record(random: &mut Random, project: &str, index: usize) -> Record<'static> {
    let tick = if random.once_in(2) { TIMES_SPAN / 64 } else { 1 + TIMES_SPAN / 40_000 };
    let timestamp = TIMES_START + (random.below((TIMES_SPAN / tick) as usize) as i64) * tick;
    Record {
        id: RecordId { origin: u128::from(random.number() % 97) << 64 | index as u128, index: random.below(3) as u32 },
        timestamp,
        observed: timestamp + random.below(1_000) as i64,
        project: Cow::Owned(project.to_owned()),
        service: Cow::Borrowed(random.pick(&SERVICES)),
        host: (!random.once_in(3)).then(|| Cow::Borrowed(random.pick(&HOSTS))),
        severity: Severity::new(random.below(26) as i64),
        message: Cow::Owned(message(random)),
        trace_id: (!random.once_in(3)).then(|| TraceId([1 + random.below(5) as u8; 16])),
        span_id: (!random.once_in(3)).then(|| SpanId([1 + random.below(5) as u8; 8])),
        attributes: fields(random),
        resource: fields(random),
    }
}

/// A query; `depth` bounds how far operators stand in each other.
pub fn query(random: &mut Random, depth: usize) -> Query {
    if depth == 0 || random.once_in(3) {
        return leaf(random);
    }
    match random.below(4) {
        0 => Query::Not(Box::new(query(random, depth - 1))),
        1 => {
            let parts = (0..2 + random.below(2)).flat_map(|_| match query(random, depth - 1) {
                Query::Or(parts) => parts,
                part => vec![part],
            });
            Query::Or(parts.collect())
        }
        _ => {
            let parts = (0..2 + random.below(2)).flat_map(|_| match query(random, depth - 1) {
                Query::And(parts) => parts,
                part => vec![part],
            });
            Query::And(parts.collect())
        }
    }
}

fn leaf(random: &mut Random) -> Query {
    match random.below(12) {
        0 => Query::All,
        1..=4 => Query::Message(text(random)),
        _ => {
            let field = field(random);
            let test = test(random, &field);
            Query::Field(field, test)
        }
    }
}

fn text(random: &mut Random) -> Text {
    match random.below(6) {
        0..=2 => Text::Phrase((0..1 + random.below(2)).map(|_| word(random)).collect()),
        3 | 4 => {
            Text::Contains(random.pick(&["meou", "tim", "n r", "->", "ü", "x=1", "t p", "0.0", "\n", "日"]).to_owned())
        }
        _ => Text::Regex(regex(random)),
    }
}

fn word(random: &mut Random) -> WordPattern {
    if random.once_in(3) {
        return WordPattern::Glob(glob(random, &["tim", "out", "e", "t", "", "10"]));
    }
    let words =
        ["timeout", "payment", "connection", "reset", "by", "peer", "user_id", "10", "foo", "bar", "a", "absent"];
    WordPattern::Exact(random.pick(&words).to_owned())
}

fn glob(random: &mut Random, pieces: &[&str]) -> Glob {
    Glob { pieces: (0..2 + random.below(2)).map(|_| random.pick(pieces).to_owned()).collect() }
}

fn regex(random: &mut Random) -> Pattern {
    let sources = ["tim.*out", "^a", "[0-9]+", "(err|x=)", "e\\b", "peer$", "5", "^$", "(?i)GET", "\\w+-\\w+"];
    Pattern::new(random.pick(&sources)).expect("the patterns here are in the common core")
}

/// Any field that a query may name.
pub fn field(random: &mut Random) -> Field {
    let name = random.pick(&NAMES).to_owned();
    match random.below(20) {
        0 => Field::Id,
        1 => Field::Timestamp,
        2 => Field::ObservedTimestamp,
        3 => Field::Project,
        4 => Field::Service,
        5 => Field::Host,
        6 | 7 => Field::Level,
        8 => Field::SeverityNumber,
        9 => Field::Message,
        10 => Field::TraceId,
        11 => Field::SpanId,
        12 | 13 => Field::Attribute(name),
        14 | 15 => Field::Resource(name),
        _ if matches!(&*name, "service" | "attributes.x") => Field::Any("status".to_owned()),
        _ => Field::Any(name),
    }
}

fn test(random: &mut Random, field: &Field) -> Test {
    match (field, random.below(8)) {
        (_, 0) => Test::Exists,
        (Field::Timestamp | Field::ObservedTimestamp, _) => {
            let start = TIMES_START + random.below(TIMES_SPAN as usize) as i64;
            Test::Time(Bound::Included(start), Bound::Excluded(start + TIMES_SPAN / 4))
        }
        (Field::Level, 1..=3) => Test::Severity(Bound::Included(1 + random.below(24) as u8), Bound::Unbounded),
        (Field::Level, _) => Test::Equals(literal(Level::ALL[random.below(6)].as_str())),
        (_, 1 | 2) => Test::Number(bound(random), bound(random)),
        (_, 3) => Test::Glob(glob(random, &["50", "shop", "-", "", "e", "web", "."])),
        (_, 4) => Test::Regex(regex(random)),
        _ => {
            let trace = "01".repeat(16);
            let literals = [&SERVICES[..], &HOSTS[..], &STRINGS[..], &["404", "1", "web-1", &trace]].concat();
            Test::Equals(literal(random.pick(&literals)))
        }
    }
}

/// A literal as the parser reads it.
pub fn literal(text: &str) -> Literal {
    let boolean = match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    };
    Literal { text: text.to_owned(), number: Number::parse(text), boolean }
}

fn bound(random: &mut Random) -> Bound<Number> {
    let number = if random.once_in(2) {
        Number::Int(INTEGERS[random.below(INTEGERS.len())])
    } else {
        Number::Double([0.5, 12.5, 500.0, -1.0, 1e10][random.below(5)])
    };
    match random.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(number),
        _ => Bound::Excluded(number),
    }
}

/// A range of times that cuts the generated ones anywhere, or holds them all.
pub fn range(random: &mut Random) -> Range<i64> {
    if random.once_in(2) {
        return TIMES_START..TIMES_START + TIMES_SPAN + 1;
    }
    let start = random.below(TIMES_SPAN as usize) as i64;
    let length = random.below(TIMES_SPAN as usize) as i64;
    TIMES_START + start..TIMES_START + start + length
}

/// What a web application logs for a request, for measurements.
fn request(index: u64, now: i64) -> Record<'static> {
    let text = |text: String| Value::String(Cow::Owned(text));
    Record {
        id: RecordId {
            origin: u128::from(index / 100).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
            index: (index % 100) as u32,
        },
        timestamp: now + index as i64 * 1_000_000,
        observed: now,
        project: Cow::Borrowed("shop"),
        service: Cow::Borrowed(["shop-web", "auth-api", "payments"][index as usize % 3]),
        host: Some(Cow::Borrowed("web-1")),
        severity: Severity::new(9),
        message: Cow::Owned(format!(
            "GET /api/orders/{index} answered 200 in {} ms for user user_{} from 10.0.{}.{}",
            index % 977,
            index % 5_003,
            index % 251,
            index % 241
        )),
        trace_id: None,
        span_id: None,
        attributes: vec![
            (Cow::Borrowed("http.method"), text("GET".to_owned())),
            (Cow::Borrowed("http.status_code"), Value::Int(200)),
            (Cow::Borrowed("duration_ms"), Value::Double((index % 977) as f64 / 8.0)),
            (Cow::Borrowed("user_id"), text(format!("user_{}", index % 5_003))),
        ],
        resource: vec![(Cow::Borrowed("k8s.pod.name"), text("shop-web-7d9f".to_owned()))],
    }
}

/// A range of one position with the requests of these numbers, for measurements.
pub fn requests(incarnation: Incarnation, position: u64, numbers: Range<u64>, now: i64) -> WriteBatch {
    let mut batch = Batch::new(Arc::from("shop"));
    numbers.for_each(|number| batch.push(&request(number, now)));
    WriteBatch {
        incarnation,
        partition: Partition(0),
        from: Position(position),
        next: Position(position + 1),
        batches: vec![batch],
        keys: Vec::new(),
        counts: Vec::new(),
    }
}
