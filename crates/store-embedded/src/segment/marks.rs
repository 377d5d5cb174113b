//! Where the words with digits of a message stand.
//!
//! A word is a few bytes long, and a processor guesses wrong where it ends. So the bytes of a message are first told
//! apart without a branch, eight at a time, into bitmaps; words are then found by counting zeros.

use model::query::words::is_word_byte;

use super::messages::HOLE;

/// For each byte of a message a bit, lowest first.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Whether it belongs to a word.
    words: Vec<u64>,
    digits: Vec<u64>,
}

/// What a byte is: bits of the three below.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < classes.len() {
        let byte = at as u8;
        classes[at] |= if is_word_byte(byte) { IN_WORD } else { 0 };
        classes[at] |= if byte.is_ascii_digit() { IS_DIGIT } else { 0 };
        classes[at] |= if byte == HOLE { IS_HOLE } else { 0 };
        at += 1;
    }
    classes
};
const IN_WORD: u8 = 1;
const IS_DIGIT: u8 = 2;
const IS_HOLE: u8 = 4;
/// The lowest bit of each byte.
const LOWEST: u64 = 0x0101_0101_0101_0101;

impl Marks {
    /// Reads a message. False: it has a byte that stands for holes.
    pub(super) fn read(&mut self, message: &[u8]) -> bool {
        self.words.clear();
        self.digits.clear();
        let mut seen = 0;
        for part in message.chunks(64) {
            let (mut words, mut digits) = (0, 0);
            let mut mark = |at: usize, classes: u64| {
                words |= lowest_bits(classes) << (8 * at);
                digits |= lowest_bits(classes >> 1) << (8 * at);
                seen |= classes;
            };
            let (eights, rest) = part.as_chunks::<8>();
            eights.iter().enumerate().for_each(|(at, eight)| mark(at, classes_of(eight)));
            if !rest.is_empty() {
                mark(eights.len(), classes_of(rest));
            }
            self.words.push(words);
            self.digits.push(digits);
        }
        seen & (LOWEST * u64::from(IS_HOLE)) == 0
    }

    /// The first word with a digit that begins at or after `from`, which is no place inside a word.
    pub(super) fn next_with_digit(&self, from: usize) -> Option<std::ops::Range<usize>> {
        let digit = next(from, self.digits.len(), |at| self.digits[at])?;
        let end = next(digit, self.words.len(), |at| !self.words[at]).unwrap_or(self.words.len() * 64);
        Some(self.start_of(digit)..end)
    }

    /// Where the word begins that has a byte at `inside`.
    fn start_of(&self, inside: usize) -> usize {
        let below = !(u64::MAX << (inside % 64));
        let mut outside = !self.words[inside / 64] & below;
        let mut at = inside / 64;
        while outside == 0 {
            if at == 0 {
                return 0;
            }
            at -= 1;
            outside = !self.words[at];
        }
        at * 64 + 64 - outside.leading_zeros() as usize
    }
}

/// The first bit at or after `from` that is set in a bitmap of `len` words.
fn next(from: usize, len: usize, bits: impl Fn(usize) -> u64) -> Option<usize> {
    let first = from / 64;
    let mut masked = (first < len).then(|| bits(first) & (u64::MAX << (from % 64)))?;
    let mut at = first;
    while masked == 0 {
        at += 1;
        masked = (at < len).then(|| bits(at))?;
    }
    Some(at * 64 + masked.trailing_zeros() as usize)
}

/// The classes of at most eight bytes, one in each byte.
fn classes_of(bytes: &[u8]) -> u64 {
    bytes.iter().enumerate().fold(0, |all, (at, byte)| all | u64::from(CLASSES[usize::from(*byte)]) << (8 * at))
}

/// The lowest bits of eight bytes side by side: the product has byte `i`'s bit at place `56 + i`, and no carry.
fn lowest_bits(bytes: u64) -> u64 {
    (bytes & LOWEST).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, a byte at a time.
    fn words_with_digits(message: &[u8]) -> Vec<std::ops::Range<usize>> {
        let mut at = 0;
        let mut words = Vec::new();
        for part in message.chunk_by(|a, b| is_word_byte(*a) == is_word_byte(*b)) {
            if is_word_byte(part[0]) && part.iter().any(u8::is_ascii_digit) {
                words.push(at..at + part.len());
            }
            at += part.len();
        }
        words
    }

    proptest! {
        #[test]
        fn every_word_with_a_digit_is_found(message in "([a-cé_]{0,70}|[0-9]{0,70}|[ ./]{0,70}|a1 ){0,8}") {
            let mut marks = Marks::default();
            prop_assert!(marks.read("7 before".as_bytes()));
            prop_assert!(marks.read(message.as_bytes()));
            let mut found: Vec<std::ops::Range<usize>> = Vec::new();
            while let Some(word) = marks.next_with_digit(found.last().map_or(0, |last| last.end)) {
                found.push(word);
            }
            prop_assert_eq!(found, words_with_digits(message.as_bytes()));
        }
    }

    #[test]
    fn a_hole_is_seen() {
        for at in 0..100 {
            let mut message = vec![b'a'; 100];
            assert!(Marks::default().read(&message));
            message[at] = HOLE;
            assert!(!Marks::default().read(&message), "{at}");
        }
    }
}
