//! The templates of one block, and the messages that they make of its words; the format stands in
//! [`messages`](super::messages).

use std::ops::Range;

use arrow::array::{Array, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use super::messages::{Dictionary, END, HOLE, SAME, TURNED_ROWS_MIN, put_planes, take_planes};

/// The templates that a block has; all by place.
#[derive(Debug)]
pub(crate) struct BlockTemplates {
    /// In the segment's dictionary; 0: messages that have no template.
    numbers: Vec<u16>,
    rows: Vec<u32>,
    /// Bytes of their words.
    words: Vec<u32>,
}

impl BlockTemplates {
    /// Of the templates of all rows, and for each row its place among them; the bytes of words are not known yet.
    /// `text` gives a template by its number.
    pub(super) fn of<'t>(numbers: &[u16], text: impl Fn(u16) -> &'t str) -> (Self, Vec<u16>) {
        let highest = numbers.iter().max().map_or(0, |highest| usize::from(*highest) + 1);
        let mut rows = vec![0_u32; highest];
        numbers.iter().for_each(|number| rows[usize::from(*number)] += 1);
        let mut present: Vec<u16> = (0..=u16::MAX).zip(&rows).filter(|(_, rows)| **rows > 0).map(|(n, _)| n).collect();
        present.sort_unstable_by_key(|number| text(*number));
        let mut place_of = vec![0; highest];
        for (place, number) in present.iter().enumerate() {
            place_of[usize::from(*number)] = place as u16;
        }
        let places = numbers.iter().map(|number| place_of[usize::from(*number)]).collect();
        let rows = present.iter().map(|number| rows[usize::from(*number)]).collect();
        (Self { words: vec![0; present.len()], numbers: present, rows }, places)
    }

    pub(super) fn set_words(&mut self, place: usize, bytes: usize) {
        self.words[place] = bytes as u32;
    }

    /// The rows of each template one after the other; `places` is by row.
    pub(super) fn rows(&self, places: &[u16]) -> Vec<u32> {
        let mut end = 0;
        let starts = self.rows.iter().map(|rows| {
            let start = end;
            end += *rows as usize;
            start
        });
        let mut next: Vec<usize> = starts.collect();
        let mut rows = vec![0; places.len()];
        for (row, place) in places.iter().enumerate() {
            let next = &mut next[usize::from(*place)];
            rows[*next] = row as u32;
            *next += 1;
        }
        rows
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        self.encode_with(&self.numbers)
    }

    /// With the numbers of another dictionary.
    pub(super) fn encode_with(&self, numbers: &[u16]) -> Vec<u8> {
        let mut plain = (numbers.len() as u32).to_le_bytes().to_vec();
        put_planes(&mut plain, numbers, u16::to_le_bytes);
        put_planes(&mut plain, &self.rows, u32::to_le_bytes);
        put_planes(&mut plain, &self.words, u32::to_le_bytes);
        plain
    }

    /// None, here and below, when the bytes are not what an encoder writes.
    pub(super) fn decode(plain: &[u8], rows: usize, dictionary: &Dictionary) -> Option<Self> {
        let (count, mut rest) = plain.split_first_chunk()?;
        let count = u32::from_le_bytes(*count) as usize;
        let numbers = take_planes(&mut rest, count, 2)?.into_iter().map(|number| number as u16).collect();
        let templates =
            Self { numbers, rows: take_planes(&mut rest, count, 4)?, words: take_planes(&mut rest, count, 4)? };
        let known = |(number, words): (&u16, &u32)| {
            usize::from(*number) <= dictionary.len() && (dictionary.holes(*number) > 0) == (*words > 0)
        };
        let whole = rest.is_empty() && templates.rows.iter().map(|rows| u64::from(*rows)).sum::<u64>() == rows as u64;
        (whole && templates.numbers.iter().zip(&templates.words).all(known)).then_some(templates)
    }

    /// For each row the place of its template in the list.
    pub(super) fn decode_rows(&self, plain: &[u8], rows: usize) -> Option<Vec<u16>> {
        let (low, high) = plain.split_at_checked(rows)?;
        let places: Vec<u16> = low.iter().zip(high).map(|(low, high)| u16::from_le_bytes([*low, *high])).collect();
        let known = places.iter().max().is_none_or(|highest| usize::from(*highest) < self.len());
        (known && high.len() == rows).then_some(places)
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of each, by place.
    pub(crate) fn numbers(&self) -> &[u16] {
        &self.numbers
    }

    /// The rows of one, by its place.
    pub(crate) fn rows_of(&self, place: usize) -> usize {
        self.rows[place] as usize
    }

    /// Which templates the rows `wanted` have, by place; `places` is by row.
    pub(super) fn places_of(&self, places: &[u16], wanted: &[u32]) -> Vec<bool> {
        let mut of_template = vec![false; self.len()];
        wanted.iter().for_each(|row| of_template[usize::from(places[*row as usize])] = true);
        of_template
    }

    /// The words of the templates `wanted` (by place), not read yet: `parts` are the lengths of all parts.
    pub(super) fn words_of(&self, wanted: Vec<bool>, parts: &[u32]) -> Option<Words> {
        let located = self.locate(parts)?;
        let mut needed = vec![false; parts.len()];
        for (place, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            if !located[place].bytes.is_empty() {
                needed[located[place].part as usize] = true;
            }
        }
        Some(Words { wanted, located, needed, parts: Vec::with_capacity(parts.len()) })
    }

    /// Takes a state through each message of a template, piece by piece, and gives the last one of each row. Messages
    /// are not put together, and no more is looked at once every state is `over`; `step` leaves such a state as it is.
    pub(crate) fn fold<S: Copy + PartialEq>(
        &self,
        dictionary: &Dictionary,
        place: usize,
        words: &Words,
        start: S,
        step: impl Fn(S, &[u8]) -> S,
        over: impl Fn(S) -> bool,
    ) -> Option<Vec<S>> {
        let mut pieces = dictionary.text(self.numbers[place]).as_bytes().split(|byte| *byte == HOLE);
        let first = step(start, pieces.next()?);
        let mut states = vec![first; self.rows_of(place)];
        if self.words[place] == 0 || over(first) {
            return Some(states);
        }
        let mut words = words.bytes(place)?;
        if states.len() < TURNED_ROWS_MIN {
            for state in &mut states {
                for piece in pieces.clone() {
                    *state = step(step(*state, take_word(&mut words)?), piece);
                }
            }
            return Some(states);
        }
        for piece in pieces {
            let (mark, rest) = words.split_first()?;
            words = rest;
            let same = if *mark == SAME { Some(take_word(&mut words)?) } else { None };
            // Most rows come into a piece, and into a word that all have, with the state of the row before.
            let mut last = None;
            for state in &mut states {
                let from = match same {
                    Some(_) => *state,
                    None => step(*state, take_word(&mut words)?),
                };
                *state = match last {
                    Some((known, to)) if known == from => to,
                    _ => step(same.map_or(from, |word| step(from, word)), piece),
                };
                last = Some((from, *state));
            }
            if states.iter().all(|state| over(*state)) {
                break;
            }
        }
        Some(states)
    }

    /// Where the words of each stand; `parts` are the lengths of all parts.
    fn locate(&self, parts: &[u32]) -> Option<Vec<Located>> {
        let (mut part, mut at, mut len) = (0, 0, parts.first().copied().unwrap_or_default());
        let mut located = Vec::with_capacity(self.len());
        for &words in &self.words {
            if words > 0 && at >= len {
                (part, at) = (part + 1, 0);
                len = *parts.get(part as usize)?;
            }
            let end = at.checked_add(words).filter(|end| *end <= len)?;
            located.push(Located { part, bytes: at..end });
            at = end;
        }
        Some(located)
    }

    /// The messages of the rows `wanted` (rising), for which `rest` has what stands in the column. `places` is by row;
    /// `words` are those of these rows, read.
    pub(super) fn messages(
        &self,
        dictionary: &Dictionary,
        places: &[u16],
        words: &Words,
        wanted: &[u32],
        rest: &StringArray,
    ) -> Option<StringArray> {
        let spans = Spans::find(self, dictionary, words)?;
        let mut ranks = vec![0_u32; self.len()];
        let mut offsets = Vec::with_capacity(wanted.len() + 1);
        let mut text: Vec<u8> = Vec::with_capacity(wanted.len() * 128);
        offsets.push(0);
        let mut next = wanted.iter().enumerate().peekable();
        for (row, &place) in places.iter().enumerate() {
            let place = usize::from(place);
            let Some((at, _)) = next.next_if(|(_, wanted)| **wanted as usize == row) else {
                ranks[place] += 1;
                if next.peek().is_none() {
                    break;
                }
                continue;
            };
            match self.numbers[place] {
                0 => text.extend_from_slice(rest.value(at).as_bytes()),
                number => {
                    let words = spans.of(place, ranks[place] as usize, dictionary.holes(number))?;
                    fill(dictionary.text(number).as_bytes(), words, &mut text);
                }
            }
            ranks[place] += 1;
            offsets.push(i32::try_from(text.len()).ok()?);
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        StringArray::try_new(offsets, Buffer::from_vec(text), None).ok().filter(|found| found.len() == wanted.len())
    }
}

/// Puts words into the holes of a template.
fn fill<'w>(template: &[u8], mut words: impl Iterator<Item = &'w [u8]>, out: &mut Vec<u8>) {
    let mut kept = 0;
    for hole in memchr::memchr_iter(HOLE, template) {
        out.extend_from_slice(&template[kept..hole]);
        out.extend_from_slice(words.next().unwrap_or_default());
        kept = hole + 1;
    }
    out.extend_from_slice(&template[kept..]);
}

/// Where the words of a template stand: in which part, and the bytes in it.
#[derive(Debug)]
struct Located {
    part: u32,
    bytes: Range<u32>,
}

/// The words of some templates of a block.
#[derive(Debug)]
pub(crate) struct Words {
    /// Of which templates, by place.
    wanted: Vec<bool>,
    /// By place.
    located: Vec<Located>,
    /// Which parts they stand in.
    pub(super) needed: Vec<bool>,
    /// Those parts, to be filled in.
    pub(super) parts: Vec<Option<Vec<u8>>>,
}

impl Words {
    /// The words of a template, with some marks between.
    pub(crate) fn bytes(&self, place: usize) -> Option<&[u8]> {
        let Located { part, bytes } = &self.located[place];
        self.parts.get(*part as usize)?.as_ref()?.get(bytes.start as usize..bytes.end as usize)
    }
}

/// Each word of a block.
struct Spans<'w> {
    /// By place.
    first: Vec<usize>,
    /// Row by row within each template, whatever order they are written in.
    words: Vec<&'w [u8]>,
}

