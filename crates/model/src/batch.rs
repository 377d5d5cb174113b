//! Many records of one project as columns: the unit from the processor on.
//!
//! Text lies in one buffer for each column and attribute names are interned, so that a batch of thousands of records
//! is a few dozen allocations. [`Batch::row`] gives a record that borrows from the batch.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::RandomState;
use indexmap::IndexSet;

use crate::level::Severity;
use crate::record::{Fields, Record, RecordId, SpanId, TraceId, Value};

/// Records of one project in the order in which they were pushed.
#[derive(Debug, Clone)]
pub struct Batch {
    pub project: Arc<str>,
    pub ids: Vec<RecordId>,
    /// Nanoseconds since the Unix epoch.
    pub timestamps: Vec<i64>,
    /// Nanoseconds since the Unix epoch.
    pub observed: Vec<i64>,
    pub severities: Vec<Option<Severity>>,
    pub services: TextColumn,
    /// An absent host is the empty text with `false` in `host_present`.
    pub hosts: TextColumn,
    pub host_present: Vec<bool>,
    pub messages: TextColumn,
    pub trace_ids: Vec<Option<TraceId>>,
    pub span_ids: Vec<Option<SpanId>>,
    pub attributes: FieldsColumn,
    pub resources: FieldsColumn,
}

impl Batch {
    pub fn new(project: Arc<str>) -> Self {
        Self::with_capacity(project, 0, 0)
    }

    /// With room for about so many records with so many bytes of text together, so that columns do not grow by steps.
    pub fn with_capacity(project: Arc<str>, records: usize, text_bytes: usize) -> Self {
        let texts = |bytes| TextColumn { text: String::with_capacity(bytes), ends: Vec::with_capacity(records) };
        let fields = |bytes, cells| FieldsColumn {
            ends: Vec::with_capacity(records),
            cells: Vec::with_capacity(cells),
            text: String::with_capacity(bytes),
            ..FieldsColumn::default()
        };
        Self {
            project,
            ids: Vec::with_capacity(records),
            timestamps: Vec::with_capacity(records),
            observed: Vec::with_capacity(records),
            severities: Vec::with_capacity(records),
            services: texts(records * 16),
            hosts: texts(records * 16),
            host_present: Vec::with_capacity(records),
            messages: texts(text_bytes / 2),
            trace_ids: Vec::with_capacity(records),
            span_ids: Vec::with_capacity(records),
            attributes: fields(text_bytes / 3, records * 6),
            resources: fields(0, 0),
        }
    }

    /// Appends a record; its `project` is taken to be the batch's.
    pub fn push(&mut self, record: &Record<'_>) {
        self.ids.push(record.id);
        self.timestamps.push(record.timestamp);
        self.observed.push(record.observed);
        self.severities.push(record.severity);
        self.services.push(&record.service);
        self.hosts.push(record.host.as_deref().unwrap_or_default());
        self.host_present.push(record.host.is_some());
        self.messages.push(&record.message);
        self.trace_ids.push(record.trace_id);
        self.span_ids.push(record.span_id);
        self.attributes.push(&record.attributes);
        self.resources.push(&record.resource);
    }

    /// Appends rows of another batch, whose project is taken to be this one's. Text is copied column by column.
    pub fn append(&mut self, other: &Self, rows: Range<usize>) {
        self.ids.extend_from_slice(&other.ids[rows.clone()]);
        self.timestamps.extend_from_slice(&other.timestamps[rows.clone()]);
        self.observed.extend_from_slice(&other.observed[rows.clone()]);
        self.severities.extend_from_slice(&other.severities[rows.clone()]);
        self.services.append(&other.services, rows.clone());
        self.hosts.append(&other.hosts, rows.clone());
        self.host_present.extend_from_slice(&other.host_present[rows.clone()]);
        self.messages.append(&other.messages, rows.clone());
        self.trace_ids.extend_from_slice(&other.trace_ids[rows.clone()]);
        self.span_ids.extend_from_slice(&other.span_ids[rows.clone()]);
        self.attributes.append(&other.attributes, rows.clone());
        self.resources.append(&other.resources, rows);
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Roughly what the batch takes in memory.
    pub fn bytes(&self) -> usize {
        self.len() * 96
            + self.services.bytes()
            + self.hosts.bytes()
            + self.messages.bytes()
            + self.attributes.bytes()
            + self.resources.bytes()
    }

    /// The record at `row`, borrowing from the batch.
    pub fn row(&self, row: usize) -> Record<'_> {
        Record {
            id: self.ids[row],
            timestamp: self.timestamps[row],
            observed: self.observed[row],
            project: Cow::Borrowed(&self.project),
            service: Cow::Borrowed(self.services.get(row)),
            host: self.host_present[row].then(|| Cow::Borrowed(self.hosts.get(row))),
            severity: self.severities[row],
            message: Cow::Borrowed(self.messages.get(row)),
            trace_id: self.trace_ids[row],
            span_id: self.span_ids[row],
            attributes: self.attributes.get(row),
            resource: self.resources.get(row),
        }
    }

