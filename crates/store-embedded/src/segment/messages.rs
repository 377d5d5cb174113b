//! Messages as templates and words: most messages of a program differ only in their numbers and ids.
//!
//! A word (as `model::query::words` cuts it) with an ASCII digit in it is taken out of the message and leaves a hole, a
//! NUL byte; what is left is the message's template. Templates are numbered from 1 in a dictionary of the whole
//! segment. So a condition on words without digits is decided once for each template, not for each row, and a search
//! reads of most blocks only which templates they have.
//!
//! Number 0: the message stands as it is in the Parquet column `message`, which is empty in all other rows. These are
//! messages with a NUL byte or with a template of more than [`TEMPLATE_BYTES_MAX`], and all new templates once the
//! dictionary has [`TEMPLATES_MAX`] of them or [`DICTIONARY_BYTES_MAX`].
//!
//! For each block there are Zstandard frames: its rows and words behind its row group, its templates behind the last
//! block, side by side with those of all blocks, which a search reads first; and behind these one for the dictionary. A
//! "plane" is one byte of each number, lowest planes first. Unpacked they hold:
//!
//! - templates: how many the block has, u32, number 0 among them; for each, in the order of their texts (so that a search
//!   finds words of like templates in the same parts), its number u16, its rows u32, the bytes of its words u32, each in
//!   planes;
//! - rows: for each row the place of its template in that list, u16 in planes;
//! - words, in parts of at least [`WORDS_PART_BYTES`] but for the last: for each template of the list with holes, whole
//!   in one part: with fewer than [`TURNED_ROWS_MIN`] rows the words row by row, otherwise hole by hole, each hole after
//!   a mark: `=` when all rows have the same word, which then stands once, or `:`. Every word ends with a line feed,
//!   which no word contains;
//! - dictionary: how many u32, the length of each text u16 in planes, the texts.
//!
//! Only the frame of templates depends on the dictionary, so that a block is copied to another segment without
//! unpacking its rows and words.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use arrow::array::{Array, StringArray, StringBuilder, StringViewArray};
use bytes::Bytes;
use memchr::memmem;
use model::query::words;
use xxhash_rust::xxh3::xxh3_64;

use super::block_templates::BlockTemplates;
use super::marks::Marks;

const TEMPLATES_MAX: usize = u16::MAX as usize;
const TEMPLATE_BYTES_MAX: usize = 2 << 10;
const DICTIONARY_BYTES_MAX: usize = 4 << 20;
/// Parts are unpacked one by one; smaller ones compress as well, since words of like templates stand together.
const WORDS_PART_BYTES: usize = 16 << 10;
/// Short runs compress better row by row, since rows of different templates often end alike.
pub(super) const TURNED_ROWS_MIN: usize = 8;
pub(super) const HOLE: u8 = 0;
pub(super) const END: u8 = b'\n';
pub(super) const SAME: u8 = b'=';
const DIFFERENT: u8 = b':';

/// Splits the messages of a segment.
pub(super) struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
    /// By the hash of the text. Of two texts with one hash the second is not taken.
    numbers: HashMap<u64, u16, foldhash::fast::RandomState>,
    texts: String,
    /// Where each text ends.
    ends: Vec<u32>,
    /// Of the block and of the message at hand; kept for their room.
    split: Split,
    marks: Marks,
}

/// A packed frame and its length unpacked.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) packed: Bytes,
    pub(super) plain: u32,
}

/// The messages of a block.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) templates: Frame,
    pub(super) rows: Frame,
    pub(super) words: Vec<Frame>,
    /// What stands in the column `message`.
    pub(super) rest: StringArray,
}

/// The messages of a block, split. Words lie side by side, since they are gathered by template next, row by row out of
/// their order.
#[derive(Default)]
struct Split {
    numbers: Vec<u16>,
    /// Where the words of each row begin in `ends`, and where those of the last end.
    starts: Vec<u32>,
    /// Where each word ends in `words`, in which they stand end to end.
    ends: Vec<u32>,
    words: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(zstd_level: i32) -> io::Result<Self> {
        Ok(Self {
            zstd: zstd::bulk::Compressor::new(zstd_level)?,
            numbers: HashMap::default(),
            texts: String::new(),
            ends: Vec::new(),
            split: Split::default(),
            marks: Marks::default(),
        })
    }

