//! Messages as templates and words: most messages of a program differ only in their numbers and ids.
//!
//! A word (as `model::query::words` cuts it) with an ASCII digit in it is taken out of the message and leaves a hole, a
//! NUL byte; what is left is the message's template. Templates are numbered from 1 in a dictionary of the whole segment. So
//! a condition on words without digits is decided once for each template, not for each row, and a block needs only the
//! numbers of its templates to be searched.
//!
//! Number 0: the message stands as it is in the Parquet column `message`, which is empty in all other rows. These are
//! messages with a NUL byte or with a template of more than [`TEMPLATE_BYTES_MAX`], and all new templates once the
//! dictionary has [`TEMPLATES_MAX`] of them or [`DICTIONARY_BYTES_MAX`].
//!
//! For each block there are two Zstandard frames behind its row group, and one for the dictionary behind the filters. A
//! "plane" is one byte of each number, lowest planes first. Unpacked they hold:
//!
//! - numbers: the template of each row, u16 in planes; then for each template with holes that occurs, in rising order,
//!   the length of its words u32 in planes;
//! - words: for each template with holes that occurs, in rising order: with fewer than [`TURNED_ROWS_MIN`] rows the
//!   words row by row, otherwise hole by hole, each hole after a mark: `=` when all rows have the same word, which then
//!   stands once, or `:`. Every word ends with a line feed, which no word contains;
//! - dictionary: how many u32, the length of each text u16 in planes, the texts.

use std::collections::HashMap;
use std::io;

use arrow::array::{Array, StringArray, StringBuilder};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use model::query::words;
use xxhash_rust::xxh3::xxh3_64;

const TEMPLATES_MAX: usize = u16::MAX as usize;
const TEMPLATE_BYTES_MAX: usize = 2 << 10;
const DICTIONARY_BYTES_MAX: usize = 4 << 20;
/// Short runs compress better row by row, since rows of different templates often end alike.
const TURNED_ROWS_MIN: usize = 8;
const HOLE: u8 = 0;
const END: u8 = b'\n';
const SAME: u8 = b'=';
const DIFFERENT: u8 = b':';

/// Splits the messages of a segment.
pub(super) struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
    /// By the hash of the text. Of two texts with one hash the second is not taken.
    numbers: HashMap<u64, u16>,
    texts: String,
    /// Where each text ends.
    ends: Vec<u32>,
}

/// A packed frame and its length unpacked.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) packed: Vec<u8>,
    pub(super) plain: u32,
}

/// The messages of a block.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) numbers: Frame,
    pub(super) words: Frame,
    /// What stands in the column `message`.
    pub(super) rest: StringArray,
}

/// The messages of a block, split: the words of row `r` are `words[starts[r]..starts[r + 1]]`.
struct Split<'m> {
    numbers: Vec<u16>,
    starts: Vec<u32>,
    words: Vec<&'m str>,
}

impl Encoder {
    pub(super) fn new(zstd_level: i32) -> io::Result<Self> {
        Ok(Self {
            zstd: zstd::bulk::Compressor::new(zstd_level)?,
            numbers: HashMap::new(),
            texts: String::new(),
            ends: Vec::new(),
        })
    }

    /// Packs the messages of a block and calls `each_word` with their words, folded; seldom twice with one.
    pub(super) fn encode(&mut self, messages: &StringArray, each_word: impl FnMut(&[u8])) -> io::Result<Encoded> {
        let (split, rest) = self.split(messages, each_word);
        let (numbers, words) = split.lay_out(self.ends.len());
        Ok(Encoded { numbers: self.pack(&numbers)?, words: self.pack(&words)?, rest })
    }

