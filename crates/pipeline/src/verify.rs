//! Proves that what was acknowledged is stored exactly once.
//!
//! Three proofs, each of which can fail alone: every file of queue and store reads back and is what its checksums say;
//! the ledger adds up; and every record of every processed message that the queue still holds is in the store once, or
//! is a dead letter. The last one decodes and transforms the messages as the processor did.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use metadata::Metadata;
use model::RecordId;
use model::limits::Limits;
use model::position::{Partition, Position};
use queue::{Delivery, Queue};
use serde::Serialize;
use store::{LedgerRow, QueryLimits, Store};
use transform::Transforms;

use crate::held::{Held, ReadError};
use crate::prepare::{Fate, Lane, Planned, Refusals, prepare};

/// Dead letters of one page.
const LETTERS_PAGE: u32 = 1_000;

/// What is verified.
#[derive(Debug, Clone)]
pub struct Subject {
    pub queue: Arc<dyn Queue>,
    pub store: Arc<dyn Store>,
    pub metadata: Metadata,
    pub transforms: Arc<Transforms>,
    pub limits: Limits,
}

/// What was found. Sound when there are no problems.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Processed messages that the queue still holds, and their records.
    pub messages: u64,
    pub records: u64,
    /// Of those records: in the store, and kept as dead letters.
    pub stored: u64,
    pub dead_lettered: u64,
    /// Neither, as the ledger says: dead letters that were dropped, and records that retention removed.
    pub gone: u64,
    /// Neither, and nothing says why.
    pub lost: u64,
    /// In the store more than once.
    pub doubled: u64,
    /// Messages that wait for the processor.
    pub waiting: u64,
    /// A sentence each.
    pub problems: Vec<String>,
}

