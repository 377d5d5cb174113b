//! Messages to a batch, dead letters and counts: the part of the processor without I/O.
//!
//! The same range with the same transforms and refusals gives the same result, so a range is prepared again, rather
//! than copied, when its write is to be repeated. What a collector of this process decoded is taken over the first time,
//! and changes nothing but the time that it takes.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use metadata::DeadLetter;
use model::clean::Rejection;
use model::limits::Limits;
use model::origin::parts_key;
use model::otlp::{self, DecodeContext, Encoder};
use model::position::{Incarnation, Partition, Position};
use model::{Batch, Record, RecordId};
use queue::Delivery;
use store::{Counts, SeenKey, WriteBatch};
use transform::{Outcome, Transforms};

/// A message, and whether its request was stored before under the same idempotency key.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) delivery: Delivery,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Store it, and remember that under this key; of a request in parts, which copy it is.
    Store(Option<u128>),
    Duplicate,
}

/// What the store, or a failed try, said about parts of a range.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals {
    pub(crate) records: HashMap<Position, HashMap<RecordId, String>>,
    pub(crate) messages: HashMap<Position, MessageRefusal>,
}

#[derive(Debug, Clone)]
pub(crate) enum MessageRefusal {
    /// Each record becomes a letter.
    Records(String),
    /// The message becomes one letter.
    Whole(String),
}

/// What stays the same from range to range.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    pub(crate) incarnation: Incarnation,
    pub(crate) partition: Partition,
    pub(crate) limits: Limits,
}

/// A range, ready to bury and to write.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) batch: WriteBatch,
    /// The message of each row of each batch.
    pub(crate) sources: Vec<Vec<Position>>,
    pub(crate) letters: Vec<DeadLetter>,
    /// Messages whose header told another number of records.
    pub(crate) miscounted: u64,
}

/// Makes a range of messages ready. `from` is where the partition stands; the range is not empty.
pub(crate) fn prepare(
    range: &[Planned],
    from: Position,
    lane: &Lane,
    transforms: &Transforms,
    refusals: &Refusals,
) -> Prepared {
    let next = range.last().map_or(from, |planned| planned.delivery.position.next());
    let batch = WriteBatch {
        incarnation: lane.incarnation,
        partition: lane.partition,
        from,
        next,
        batches: Vec::new(),
        keys: Vec::new(),
        counts: Vec::new(),
    };
    let prepared = Prepared { batch, sources: Vec::new(), letters: Vec::new(), miscounted: 0 };
    let mut preparation = Preparation { lane, transforms, refusals, prepared, open: Vec::new(), now: now() };
    for planned in range {
        preparation.take(planned);
    }
    preparation.prepared
}

/// A message of so many records or more is a batch of its own: if they were handed over, that is cheaper than copying them.
const ALONE_RECORDS_MIN: u32 = 1_000;

struct Preparation<'p> {
    lane: &'p Lane,
    transforms: &'p Transforms,
    refusals: &'p Refusals,
    prepared: Prepared,
    /// By project: the batch to which its next records are added.
    open: Vec<Option<usize>>,
    /// When letters are given up, nanoseconds since the Unix epoch.
    now: i64,
}

