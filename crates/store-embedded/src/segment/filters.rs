//! The token filters of a segment, those of one shape side by side.
//!
//! A search asks every block for the same token, and filters of one shape have it at the same three places. Such filters
//! are a group, and its bytes are transposed: place by place, one fingerprint of each of its blocks. So a lookup reads
//! three short runs for all blocks of a group, where it would read one of each block.

use std::collections::BTreeMap;

use bytes::Bytes;
use store::StoreError;

use super::cache::Opened;
use super::index::{FILTER_PAGE, FilterGroup};
use super::read::Segment;
use crate::filter::{Filter, Needs};

/// A lookup reads so many bytes at each place at most, and a block that is copied is taken out of so many.
const GROUP_BLOCKS_MAX: usize = 64;

/// Puts the filters of all blocks, in their order, into groups. Gives the groups and their bytes.
pub(super) fn transpose(filters: Vec<(Filter, Vec<u8>)>) -> (Vec<FilterGroup>, Vec<u8>) {
    let mut shapes: BTreeMap<Filter, Vec<(u32, Vec<u8>)>> = BTreeMap::new();
    for (block, (filter, fingerprints)) in (0..).zip(filters) {
        if filter != Filter::ALL_PASS {
            shapes.entry(filter).or_default().push((block, fingerprints));
        }
    }
    let (mut groups, mut bytes) = (Vec::new(), Vec::new());
    for (filter, mut rest) in shapes {
        while !rest.is_empty() {
            let members: Vec<_> = rest.drain(..rest.len().min(GROUP_BLOCKS_MAX)).collect();
            let blocks = members.iter().map(|(block, _)| *block).collect();
            groups.push(FilterGroup { filter, blocks, offset: bytes.len() as u64 });
            bytes.reserve(filter.len() * members.len());
            for place in 0..filter.len() {
                bytes.extend(members.iter().map(|(_, fingerprints)| fingerprints[place]));
            }
        }
    }
    (groups, bytes)
}

impl Segment {
    /// Of these blocks, rising, those that may hold what is needed.
    ///
    /// # Errors
    /// As [`Segment::meta`].
    pub fn filter_blocks(&self, needs: &Needs, among: &[usize]) -> Result<Vec<usize>, StoreError> {
        let opened = self.opened()?;
        let mut mask = vec![false; opened.index.blocks.len()];
        for block in among {
            *mask.get_mut(*block).ok_or_else(|| self.no_such_block())? = true;
        }
        self.narrow(&opened, needs, &mut mask)?;
        Ok(among.iter().copied().filter(|block| mask[*block]).collect())
    }

    /// Takes the blocks out of a mask that can't hold what is needed.
    fn narrow(&self, opened: &Opened, needs: &Needs, mask: &mut [bool]) -> Result<(), StoreError> {
        match needs {
            Needs::Nothing => Ok(()),
            Needs::Token(token) => self.narrow_to_token(opened, *token, mask),
            Needs::All(all) => all.iter().try_for_each(|needs| self.narrow(opened, needs, mask)),
            Needs::Any(any) => {
                let mut passed = vec![false; mask.len()];
                for needs in any {
                    let mut open: Vec<bool> =
                        mask.iter().zip(&passed).map(|(asked, passed)| *asked && !passed).collect();
                    self.narrow(opened, needs, &mut open)?;
                    passed.iter_mut().zip(open).for_each(|(passed, now)| *passed |= now);
                }
                mask.copy_from_slice(&passed);
                Ok(())
            }
        }
    }

    fn narrow_to_token(&self, opened: &Opened, token: u64, mask: &mut [bool]) -> Result<(), StoreError> {
        for group in &opened.index.filter_groups {
            if !group.blocks.iter().any(|block| mask[*block as usize]) {
                continue;
            }
            let (places, fingerprint) = group.filter.look_up(token);
            let run = |place: usize| {
                let start = group.offset as usize + place * group.blocks.len();
                self.filter_part(opened, start, group.blocks.len())
            };
            let runs = [run(places[0])?, run(places[1])?, run(places[2])?];
            for (member, block) in group.blocks.iter().enumerate() {
                let found = runs.iter().fold(0, |xor, run| xor ^ run[member]);
                mask[*block as usize] &= found == fingerprint;
            }
        }
        Ok(())
    }

    /// The filter of one block, as [`transpose`] took it.
    pub(super) fn filter_of(&self, opened: &Opened, block: usize) -> Result<(Filter, Vec<u8>), StoreError> {
        let place = opened.index.filter_groups.iter().find_map(|group| {
            let member = group.blocks.iter().position(|member| *member as usize == block)?;
            Some((group, member))
        });
        let Some((group, member)) = place else { return Ok((Filter::ALL_PASS, Vec::new())) };
        let bytes = self.filter_part(opened, group.offset as usize, group.filter.len() * group.blocks.len())?;
        Ok((group.filter, bytes.iter().skip(member).step_by(group.blocks.len()).copied().collect()))
    }

    /// Reads a part of the filters, in whole pages to hold them against their checksums.
    pub(super) fn filter_part(&self, opened: &Opened, start: usize, len: usize) -> Result<Bytes, StoreError> {
        let index = &opened.index;
        let first = start / FILTER_PAGE;
        let end = (start + len).next_multiple_of(FILTER_PAGE).min(index.filters_len as usize);
        let from = first * FILTER_PAGE;
        let pages = self.pread(&opened.file, index.filters + from as u64, end.saturating_sub(from))?;
        for (page, crc) in pages.chunks(FILTER_PAGE).zip(&index.filter_crcs[first..]) {
            if crc32c::crc32c(page) != *crc {
                return Err(self.corrupt("the checksum of a filter is wrong"));
            }
        }
        if start - from + len > pages.len() {
            return Err(self.corrupt("a filter is cut off"));
        }
        Ok(pages.slice(start - from..start - from + len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_is_found_again_in_its_group() {
        let small = Filter { seed: 0, segment: 4, segments: 2 };
        let large = Filter { seed: 1, segment: 8, segments: 2 };
        let shapes = (0..200).map(|block| {
            if block % 3 == 0 {
                Filter::ALL_PASS
            } else if block % 2 == 0 {
                large
            } else {
                small
            }
        });
        let filters: Vec<(Filter, Vec<u8>)> = shapes
            .enumerate()
            .map(|(block, filter)| (filter, (0..filter.len()).map(|place| (block * 7 + place) as u8).collect()))
            .collect();
        let (groups, bytes) = transpose(filters.clone());
        let mut members = 0;
        for group in &groups {
            assert!(group.blocks.len() <= GROUP_BLOCKS_MAX && group.blocks.is_sorted());
            members += group.blocks.len();
            for (member, block) in group.blocks.iter().enumerate() {
                let (filter, fingerprints) = &filters[*block as usize];
                assert_eq!(group.filter, *filter);
                for (place, fingerprint) in fingerprints.iter().enumerate() {
                    let at = group.offset as usize + place * group.blocks.len() + member;
                    assert_eq!(bytes[at], *fingerprint, "place {place} of block {block}");
                }
            }
        }
        assert_eq!(members, filters.iter().filter(|(filter, _)| *filter != Filter::ALL_PASS).count());
        assert_eq!(bytes.len(), filters.iter().map(|(_, fingerprints)| fingerprints.len()).sum::<usize>());
    }
}
