//! Holds messages against a condition: templates first, then the words of those that can't tell, and whole messages
//! only where neither can. A count looks at no row.

use arrow::array::AsArray;
use arrow::buffer::BooleanBuffer;
use store::StoreError;

use super::filter::pick;
use super::templates::{Message, Verdict};
use super::unit::{Rows, Sparse, Templates};
use crate::columns;

/// The rows `within` that match.
pub(super) fn mask(
    rows: &mut Rows<'_>,
    within: &BooleanBuffer,
    message: &Message,
) -> Result<BooleanBuffer, StoreError> {
    match Told::of(rows, message)? {
        Some(told) => told.mask(rows, within, message),
        None => whole_mask(rows, within, |text| message.matcher.matches(text)),
    }
}

/// How many rows match.
pub(super) fn count(rows: &mut Rows<'_>, message: &Message) -> Result<usize, StoreError> {
    let told = Told::of(rows, message)?;
    if let Some(count) = told.as_ref().and_then(Told::count) {
        return Ok(count);
    }
    let all = BooleanBuffer::new_set(rows.len());
    let mask = match told {
        Some(told) => told.mask(rows, &all, message)?,
        None => whole_mask(rows, &all, |text| message.matcher.matches(text))?,
    };
    Ok(mask.count_set_bits())
}

/// What the templates of a block and their words tell of a condition on messages; all by a template's place.
struct Told {
    templates: Templates,
    decided: Vec<Verdict>,
    /// The places of those that are not [`Verdict::No`], which are few in most blocks.
    candidates: Vec<usize>,
    /// The places, rising, of templates that can't decide and were held against the condition word by word; which of
    /// their rows match, in their order, inside of what is asked for or not.
    by_words: Vec<(usize, Vec<bool>)>,
}

impl Told {
    /// None: there are no templates.
    fn of(rows: &mut Rows<'_>, message: &Message) -> Result<Option<Self>, StoreError> {
        let Some(templates) = rows.templates()? else { return Ok(None) };
        let verdicts = message.verdicts(templates.segment.entry().id, &templates.dictionary);
        let mut scratch = String::new();
        let mut decide = |number| message.decide(&verdicts, &templates.dictionary, number, &mut scratch);
        let possible = message.is_in_words_only().then(|| rows.places_of_words(&templates, message)).transpose()?;
        let (possible, words) = possible.unzip();
        let mut told = Self {
            decided: vec![Verdict::No; templates.block.len()],
            candidates: Vec::new(),
            by_words: Vec::new(),
            templates: templates.clone(),
        };
        for (place, &number) in templates.block.numbers().iter().enumerate() {
            let verdict = match &possible {
                Some(possible) if !possible[place] => Verdict::No,
                _ => decide(number),
            };
            if verdict != Verdict::No {
                told.decided[place] = verdict;
                told.candidates.push(place);
            }
        }
        if told.has(Verdict::InHole) {
            let in_hole = if message.can_be_in_hole(rows)? { Verdict::Maybe } else { Verdict::No };
            for place in &told.candidates {
                if told.decided[*place] == Verdict::InHole {
                    told.decided[*place] = in_hole;
                }
            }
            told.candidates.retain(|place| told.decided[*place] != Verdict::No);
        }
        if told.has(Verdict::Maybe) && message.automaton().is_some() {
            // Number 0 is no template: its messages stand whole in the column.
            let undecided =
                |place: &usize| told.decided[*place] == Verdict::Maybe && templates.block.numbers()[*place] > 0;
            let places: Vec<usize> = told.candidates.iter().copied().filter(undecided).collect();
            let matches = rows.matches_of(&templates, &places, words, message)?;
            told.by_words = places.into_iter().zip(matches).collect();
        }
        Ok(Some(told))
    }

    fn has(&self, verdict: Verdict) -> bool {
        self.candidates.iter().any(|place| self.decided[*place] == verdict)
    }

    fn is_by_words(&self, place: usize) -> bool {
        self.by_words.binary_search_by_key(&place, |(place, _)| *place).is_ok()
    }

    /// Whether the messages of a template have to be put together to be asked.
    fn is_open(&self, place: usize) -> bool {
        self.decided[place] == Verdict::Maybe && !self.is_by_words(place)
    }

    fn none_is_open(&self) -> bool {
        !self.candidates.iter().any(|place| self.is_open(*place))
    }

    /// How many rows match, without a look at which; None when messages have to be put together.
    fn count(&self) -> Option<usize> {
        let certain = self.candidates.iter().filter(|place| self.decided[**place] == Verdict::Yes);
        let by_words = self.by_words.iter().flat_map(|(_, matches)| matches).filter(|matches| **matches);
        let count = || certain.map(|place| self.templates.block.rows_of(*place)).sum::<usize>() + by_words.count();
        self.none_is_open().then(count)
    }

    fn mask(self, rows: &mut Rows<'_>, within: &BooleanBuffer, message: &Message) -> Result<BooleanBuffer, StoreError> {
        if self.candidates.is_empty() {
            return Ok(BooleanBuffer::new_unset(within.len()));
        }
        let places = rows.template_rows(&self.templates)?;
        let place = |row: usize| usize::from(places[row]);
        let known = if self.by_words.is_empty() {
            pick(within, |row| self.decided[place(row)] == Verdict::Yes)
        } else {
            let mut matches: Vec<Option<std::slice::Iter<'_, bool>>> = vec![None; self.decided.len()];
            self.by_words.iter().for_each(|(place, of_place)| matches[*place] = Some(of_place.iter()));
            let known = BooleanBuffer::collect_bool(within.len(), |row| match &mut matches[place(row)] {
                Some(matches) => matches.next() == Some(&true),
                None => self.decided[place(row)] == Verdict::Yes,
            });
            within & &known
        };
        if self.none_is_open() {
            return Ok(known);
        }
        let open = pick(within, |row| self.is_open(place(row)));
        Ok(&known | &whole_mask(rows, &open, |text| message.matcher.matches(text))?)
    }
}

/// The rows `within` whose messages, put together where they are not, hold.
pub(super) fn whole_mask(
    rows: &mut Rows<'_>,
    within: &BooleanBuffer,
    holds: impl Fn(&str) -> bool,
) -> Result<BooleanBuffer, StoreError> {
    let picked: Vec<u32> = within.set_indices_u32().collect();
    match rows.column_at(columns::MESSAGE, &picked)? {
        Sparse::Whole(messages) => {
            let messages = messages.as_string::<i32>();
            Ok(pick(within, |row| holds(messages.value(row))))
        }
        Sparse::Picked(messages) => {
            let messages = messages.as_string::<i32>();
            let mut at = 0;
            Ok(pick(within, |_| {
                at += 1;
                holds(messages.value(at - 1))
            }))
        }
    }
}
