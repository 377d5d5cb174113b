//! How many rows of a block have each severity, service and host. Charts and facets ask for these first and mostly over
//! whole blocks, so the index tells them, and no row is read.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::UInt8Type;

use crate::columns::{self, Strings};

/// The columns that are counted.
pub(super) const COUNTED: [usize; 3] = [columns::SEVERITY, columns::SERVICE, columns::HOST];

/// A column with more values in a block is not counted there.
pub(super) const VALUES_MAX: usize = 64;

/// Numbers of values and their rows, none 0; None: not counted. Severities are their own numbers, the number of a text is
/// its place in the segment's [`Texts`]. Rows without a value are the rest.
pub(super) type Counts = Option<Vec<(u32, u32)>>;

/// The values of a column of a block and their rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ValueCounts {
    Severities(Vec<(u8, u64)>),
    Texts(Vec<(Arc<str>, u64)>),
}

/// The different texts that are counted in the blocks of a segment.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let (text, number): (Arc<str>, _) = (text.into(), self.texts.len() as u32);
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    /// Counts what a block has.
    pub(super) fn count(&mut self, block: &RecordBatch) -> [Counts; 3] {
        COUNTED.map(|column| match column {
            columns::SEVERITY => severities(block.column(column)),
            _ => self.count_texts(block.column(column)),
        })
    }

    fn count_texts(&mut self, column: &ArrayRef) -> Counts {
        let mut counts: HashMap<&str, u32> = HashMap::new();
        let mut add = |text, rows| {
            *counts.entry(text).or_default() += rows;
            counts.len() <= VALUES_MAX
        };
        let counted = match Strings::new(column)? {
            Strings::Plain(texts) => texts.iter().flatten().all(|text| add(text, 1)),
            // It may have a value twice, and values that no row has.
            Strings::Dictionary { keys, values } => {
                let mut rows = vec![0; values.len()];
                keys.iter().flatten().for_each(|key| rows[key as usize] += 1);
                values.iter().zip(rows).all(|(text, rows)| match text {
                    Some(text) if rows > 0 => add(text, rows),
                    _ => true,
                })
            }
        };
        // In the order of texts, so that the same block makes the same file.
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable();
        counted.then(|| counts.into_iter().map(|(text, rows)| (self.number(text), rows)).collect())
    }

    /// What a block of another segment has, in the numbers of this one; `theirs` are that segment's texts.
    pub(super) fn adopt(&mut self, counts: &[Counts; 3], theirs: &[Arc<str>]) -> [Counts; 3] {
        let mut ours = counts.clone();
        let texts = ours.iter_mut().zip(COUNTED).filter(|(_, column)| *column != columns::SEVERITY);
        for (value, _) in texts.flat_map(|(counts, _)| counts.iter_mut().flatten()) {
            *value = self.number(&theirs[*value as usize]);
        }
        ours
    }
}

fn severities(column: &ArrayRef) -> Counts {
    let mut rows = [0; 256];
    column.as_primitive_opt::<UInt8Type>()?.iter().flatten().for_each(|severity| rows[usize::from(severity)] += 1);
    let counts: Vec<_> = (0..).zip(rows).filter(|(_, rows)| *rows > 0).collect();
    (counts.len() <= VALUES_MAX).then_some(counts)
}

/// Whether the texts exist that are counted.
pub(super) fn are_known(counts: &[Counts; 3], texts: &[Arc<str>]) -> bool {
    let of_texts = counts.iter().zip(COUNTED).filter(|(_, column)| *column != columns::SEVERITY);
    of_texts.flat_map(|(counts, _)| counts.iter().flatten()).all(|(value, _)| (*value as usize) < texts.len())
}

/// The counts of a column, if it is one that is counted and was.
pub(super) fn of_column(column: usize, counts: &[Counts; 3], texts: &[Arc<str>]) -> Option<ValueCounts> {
    let counts = counts[COUNTED.iter().position(|counted| *counted == column)?].as_ref()?;
    let rows = |rows: &u32| u64::from(*rows);
    Some(match column {
        columns::SEVERITY => ValueCounts::Severities(counts.iter().map(|(value, n)| (*value as u8, rows(n))).collect()),
        _ => ValueCounts::Texts(counts.iter().map(|(value, n)| (texts[*value as usize].clone(), rows(n))).collect()),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int32Array, StringArray};

    use super::*;

    fn named(texts: &Texts, counts: Counts) -> Option<Vec<(&str, u32)>> {
        counts.map(|counts| counts.into_iter().map(|(value, rows)| (&*texts.texts[value as usize], rows)).collect())
    }

    #[test]
    fn texts_are_counted_once_whatever_the_dictionary_has() {
        let values = StringArray::from(vec!["b", "a", "unused", "b"]);
        let keys = Int32Array::from(vec![Some(0), Some(3), None, Some(1), Some(0)]);
        let column: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(values)));
        let mut texts = Texts::default();
        let counts = texts.count_texts(&column);
        assert_eq!(named(&texts, counts), Some(vec![("a", 1), ("b", 3)]));
        let plain: ArrayRef = Arc::new(StringArray::from(vec![Some("c"), None, Some("a"), Some("c")]));
        let counts = texts.count_texts(&plain);
        assert_eq!(named(&texts, counts), Some(vec![("a", 1), ("c", 2)]));
        assert_eq!(texts.texts.iter().map(|text| &**text).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn too_many_values_are_not_counted() {
        let column = |values: usize| -> ArrayRef {
            Arc::new((0..values).map(|value| Some(value.to_string())).collect::<StringArray>())
        };
        let mut texts = Texts::default();
        assert_eq!(texts.count_texts(&column(VALUES_MAX)).map(|counts| counts.len()), Some(VALUES_MAX));
        assert_eq!(texts.count_texts(&column(VALUES_MAX + 1)), None);
        assert_eq!(texts.texts.len(), VALUES_MAX, "they take no room");
    }

    #[test]
    fn another_segments_counts_get_numbers_of_this_one() {
        let theirs: Vec<Arc<str>> = ["x", "y"].map(Into::into).to_vec();
        let mut texts = Texts::default();
        texts.number("z");
        let adopted = texts.adopt(&[Some(vec![(9, 1)]), Some(vec![(1, 2), (0, 3)]), None], &theirs);
        assert_eq!(adopted, [Some(vec![(9, 1)]), Some(vec![(1, 2), (2, 3)]), None]);
        assert!(are_known(&adopted, &texts.texts) && !are_known(&adopted, &theirs));
        let known = of_column(columns::SERVICE, &adopted, &texts.texts);
        assert_eq!(known, Some(ValueCounts::Texts(vec![("y".into(), 2), ("x".into(), 3)])));
        assert_eq!(of_column(columns::SEVERITY, &adopted, &texts.texts), Some(ValueCounts::Severities(vec![(9, 1)])));
        assert_eq!(of_column(columns::TS, &adopted, &texts.texts), None);
    }
}