impl<'w> Spans<'w> {
    fn find(templates: &BlockTemplates, dictionary: &Dictionary, of: &'w Words) -> Option<Self> {
        let mut spans = Self { first: vec![0; templates.len()], words: Vec::new() };
        for (place, _) in of.wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            if templates.words[place] == 0 {
                continue;
            }
            let mut part = of.bytes(place)?;
            let (rows, holes) = (templates.rows_of(place), dictionary.holes(templates.numbers[place]));
            let first = spans.words.len();
            spans.first[place] = first;
            spans.words.resize(first + rows * holes, &[]);
            let words = &mut spans.words[first..];
            if rows < TURNED_ROWS_MIN {
                for word in words {
                    *word = take_word(&mut part)?;
                }
                continue;
            }
            for hole in 0..holes {
                let (mark, rest) = part.split_first()?;
                part = rest;
                let same = if *mark == SAME { Some(take_word(&mut part)?) } else { None };
                for row in 0..rows {
                    words[row * holes + hole] = match same {
                        Some(word) => word,
                        None => take_word(&mut part)?,
                    };
                }
            }
        }
        Some(spans)
    }

    fn of(&self, place: usize, rank: usize, holes: usize) -> Option<impl Iterator<Item = &'w [u8]>> {
        let first = self.first[place] + rank * holes;
        Some(self.words.get(first..first + holes)?.iter().copied())
    }
}

fn take_word<'w>(part: &mut &'w [u8]) -> Option<&'w [u8]> {
    let end = memchr::memchr(END, part)?;
    let (word, rest) = part.split_at(end);
    *part = &rest[1..];
    Some(word)
}
