//! The fields of a JSON object to a record: which name means what.
//!
//! [`Mapper`] keeps its buffers from record to record. Of two names for one thing the first in the table wins and the
//! other stays an attribute; what a field can't be read as stays an attribute under its own name, so that nothing that
//! was sent is lost.

use std::borrow::Cow;

use model::clean::{Rejection, set_invalid_time};
use model::limits::Limits;
use model::record::UNKNOWN_SERVICE;
use model::{Fields, Record, RecordId, Severity, SpanId, TraceId, Value, time};

/// What a name can stand for. Each has its names in order: the lower the rank, the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Time,
    Message,
    Level,
    SeverityNumber,
    Service,
    Host,
    TraceId,
    SpanId,
}

const SLOTS: usize = 8;
const RANKS: usize = 5;

/// Beyond the last field of any record.
const NOWHERE: u32 = u32::MAX;

/// What a field's name means, with its rank among the names of the same meaning. The lengths let most names pass
/// without a comparison.
pub(super) fn meaning(name: &str) -> Option<(Slot, usize)> {
    Some(match (name.len(), name) {
        (9, "timestamp") => (Slot::Time, 0),
        (4, "time") => (Slot::Time, 1),
        (2, "ts") => (Slot::Time, 2),
        (10, "@timestamp") => (Slot::Time, 3),
        (7, "message") => (Slot::Message, 0),
        (3, "msg") => (Slot::Message, 1),
        (4, "body") => (Slot::Message, 2),
        (3, "log") => (Slot::Message, 3),
        (5, "level") => (Slot::Level, 0),
        (8, "severity") => (Slot::Level, 1),
        (3, "lvl") => (Slot::Level, 2),
        (9, "log.level") => (Slot::Level, 3),
        (9, "log_level") => (Slot::Level, 4),
        (15, "severity_number") => (Slot::SeverityNumber, 0),
        (7, "service") => (Slot::Service, 0),
        (12, "service.name") => (Slot::Service, 1),
        (3, "app") => (Slot::Service, 2),
        (4, "host") => (Slot::Host, 0),
        (8, "hostname") => (Slot::Host, 1),
        (9, "host.name") => (Slot::Host, 2),
        (8, "trace_id") => (Slot::TraceId, 0),
        (7, "traceId") => (Slot::TraceId, 1),
        (7, "span_id") => (Slot::SpanId, 0),
        (6, "spanId") => (Slot::SpanId, 1),
        _ => return None,
    })
}

/// Makes records of parsed objects, one after another.
#[derive(Debug, Default)]
pub(super) struct Mapper {
    /// What each field of the record at hand means; parallel to its attributes.
    roles: Vec<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Attribute,
    /// A name of a slot that could still win it.
    Candidate(Slot, usize),
    /// Taken, or overridden by a later field of the same name.
    Gone,
}

impl Role {
    fn of(name: &str) -> Self {
        meaning(name).map_or(Role::Attribute, |(slot, rank)| Role::Candidate(slot, rank))
    }
}

