//! Batches to columns.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, FixedSizeBinaryBuilder, Float64Builder, Int64Array, Int64Builder, RecordBatch,
    StringBuilder, StringDictionaryBuilder, UInt8Array, UInt32Array,
};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use model::Batch;
use model::Value;
use model::batch::FieldsColumn;

use super::{FIELD_COLUMNS_MAX, FieldColumn, Kind, Scope};

const KINDS: usize = 5;

/// The rows of a batch, sorted by (time, id), with a column for each of the [`FIELD_COLUMNS_MAX`] fields that most
/// rows have.
///
/// # Errors
/// When a column would pass Arrow's 2 GiB.
pub fn batch_to_columns(batch: &Batch) -> Result<RecordBatch, ArrowError> {
    let coverage = coverage_of(batch);
    let mut found: Vec<(u64, FieldColumn)> = Vec::new();
    for ((scope, fields), counts) in
        [(Scope::Attribute, &batch.attributes), (Scope::Resource, &batch.resources)].into_iter().zip(&coverage)
    {
        for (name, counts) in fields.names().zip(counts) {
            for kind in Kind::ALL {
                let rows = counts[kind as usize].rows;
                if rows > 0 {
                    found.push((rows as u64, FieldColumn { scope, kind, name: name.into() }));
                }
            }
        }
    }
    let (fields, overflow) = choose_fields(found);
    encode_covered(batch, &fields, overflow, &coverage)
}

