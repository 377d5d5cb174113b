//! From batches to blocks of the table of records, one for each day.

use std::collections::BTreeMap;

use model::batch::{Batch, FieldsColumn};
use store::WriteBatch;
use store_sql::cell;

use crate::native::{Block, Values};

const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// The partition of records whose time lies far from their receipt.
pub const OVERFLOW: u32 = 0;

/// How far a record's time may lie from its receipt, nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub past: i64,
    pub future: i64,
}

/// A row of a batch: (index in `batches`, row in that batch).
pub type Place = (usize, usize);

/// The rows of a range by the table's partition, in the order of the batches; `keep` says which rows are still missing.
pub fn by_day(batches: &[Batch], span: Span, mut keep: impl FnMut(&Batch, usize) -> bool) -> BTreeMap<u32, Vec<Place>> {
    let mut days: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
    for (index, batch) in batches.iter().enumerate() {
        let times = batch.timestamps.iter().zip(&batch.observed);
        for (row, (&timestamp, &observed)) in times.enumerate() {
            if keep(batch, row) {
                days.entry(day(timestamp, observed, span)).or_default().push((index, row));
            }
        }
    }
    days
}

/// `YYYYMMDD` in UTC, as the table's partition expression makes it, or [`OVERFLOW`].
fn day(timestamp: i64, observed: i64, span: Span) -> u32 {
    if timestamp < observed.saturating_sub(span.past) || timestamp > observed.saturating_add(span.future) {
        return OVERFLOW;
    }
    // Howard Hinnant's days to civil; the calendar repeats every 146 097 days.
    let days = timestamp.div_euclid(NANOS_PER_DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year * 10_000 + month * 100 + day) as u32
}

/// The block of the rows at `places`, all of one day.
pub fn block(range: &WriteBatch, places: &[Place], day: u32) -> Block {
    let bytes = range.batches.iter().map(Batch::bytes).sum::<usize>();
    let mut block = Block::new(places.len(), bytes + places.len() * 160);
    let rows = || places.iter().map(|&(batch, row)| (&range.batches[batch], row));
    fill(block.column("Timestamp", "DateTime64(9)"), rows(), |out, batch, row| out.i64(batch.timestamps[row]));
    fill(block.column("Observed", "DateTime64(9)"), rows(), |out, batch, row| out.i64(batch.observed[row]));
    fill(block.column("TraceId", "String"), rows(), |out, batch, row| {
        out.hex(batch.trace_ids[row].as_ref().map_or(&[][..], |id| &id.0));
    });
    fill(block.column("SpanId", "String"), rows(), |out, batch, row| {
        out.hex(batch.span_ids[row].as_ref().map_or(&[][..], |id| &id.0));
    });
    fill(block.column("SeverityText", "String"), rows(), |out, batch, row| {
        out.text(batch.severities[row].map_or("", |severity| severity.level().as_str()));
    });
    fill(block.column("SeverityNumber", "UInt8"), rows(), |out, batch, row| {
        out.u8(batch.severities[row].map_or(0, |severity| severity.number()));
    });
    fill(block.column("ServiceName", "String"), rows(), |out, batch, row| out.text(batch.services.get(row)));
    fill(block.column("Body", "String"), rows(), |out, batch, row| out.text(batch.messages.get(row)));
    fill(block.column("Project", "String"), rows(), |out, batch, _| out.text(&batch.project));
    fill(block.column("HasHost", "UInt8"), rows(), |out, batch, row| out.u8(u8::from(batch.host_present[row])));
    fill(block.column("Host", "String"), rows(), |out, batch, row| out.text(batch.hosts.get(row)));
    fill(block.column("Origin", "UInt128"), rows(), |out, batch, row| out.u128(batch.ids[row].origin));
    fill(block.column("RecordIndex", "UInt32"), rows(), |out, batch, row| out.u32(batch.ids[row].index));
    let names = ["LogAttributes", "LogAttributeTypes"];
    maps(&mut block, names, rows().map(|(batch, row)| (&batch.attributes, row)));
    let names = ["ResourceAttributes", "ResourceAttributeTypes"];
    maps(&mut block, names, rows().map(|(batch, row)| (&batch.resources, row)));
    fill(block.column("QueueIncarnation", "UInt128"), rows(), |out, _, _| out.u128(range.incarnation.0));
    fill(block.column("QueuePartition", "UInt32"), rows(), |out, _, _| out.u32(range.partition.0));
    fill(block.column("RangeFrom", "UInt64"), rows(), |out, _, _| out.u64(range.from.0));
    fill(block.column("RangeNext", "UInt64"), rows(), |out, _, _| out.u64(range.next.0));
    fill(block.column("Overflow", "UInt8"), rows(), |out, _, _| out.u8(u8::from(day == OVERFLOW)));
    block
}

fn fill<'r>(
    mut column: Values<'_>,
    rows: impl Iterator<Item = (&'r Batch, usize)>,
    value: impl Fn(&mut Values<'_>, &'r Batch, usize),
) {
    for (batch, row) in rows {
        value(&mut column, batch, row);
    }
}

/// Two maps with the same keys: texts and their types. Each row's fields are read once.
fn maps<'r>(
    block: &mut Block,
    [texts, types]: [&'static str; 2],
    rows: impl Iterator<Item = (&'r FieldsColumn, usize)>,
) {
    let (mut ends, mut keys, mut values, mut tags) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut names: (Option<&FieldsColumn>, Vec<&str>) = (None, Vec::new());
    let mut cells = 0_u64;
    for (column, row) in rows {
        if !names.0.is_some_and(|known| std::ptr::eq(known, column)) {
            names = (Some(column), column.names().collect());
        }
        for (name, value) in column.row(row) {
            let (text, tag) = cell::encode(&value);
            Values::on(&mut keys).text(names.1[name]);
            Values::on(&mut values).text(&text);
            tags.push(tag);
            cells += 1;
        }
        ends.extend_from_slice(&cells.to_le_bytes());
    }
    let mut column = block.column(texts, "Map(String, String)");
    [&ends, &keys, &values].into_iter().for_each(|part| column.raw(part));
    let mut column = block.column(types, "Map(String, UInt8)");
    [&ends, &keys, &tags].into_iter().for_each(|part| column.raw(part));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let span = Span { past: 400 * NANOS_PER_DAY, future: NANOS_PER_DAY };
        for (days, expected) in [(0, 19_700_101), (59, 19_700_301), (11_016, 20_000_229), (20_779, 20_261_122)] {
            let time = days * NANOS_PER_DAY;
            assert_eq!(day(time, time, span), expected);
            assert_eq!(day(time + NANOS_PER_DAY - 1, time, span), expected);
        }
    }

    #[test]
    fn far_times_share_one_partition() {
        let span = Span { past: 400 * NANOS_PER_DAY, future: NANOS_PER_DAY };
        let now = 20_000 * NANOS_PER_DAY;
        assert_ne!(day(now + NANOS_PER_DAY, now, span), OVERFLOW);
        assert_eq!(day(now + NANOS_PER_DAY + 1, now, span), OVERFLOW);
        assert_ne!(day(now - 400 * NANOS_PER_DAY, now, span), OVERFLOW);
        assert_eq!(day(now - 400 * NANOS_PER_DAY - 1, now, span), OVERFLOW);
        assert_eq!(day(i64::MAX, i64::MIN, span), OVERFLOW);
    }
}