    fn split<'m>(&mut self, messages: &'m StringArray, mut each_word: impl FnMut(&[u8])) -> (Split<'m>, StringArray) {
        let rows = messages.len();
        let mut split = Split {
            numbers: Vec::with_capacity(rows),
            starts: Vec::with_capacity(rows + 1),
            words: Vec::with_capacity(rows * 4),
        };
        let mut rest = StringBuilder::with_capacity(rows, 0);
        let mut told = vec![false; self.ends.len() + 1];
        let mut template = String::new();
        for message in messages.iter().map(Option::unwrap_or_default) {
            let first = split.words.len();
            split.starts.push(first as u32);
            template.clear();
            let number = match cut(message, &mut template, &mut split.words) {
                true => self.number(&template),
                false => 0,
            };
            split.numbers.push(number);
            if number == 0 {
                split.words.truncate(first);
                rest.append_value(message);
                words::tokens(message, &mut each_word);
                continue;
            }
            rest.append_value("");
            let number = usize::from(number);
            if number >= told.len() {
                told.resize(number + 1, false);
            }
            if !std::mem::replace(&mut told[number], true) {
                words::tokens(&template, &mut each_word);
            }
            split.words[first..].iter().for_each(|word| words::tokens(word, &mut each_word));
        }
        split.starts.push(split.words.len() as u32);
        (split, rest.finish())
    }

    /// The number of a template; 0 when there is no more room.
    fn number(&mut self, template: &str) -> u16 {
        let hash = xxh3_64(template.as_bytes());
        if let Some(&number) = self.numbers.get(&hash) {
            return if text(&self.texts, &self.ends, usize::from(number) - 1) == template { number } else { 0 };
        }
        if self.ends.len() >= TEMPLATES_MAX || self.texts.len() + template.len() > DICTIONARY_BYTES_MAX {
            return 0;
        }
        self.texts.push_str(template);
        self.ends.push(self.texts.len() as u32);
        let number = self.ends.len() as u16;
        self.numbers.insert(hash, number);
        number
    }

    /// Packs the messages of a block of another segment, as they are packed there; None when there is no room for its
    /// templates.
    pub(super) fn adopt(
        &mut self,
        dictionary: &Dictionary,
        numbers: &Numbers,
        words: &[u8],
    ) -> io::Result<Option<(Frame, Frame)>> {
        if numbers.groups.iter().map(|group| group.words).sum::<usize>() != words.len() {
            return Err(io::Error::other("the words of a block are not those of its templates"));
        }
        let mut ours = vec![0; dictionary.len() + 1];
        for &number in numbers.rows.iter().filter(|number| **number > 0) {
            let known = &mut ours[usize::from(number)];
            if *known == 0 {
                *known = self.number(dictionary.at(usize::from(number) - 1));
                if *known == 0 {
                    return Ok(None);
                }
            }
        }
        let rows: Vec<u16> = numbers.rows.iter().map(|number| ours[usize::from(*number)]).collect();
        let mut start = 0;
        let parts = numbers.groups.iter().map(|group| {
            start += group.words;
            (ours[usize::from(group.number)], &words[start - group.words..start])
        });
        let mut parts: Vec<(u16, &[u8])> = parts.collect();
        parts.sort_unstable_by_key(|(number, _)| *number);
        let mut plain = Vec::with_capacity(rows.len() * 3);
        put_planes(&mut plain, &rows, |number: u16| number.to_le_bytes());
        let lengths: Vec<u32> = parts.iter().map(|(_, words)| words.len() as u32).collect();
        put_planes(&mut plain, &lengths, |length: u32| length.to_le_bytes());
        let words: Vec<u8> = parts.into_iter().flat_map(|(_, words)| words).copied().collect();
        Ok(Some((self.pack(&plain)?, self.pack(&words)?)))
    }

    fn pack(&mut self, plain: &[u8]) -> io::Result<Frame> {
        Ok(Frame { packed: self.zstd.compress(plain)?, plain: plain.len() as u32 })
    }

    /// Packs the dictionary.
    pub(super) fn finish(mut self) -> io::Result<Frame> {
        let lengths: Vec<u16> = (0..self.ends.len()).map(|at| text(&self.texts, &self.ends, at).len() as u16).collect();
        let mut plain = (lengths.len() as u32).to_le_bytes().to_vec();
        put_planes(&mut plain, &lengths, |length: u16| length.to_le_bytes());
        plain.extend_from_slice(self.texts.as_bytes());
        self.pack(&plain)
    }
}

fn text<'t>(texts: &'t str, ends: &[u32], at: usize) -> &'t str {
    let start = at.checked_sub(1).map_or(0, |before| ends[before]);
    &texts[start as usize..ends[at] as usize]
}