/// The fields that get columns: those with the highest coverage; whether some are left over.
pub(crate) fn choose_fields(mut found: Vec<(u64, FieldColumn)>) -> (BTreeSet<FieldColumn>, bool) {
    let overflow = found.len() > FIELD_COLUMNS_MAX;
    if overflow {
        found.sort_by(|(a_count, a), (b_count, b)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        found.truncate(FIELD_COLUMNS_MAX);
    }
    (found.into_iter().map(|(_, field)| field).collect(), overflow)
}

/// What a batch has of one field and kind.
#[derive(Debug, Clone, Copy, Default)]
struct Covered {
    rows: usize,
    /// Of its strings.
    bytes: usize,
}

/// By scope, then name in the batch, then kind.
type Coverage = [Vec<[Covered; KINDS]>; 2];

fn coverage_of(batch: &Batch) -> Coverage {
    [&batch.attributes, &batch.resources].map(|fields| {
        let mut covered = vec![[Covered::default(); KINDS]; fields.names().len()];
        for row in 0..batch.len() {
            for (name, value) in fields.row(row) {
                let of = &mut covered[name][Kind::of(&value) as usize];
                of.rows += 1;
                of.bytes += if let Value::String(text) = &value { text.len() } else { 0 };
            }
        }
        covered
    })
}

/// The rows of a batch, sorted by (time, id), with a column for each of `fields`; the others go to `overflow`, which
/// is there when asked for.
pub(crate) fn encode(batch: &Batch, fields: &BTreeSet<FieldColumn>, overflow: bool) -> Result<RecordBatch, ArrowError> {
    encode_covered(batch, fields, overflow, &coverage_of(batch))
}

fn encode_covered(
    batch: &Batch,
    fields: &BTreeSet<FieldColumn>,
    overflow: bool,
    coverage: &Coverage,
) -> Result<RecordBatch, ArrowError> {
    let order = sorted_rows(batch);
    let schema = super::schema(fields, overflow);
    let mut columns = fixed_columns(batch, &order)?;
    let mut cells = FieldBuilders::new(batch, fields, coverage);
    let mut rest = overflow.then(|| StringBuilder::with_capacity(order.len(), 0));
    for (at, &row) in order.iter().enumerate() {
        cells.push(batch, at, row as usize);
        if let Some(rest) = &mut rest {
            match cells.overflow() {
                Some(text) => rest.append_value(text),
                None => rest.append_null(),
            }
        }
    }
    columns.extend(cells.finish(order.len()));
    columns.extend(rest.map(|mut rest| Arc::new(rest.finish()) as ArrayRef));
    RecordBatch::try_new(schema, columns)
}

fn sorted_rows(batch: &Batch) -> Vec<u32> {
    let key = |row: &u32| (batch.timestamps[*row as usize], batch.ids[*row as usize]);
    let mut order: Vec<u32> = (0..batch.len() as u32).collect();
    if !order.is_sorted_by_key(key) {
        order.sort_by_key(key);
    }
    order
}

fn fixed_columns(batch: &Batch, order: &[u32]) -> Result<Vec<ArrayRef>, ArrowError> {
    let rows = || order.iter().map(|&row| row as usize);
    let mut origin = FixedSizeBinaryBuilder::with_capacity(order.len(), 16);
    let mut service = StringDictionaryBuilder::<Int32Type>::with_capacity(order.len(), 1, 0);
    let mut host = StringDictionaryBuilder::<Int32Type>::with_capacity(order.len(), 1, 0);
    let mut message = StringBuilder::with_capacity(order.len(), batch.messages.bytes());
    let mut trace_id = FixedSizeBinaryBuilder::with_capacity(order.len(), 16);
    let mut span_id = FixedSizeBinaryBuilder::with_capacity(order.len(), 8);
    for row in rows() {
        origin.append_value(batch.ids[row].origin.to_be_bytes())?;
        service.append(batch.services.get(row))?;
        if batch.host_present[row] {
            host.append(batch.hosts.get(row))?;
        } else {
            host.append_null();
        }
        message.append_value(batch.messages.get(row));
        match batch.trace_ids[row] {
            Some(id) => trace_id.append_value(id.0)?,
            None => trace_id.append_null(),
        }
        match batch.span_ids[row] {
            Some(id) => span_id.append_value(id.0)?,
            None => span_id.append_null(),
        }
    }
    Ok(vec![
        Arc::new(Int64Array::from_iter_values(rows().map(|row| batch.timestamps[row]))),
        Arc::new(Int64Array::from_iter_values(rows().map(|row| batch.observed[row]))),
        Arc::new(origin.finish()),
        Arc::new(UInt32Array::from_iter_values(rows().map(|row| batch.ids[row].index))),
        Arc::new(rows().map(|row| batch.severities[row].map(model::Severity::number)).collect::<UInt8Array>()),
        Arc::new(service.finish()),
        Arc::new(host.finish()),
        Arc::new(message.finish()),
        Arc::new(trace_id.finish()),
        Arc::new(span_id.finish()),
    ])
}

/// Builds the field columns row by row. A builder that lags behind is filled with nulls when its next value comes.
struct FieldBuilders {
    builders: Vec<(usize, Builder)>,
    /// By scope, then name in the batch, then kind: the builder.
    slots: [Vec<[Option<u16>; KINDS]>; 2],
    /// The `overflow` cell of the row that was pushed last, if not empty.
    overflow: String,
}

enum Builder {
    Bool(BooleanBuilder),
    Double(Float64Builder),
    Int(Int64Builder),
    Text(StringBuilder),
}

impl FieldBuilders {
    fn new(batch: &Batch, fields: &BTreeSet<FieldColumn>, coverage: &Coverage) -> Self {
        // Exact, since thousands of one-record batches may stand in memory; JSON grows as it comes.
        let rows = batch.len();
        let mut bytes = vec![0; fields.len()];
        let mut slots = |scope, names: &FieldsColumn, covered: &[[Covered; KINDS]]| {
            let mut slots = vec![[None; KINDS]; names.names().len()];
            for (slot, field) in fields.iter().enumerate().filter(|(_, field)| field.scope == scope) {
                if let Some(name) = names.names().position(|name| *name == *field.name) {
                    slots[name][field.kind as usize] = Some(slot as u16);
                    bytes[slot] = covered[name][field.kind as usize].bytes;
                }
            }
            slots
        };
        let slots = [
            slots(Scope::Attribute, &batch.attributes, &coverage[0]),
            slots(Scope::Resource, &batch.resources, &coverage[1]),
        ];
        let new = |(field, bytes): (&FieldColumn, usize)| match field.kind {
            Kind::Bool => Builder::Bool(BooleanBuilder::with_capacity(rows)),
            Kind::Double => Builder::Double(Float64Builder::with_capacity(rows)),
            Kind::Int => Builder::Int(Int64Builder::with_capacity(rows)),
            Kind::Json | Kind::String => Builder::Text(StringBuilder::with_capacity(rows, bytes)),
        };
        let builders = fields.iter().zip(bytes).map(|field| (0, new(field))).collect();
        Self { slots, builders, overflow: String::new() }
    }

    /// Appends row `row` of the batch as row `at` of the columns.
    fn push(&mut self, batch: &Batch, at: usize, row: usize) {
        self.overflow.clear();
        for (scope, letter, fields) in [(0, 'a', &batch.attributes), (1, 'r', &batch.resources)] {
            let mut open = false;
            for (name, value) in fields.row(row) {
                if let Some(slot) = self.slots[scope][name][Kind::of(&value) as usize] {
                    push_value(&mut self.builders[usize::from(slot)], at, &value);
                    continue;
                }
                let start = match (open, self.overflow.is_empty()) {
                    (true, _) => String::from(","),
                    (false, true) => format!("{{\"{letter}\":{{"),
                    (false, false) => format!(",\"{letter}\":{{"),
                };
                open = true;
                let name = fields.names().nth(name).unwrap_or_default();
                let cell = (serde_json::to_string(name), serde_json::to_string(&value));
                if let (Ok(name), Ok(value)) = cell {
                    // Writing to a string can't fail.
                    let _ = write!(self.overflow, "{start}{name}:{value}");
                }
            }
            if open {
                self.overflow.push('}');
            }
        }
        if !self.overflow.is_empty() {
            self.overflow.push('}');
        }
    }

    fn overflow(&self) -> Option<&str> {
        (!self.overflow.is_empty()).then_some(&*self.overflow)
    }

    fn finish(self, rows: usize) -> impl Iterator<Item = ArrayRef> {
        self.builders.into_iter().map(move |(len, mut builder)| -> ArrayRef {
            append_nulls(&mut builder, rows - len);
            match builder {
                Builder::Bool(mut cells) => Arc::new(cells.finish()),
                Builder::Double(mut cells) => Arc::new(cells.finish()),
                Builder::Int(mut cells) => Arc::new(cells.finish()),
                Builder::Text(mut cells) => Arc::new(cells.finish()),
            }
        })
    }
}

/// A second value for a row, which cleaning rules out, is not taken.
fn push_value((len, builder): &mut (usize, Builder), at: usize, value: &Value<'_>) {
    if *len > at {
        return;
    }
    append_nulls(builder, at - *len);
    *len = at + 1;
    match (builder, value) {
        (Builder::Bool(cells), Value::Bool(flag)) => cells.append_value(*flag),
        (Builder::Double(cells), Value::Double(number)) => cells.append_value(*number),
        (Builder::Int(cells), Value::Int(number)) => cells.append_value(*number),
        (Builder::Text(cells), Value::String(text)) => cells.append_value(text),
        (Builder::Text(cells), nested) => cells.append_value(super::to_json(nested)),
        (builder, _) => append_nulls(builder, 1),
    }
}

fn append_nulls(builder: &mut Builder, count: usize) {
    match builder {
        Builder::Bool(cells) => cells.append_nulls(count),
        Builder::Double(cells) => cells.append_nulls(count),
        Builder::Int(cells) => cells.append_nulls(count),
        Builder::Text(cells) => cells.append_nulls(count),
    }
}