impl Mapper {
    /// Empties `fields` into `record`, whose former contents are gone; absent times are `now`. The record still wants
    /// [`model::clean::clean`].
    ///
    /// # Errors
    /// Flattening would make names or attributes beyond the limits. Told while it happens: a long name around many
    /// short ones would otherwise grow to a multiple of the body.
    pub(super) fn map<'a>(
        &mut self,
        fields: &mut Fields<'a>,
        record: &mut Record<'a>,
        now: i64,
        limits: &Limits,
    ) -> Result<(), Rejection> {
        reset(record, now);
        self.roles.clear();
        drop_own_export_fields(fields);
        for (name, value) in fields.drain(..) {
            self.take(name, value, record, limits)?;
        }
        let found = self.candidates(record);
        self.fill(&found, record, now);
        let mut roles = self.roles.iter();
        record.attributes.retain(|_| roles.next() != Some(&Role::Gone));
        Ok(())
    }

    /// Puts a field of the object where it belongs: flattened, and with its role.
    fn take<'a>(
        &mut self,
        name: Cow<'a, str>,
        value: Value<'a>,
        record: &mut Record<'a>,
        limits: &Limits,
    ) -> Result<(), Rejection> {
        match (&*name, value) {
            ("attributes", Value::Map(fields)) => {
                for (name, value) in fields {
                    flatten(name, value, &mut record.attributes, limits)?;
                }
                self.roles.resize(record.attributes.len(), Role::Attribute);
            }
            ("resource", Value::Map(fields)) => {
                for (name, value) in fields {
                    flatten(name, value, &mut record.resource, limits)?;
                }
            }
            // A text that is an object is kept whole until it is clear that it is the message. `log` is not among
            // them: as an object it holds names such as `log.level`.
            ("message" | "msg" | "body", value @ Value::Map(_)) => {
                self.roles.push(Role::of(&name));
                push(name, value, &mut record.attributes, limits)?;
            }
            (_, value @ Value::Map(_)) => {
                let start = record.attributes.len();
                flatten(name, value, &mut record.attributes, limits)?;
                self.roles.extend(record.attributes[start..].iter().map(|(name, _)| Role::of(name)));
            }
            (_, value) => {
                self.roles.push(Role::of(&name));
                push(name, value, &mut record.attributes, limits)?;
            }
        }
        Ok(())
    }

    /// For each slot the place of its strongest candidate. Of equal names the last counts; null is not there.
    fn candidates(&mut self, record: &Record<'_>) -> [Option<usize>; SLOTS] {
        let mut places = [[NOWHERE; RANKS]; SLOTS];
        for place in 0..self.roles.len() {
            let Role::Candidate(slot, rank) = self.roles[place] else { continue };
            let known = &mut places[slot as usize][rank];
            if let Some(earlier) = self.roles.get_mut(*known as usize) {
                *earlier = Role::Gone;
            }
            *known = place as u32;
            if matches!(record.attributes[place].1, Value::Null) {
                *known = NOWHERE;
                self.roles[place] = Role::Gone;
            }
        }
        places.map(|ranks| ranks.into_iter().find(|&place| place != NOWHERE).map(|place| place as usize))
    }

    /// Reads the winners into the record's fields.
    fn fill<'a>(&mut self, found: &[Option<usize>; SLOTS], record: &mut Record<'a>, now: i64) {
        let winner = |slot: Slot| found[slot as usize];
        if let Some(place) = winner(Slot::Message) {
            record.message = into_text(self.remove(place, record));
        }
        self.fill_severity(winner(Slot::Level), winner(Slot::SeverityNumber), record);
        self.fill_ids(winner(Slot::TraceId), winner(Slot::SpanId), record);
        if let Some(place) = winner(Slot::Service) {
            record.service = into_text(self.remove(place, record));
        }
        if let Some(place) = winner(Slot::Host) {
            record.host = Some(into_text(self.remove(place, record)));
        }
        if let Some(place) = winner(Slot::Time) {
            let value = self.remove(place, record);
            match read_time(&value) {
                Some(time) => record.timestamp = time,
                None => {
                    set_invalid_time(record, value, now);
                    self.roles.push(Role::Attribute);
                }
            }
        }
    }

    /// `level` names one of six; `severity_number` beside it is finer, if it says the same.
    fn fill_severity(&mut self, level: Option<usize>, number: Option<usize>, record: &mut Record<'_>) {
        let named = level.and_then(|place| read_level(&record.attributes[place].1));
        let numbered = number.and_then(|place| read_severity_number(&record.attributes[place].1));
        let agree = named.map(Severity::level) == numbered.map(Severity::level);
        if let (Some(place), Some(severity)) = (level, named) {
            self.roles[place] = Role::Gone;
            record.severity = Some(severity);
        }
        if let (Some(place), Some(severity)) = (number, numbered)
            && (agree || level.is_none())
        {
            self.roles[place] = Role::Gone;
            record.severity = Some(severity);
        }
    }

    fn fill_ids(&mut self, trace: Option<usize>, span: Option<usize>, record: &mut Record<'_>) {
        if let Some(place) = trace
            && let Value::String(text) = &record.attributes[place].1
            && let Ok(id) = text.parse::<TraceId>()
        {
            record.trace_id = Some(id);
            self.roles[place] = Role::Gone;
        }
        if let Some(place) = span
            && let Value::String(text) = &record.attributes[place].1
            && let Ok(id) = text.parse::<SpanId>()
        {
            record.span_id = Some(id);
            self.roles[place] = Role::Gone;
        }
    }

    fn remove<'a>(&mut self, place: usize, record: &mut Record<'a>) -> Value<'a> {
        self.roles[place] = Role::Gone;
        std::mem::replace(&mut record.attributes[place].1, Value::Null)
    }
}