/// Cuts a message into template and words. False: it has to stay whole.
fn cut<'m>(message: &'m str, template: &mut String, words: &mut Vec<&'m str>) -> bool {
    let bytes = message.as_bytes();
    let (mut at, mut kept) = (0, 0);
    while at < bytes.len() {
        let start = at;
        let mut digit = false;
        while at < bytes.len() && words::is_word_byte(bytes[at]) {
            digit |= bytes[at].is_ascii_digit();
            at += 1;
        }
        if digit {
            template.push_str(&message[kept..start]);
            template.push(char::from(HOLE));
            words.push(&message[start..at]);
            kept = at;
        }
        while at < bytes.len() && !words::is_word_byte(bytes[at]) {
            if bytes[at] == HOLE {
                return false;
            }
            at += 1;
        }
        if template.len() + at - kept > TEMPLATE_BYTES_MAX {
            return false;
        }
    }
    template.push_str(&message[kept..]);
    true
}

impl Split<'_> {
    /// The two frames of a block, unpacked.
    fn lay_out(&self, templates: usize) -> (Vec<u8>, Vec<u8>) {
        let mut numbers = Vec::with_capacity(self.numbers.len() * 3);
        put_planes(&mut numbers, &self.numbers, |number: u16| number.to_le_bytes());
        let mut words = Vec::with_capacity(self.words.len() * 5);
        let mut lengths: Vec<u32> = Vec::new();
        for rows in by_number(&self.numbers, templates) {
            let holes = self.of(rows[0]).len();
            if holes == 0 {
                continue;
            }
            let start = words.len();
            if rows.len() < TURNED_ROWS_MIN {
                rows.iter().flat_map(|row| self.of(*row)).for_each(|word| put_word(&mut words, word));
            } else {
                for hole in 0..holes {
                    let first = self.of(rows[0])[hole];
                    if rows.iter().all(|row| self.of(*row)[hole] == first) {
                        words.push(SAME);
                        put_word(&mut words, first);
                    } else {
                        words.push(DIFFERENT);
                        rows.iter().for_each(|row| put_word(&mut words, self.of(*row)[hole]));
                    }
                }
            }
            lengths.push((words.len() - start) as u32);
        }
        put_planes(&mut numbers, &lengths, |length: u32| length.to_le_bytes());
        (numbers, words)
    }

    fn of(&self, row: u32) -> &[&str] {
        let row = row as usize;
        &self.words[self.starts[row] as usize..self.starts[row + 1] as usize]
    }
}

fn put_word(out: &mut Vec<u8>, word: &str) {
    out.extend_from_slice(word.as_bytes());
    out.push(END);
}

fn put_planes<T: Copy, const N: usize>(out: &mut Vec<u8>, numbers: &[T], bytes: impl Fn(T) -> [u8; N]) {
    for plane in 0..N {
        out.extend(numbers.iter().map(|number| bytes(*number)[plane]));
    }
}

/// The rows of each template that occurs, templates and rows rising; number 0 is left out.
fn by_number(numbers: &[u16], templates: usize) -> Vec<Vec<u32>> {
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); templates + 1];
    for (row, number) in numbers.iter().enumerate() {
        rows[usize::from(*number)].push(row as u32);
    }
    rows.into_iter().skip(1).filter(|rows| !rows.is_empty()).collect()
}

/// The templates of a segment.
#[derive(Debug)]
pub(crate) struct Dictionary {
    texts: String,
    /// Where each text ends.
    ends: Vec<u32>,
    holes: Vec<u16>,
}

impl Dictionary {
    /// None, here and below, when the bytes are not what an encoder writes.
    pub(super) fn decode(plain: &[u8]) -> Option<Self> {
        let (count, rest) = plain.split_at_checked(4)?;
        let count = u32::from_le_bytes(count.try_into().ok()?) as usize;
        let (low, rest) = rest.split_at_checked(count)?;
        let (high, texts) = rest.split_at_checked(count)?;
        let mut end = 0;
        let ends: Vec<u32> = low
            .iter()
            .zip(high)
            .map(|(low, high)| {
                end += u32::from(u16::from_le_bytes([*low, *high]));
                end
            })
            .collect();
        let texts = String::from_utf8(texts.to_vec()).ok()?;
        let whole = count <= TEMPLATES_MAX && end as usize == texts.len();
        if !whole || !ends.iter().all(|end| texts.is_char_boundary(*end as usize)) {
            return None;
        }
        let mut dictionary = Self { texts, ends, holes: Vec::new() };
        let holes = |text: &str| memchr::memchr_iter(HOLE, text.as_bytes()).count() as u16;
        dictionary.holes = dictionary.texts().map(holes).collect();
        Some(dictionary)
    }