    pub fn rows(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|row| self.row(row))
    }
}

/// Strings end to end in one buffer.
#[derive(Debug, Clone, Default)]
pub struct TextColumn {
    text: String,
    ends: Vec<u32>,
}

impl TextColumn {
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
    }

    fn append(&mut self, other: &Self, rows: Range<usize>) {
        let (start, end) = (start_of(&other.ends, rows.start), start_of(&other.ends, rows.end));
        let before = self.text.len() as u32;
        self.text.push_str(&other.text[start as usize..end as usize]);
        self.ends.extend(other.ends[rows].iter().map(|end| end - start + before));
    }

    pub fn get(&self, row: usize) -> &str {
        &self.text[start_of(&self.ends, row) as usize..self.ends[row] as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|row| self.get(row))
    }

    pub fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * 4
    }
}

/// Where a row starts, given where each ends.
fn start_of(ends: &[u32], row: usize) -> u32 {
    if row == 0 { 0 } else { ends[row - 1] }
}

/// The fields of each row: interned names and typed values.
#[derive(Debug, Clone, Default)]
pub struct FieldsColumn {
    names: IndexSet<Box<str>, RandomState>,
    /// The name that stood last behind each, and before them the one that a row began with.
    behind: Vec<u32>,
    /// End of each row in `cells`.
    ends: Vec<u32>,
    cells: Vec<(u32, Cell)>,
    text: String,
    nested: Vec<Value<'static>>,
}

#[derive(Debug, Clone, Copy)]
enum Cell {
    Text {
        start: u32,
        end: u32,
    },
    Int(i64),
    Double(f64),
    Bool(bool),
    /// Index into `nested`: arrays and what stands in them.
    Nested(u32),
}

impl FieldsColumn {
    pub fn push(&mut self, fields: &Fields<'_>) {
        let mut before = 0;
        for (name, value) in fields {
            let name = self.intern_behind(before, name);
            before = name as usize + 1;
            let cell = match value {
                Value::String(text) => {
                    let start = self.text.len() as u32;
                    self.text.push_str(text);
                    Cell::Text { start, end: self.text.len() as u32 }
                }
                Value::Int(number) => Cell::Int(*number),
                Value::Double(number) => Cell::Double(*number),
                Value::Bool(flag) => Cell::Bool(*flag),
                nested => {
                    self.nested.push(nested.clone().into_owned());
                    Cell::Nested(self.nested.len() as u32 - 1)
                }
            };
            self.cells.push((name, cell));
        }
        self.ends.push(self.cells.len() as u32);
    }

    /// Records of a program have the same names in the same order, so most are found without a look into the set.
    fn intern_behind(&mut self, before: usize, name: &str) -> u32 {
        if let Some(&guess) = self.behind.get(before)
            && self.names.get_index(guess as usize).is_some_and(|guessed| **guessed == *name)
        {
            return guess;
        }
        let index = self.intern(name);
        self.behind.resize(self.names.len() + 1, 0);
        self.behind[before] = index;
        index
    }

    fn intern(&mut self, name: &str) -> u32 {
        let index = match self.names.get_index_of(name) {
            Some(index) => index,
            None => self.names.insert_full(Box::from(name)).0,
        };
        index as u32
    }