impl Report {
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Records by project, then by origin, and the message that they came with.
type Origins = BTreeMap<Arc<str>, HashMap<u128, Expected>>;

#[derive(Debug, Clone, Copy)]
struct Expected {
    records: u64,
    partition: Partition,
    position: Position,
}

/// What the processed messages should have become.
#[derive(Debug, Default)]
struct Expectations {
    origins: Origins,
    /// The records of requests in parts, by origin: copies of a request may be cut in different places.
    in_parts: HashMap<u128, HashSet<u32>>,
    /// Letters that were sent again: each is one record of a message that came before.
    retried: BTreeSet<(Arc<str>, RecordId)>,
}

impl Expectations {
    /// Counts a record of a part, and gives 1 unless a copy of its request had it.
    fn take_part(&mut self, project: &Arc<str>, id: RecordId, first: Expected) -> u64 {
        let origins = self.origins.entry(project.clone()).or_default();
        let came_whole = origins.contains_key(&id.origin) && !self.in_parts.contains_key(&id.origin);
        if came_whole || !self.in_parts.entry(id.origin).or_default().insert(id.index) {
            return 0;
        }
        origins.entry(id.origin).or_insert(first).records += 1;
        1
    }
}

/// Messages of lost records that are named.
const NAMED_MAX: usize = 10;

/// Dead letters by project, then by origin.
type Letters = BTreeMap<String, HashMap<u128, u64>>;

/// Looks at everything. Slow and thorough: it reads all that queue and store hold.
///
/// # Errors
/// When something can't be read at all; what reads but is wrong is in the report.
pub async fn verify(subject: &Subject) -> Result<Report, ReadError> {
    let mut report = Report::default();
    report.problems.extend(subject.queue.check().await?);
    report.problems.extend(subject.store.check().await?);
    let mut expected = Expectations::default();
    for partition in 0..subject.queue.partitions() {
        expect(subject, Partition(partition), &mut expected, &mut report).await?;
    }
    let (expected, missing) = with_retried(subject, expected, &mut report).await?;
    let letters = dead_letters(&subject.metadata).await?;
    let ledger = subject.store.ledger().await?;
    add_up(&ledger, &mut report);
    for (project, origins) in &expected {
        let wanted: HashSet<u128> = origins.keys().copied().collect();
        let found = subject.store.count_by_origin(project, &wanted).await?;
        let empty = HashMap::new();
        let letters = letters.get(&**project).unwrap_or(&empty);
        // Dead letters leave when they are dropped or sent again, stored records when they expire.
        let kept: u64 = letters.values().sum();
        let rows = ledger.iter().filter(|row| row.project == *project);
        let left: u64 = rows.map(|row| row.dead_lettered + row.expired).sum();
        let retried = missing.get(project).copied().unwrap_or(0);
        compare(origins, &found, letters, retried, left.saturating_sub(kept), &mut report);
    }
    if report.lost > 0 {
        report.problems.push(format!("{} acknowledged records are not in the store", report.lost));
    }
    if report.doubled > 0 {
        report.problems.push(format!("{} records are in the store more than once", report.doubled));
    }
    Ok(report)
}

fn add_up(ledger: &[LedgerRow], report: &mut Report) {
    for row in ledger {
        if !row.is_balanced() {
            report.problems.push(format!(
                "the ledger of project {} in partition {} does not add up: {row:?}",
                row.project, row.partition
            ));
        }
    }
}

/// Holds what a project should have against what is there. `missing`: records that are known to be missing; `gone_max`:
/// how many may be.
fn compare(
    origins: &HashMap<u128, Expected>,
    found: &HashMap<u128, u64>,
    letters: &HashMap<u128, u64>,
    mut missing: u64,
    gone_max: u64,
    report: &mut Report,
) {
    let mut places = Vec::new();
    for (origin, Expected { records, partition, position }) in origins {
        let stored = found.get(origin).copied().unwrap_or(0);
        let dead = letters.get(origin).copied().unwrap_or(0);
        report.stored += stored.min(*records);
        report.dead_lettered += dead.min(records.saturating_sub(stored));
        report.doubled += stored.saturating_sub(*records);
        let absent = records.saturating_sub(stored + dead);
        missing += absent;
        if absent > 0 && places.len() < NAMED_MAX {
            places
                .push(format!("partition {partition}, position {position}: {absent} of {records} records are missing"));
        }
    }
    let gone = missing.min(gone_max);
    report.gone += gone;
    report.lost += missing - gone;
    if missing > gone {
        report.problems.append(&mut places);
    }
}

/// Adds the letters that were sent again and whose first message the queue does not hold any more. They are looked up one
/// by one: the store may have other records of that message. Gives how many each project lacks.
async fn with_retried(
    subject: &Subject,
    expected: Expectations,
    report: &mut Report,
) -> Result<(Origins, BTreeMap<Arc<str>, u64>), ReadError> {
    let Expectations { mut origins, retried, .. } = expected;
    let mut missing = BTreeMap::new();
    for (project, id) in retried {
        if origins.entry(project.clone()).or_default().contains_key(&id.origin) {
            continue;
        }
        report.records += 1;
        if subject.store.get(&project, id, QueryLimits::default()).await?.is_some() {
            report.stored += 1;
        } else if subject.metadata.dead_letter(id).await?.is_some() {
            report.dead_lettered += 1;
        } else {
            *missing.entry(project).or_default() += 1;
        }
    }
    Ok((origins, missing))
}

/// Counts what the processed messages of a partition should have become.
async fn expect(
    subject: &Subject,
    partition: Partition,
    expected: &mut Expectations,
    report: &mut Report,
) -> Result<(), ReadError> {
    let incarnation = subject.queue.incarnation();
    let written = subject.store.progress(incarnation, partition).await?.written;
    let state = subject.queue.state(partition).await?;
    report.waiting += state.waiting(written.max(state.oldest));
    let lane = Lane { incarnation, partition, limits: subject.limits };
    let mut held = Held::open(&*subject.queue, partition, written).await?;
    while let Some(mut deliveries) = held.next().await? {
        report.messages += deliveries.len() as u64;
        deliveries.retain(|Delivery { message, .. }| {
            let retried = message.headers.retry_of.map(|id| (message.headers.project.clone(), id));
            let is_first = retried.is_none();
            expected.retried.extend(retried);
            is_first
        });
        let in_parts = deliveries.iter().filter(|delivery| delivery.message.headers.part.is_some());
        let in_parts: HashSet<Position> = in_parts.map(|delivery| delivery.position).collect();
        let from = deliveries.first().map_or(written, |delivery| delivery.position);
        let planned: Vec<_> =
            deliveries.into_iter().map(|delivery| Planned { delivery, fate: Fate::Store(None) }).collect();
        let (transforms, lane) = (subject.transforms.clone(), lane.clone());
        let prepared =
            tokio::task::spawn_blocking(move || prepare(&planned, from, &lane, &transforms, &Refusals::default()))
                .await?;
        for (batch, sources) in prepared.batch.batches.iter().zip(&prepared.sources) {
            let mut here: HashMap<u128, Expected> = HashMap::new();
            // A repeated request has the ids of the first and adds nothing.
            let mut ids = HashSet::new();
            for (id, position) in batch.ids.iter().zip(sources).filter(|(id, _)| ids.insert(**id)) {
                let first = Expected { records: 0, partition, position: *position };
                if in_parts.contains(position) {
                    report.records += expected.take_part(&batch.project, *id, first);
                } else {
                    here.entry(id.origin).or_insert(first).records += 1;
                }
            }
            let origins = expected.origins.entry(batch.project.clone()).or_default();
            for (origin, found) in here {
                if let Entry::Vacant(unknown) = origins.entry(origin) {
                    report.records += unknown.insert(found).records;
                }
            }
        }
    }
    Ok(())
}

async fn dead_letters(metadata: &Metadata) -> Result<Letters, ReadError> {
    let mut letters = Letters::new();
    let mut after = None;
    loop {
        let page = metadata.dead_letters(None, after, LETTERS_PAGE).await?;
        let Some(last) = page.last() else { return Ok(letters) };
        after = Some((last.letter.at, last.letter.id));
        for letter in page.into_iter().map(|listed| listed.letter) {
            *letters.entry(letter.project).or_default().entry(letter.id.origin).or_default() += 1;
        }
    }
}
