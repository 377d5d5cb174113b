//! The query tree as a condition on rows. The matchers of [`model::query::eval`] say what each part means.

use model::query::{Field, Literal, Query, Test, TestMatcher, Text};
use model::{RecordId, Severity};

use crate::bounds::Interval;
use crate::cell::{ARRAY, BOOL, STRING};
use crate::dialect::{Cell, Column, Dialect, Map};
use crate::pattern;
use crate::statement::{Binder, Param};

pub(crate) const TRUE: &str = "TRUE";
pub(crate) const FALSE: &str = "FALSE";

/// Writes the condition that a record matches a query.
pub(crate) fn condition<D: Dialect>(binder: &mut Binder<D>, query: &Query) -> String {
    match query {
        Query::All => TRUE.to_owned(),
        Query::And(parts) => all(parts.iter().map(|part| condition(binder, part)).collect()),
        Query::Or(parts) => any(parts.iter().map(|part| condition(binder, part)).collect()),
        Query::Not(part) => D::not(&condition(binder, part)),
        Query::Message(text) => message_has(binder, text),
        Query::Field(field, test) => field_passes(binder, field, test),
    }
}

fn message_has<D: Dialect>(binder: &mut Binder<D>, text: &Text) -> String {
    let exact = match text {
        Text::Contains(needle) if needle.is_empty() => return TRUE.to_owned(),
        Text::Phrase(words) if words.is_empty() => return TRUE.to_owned(),
        Text::Contains(needle) if !storable(needle) => return FALSE.to_owned(),
        Text::Contains(needle) => {
            let needle = binder.text(&needle.to_ascii_lowercase());
            D::contains(D::FOLDED_MESSAGE, &needle)
        }
        Text::Phrase(words) => {
            let Some(phrase) = pattern::phrase(words) else { return FALSE.to_owned() };
            let phrase = binder.text(&pattern::print(&phrase, D::SYNTAX));
            D::matches(D::FOLDED_MESSAGE, &phrase)
        }
        Text::Regex(regex) => {
            let regex = binder.text(&pattern::print(&regex.hir(), D::SYNTAX));
            D::matches(D::MESSAGE, &regex)
        }
    };
    let words: Vec<String> = text.required_words().into_iter().filter(|word| storable(word)).collect();
    match D::words_narrow(binder, &words) {
        Some(narrow) => all(vec![narrow, exact]),
        None => exact,
    }
}

fn field_passes<D: Dialect>(binder: &mut Binder<D>, field: &Field, test: &Test) -> String {
    match field {
        Field::Timestamp | Field::ObservedTimestamp => match test {
            Test::Time(low, high) => D::time_within(binder, field, *low, *high),
            Test::Exists => TRUE.to_owned(),
            // The parser makes no other test of a time.
            _ => FALSE.to_owned(),
        },
        Field::Level => severities::<D>(|severity| TestMatcher::new(test).matches_level(severity)),
        Field::SeverityNumber => {
            severities::<D>(|severity| TestMatcher::new(test).matches_int(severity.number().into()))
        }
        Field::Any(name) => any([Map::Attributes, Map::Resource].map(|map| map_passes(binder, map, name, test)).into()),
        Field::Attribute(name) => map_passes(binder, Map::Attributes, name, test),
        Field::Resource(name) => map_passes(binder, Map::Resource, name, test),
        Field::Id | Field::Project | Field::Service | Field::Host | Field::Message | Field::TraceId | Field::SpanId => {
            match D::column(field) {
                Some(column) => column_passes(binder, field, &column, test),
                None => FALSE.to_owned(),
            }
        }
    }
}

fn column_passes<D: Dialect>(binder: &mut Binder<D>, field: &Field, column: &Column, test: &Test) -> String {
    let exact = match test {
        Test::Exists => return column.present.clone().unwrap_or_else(|| TRUE.to_owned()),
        Test::Equals(literal) if !storable(&literal.text) => return FALSE.to_owned(),
        Test::Equals(literal) if *field == Field::Id => match literal.text.parse::<RecordId>() {
            Ok(id) if id.to_string() == literal.text => return D::id_equals(binder, id),
            _ => return FALSE.to_owned(),
        },
        Test::Equals(literal) => match D::column_equals(binder, field, &literal.text) {
            Some(condition) => return condition,
            None => format!("{} = {}", column.text, binder.text(&literal.text)),
        },
        Test::Number(low, high) => D::text_within(binder, &column.text, &Interval::new(*low, *high)),
        Test::Glob(_) | Test::Regex(_) => text_passes(binder, &column.text, test),
        Test::Severity(..) | Test::Time(..) => return FALSE.to_owned(),
    };
    match &column.present {
        Some(present) => all(vec![present.clone(), exact]),
        None => exact,
    }
}

