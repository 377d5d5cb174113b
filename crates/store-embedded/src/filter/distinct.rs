//! Hashes without their repeats.
//!
//! In one set each hash would be looked for at a place that the processor's caches do not hold. So hashes are first
//! dealt to parts by their highest bits, and each part is a small set of its own.

/// Hashes of a usual part, at most.
const PART: usize = 1024;
/// A larger part than this has few hashes that come very often, or hashes that someone chose: it is sorted.
const PART_MAX: usize = 2 * PART;
const SLOTS: usize = 2 * PART_MAX;
const PARTS_LOG2_MAX: u32 = 12;

/// Each hash once, in any order. None is 0.
pub(super) fn distinct(hashes: &[u64]) -> Vec<u64> {
    let (mut dealt, ends) = deal(hashes, hashes.len().div_ceil(PART).next_power_of_two().ilog2().min(PARTS_LOG2_MAX));
    let mut once = Vec::with_capacity(hashes.len());
    let mut slots = vec![0; SLOTS];
    let mut start = 0;
    for end in ends {
        let part = &mut dealt[start..end];
        start = end;
        if part.len() <= PART_MAX {
            slots.fill(0);
            once.extend(part.iter().filter(|hash| is_new(&mut slots, **hash)));
        } else {
            part.sort_unstable();
            once.extend(part.chunk_by(|a, b| a == b).map(|same| same[0]));
        }
    }
    once
}

/// The hashes by their highest bits, and where each part ends.
fn deal(hashes: &[u64], parts_log2: u32) -> (Vec<u64>, Vec<usize>) {
    let part = |hash: &u64| (hash >> 1 >> (63 - parts_log2)) as usize;
    let mut next = vec![0; 1 << parts_log2];
    hashes.iter().for_each(|hash| next[part(hash)] += 1);
    let mut start = 0;
    for next in &mut next {
        start += std::mem::replace(next, start);
    }
    let mut dealt = vec![0; hashes.len()];
    for hash in hashes {
        let next = &mut next[part(hash)];
        dealt[*next] = *hash;
        *next += 1;
    }
    (dealt, next)
}

/// Puts a hash into a set that has room for it, if it is not there; 0 is a free slot.
fn is_new(slots: &mut [u64], hash: u64) -> bool {
    let mut at = hash as usize % SLOTS;
    while slots[at] != 0 {
        if slots[at] == hash {
            return false;
        }
        at = (at + 1) % SLOTS;
    }
    slots[at] = hash;
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_hash_stands_once(
            len in 0..20_000_usize, kinds in 1..30_000_u64, odd in any::<u64>(), shift in 0..64_u32,
        ) {
            // All over, or crowded in the lowest or in the highest bits.
            let hash = |at: usize| ((at as u64 % kinds).wrapping_mul(odd | 1) >> shift).max(1);
            let hashes: Vec<u64> = (0..len).map(hash).collect();
            let mut once = distinct(&hashes);
            once.sort_unstable();
            prop_assert_eq!(once, hashes.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
        }
    }
}