    /// How many there are; the highest number.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All texts from number 1 on, each hole a NUL byte.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|at| self.at(at))
    }

    fn at(&self, at: usize) -> &str {
        text(&self.texts, &self.ends, at)
    }

    fn holes(&self, number: u16) -> usize {
        usize::from(number).checked_sub(1).map_or(0, |at| usize::from(self.holes[at]))
    }
}

/// The templates of a block's rows.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// By row.
    pub(crate) rows: Vec<u16>,
    /// Templates with holes that occur, rising.
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    number: u16,
    rows: usize,
    /// Bytes of its words.
    words: usize,
}

impl Numbers {
    pub(super) fn decode(plain: &[u8], rows: usize, dictionary: &Dictionary) -> Option<Self> {
        let (low, rest) = plain.split_at_checked(rows)?;
        let (high, lengths) = rest.split_at_checked(rows)?;
        let rows: Vec<u16> = low.iter().zip(high).map(|(low, high)| u16::from_le_bytes([*low, *high])).collect();
        let mut counts = vec![0_usize; dictionary.len() + 1];
        for number in &rows {
            *counts.get_mut(usize::from(*number))? += 1;
        }
        let occur = counts.iter().enumerate().filter(|(_, rows)| **rows > 0);
        let with_holes = occur.map(|(number, rows)| (number as u16, *rows)).filter(|(n, _)| dictionary.holes(*n) > 0);
        let mut groups: Vec<Group> = with_holes.map(|(number, rows)| Group { number, rows, words: 0 }).collect();
        if lengths.len() != groups.len() * 4 {
            return None;
        }
        let count = groups.len();
        for (at, group) in groups.iter_mut().enumerate() {
            let bytes = [0, 1, 2, 3].map(|plane| lengths[plane * count + at]);
            group.words = u32::from_le_bytes(bytes) as usize;
        }
        Some(Self { rows, groups })
    }

