//! Which fields matching records have.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use store::aggregation::FieldTally;
use store::aggregation::tally::{Kinds, Map, listed_name};
use store::{FieldInfo, Scan, StoreError};

use super::control::{self, Control};
use super::plan::Plan;
use super::unit::{Rows, Unit, run_mask};
use crate::chunk::Snapshot;
use crate::columns::{self, Kind, Scope};

pub(super) fn fields(
    control: &Control,
    snapshot: &Snapshot,
    scan: &Scan,
    limit: usize,
) -> Result<Vec<FieldInfo>, StoreError> {
    let plan = Plan::new(scan)?;
    let units = Unit::of_snapshot(control, snapshot, &plan.range, &plan.needs)?;
    let mut total = FieldTally::new(scan.limits);
    let begin = || Ok(FieldTally::new(scan.limits));
    for tally in control::fold(control, &units, begin, |tally, unit| count(unit, &plan, tally))? {
        total.merge(tally)?;
    }
    Ok(total.finish(limit))
}

fn count(unit: &Unit, plan: &Plan, tally: &mut FieldTally) -> Result<(), StoreError> {
    let mut rows = Rows::new(unit);
    let run = rows.within(&plan.range)?;
    let mask = plan.predicate.mask(&mut rows, &run_mask(&run, unit.rows()))?;
    let matched = mask.count_set_bits() as u64;
    if matched == 0 {
        return Ok(());
    }
    let mask = rows.narrow(mask)?;
    tally.add_records(matched);
    tally.add("service", Kinds::STRING, matched)?;
    tally.add("message", Kinds::STRING, matched)?;
    for (name, column, kinds) in [
        ("host", columns::HOST, Kinds::STRING),
        ("level", columns::SEVERITY, Kinds::STRING),
        ("severity_number", columns::SEVERITY, Kinds::INT),
        ("trace_id", columns::TRACE_ID, Kinds::STRING),
        ("span_id", columns::SPAN_ID, Kinds::STRING),
    ] {
        tally.add(name, kinds, having(&rows.column(column)?, &mask).count_set_bits() as u64)?;
    }
    // By listed name: the rows that have it in any column, and the types that they have there.
    let mut found: BTreeMap<String, (BooleanBuffer, Kinds)> = BTreeMap::new();
    for (index, field) in columns::fields_of(unit.schema()) {
        let column = rows.column(index)?;
        let having = having(&column, &mask);
        if having.count_set_bits() > 0 {
            let name = listed_name(map(field.scope), &field.name).into_owned();
            merge(&mut found, name, &having, kinds(field.kind, &column, &having)?);
        }
    }
    if let Some(index) = columns::overflow_of(unit.schema()) {
        overflow(&rows.column(index)?, &mask, &mut found)?;
    }
    for (name, (having, kinds)) in found {
        tally.add(&name, kinds, having.count_set_bits() as u64)?;
    }
    Ok(())
}

fn map(scope: Scope) -> Map {
    match scope {
        Scope::Attribute => Map::Attributes,
        Scope::Resource => Map::Resource,
    }
}

fn having(column: &ArrayRef, mask: &BooleanBuffer) -> BooleanBuffer {
    column.nulls().map_or_else(|| mask.clone(), |nulls| mask & nulls.inner())
}

fn merge(found: &mut BTreeMap<String, (BooleanBuffer, Kinds)>, name: String, having: &BooleanBuffer, kinds: Kinds) {
    match found.get_mut(&name) {
        Some((rows, seen)) => {
            *rows = &*rows | having;
            *seen = seen.union(kinds);
        }
        None => {
            found.insert(name, (having.clone(), kinds));
        }
    }
}

/// A JSON column holds arrays, but a null or an object may come in from other writers of the format.
fn kinds(kind: Kind, column: &ArrayRef, having: &BooleanBuffer) -> Result<Kinds, StoreError> {
    Ok(match kind {
        Kind::Bool => Kinds::BOOL,
        Kind::Double => Kinds::DOUBLE,
        Kind::Int => Kinds::INT,
        Kind::String => Kinds::STRING,
        Kind::Json => {
            let texts = columns::Strings::new(column)
                .ok_or_else(|| StoreError::Corrupt("a text column holds something else".to_owned()))?;
            let mut kinds = Kinds::default();
            for row in having.set_indices() {
                match texts.get(row) {
                    Some(text) if text.starts_with('[') => kinds = kinds.union(Kinds::ARRAY),
                    Some(text) => kinds = kinds.union(Kinds::of(&columns::from_json(text)?)),
                    None => {}
                }
            }
            kinds
        }
    })
}

fn overflow(
    column: &ArrayRef,
    mask: &BooleanBuffer,
    found: &mut BTreeMap<String, (BooleanBuffer, Kinds)>,
) -> Result<(), StoreError> {
    let texts = column.as_string::<i32>();
    let mut more: BTreeMap<String, (Vec<usize>, Kinds)> = BTreeMap::new();
    for row in having(column, mask).set_indices() {
        let fields = columns::overflow_fields(texts.value(row))?;
        for (map, fields) in [(Map::Attributes, fields.attributes), (Map::Resource, fields.resource)] {
            for (name, value) in &fields {
                let (rows, kinds) = more.entry(listed_name(map, name).into_owned()).or_default();
                rows.push(row);
                *kinds = kinds.union(Kinds::of(value));
            }
        }
    }
    for (name, (rows, kinds)) in more {
        let mut having = arrow::array::BooleanBufferBuilder::new(mask.len());
        having.append_n(mask.len(), false);
        rows.into_iter().for_each(|row| having.set_bit(row, true));
        merge(found, name, &having.finish(), kinds);
    }
    Ok(())
}