/// A wildcard or a regular expression over a text.
fn text_passes<D: Dialect>(binder: &mut Binder<D>, text: &str, test: &Test) -> String {
    match test {
        Test::Glob(glob) if glob.pieces.iter().all(|piece| storable(piece)) => {
            let pieces: Vec<String> = glob.pieces.iter().map(|piece| like_literal(piece)).collect();
            format!("{text} LIKE {}", binder.text(&pieces.join("%")))
        }
        Test::Regex(regex) => D::matches(text, &binder.text(&pattern::print(&regex.hir(), D::SYNTAX))),
        _ => FALSE.to_owned(),
    }
}

fn map_passes<D: Dialect>(binder: &mut Binder<D>, map: Map, name: &str, test: &Test) -> String {
    if !storable(name) {
        return FALSE.to_owned();
    }
    match test {
        Test::Severity(..) | Test::Time(..) => return FALSE.to_owned(),
        Test::Exists => return format!("{} <> 0", D::map_cell(binder, map, name).tag),
        Test::Equals(literal) if storable(&literal.text) => {
            if let Some(equals) = D::map_equals(binder, map, name, literal) {
                return equals;
            }
        }
        _ => {}
    }
    let cell = D::map_cell(binder, map, name);
    let scalar = scalar_passes(binder, &cell, test);
    let element = D::any_element(binder, map, name, &mut |binder, cell| scalar_passes(binder, cell, test));
    any(vec![scalar, element])
}

/// A string, number or bool passes a test.
fn scalar_passes<D: Dialect>(binder: &mut Binder<D>, cell: &Cell, test: &Test) -> String {
    match test {
        Test::Equals(literal) => scalar_equals(binder, cell, literal),
        Test::Number(low, high) => D::number_within(binder, cell, &Interval::new(*low, *high), true),
        Test::Glob(_) | Test::Regex(_) => {
            let scalar = format!("{} BETWEEN 1 AND {}", cell.tag, ARRAY - 1);
            all(vec![scalar, text_passes(binder, &cell.text, test)])
        }
        Test::Exists | Test::Severity(..) | Test::Time(..) => FALSE.to_owned(),
    }
}

fn scalar_equals<D: Dialect>(binder: &mut Binder<D>, cell: &Cell, literal: &Literal) -> String {
    let mut ways = Vec::new();
    if storable(&literal.text) {
        let text = binder.bind(Param::Text(literal.text.clone()));
        ways.push(format!("({} = {STRING} AND {} = {text})", cell.tag, cell.text));
    }
    if let Some(number) = literal.number {
        ways.push(D::number_within(binder, cell, &Interval::equal_to(number), false));
    }
    if let Some(flag) = literal.boolean {
        ways.push(format!("({} = {BOOL} AND {} = '{flag}')", cell.tag, cell.text));
    }
    any(ways)
}

/// The severities for which a test holds, found beforehand: there are only 24.
fn severities<D: Dialect>(holds: impl Fn(Severity) -> bool) -> String {
    let numbers: Vec<String> = (1..=24)
        .filter_map(Severity::new)
        .filter(|severity| holds(*severity))
        .map(|severity| severity.number().to_string())
        .collect();
    if numbers.is_empty() { FALSE.to_owned() } else { format!("{} IN ({})", D::SEVERITY, numbers.join(", ")) }
}

pub(crate) fn all(parts: Vec<String>) -> String {
    joined(parts, " AND ", TRUE, FALSE)
}

pub(crate) fn any(parts: Vec<String>) -> String {
    joined(parts, " OR ", FALSE, TRUE)
}

/// `neutral` changes nothing, `final_word` decides.
fn joined(mut parts: Vec<String>, operator: &str, neutral: &str, final_word: &str) -> String {
    if parts.iter().any(|part| part == final_word) {
        return final_word.to_owned();
    }
    parts.retain(|part| part != neutral);
    match parts.len() {
        0 => neutral.to_owned(),
        1 => parts.remove(0),
        _ => format!("({})", parts.join(operator)),
    }
}

/// Whether a stored text can be this: none has NUL.
fn storable(text: &str) -> bool {
    !text.contains('\0')
}

fn like_literal(piece: &str) -> String {
    let mut out = String::with_capacity(piece.len());
    for c in piece.chars() {
        if matches!(c, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
