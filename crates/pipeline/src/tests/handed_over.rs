//! Records that a collector of the same process decoded make the same batch as the message that holds them.

use model::limits::Limits;
use model::position::{Incarnation, Partition, Position};
use model::{RecordId, record::Record};
use proptest::prelude::*;
use queue::{Delivery, Message, Records};
use transform::{Settings, Transforms};

use super::rig::{batch, encoded, headers};
use crate::prepare::{Fate, Lane, MessageRefusal, Planned, Prepared, Refusals, prepare};

fn lane() -> Lane {
    Lane { incarnation: Incarnation(7), partition: Partition(1), limits: Limits::default() }
}

fn planned(position: u64, messages: &[String], records: Records) -> Planned {
    let message = Message { records, ..Message::new(headers(messages.len() as u32), encoded(messages)) };
    Planned { delivery: Delivery { position: Position(position), message }, fate: Fate::Store(None) }
}

/// All that a range becomes, save when letters are given up.
fn outcome(prepared: &Prepared) -> impl PartialEq + std::fmt::Debug + use<> {
    let records: Vec<Vec<Record<'static>>> =
        prepared.batch.batches.iter().map(|batch| batch.rows().map(Record::into_owned).collect()).collect();
    let letters: Vec<(RecordId, String, Vec<u8>)> =
        prepared.letters.iter().map(|letter| (letter.id, letter.reason.clone(), letter.payload.clone())).collect();
    (records, letters, prepared.sources.clone(), prepared.batch.counts.clone(), prepared.miscounted)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_range_becomes_the_same_whether_its_records_were_handed_over(
        mut ranges in prop::collection::vec(prop::collection::vec("fine|error: [a-z]{0,4}|a=1 b=2|\\{\"a\":1\\}", 1..5), 1..5),
        large in any::<prop::sample::Index>(),
        drops in any::<bool>(),
    ) {
        // So many that they may be a batch of their own.
        let large = large.index(ranges.len());
        ranges[large] = vec![ranges[large].clone(); 1_000].concat();
        let drop = if drops { vec!["error".to_owned()] } else { Vec::new() };
        let transforms = Transforms::new(Settings { drop, ..Settings::default() }, 1).unwrap();
        let range = |records: &dyn Fn(&[String]) -> Records| -> Vec<Planned> {
            (3..).zip(&ranges).map(|(position, messages)| planned(position, messages, records(messages))).collect()
        };
        let of = |range: &[Planned]| prepare(range, Position(3), &lane(), &transforms, &Refusals::default());
        let handed_over = range(&|messages| Records::new(batch(messages)));
        let expected = outcome(&of(&range(&|_| Records::default())));
        prop_assert_eq!(&outcome(&of(&handed_over)), &expected);
        prop_assert_eq!(&outcome(&of(&handed_over)), &expected, "prepared again");
    }
}

#[test]
fn what_is_refused_is_taken_from_the_message() {
    let messages = ["fine".to_owned(), "not so".to_owned()];
    let range = [planned(3, &messages, Records::new(batch(&messages)))];
    let of = |refusals: &Refusals| prepare(&range, Position(3), &lane(), &Transforms::default(), refusals);
    let id = of(&Refusals::default()).batch.batches[0].ids[1];
    let mut refusals = Refusals::default();
    refusals.records.entry(Position(3)).or_default().insert(id, "no".to_owned());
    let prepared = of(&refusals);
    assert_eq!((prepared.batch.batches[0].len(), prepared.letters.len(), prepared.letters[0].id), (1, 1, id));
    refusals.messages.insert(Position(3), MessageRefusal::Records("none".to_owned()));
    assert_eq!((of(&refusals).batch.batches.len(), of(&refusals).letters.len()), (0, 2));
}
