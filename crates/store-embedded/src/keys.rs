//! Idempotency keys: in memory for look-ups, in files of their own so that a flush writes only the new ones.
//!
//! `ID.keys` holds magic (8 bytes), format version u32, CRC32C of the rest u32, then each key: length of the project's
//! name u16, the name, key u128, body hash u128, receive time i64; all little-endian.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, BufMut};
use serde::{Deserialize, Serialize};
use store::{SeenKey, StoreError};

const MAGIC: &[u8; 8] = b"devlogsk";
const FORMAT: u32 = 1;
/// How long a key is known, nanoseconds: 24 h.
pub(crate) const LIFETIME: i64 = 24 * 3600 * 1_000_000_000;
/// Keys of one project; the oldest give way, which is counted and logged.
const KEYS_MAX: usize = 500_000;
/// Between two log lines about a project's keys that gave way, nanoseconds: 60 s.
const TOLD_EVERY: i64 = 60 * 1_000_000_000;
/// Key files before they are written as one.
pub(crate) const FILES_MAX: usize = 16;

/// A file of keys in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyFile {
    pub(crate) id: u64,
    /// The latest receive time in it.
    pub(crate) newest: i64,
}

impl KeyFile {
    pub(crate) fn file_name(&self) -> String {
        format!("{:016x}.keys", self.id)
    }

    /// Writes and syncs a file; the caller syncs the directory.
    pub(crate) fn write(dir: &Path, id: u64, keys: &[SeenKey]) -> io::Result<Self> {
        let file = Self { id, newest: keys.iter().map(|key| key.received).max().unwrap_or_default() };
        let mut body = Vec::with_capacity(keys.len() * 64);
        for key in keys {
            let Ok(len) = u16::try_from(key.project.len()) else {
                return Err(io::Error::other("a project's name is too long"));
            };
            body.put_u16_le(len);
            body.put_slice(key.project.as_bytes());
            body.put_u128_le(key.key);
            body.put_u128_le(key.body);
            body.put_i64_le(key.received);
        }
        let mut out = File::create(dir.join(file.file_name()))?;
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT.to_le_bytes())?;
        out.write_all(&crc32c::crc32c(&body).to_le_bytes())?;
        out.write_all(&body)?;
        out.sync_all()?;
        Ok(file)
    }

    pub(crate) fn read(&self, dir: &Path) -> Result<Vec<SeenKey>, StoreError> {
        let path = dir.join(self.file_name());
        let corrupt = |reason: &str| StoreError::Corrupt(format!("{}: {reason}", path.display()));
        let bytes = fs::read(&path).map_err(|e| corrupt(&e.to_string()))?;
        decode(&bytes).ok_or_else(|| corrupt("the checksum or format is wrong"))
    }
}

fn decode(mut bytes: &[u8]) -> Option<Vec<SeenKey>> {
    if bytes.get(..8)? != MAGIC {
        return None;
    }
    bytes.advance(8);
    if bytes.try_get_u32_le().ok()? != FORMAT || bytes.try_get_u32_le().ok()? != crc32c::crc32c(bytes.get(..)?) {
        return None;
    }
    let mut keys = Vec::new();
    while bytes.has_remaining() {
        let len = usize::from(bytes.try_get_u16_le().ok()?);
        let project = std::str::from_utf8(bytes.get(..len)?).ok()?.into();
        bytes.advance(len);
        let (key, body) = (bytes.try_get_u128_le().ok()?, bytes.try_get_u128_le().ok()?);
        keys.push(SeenKey { project, key, body, received: bytes.try_get_i64_le().ok()? });
    }
    Some(keys)
}

/// The keys of the last 24 h.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    projects: HashMap<Arc<str>, ProjectKeys>,
    /// Not in a file yet.
    pub(crate) fresh: Vec<SeenKey>,
}

#[derive(Debug, Default)]
struct ProjectKeys {
    seen: HashMap<u128, (u128, i64)>,
    /// As they came, to forget the oldest first.
    order: VecDeque<(u128, i64)>,
    /// When it was last told that keys gave way.
    told: Option<i64>,
}

impl Keys {
    pub(crate) fn get(&self, project: &str, key: u128, now: i64) -> Option<u128> {
        let (body, received) = self.projects.get(project)?.seen.get(&key)?;
        (now.saturating_sub(*received) < LIFETIME).then_some(*body)
    }

    /// A key that is known keeps its body, unless it is past its lifetime. Says how many keys gave way before theirs
    /// was over: a retry of their requests would be stored again.
    pub(crate) fn insert(&mut self, key: &SeenKey, now: i64) -> u64 {
        self.insert_within(key, now, KEYS_MAX)
    }

    fn insert_within(&mut self, key: &SeenKey, now: i64, keys_max: usize) -> u64 {
        if self.get(&key.project, key.key, now).is_some() {
            return 0;
        }
        let mut evicted = 0;
        let keys = self.projects.entry(key.project.clone()).or_default();
        keys.seen.insert(key.key, (key.body, key.received));
        keys.order.push_back((key.key, key.received));
        while let Some(&(oldest, received)) = keys.order.front() {
            let is_alive = now.saturating_sub(received) < LIFETIME;
            if is_alive && keys.order.len() <= keys_max {
                break;
            }
            keys.order.pop_front();
            // The key may have been used again since.
            if keys.seen.get(&oldest).is_some_and(|(_, since)| *since == received) {
                keys.seen.remove(&oldest);
                evicted += u64::from(is_alive);
            }
        }
        if evicted > 0 && keys.told.is_none_or(|told| now.saturating_sub(told) >= TOLD_EVERY) {
            keys.told = Some(now);
            tracing::warn!(
                project = %key.project, keys_max,
                "idempotency keys are forgotten before their 24 hours are over: there are too many in this project"
            );
        }
        evicted
    }

    /// Every key that is still known.
    pub(crate) fn all(&self, now: i64) -> Vec<SeenKey> {
        let keys = self.projects.iter().flat_map(|(project, keys)| {
            keys.seen.iter().map(|(key, (body, received))| SeenKey {
                project: project.clone(),
                key: *key,
                body: *body,
                received: *received,
            })
        });
        let mut keys: Vec<_> = keys.filter(|key| now.saturating_sub(key.received) < LIFETIME).collect();
        keys.sort_by_key(|key| key.received);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: u128, received: i64) -> SeenKey {
        SeenKey { project: "p".into(), key, body: key + 100, received }
    }

    #[test]
    fn the_oldest_of_too_many_keys_give_way_and_are_counted() {
        let mut keys = Keys::default();
        let evicted: u64 = (0..10).map(|n| keys.insert_within(&key(n, n as i64), 10, 4)).sum();
        assert_eq!(evicted, 6);
        assert_eq!((0..10).filter(|n| keys.get("p", *n, 10).is_some()).collect::<Vec<_>>(), [6, 7, 8, 9]);
        assert_eq!(keys.projects["p"].told, Some(10), "told once, not six times");
        assert_eq!(keys.insert_within(&key(9, 11), 11, 4), 0, "a known key takes no room");
    }

    #[test]
    fn keys_that_are_past_their_lifetime_are_not_counted() {
        let mut keys = Keys::default();
        keys.insert_within(&key(1, 0), 0, 4);
        assert_eq!(keys.insert_within(&key(2, LIFETIME), LIFETIME, 4), 0);
        assert_eq!(keys.projects["p"].seen.len(), 1);
    }
}
