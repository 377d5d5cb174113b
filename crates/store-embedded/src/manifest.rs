//! The manifest: what is durable. It changes in one step, with one file's appearance.
//!
//! `manifest-VERSION` (16 hexadecimal digits) holds magic (8 bytes), format version u32, CRC32C of the body u32, length of
//! the body u64, then the body as JSON. A change writes the whole manifest under the next version: to a temporary
//! file, synced, renamed to a name that must not exist yet (so that of two writers one fails), directory synced. The
//! highest version counts; a damaged one is an error, never passed over for an older one.
//!
//! Format 2 has `lost` in the ledger's sums. Format 1 is read, with 0 for it; what is written is always the newest, so
//! that an older program refuses what it would forget.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, BufMut};
use model::crash::crash_point;
use model::position::{Incarnation, Partition, Position};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use store::{Counts, StoreError};

use crate::keys::KeyFile;
use crate::segment::SegmentEntry;

const MAGIC: &[u8; 8] = b"devlogsm";
const FORMAT: u32 = 2;
const FORMAT_OLDEST: u32 = 1;
const TEMP: &str = "manifest.tmp";

/// Everything that a restart must know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: u64,
    /// The next segment's or key file's number.
    pub(crate) next_id: u64,
    pub(crate) segments: Vec<SegmentEntry>,
    pub(crate) key_files: Vec<KeyFile>,
    pub(crate) positions: Vec<(Lane, u64)>,
    pub(crate) ledger: Vec<(Lane, Sums)>,
    /// Rows that retention removed, by project.
    pub(crate) expired: BTreeMap<Arc<str>, u64>,
}

/// A partition of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "(String, u32)", try_from = "(String, u32)")]
pub(crate) struct Lane(pub(crate) Incarnation, pub(crate) Partition);

impl From<Lane> for (String, u32) {
    fn from(lane: Lane) -> Self {
        (lane.0.to_string(), lane.1.0)
    }
}

impl TryFrom<(String, u32)> for Lane {
    type Error = std::num::ParseIntError;

    fn try_from((incarnation, partition): (String, u32)) -> Result<Self, Self::Error> {
        Ok(Self(incarnation.parse()?, Partition(partition)))
    }
}

/// The ledger's sums for a partition and project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub(crate) project: Arc<str>,
    pub(crate) received: u64,
    pub(crate) stored: u64,
    pub(crate) dead_lettered: u64,
    pub(crate) deduplicated: u64,
    pub(crate) dropped: u64,
    #[serde(default)]
    pub(crate) lost: u64,
}

impl Sums {
    pub(crate) fn new(project: Arc<str>) -> Self {
        Self { project, received: 0, stored: 0, dead_lettered: 0, deduplicated: 0, dropped: 0, lost: 0 }
    }

    pub(crate) fn add(&mut self, counts: &Counts) {
        self.received += counts.received;
        self.stored += counts.stored;
        self.dead_lettered += counts.dead_lettered;
        self.deduplicated += counts.deduplicated;
        self.dropped += counts.dropped;
        self.lost += counts.lost;
    }
}

impl Manifest {
    pub(crate) fn position(&self, lane: Lane) -> Position {
        self.positions.iter().find(|(other, _)| *other == lane).map_or(Position(0), |(_, at)| Position(*at))
    }