    /// The messages of the rows `wanted` (rising), for which `rest` has what stands in the column.
    pub(super) fn messages(
        &self,
        dictionary: &Dictionary,
        words: &[u8],
        wanted: &[u32],
        rest: &StringArray,
    ) -> Option<StringArray> {
        let mut spans = Spans::new(dictionary.len());
        wanted.iter().for_each(|row| spans.wanted[usize::from(self.rows[*row as usize])] = true);
        spans.find(&self.groups, dictionary, words)?;
        let mut ranks = vec![0_u32; dictionary.len() + 1];
        let mut offsets = Vec::with_capacity(wanted.len() + 1);
        let mut text: Vec<u8> = Vec::with_capacity(wanted.len() * 128);
        offsets.push(0);
        let mut next = wanted.iter().enumerate().peekable();
        for (row, &number) in self.rows.iter().enumerate() {
            let Some((at, _)) = next.next_if(|(_, wanted)| **wanted as usize == row) else {
                ranks[usize::from(number)] += 1;
                if next.peek().is_none() {
                    break;
                }
                continue;
            };
            if number == 0 {
                text.extend_from_slice(rest.value(at).as_bytes());
            } else {
                let words = spans.of(number, ranks[usize::from(number)] as usize, dictionary.holes(number));
                fill(dictionary.at(usize::from(number) - 1).as_bytes(), words, &mut text);
            }
            ranks[usize::from(number)] += 1;
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

/// Where the words of a block stand.
struct Spans<'w> {
    /// By number.
    wanted: Vec<bool>,
    first: Vec<u32>,
    /// Row by row within each template, whatever order they are written in.
    words: Vec<&'w [u8]>,
}

impl<'w> Spans<'w> {
    fn new(templates: usize) -> Self {
        Self { wanted: vec![false; templates + 1], first: vec![0; templates + 1], words: Vec::new() }
    }

    fn find(&mut self, groups: &[Group], dictionary: &Dictionary, bytes: &'w [u8]) -> Option<()> {
        let mut start = 0;
        for group in groups {
            let end = start + group.words;
            let mut part = bytes.get(start..end)?;
            start = end;
            let number = usize::from(group.number);
            if !self.wanted[number] {
                continue;
            }
            let holes = dictionary.holes(group.number);
            let first = self.words.len();
            self.first[number] = first as u32;
            self.words.resize(first + group.rows * holes, &[]);
            let words = &mut self.words[first..];
            if group.rows < TURNED_ROWS_MIN {
                for word in words {
                    *word = take_word(&mut part)?;
                }
                continue;
            }
            for hole in 0..holes {
                let (mark, rest) = part.split_first()?;
                part = rest;
                let same = if *mark == SAME { Some(take_word(&mut part)?) } else { None };
                for row in 0..group.rows {
                    words[row * holes + hole] = match same {
                        Some(word) => word,
                        None => take_word(&mut part)?,
                    };
                }
            }
        }
        Some(())
    }

    fn of(&self, number: u16, rank: usize, holes: usize) -> impl Iterator<Item = &'w [u8]> {
        let first = self.first[usize::from(number)] as usize + rank * holes;
        self.words[first..first + holes].iter().copied()
    }
}

fn take_word<'w>(part: &mut &'w [u8]) -> Option<&'w [u8]> {
    let end = memchr::memchr(END, part)?;
    let (word, rest) = part.split_at(end);
    *part = &rest[1..];
    Some(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpack(frame: &Frame) -> Vec<u8> {
        zstd::bulk::decompress(&frame.packed, frame.plain as usize).expect("a frame")
    }

    /// Packs blocks and gives back what the rows `wanted` of each hold.
    fn round_trip(blocks: &[Vec<String>], wanted: impl Fn(usize) -> bool) {
        let mut encoder = Encoder::new(3).expect("an encoder");
        let blocks: Vec<StringArray> = blocks.iter().map(|block| block.iter().map(Some).collect()).collect();
        let encoded: Vec<Encoded> = blocks.iter().map(|block| encoder.encode(block, |_| {}).expect("packed")).collect();
        let dictionary = Dictionary::decode(&unpack(&encoder.finish().expect("packed"))).expect("a dictionary");
        for (block, encoded) in blocks.iter().zip(&encoded) {
            let numbers = Numbers::decode(&unpack(&encoded.numbers), block.len(), &dictionary).expect("numbers");
            let rows: Vec<u32> = (0..block.len()).filter(|row| wanted(*row)).map(|row| row as u32).collect();
            let rest: StringArray = rows.iter().map(|row| Some(encoded.rest.value(*row as usize))).collect();
            let found = numbers.messages(&dictionary, &unpack(&encoded.words), &rows, &rest).expect("messages");
            let expected: StringArray = rows.iter().map(|row| Some(block.value(*row as usize))).collect();
            assert_eq!(found, expected);
        }
    }

    proptest! {
        #[test]
        fn messages_come_back(
            blocks in prop::collection::vec(prop::collection::vec("[ab0-2 ./_:é\\x00\\n]{0,12}", 1..60), 1..4),
            odd in any::<bool>(),
        ) {
            round_trip(&blocks, |row| !odd || row % 2 == 1);
        }
    }

    #[test]
    fn what_has_no_template_comes_back() {
        let long = "x ".repeat(TEMPLATE_BYTES_MAX);
        let block: Vec<String> = ["", "a\0b", "\0", "é1 é", &long, "7", "a=1\nb=2"].map(str::to_owned).to_vec();
        round_trip(&[block], |_| true);
        let many: Vec<String> = (0..4_000_000_u32.div_ceil(1000))
            .map(|n| {
                let word: String = n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
                format!("{word} {}", "y".repeat(1_500))
            })
            .collect();
        round_trip(&[many], |_| true);
    }

    #[test]
    fn every_word_is_told() {
        let messages: StringArray = ["GET /a1/b 200", "GET /a2/b 404", "x\0Y"].iter().map(Some).collect();
        let mut told = std::collections::BTreeSet::new();
        let mut encoder = Encoder::new(1).expect("an encoder");
        encoder
            .encode(&messages, |word| {
                told.insert(String::from_utf8_lossy(word).into_owned());
            })
            .expect("packed");
        assert!(told.iter().eq(["200", "404", "a1", "a2", "b", "get", "x", "y"]));
    }
}
