//! Many records of one project as columns: the unit from the processor on.
//!
//! Text lies in one buffer for each column and attribute names are interned, so that a batch of thousands of records
//! is a few dozen allocations. [`Batch::row`] gives a record that borrows from the batch.

use std::borrow::Cow;
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
        Self {
            project,
            ids: Vec::new(),
            timestamps: Vec::new(),
            observed: Vec::new(),
            severities: Vec::new(),
            services: TextColumn::default(),
            hosts: TextColumn::default(),
            host_present: Vec::new(),
            messages: TextColumn::default(),
            trace_ids: Vec::new(),
            span_ids: Vec::new(),
            attributes: FieldsColumn::default(),
            resources: FieldsColumn::default(),
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

    pub fn get(&self, row: usize) -> &str {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.text[start as usize..self.ends[row] as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|row| self.get(row))
    }

    pub fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * 4
    }
}

/// The fields of each row: interned names and typed values.
#[derive(Debug, Clone, Default)]
pub struct FieldsColumn {
    names: IndexSet<Box<str>, RandomState>,
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
        for (name, value) in fields {
            let name = match self.names.get_index_of(&**name) {
                Some(index) => index,
                None => self.names.insert_full(Box::from(&**name)).0,
            };
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
            self.cells.push((name as u32, cell));
        }
        self.ends.push(self.cells.len() as u32);
    }

    /// Every name that some row has, in order of first sight; [`FieldsColumn::row`] refers to them by index.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The fields of a row as (index of the name, value).
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, Value<'_>)> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
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