    /// Packs the messages of a block and calls `each_word` with their words, folded, and whether it stands in a hole;
    /// seldom twice with one of a template.
    pub(super) fn encode(
        &mut self,
        messages: &StringViewArray,
        mut each_word: impl FnMut(&[u8], bool),
    ) -> io::Result<Encoded> {
        let mut split = std::mem::take(&mut self.split);
        let rest = self.split(messages, &mut split, &mut each_word);
        let known = |number| match number {
            0 => "",
            number => text(&self.texts, &self.ends, usize::from(number) - 1),
        };
        let (templates, rows) = BlockTemplates::of(&split.numbers, known);
        let (templates, words) = split.lay_out(templates, &rows, &mut each_word);
        self.split = split;
        Ok(Encoded {
            templates: self.pack(&templates.encode())?,
            rows: self.pack(&lay_out_rows(&rows))?,
            words: words.iter().map(|part| self.pack(part)).collect::<io::Result<_>>()?,
            rest,
        })
    }

    /// Splits the messages, and tells all words but those in holes.
    fn split(
        &mut self,
        messages: &StringViewArray,
        split: &mut Split,
        each_word: &mut impl FnMut(&[u8], bool),
    ) -> StringArray {
        split.clear();
        let mut rest = StringBuilder::with_capacity(messages.len(), 0);
        let mut told = vec![false; self.ends.len() + 1];
        let mut template = String::new();
        for message in messages.iter().map(Option::unwrap_or_default) {
            template.clear();
            let number = match split.cut(message, &mut self.marks, &mut template) {
                true => self.number(&template),
                false => 0,
            };
            split.end_row(number);
            if number == 0 {
                rest.append_value(message);
                words::tokens(message, |word| each_word(word, false));
                continue;
            }
            rest.append_value("");
            let number = usize::from(number);
            if number >= told.len() {
                told.resize(number + 1, false);
            }
            if !std::mem::replace(&mut told[number], true) {
                words::tokens(&template, |word| each_word(word, false));
            }
        }
        rest.finish()
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

    /// Packs the templates of a block of another segment, whose rows and words can be copied; None when there is no room
    /// for its templates.
    pub(super) fn adopt(&mut self, dictionary: &Dictionary, block: &BlockTemplates) -> io::Result<Option<Frame>> {
        let mut ours = Vec::with_capacity(block.len());
        for &number in block.numbers() {
            ours.push(match number {
                0 => 0,
                number => match self.number(dictionary.text(number)) {
                    0 => return Ok(None),
                    known => known,
                },
            });
        }
        Ok(Some(self.pack(&block.encode_with(&ours))?))
    }

    fn pack(&mut self, plain: &[u8]) -> io::Result<Frame> {
        Ok(Frame { packed: self.zstd.compress(plain)?.into(), plain: plain.len() as u32 })
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

impl Split {
    fn clear(&mut self) {
        self.numbers.clear();
        self.starts.clear();
        self.starts.push(0);
        self.ends.clear();
        self.words.clear();
    }

    /// Cuts a message into template and words. False: it has to stay whole.
    fn cut(&mut self, message: &str, marks: &mut Marks, template: &mut String) -> bool {
        if !marks.read(message.as_bytes()) {
            return false;
        }
        let mut kept = 0;
        while let Some(word) = marks.next_with_digit(kept) {
            template.push_str(&message[kept..word.start]);
            template.push(char::from(HOLE));
            kept = word.end;
            self.words.extend_from_slice(&message.as_bytes()[word]);
            self.ends.push(self.words.len() as u32);
            if template.len() > TEMPLATE_BYTES_MAX {
                return false;
            }
        }
        template.push_str(&message[kept..]);
        template.len() <= TEMPLATE_BYTES_MAX
    }

    fn end_row(&mut self, number: u16) {
        if number == 0 {
            self.ends.truncate(self.starts.last().map_or(0, |start| *start as usize));
            self.words.truncate(self.ends.last().map_or(0, |end| *end as usize));
        }
        self.numbers.push(number);
        self.starts.push(self.ends.len() as u32);
    }

    /// The parts of the words, unpacked, and the templates with the bytes that each has there. Tells the words.
    fn lay_out(
        &self,
        mut templates: BlockTemplates,
        places: &[u16],
        each_word: &mut impl FnMut(&[u8], bool),
    ) -> (BlockTemplates, Vec<Vec<u8>>) {
        let by_template = templates.rows(places);
        let mut parts = vec![Vec::with_capacity(WORDS_PART_BYTES * 2)];
        let mut side_by_side = Vec::new();
        let mut start = 0;
        for place in 0..templates.len() {
            let rows = &by_template[start..start + templates.rows_of(place)];
            start += rows.len();
            let holes = rows.first().map_or(0, |row| self.holes(*row).len());
            if holes == 0 {
                continue;
            }
            if parts.last().is_none_or(|part| part.len() >= WORDS_PART_BYTES) {
                parts.push(Vec::with_capacity(WORDS_PART_BYTES * 2));
            }
            let Some(part) = parts.last_mut() else { continue };
            let before = part.len();
            // Rows of a template are spread over the block: side by side once, not once for each hole.
            side_by_side.clear();
            rows.iter().for_each(|row| self.put_words_of(*row, &mut side_by_side));
            put_words(&side_by_side, holes, part, each_word);
            templates.set_words(place, part.len() - before);
        }
        parts.retain(|part| !part.is_empty());
        (templates, parts)
    }

    fn holes(&self, row: u32) -> Range<usize> {
        self.starts[row as usize] as usize..self.starts[row as usize + 1] as usize
    }

    fn put_words_of<'s>(&'s self, row: u32, out: &mut Vec<&'s [u8]>) {
        let holes = self.holes(row);
        let mut start = holes.start.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        out.extend(self.ends[holes].iter().map(|end| {
            let word = &self.words[start..*end as usize];
            start = *end as usize;
            word
        }));
    }
}

/// Puts the words of a template, which stand row by row, and tells them.
fn put_words(words: &[&[u8]], holes: usize, out: &mut Vec<u8>, each_word: &mut impl FnMut(&[u8], bool)) {
    let mut tell = |word: &[u8]| words::fold(word, &mut |word: &[u8]| each_word(word, true));
    if words.len() < TURNED_ROWS_MIN * holes {
        for word in words {
            put_word(out, word);
            tell(word);
        }
        return;
    }
    for hole in 0..holes {
        let of_hole = words[hole..].iter().step_by(holes);
        if of_hole.clone().all(|word| *word == words[hole]) {
            out.push(SAME);
            put_word(out, words[hole]);
            tell(words[hole]);
            continue;
        }
        out.push(DIFFERENT);
        let mut last: &[u8] = &[];
        for word in of_hole {
            put_word(out, word);
            // Many come again in the next row.
            if *word != last {
                tell(word);
                last = word;
            }
        }
    }
}

fn put_word(out: &mut Vec<u8>, word: &[u8]) {
    out.extend_from_slice(word);
    out.push(END);
}

pub(super) fn put_planes<T: Copy, const N: usize>(out: &mut Vec<u8>, numbers: &[T], bytes: impl Fn(T) -> [u8; N]) {
    for plane in 0..N {
        out.extend(numbers.iter().map(|number| bytes(*number)[plane]));
    }
}

/// Takes planes from the front: `count` numbers of so many bytes, four at most.
pub(super) fn take_planes(plain: &mut &[u8], count: usize, bytes: u32) -> Option<Vec<u32>> {
    // Before there is room for them, so that no count asks for more than there can be.
    let mut planes;
    (planes, *plain) = plain.split_at_checked(count.checked_mul(bytes as usize)?)?;
    let mut numbers = vec![0; count];
    for at in 0..bytes {
        let plane;
        (plane, planes) = planes.split_at_checked(count)?;
        numbers.iter_mut().zip(plane).for_each(|(number, byte)| *number |= u32::from(*byte) << (8 * at));
    }
    Some(numbers)
}

fn lay_out_rows(places: &[u16]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(places.len() * 2);
    put_planes(&mut plain, places, |place: u16| place.to_le_bytes());
    plain
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
        let (count, mut texts) = plain.split_first_chunk()?;
        let count = u32::from_le_bytes(*count) as usize;
        let mut end = 0;
        let mut ends = take_planes(&mut texts, count, 2)?;
        for length in &mut ends {
            end += *length;
            *length = end;
        }
        let texts = String::from_utf8(texts.to_vec()).ok()?;
        let whole = count <= TEMPLATES_MAX && end as usize == texts.len();
        if !whole || !ends.iter().all(|end| texts.is_char_boundary(*end as usize)) {
            return None;
        }
        let mut dictionary = Self { texts, ends, holes: Vec::new() };
        let holes = |text: &str| memchr::memchr_iter(HOLE, text.as_bytes()).count() as u16;
        dictionary.holes = (1..=count as u16).map(|number| holes(dictionary.text(number))).collect();
        Some(dictionary)
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.texts.len() + self.ends.len() * 6
    }

    /// How many there are; the highest number.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The template of a number from 1 on, each hole a NUL byte.
    pub(crate) fn text(&self, number: u16) -> &str {
        text(&self.texts, &self.ends, usize::from(number) - 1)
    }

    /// The numbers, rising, of the templates that have a folded text in them.
    pub(crate) fn having(&self, text: &memmem::Finder<'_>) -> impl Iterator<Item = u16> {
        // Folded for each question: kept, it would take as much memory again.
        let folded = self.texts.to_ascii_lowercase().into_bytes();
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                let hit = at + text.find(folded.get(at..)?)?;
                let index = self.ends.partition_point(|end| *end as usize <= hit);
                let end = *self.ends.get(index)? as usize;
                // It may begin in one and end in the next.
                let inside = hit + text.needle().len() <= end;
                at = if inside { end } else { hit + 1 };
                if inside {
                    return Some(index as u16 + 1);
                }
            }
        })
    }

    /// The holes of a template.
    pub(crate) fn holes(&self, number: u16) -> usize {
        usize::from(number).checked_sub(1).map_or(0, |at| usize::from(self.holes[at]))
    }
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
        let blocks: Vec<StringViewArray> = blocks.iter().map(|block| block.iter().map(Some).collect()).collect();
        let encoded: Vec<Encoded> =
            blocks.iter().map(|block| encoder.encode(block, |_, _| {}).expect("packed")).collect();
        let dictionary = Dictionary::decode(&unpack(&encoder.finish().expect("packed"))).expect("a dictionary");
        for (block, encoded) in blocks.iter().zip(&encoded) {
            let templates = BlockTemplates::decode(&unpack(&encoded.templates), block.len(), &dictionary);
            let templates = templates.expect("templates");
            let places = templates.decode_rows(&unpack(&encoded.rows), block.len()).expect("rows");
            let lengths: Vec<u32> = encoded.words.iter().map(|part| part.plain).collect();
            let rows: Vec<u32> = (0..block.len()).filter(|row| wanted(*row)).map(|row| row as u32).collect();
            let rest: StringArray = rows.iter().map(|row| Some(encoded.rest.value(*row as usize))).collect();
            let wanted = templates.places_of(&places, &rows);
            let mut words = templates.words_of(wanted, &lengths).expect("words");
            let parts = encoded.words.iter().zip(&words.needed);
            words.parts = parts.map(|(part, needed)| needed.then(|| unpack(part))).collect();
            let found = templates.messages(&dictionary, &places, &words, &rows, &rest).expect("messages");
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
        let messages: StringViewArray = ["GET /a1/b 200", "GET /a2/b 404", "x\0Y"].iter().map(Some).collect();
        let mut told = std::collections::BTreeSet::new();
        let mut encoder = Encoder::new(1).expect("an encoder");
        encoder
            .encode(&messages, |word, in_hole| {
                told.insert((String::from_utf8_lossy(word).into_owned(), in_hole));
            })
            .expect("packed");
        let told: Vec<(&str, bool)> = told.iter().map(|(word, in_hole)| (&**word, *in_hole)).collect();
        let holes = ["200", "404", "a1", "a2"].map(|word| (word, true));
        assert_eq!(told, [&holes[..], &["b", "get", "x", "y"].map(|word| (word, false))].concat());
    }
}