    fn append(&mut self, other: &Self, rows: Range<usize>) {
        let start = start_of(&other.ends, rows.start);
        let cells = &other.cells[start as usize..start_of(&other.ends, rows.end) as usize];
        let ends = other.ends[rows].iter().map(|end| end - start + self.cells.len() as u32);
        self.ends.extend(ends);
        // Text lies in the order of the cells.
        let mut texts = cells.iter().filter_map(|(_, cell)| match cell {
            Cell::Text { start, end } => Some((*start, *end)),
            _ => None,
        });
        let text_start = texts.clone().next().map_or(0, |(start, _)| start);
        let text_end = texts.next_back().map_or(0, |(_, end)| end);
        let before = self.text.len() as u32;
        self.text.push_str(&other.text[text_start as usize..text_end as usize]);
        let mut known = vec![None; other.names.len()];
        for (name, cell) in cells {
            let known = &mut known[*name as usize];
            let name = *known.get_or_insert_with(|| self.intern(&other.names[*name as usize]));
            let cell = match *cell {
                Cell::Text { start, end } => {
                    Cell::Text { start: start - text_start + before, end: end - text_start + before }
                }
                Cell::Nested(index) => {
                    self.nested.push(other.nested[index as usize].clone());
                    Cell::Nested(self.nested.len() as u32 - 1)
                }
                plain => plain,
            };
            self.cells.push((name, cell));
        }
    }

    /// Every name that some row has, in order of first sight; [`FieldsColumn::row`] refers to them by index.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The fields of a row as (index of the name, value).
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, Value<'_>)> {
        let start = start_of(&self.ends, row);
        self.cells[start as usize..self.ends[row] as usize].iter().map(|(name, cell)| {
            let value = match *cell {
                Cell::Text { start, end } => Value::String(Cow::Borrowed(&self.text[start as usize..end as usize])),
                Cell::Int(number) => Value::Int(number),
                Cell::Double(number) => Value::Double(number),
                Cell::Bool(flag) => Value::Bool(flag),
                Cell::Nested(index) => self.nested[index as usize].borrowed(),
            };
            (*name as usize, value)
        })
    }

    pub fn get(&self, row: usize) -> Fields<'_> {
        self.row(row).map(|(name, value)| (Cow::Borrowed(&*self.names[name]), value)).collect()
    }

    pub fn bytes(&self) -> usize {
        self.text.len() + self.cells.len() * 24 + self.ends.len() * 4 + self.nested.len() * 64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value<'static>> {
        prop_oneof![
            "[a-zé]{0,5}".prop_map(|text| Value::String(text.into())),
            any::<i64>().prop_map(Value::Int),
            any::<bool>().prop_map(Value::Bool),
            (-1e9..1e9).prop_map(Value::Double),
            Just(Value::Array(vec![Value::Null, Value::String("x".into())])),
        ]
    }

    fn fields() -> impl Strategy<Value = Fields<'static>> {
        prop::collection::btree_map("[a-d]", value(), 0..4)
            .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    fn record() -> impl Strategy<Value = Record<'static>> {
        let texts = ("[a-c]{1,2}", prop::option::of("[a-cé]{0,3}"), ".{0,6}");
        let numbers = (any::<u32>(), any::<i64>(), 1_u8..=24);
        (texts, numbers, any::<bool>(), fields(), fields()).prop_map(
            |((service, host, message), (index, timestamp, severity), has, attributes, resource)| Record {
                id: RecordId { origin: 1, index },
                timestamp,
                observed: timestamp.wrapping_add(1),
                project: "p".into(),
                service: service.into(),
                host: host.map(Into::into),
                severity: Severity::new(severity.into()).filter(|_| has),
                message: message.into(),
                trace_id: has.then_some(TraceId([severity; 16])),
                span_id: (!has).then_some(SpanId([severity; 8])),
                attributes,
                resource,
            },
        )
    }

    proptest! {
        #[test]
        fn appended_rows_are_those_that_were_pushed(
            records in prop::collection::vec(record(), 0..12),
            more in prop::collection::vec(record(), 1..12),
            cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let batch = |records: &[Record<'_>]| {
                let mut batch = Batch::new("p".into());
                records.iter().for_each(|record| batch.push(record));
                batch
            };
            let (mut from, mut to) = (cut.0.index(more.len() + 1), cut.1.index(more.len() + 1));
            if from > to {
                std::mem::swap(&mut from, &mut to);
            }
            let mut appended = batch(&records);
            appended.append(&batch(&more), from..to);
            appended.push(&more[0]);
            let expected = [&records[..], &more[from..to], &more[..1]].concat();
            let names = |batch: &Batch| batch.attributes.names().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(names(&appended), names(&batch(&expected)));
            prop_assert_eq!(appended.rows().collect::<Vec<_>>(), expected);
        }
    }
}
