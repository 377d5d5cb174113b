//! Where a record's identity comes from. Everything here is written to disk by its users and therefore stable: the
//! 128-bit XXH3 hash (seed 0) of a tag byte and the fields, numbers little-endian, strings preceded by their length
//! in bytes as 64 bits.

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::position::{Incarnation, Partition, Position};

const POSITION: u8 = 1;
const KEY: u8 = 2;
const PROJECT_KEY: u8 = 3;
const PARTS: u8 = 4;

/// The origin of the records of the message that stands at a queue position.
pub fn origin_of_position(incarnation: Incarnation, partition: Partition, position: Position) -> u128 {
    let mut bytes = [0; 29];
    bytes[0] = POSITION;
    bytes[1..17].copy_from_slice(&incarnation.0.to_le_bytes());
    bytes[17..21].copy_from_slice(&partition.0.to_le_bytes());
    bytes[21..].copy_from_slice(&position.0.to_le_bytes());
    xxh3_128(&bytes)
}

/// The origin of the records of a request that was sent with an idempotency key.
pub fn origin_of_key(key_hash: u128, body_hash: u128) -> u128 {
    of_key(KEY, key_hash, body_hash)
}

/// What stands for the parts of a request with an idempotency key, where it is kept which of its copies is stored.
pub fn parts_key(key_hash: u128, body_hash: u128) -> u128 {
    of_key(PARTS, key_hash, body_hash)
}

fn of_key(tag: u8, key_hash: u128, body_hash: u128) -> u128 {
    let mut bytes = [0; 33];
    bytes[0] = tag;
    bytes[1..17].copy_from_slice(&key_hash.to_le_bytes());
    bytes[17..].copy_from_slice(&body_hash.to_le_bytes());
    xxh3_128(&bytes)
}

/// What stands for an idempotency key: keys of different projects never meet.
pub fn key_hash(project: &str, key: &str) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&[PROJECT_KEY]);
    for text in [project, key] {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.digest128()
}

/// What stands for a decoded body, so that another body under the same idempotency key is noticed.
pub fn body_hash(body: &[u8]) -> u128 {
    xxh3_128(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_stable_across_releases() {
        // A change of any of these values makes stored records unknown to replays.
        let position = origin_of_position(Incarnation(7), Partition(3), Position(41));
        let key = key_hash("default", "retry-1");
        let body = body_hash(b"{}");
        assert_eq!(position, 0xac1393fe5f77ecd42711f68fc9fd51dc);
        assert_eq!(key, 0xd34bf807dc5d4a652ba99c147fc9d71c);
        assert_eq!(body, 0xdc7048f8f8747f561349cde127705c16);
        assert_eq!(origin_of_key(key, body), 0xfee610d4b4019dd41c5139a6eb83e9c3);
    }

    #[test]
    fn neighbours_differ() {
        let origin = |i, p, at| origin_of_position(Incarnation(i), Partition(p), Position(at));
        assert_ne!(origin(1, 0, 0), origin(0, 1, 0));
        assert_ne!(origin(0, 1, 0), origin(0, 0, 1));
        assert_ne!(key_hash("a", "bc"), key_hash("ab", "c"));
        assert_ne!(origin_of_key(1, 2), origin_of_key(2, 1));
        assert_ne!(origin_of_key(1, 2), parts_key(1, 2));
    }
}
