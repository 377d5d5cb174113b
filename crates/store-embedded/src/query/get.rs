//! One record by its id. The filters of blocks know the request that an id came with, so few blocks are read.

use std::sync::Arc;

use model::query::{Field, Literal, Query, Test};
use model::{Record, RecordId};
use store::{QueryLimits, Scan, StoreError};

use super::control::{self, Control};
use super::plan::Plan;
use super::unit::{Rows, Unit, run_mask};
use crate::chunk::Snapshot;
use crate::columns::RecordReader;

pub(super) fn get(
    control: &Control,
    snapshot: &Snapshot,
    project: Arc<str>,
    id: RecordId,
    limits: QueryLimits,
) -> Result<Option<Record<'static>>, StoreError> {
    let literal = Literal { text: id.to_string(), number: None, boolean: None };
    let query = Arc::new(Query::Field(Field::Id, Test::Equals(literal)));
    let plan = Plan::new(&Scan { project, range: i64::MIN..i64::MAX, query, limits })?;
    let units = Unit::of_snapshot(control, snapshot, &plan.range, &plan.needs)?;
    let found = control::map(control, &units, |unit| {
        let mut rows = Rows::new(unit);
        let all = 0..rows.len();
        let mask = plan.predicate.mask(&mut rows, &run_mask(&all, unit.rows()))?;
        let Some(row) = mask.set_indices().next() else { return Ok(None) };
        let columns: Vec<usize> = (0..unit.schema().fields().len()).collect();
        let (batch, _) = unit.read(&columns, Some(&[row as u32]))?;
        RecordReader::new(&batch)?.record(0, &plan.project).map(Some)
    })?;
    Ok(found.into_iter().flatten().next())
}