impl Preparation<'_> {
    fn take(&mut self, planned: &Planned) {
        let Delivery { position, message } = &planned.delivery;
        let project = self.project(&message.headers.project);
        if planned.fate == Fate::Duplicate {
            drop(message.records.take());
            let records = otlp::count(&message.payload).unwrap_or(message.headers.records);
            self.check_count(records, message.headers.records);
            self.counts(project).received += u64::from(records);
            self.counts(project).deduplicated += u64::from(records);
            return;
        }
        if let (Fate::Store(Some(known_by)), Some(key)) = (planned.fate, message.headers.key) {
            let (project, received) = (message.headers.project.clone(), message.headers.received);
            // Later, so that it is not forgotten before the key: the other parts are stored by its word.
            let parts = message.headers.part.map(|part| SeenKey {
                project: project.clone(),
                key: parts_key(key.key, key.body),
                body: part.request,
                received: received.saturating_add(1),
            });
            self.prepared.batch.keys.push(SeenKey { project, key: known_by, body: key.body, received });
            self.prepared.batch.keys.extend(parts);
        }
        match self.refusals.messages.get(position) {
            Some(MessageRefusal::Whole(reason)) => self.bury_message(project, &planned.delivery, reason.clone()),
            _ => self.store(project, &planned.delivery),
        }
    }

    fn store(&mut self, project: usize, delivery: &Delivery) {
        let is_alone = delivery.message.headers.records >= ALONE_RECORDS_MIN;
        if is_alone {
            self.open[project] = None;
        }
        match delivery.message.records.take() {
            Some(records) => self.adopt(project, delivery, records),
            None => self.decode(project, delivery),
        }
        if is_alone {
            self.open[project] = None;
        }
    }

    /// Takes the records that the collector decoded. A range that is prepared again finds them taken, and decodes the
    /// payload: so nothing of it was refused yet.
    fn adopt(&mut self, project: usize, delivery: &Delivery, mut records: Batch) {
        for (index, id) in (0..).zip(&mut records.ids) {
            *id = self.id(delivery, index);
        }
        let count = records.len();
        let mut kept = 0;
        for row in self.transforms.apply_to_columns(&mut records) {
            self.keep(project, delivery, &records, kept..row);
            self.take_record(project, delivery, row as u32, Ok(records.row(row)));
            kept = row + 1;
        }
        if kept == 0 && self.open[project].is_none() {
            self.open[project] = Some(self.add_batch(records, vec![delivery.position; count]));
            self.counts(project).stored += count as u64;
        } else {
            self.keep(project, delivery, &records, kept..count);
        }
        self.counts(project).received += count as u64;
        self.check_count(count as u32, delivery.message.headers.records);
    }

    fn keep(&mut self, project: usize, delivery: &Delivery, records: &Batch, rows: Range<usize>) {
        if !rows.is_empty() {
            let batch = self.batch(project);
            self.prepared.batch.batches[batch].append(records, rows.clone());
            self.prepared.sources[batch].extend(std::iter::repeat_n(delivery.position, rows.len()));
            self.counts(project).stored += rows.len() as u64;
        }
    }

    fn decode(&mut self, project: usize, delivery: &Delivery) {
        let headers = &delivery.message.headers;
        if headers.retry_of.is_some() && otlp::count(&delivery.message.payload).is_ok_and(|count| count != 1) {
            let reason = "a dead letter sent again must hold exactly one record".to_owned();
            return self.bury_message(project, delivery, reason);
        }
        let limits = self.lane.limits;
        let context = DecodeContext {
            project: &headers.project,
            received: headers.received,
            origin: self.origin(delivery),
            limits: &limits,
        };
        let decoded = otlp::decode(&delivery.message.payload, &context, &mut |index, record| {
            self.take_record(project, delivery, index, record);
        });
        match decoded {
            Ok(records) => {
                self.counts(project).received += u64::from(records);
                self.check_count(records, headers.records);
            }
            Err(error) => self.bury_message(project, delivery, error.to_string()),
        }
    }

    fn take_record(&mut self, project: usize, delivery: &Delivery, index: u32, record: Result<Record<'_>, Rejection>) {
        let mut record = match record {
            Ok(record) => record,
            Err(rejection) => return self.bury_rejected(project, delivery, index, &rejection),
        };
        record.id = self.id(delivery, index);
        if let Some(reason) = self.refused(delivery.position, record.id) {
            return self.bury_record(project, delivery, index, &record, reason);
        }
        match self.transforms.apply(&mut record) {
            Outcome::Keep => {
                let batch = self.batch(project);
                self.prepared.batch.batches[batch].push(&record);
                self.prepared.sources[batch].push(delivery.position);
                self.counts(project).stored += 1;
            }
            Outcome::Drop(_) => self.counts(project).dropped += 1,
            Outcome::Reject(reason) => self.bury_record(project, delivery, index, &record, reason),
        }
    }

    fn refused(&self, position: Position, id: RecordId) -> Option<String> {
        if let Some(reason) = self.refusals.records.get(&position).and_then(|records| records.get(&id)) {
            return Some(reason.clone());
        }
        match self.refusals.messages.get(&position) {
            Some(MessageRefusal::Records(reason)) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Buries a record as it is now: what transforms added they find there when it is sent again.
    fn bury_record(&mut self, project: usize, delivery: &Delivery, index: u32, record: &Record<'_>, reason: String) {
        let mut encoder = Encoder::new();
        encoder.push(record);
        self.bury(project, delivery, record.id, index, reason, encoder.finish());
        self.counts(project).dead_lettered += 1;
    }

    /// Buries a record that cleaning refused. It is decoded once more without limits to keep it alone; if that is
    /// impossible too, the whole message is kept under its id.
    fn bury_rejected(&mut self, project: usize, delivery: &Delivery, index: u32, rejection: &Rejection) {
        let origin = self.origin(delivery);
        let id = self.id(delivery, index);
        let headers = &delivery.message.headers;
        let no_limits = Limits {
            record_bytes_max: usize::MAX,
            attributes_max: usize::MAX,
            name_bytes_max: usize::MAX,
            ..self.lane.limits
        };
        let context =
            DecodeContext { project: &headers.project, received: headers.received, origin, limits: &no_limits };
        let mut payload = None;
        let _ = otlp::decode(&delivery.message.payload, &context, &mut |at, record| {
            if let (true, Ok(record)) = (at == index, record) {
                let mut encoder = Encoder::new();
                encoder.push(&record);
                payload = Some(encoder.finish());
            }
        });
        let payload = payload.unwrap_or_else(|| delivery.message.payload.to_vec());
        self.bury(project, delivery, id, index, rejection.to_string(), payload);
        self.counts(project).dead_lettered += 1;
    }

    /// Buries a message that can't be taken apart; it counts as many records as its header says.
    fn bury_message(&mut self, project: usize, delivery: &Delivery, reason: String) {
        let headers = &delivery.message.headers;
        let id = self.id(delivery, 0);
        let payload = delivery.message.payload.to_vec();
        let records = u64::from(headers.records.max(1));
        self.bury(project, delivery, id, 0, reason, payload);
        self.counts(project).received += records;
        self.counts(project).dead_lettered += records;
    }

    fn bury(
        &mut self,
        project: usize,
        delivery: &Delivery,
        id: RecordId,
        index: u32,
        reason: String,
        payload: Vec<u8>,
    ) {
        self.prepared.letters.push(DeadLetter {
            id,
            project: self.prepared.batch.counts[project].project.to_string(),
            incarnation: self.lane.incarnation,
            partition: self.lane.partition,
            position: delivery.position,
            index,
            reason,
            at: self.now,
            received: delivery.message.headers.received,
            payload,
        });
    }

    fn origin(&self, delivery: &Delivery) -> u128 {
        delivery.origin(self.lane.incarnation, self.lane.partition)
    }

    /// Of the message's record with this index.
    fn id(&self, delivery: &Delivery, index: u32) -> RecordId {
        let counted =
            || RecordId { origin: self.origin(delivery), index: delivery.first_index().saturating_add(index) };
        delivery.message.headers.retry_of.unwrap_or_else(counted)
    }

    fn check_count(&mut self, records: u32, said: u32) {
        self.prepared.miscounted += u64::from(records != said);
    }

    /// The project's index in the counts. Few projects share a partition, and runs of one are long.
    fn project(&mut self, project: &Arc<str>) -> usize {
        let counts = &mut self.prepared.batch.counts;
        if let Some(index) = counts.iter().rposition(|counts| counts.project == *project) {
            return index;
        }
        counts.push(Counts::new(project.clone()));
        self.open.push(None);
        counts.len() - 1
    }

    /// The batch to which a record of the project is to be added.
    fn batch(&mut self, project: usize) -> usize {
        if let Some(open) = self.open[project] {
            return open;
        }
        let batch = Batch::new(self.counts(project).project.clone());
        self.open[project] = Some(self.add_batch(batch, Vec::new()));
        self.prepared.batch.batches.len() - 1
    }

    fn add_batch(&mut self, batch: Batch, sources: Vec<Position>) -> usize {
        self.prepared.batch.batches.push(batch);
        self.prepared.sources.push(sources);
        self.prepared.sources.len() - 1
    }

    fn counts(&mut self, project: usize) -> &mut Counts {
        &mut self.prepared.batch.counts[project]
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}
