//! Hashes of a message's words, for PostgreSQL's index of words.

use model::query::words::tokens;
use xxhash_rust::xxh3::xxh3_64;

/// The hash of a folded word. It is stored, so it never changes: the 64-bit XXH3 (seed 0) as a signed number.
pub fn word_hash(word: &[u8]) -> i64 {
    xxh3_64(word).cast_signed()
}

/// The hashes of the distinct folded words of a message, rising: the column `words`.
pub fn word_hashes(message: &str) -> Vec<i64> {
    let mut hashes = Vec::new();
    tokens(message, |word| hashes.push(word_hash(word)));
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded_and_counted_once() {
        assert_eq!(word_hashes("Reset reset, RESET"), [word_hash(b"reset")]);
        assert_eq!(word_hashes("- , "), [0_i64; 0]);
        // A change of this value makes stored words unknown to searches.
        assert_eq!(word_hash(b"timeout"), WORD_TIMEOUT);
    }

    const WORD_TIMEOUT: i64 = 1_158_555_873_321_760_021;
}