    /// Reads the newest manifest; None in an empty directory. Changes nothing.
    ///
    /// # Errors
    /// Corrupt, with the file's name, when it is damaged, or when there are segments without any manifest.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let newest = versions(dir).map_err(|e| unreadable(dir, &e))?.into_iter().max();
        let Some((version, path)) = newest else {
            let files = file_names(dir).map_err(|e| unreadable(dir, &e))?;
            return match files.iter().any(|name| name.ends_with(".parquet")) {
                true => Err(StoreError::Corrupt(format!("{}: the manifest is missing; restore it", dir.display()))),
                false => Ok(None),
            };
        };
        let bytes = fs::read(&path).map_err(|e| unreadable(&path, &e))?;
        let manifest = decode(&bytes).filter(|manifest| manifest.version == version);
        let corrupt = || StoreError::Corrupt(format!("{}: the checksum or format is wrong", path.display()));
        manifest.map(Some).ok_or_else(corrupt)
    }

    /// Makes this the manifest, if `self.version` is the next.
    pub(crate) fn publish(&self, dir: &Path) -> io::Result<()> {
        let temp = dir.join(TEMP);
        let mut file = File::create(&temp)?;
        file.write_all(&encode(self)?)?;
        file.sync_all()?;
        crash_point("store.before_manifest_rename");
        renameat_with(CWD, &temp, CWD, dir.join(file_name(self.version)), RenameFlags::NOREPLACE)?;
        crash_point("store.after_manifest_rename");
        sync_dir(dir)?;
        for (version, path) in versions(dir)? {
            if version < self.version
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(file = %path.display(), %error, "an old manifest could not be removed");
            }
        }
        Ok(())
    }

    /// Removes files that the manifest does not name: what a crash left behind.
    pub(crate) fn remove_orphans(&self, dir: &Path) -> io::Result<()> {
        let known: HashSet<String> = (self.segments.iter().map(SegmentEntry::file_name))
            .chain(self.key_files.iter().map(KeyFile::file_name))
            .chain([file_name(self.version)])
            .collect();
        for name in file_names(dir)? {
            let ours = [".parquet", ".keys", ".tmp"].iter().any(|end| name.ends_with(end));
            if !known.contains(&name) && (ours || version_of(&name).is_some()) {
                tracing::info!(file = name, "removing a file that no manifest names");
                fs::remove_file(dir.join(name))?;
            }
        }
        Ok(())
    }
}

pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn unreadable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

fn file_name(version: u64) -> String {
    format!("manifest-{version:016x}")
}

fn version_of(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix("manifest-")?, 16).ok()
}

fn file_names(dir: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn versions(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let names = file_names(dir)?;
    Ok(names.into_iter().filter_map(|name| Some((version_of(&name)?, dir.join(name)))).collect())
}

fn encode(manifest: &Manifest) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(manifest)?;
    let mut out = Vec::with_capacity(body.len() + 24);
    out.put_slice(MAGIC);
    out.put_u32_le(FORMAT);
    out.put_u32_le(crc32c::crc32c(&body));
    out.put_u64_le(body.len() as u64);
    out.put_slice(&body);
    Ok(out)
}

fn decode(mut bytes: &[u8]) -> Option<Manifest> {
    if bytes.get(..8)? != MAGIC {
        return None;
    }
    bytes.advance(8);
    let format = bytes.try_get_u32_le().ok()?;
    let crc = bytes.try_get_u32_le().ok()?;
    let len = bytes.try_get_u64_le().ok()?;
    let known = (FORMAT_OLDEST..=FORMAT).contains(&format);
    let whole = known && bytes.len() as u64 == len && crc32c::crc32c(bytes) == crc;
    whole.then(|| serde_json::from_slice(bytes).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest as programs before format 2 wrote it.
    fn of_format_1(manifest: &Manifest) -> Vec<u8> {
        let mut body = serde_json::to_value(manifest).expect("a body");
        let sums = body["ledger"][0][1].as_object_mut().expect("sums");
        sums.remove("lost").expect("format 2 has it");
        let body = serde_json::to_vec(&body).expect("a body");
        let mut out = MAGIC.to_vec();
        out.put_u32_le(1);
        out.put_u32_le(crc32c::crc32c(&body));
        out.put_u64_le(body.len() as u64);
        out.put_slice(&body);
        out
    }

    #[test]
    fn a_manifest_of_format_1_is_read_and_written_as_the_newest() {
        let sums = Sums { received: 3, stored: 3, ..Sums::new("p".into()) };
        let lane = Lane(Incarnation(1), Partition(0));
        let manifest = Manifest { version: 7, ledger: vec![(lane, sums)], ..Manifest::default() };
        let read = decode(&of_format_1(&manifest)).expect("format 1 reads");
        assert_eq!(read, manifest);
        let written = encode(&read).expect("it encodes");
        assert_eq!(written[8..12], FORMAT.to_le_bytes());
        assert_eq!(decode(&written), Some(manifest));
        let mut newer = written;
        newer[8..12].copy_from_slice(&(FORMAT + 1).to_le_bytes());
        assert_eq!(decode(&newer), None, "of a newer program");
    }
}