/// Empties a record and keeps its room; its times are `now`.
pub(super) fn reset(record: &mut Record<'_>, now: i64) {
    record.timestamp = now;
    record.observed = now;
    record.service = Cow::Borrowed(UNKNOWN_SERVICE);
    record.host = None;
    record.severity = None;
    record.message = Cow::Borrowed("");
    record.trace_id = None;
    record.span_id = None;
    record.attributes.clear();
    record.resource.clear();
}

/// What an exported record has beside what a sender writes is made anew: its id, its project and when it came.
fn drop_own_export_fields(fields: &mut Fields<'_>) {
    let is = |wanted: &str| fields.iter().rposition(|(name, _)| name == wanted);
    // The name that hardly anybody else uses comes first.
    if is("observed_timestamp").is_none() {
        return;
    }
    let (Some(id), Some(_)) = (is("id"), is("project")) else { return };
    if matches!(&fields[id].1, Value::String(id) if id.parse::<RecordId>().is_ok()) {
        fields.retain(|(name, _)| !matches!(&**name, "id" | "observed_timestamp" | "project"));
    }
}

/// Objects become names with dots; empty ones are gone. Arrays stay, with what is in them.
fn flatten<'a>(name: Cow<'a, str>, value: Value<'a>, out: &mut Fields<'a>, limits: &Limits) -> Result<(), Rejection> {
    let Value::Map(fields) = value else { return push(name, value, out, limits) };
    for (inner, value) in fields {
        let bytes = name.len() + 1 + inner.len();
        if bytes > limits.name_bytes_max {
            return Err(Rejection::NameTooLong { bytes, max: limits.name_bytes_max });
        }
        let mut dotted = String::with_capacity(bytes);
        dotted.push_str(&name);
        dotted.push('.');
        dotted.push_str(&inner);
        flatten(Cow::Owned(dotted), value, out, limits)?;
    }
    Ok(())
}

/// Adds a field. Equal names are one attribute in the end; up to the double of the limit they are borne with.
fn push<'a>(name: Cow<'a, str>, value: Value<'a>, out: &mut Fields<'a>, limits: &Limits) -> Result<(), Rejection> {
    if out.len() >= limits.attributes_max.saturating_mul(2) {
        return Err(Rejection::TooManyAttributes { count: out.len() + 1, max: limits.attributes_max });
    }
    out.push((name, value));
    Ok(())
}

/// Text as it is, anything else as its JSON.
fn into_text(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::String(text) => text,
        other => Cow::Owned(other.to_json()),
    }
}

fn read_time(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::String(text) => time::parse(text),
        Value::Int(number) => time::from_epoch(*number),
        Value::Double(number) => time::from_epoch_float(*number),
        _ => None,
    }
}

/// A logger's name for a level, or its number, written as a number or as text.
fn read_level(value: &Value<'_>) -> Option<Severity> {
    match value {
        Value::String(text) => {
            Severity::from_name(text).or_else(|| text.trim_ascii().parse().ok().and_then(Severity::from_logger_number))
        }
        number => whole(number).and_then(Severity::from_logger_number),
    }
}

/// An OpenTelemetry number, 1 to 24. It is read from its own field only: it overlaps with syslog's.
fn read_severity_number(value: &Value<'_>) -> Option<Severity> {
    match value {
        Value::String(text) => Severity::new(text.trim_ascii().parse().ok()?),
        number => whole(number).and_then(Severity::new),
    }
}

fn whole(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Double(number) if number.fract() == 0.0 => Some(*number as i64),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
