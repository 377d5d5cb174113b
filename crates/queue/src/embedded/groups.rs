//! What consumer groups have committed: the format's section 5.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::crash::crash_point;
use model::position::Incarnation;
use parking_lot::Mutex;

use super::frame::Fields;
use super::vfs::{Vfs, at, read_file, replace_file};

const MAGIC: &[u8; 8] = b"dlq-grup";
const VERSION: u32 = 1;
const NAME_BYTES_MAX: usize = 64;
/// More groups than any installation has; every one of them holds messages back.
const GROUPS_MAX: usize = 64;

/// Positions by partition.
type Positions = BTreeMap<u32, u64>;

#[derive(Debug, Default)]
struct Group {
    committed: Positions,
    /// What the file says: retention goes by this.
    durable: Positions,
    /// There is a file.
    kept: bool,
}

#[derive(Debug)]
pub(super) struct Groups {
    dir: PathBuf,
    vfs: Arc<dyn Vfs>,
    incarnation: Incarnation,
    groups: Mutex<BTreeMap<String, Group>>,
    /// Held while files are written, so that an older state never follows a newer one.
    flushing: Mutex<()>,
}

impl Groups {
    /// Reads all files. One that does not read back is set aside: its group starts anew, and until it has caught up
    /// retention keeps what it may need.
    pub(super) fn open(vfs: Arc<dyn Vfs>, dir: PathBuf, incarnation: Incarnation) -> io::Result<Self> {
        std::fs::create_dir_all(&dir).map_err(|error| at(&dir, &error))?;
        let mut groups = BTreeMap::new();
        for (name, path) in files(&dir)? {
            let group = match parse(&read_file(&*vfs, &path)?, incarnation) {
                Some(durable) => Group { committed: durable.clone(), durable, kept: true },
                None => {
                    let aside = path.with_extension("damaged");
                    vfs.rename(&path, &aside)?;
                    vfs.sync_dir(&dir)?;
                    tracing::error!(
                        group = name, file = %aside.display(),
                        "a consumer group's positions do not read back; the file was set aside"
                    );
                    Group::default()
                }
            };
            groups.insert(name, group);
        }
        Ok(Self { dir, vfs, incarnation, groups: Mutex::new(groups), flushing: Mutex::default() })
    }

    /// Makes the group known, so that retention keeps messages for it.
    pub(super) fn join(&self, name: &str) -> io::Result<()> {
        let invalid = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(letters) {
            return invalid(format!(
                "the group name {name:?} must have 1 to {NAME_BYTES_MAX} lower-case letters, digits, `-` and `_`"
            ));
        }
        let mut groups = self.groups.lock();
        if !groups.contains_key(name) {
            if groups.len() >= GROUPS_MAX {
                return invalid(format!("there are {GROUPS_MAX} groups already; remove unused files in `groups`"));
            }
            groups.insert(name.to_owned(), Group::default());
        }
        Ok(())
    }

    /// Never moves back.
    pub(super) fn commit(&self, name: &str, partition: u32, next: u64) -> io::Result<()> {
        self.join(name)?;
        if let Some(group) = self.groups.lock().get_mut(name) {
            let committed = group.committed.entry(partition).or_default();
            *committed = next.max(*committed);
        }
        Ok(())
    }

    pub(super) fn committed(&self, name: &str, partition: u32) -> Option<u64> {
        self.groups.lock().get(name)?.committed.get(&partition).copied()
    }

    /// The position that every group has durably passed; None without groups.
    pub(super) fn passed(&self, partition: u32) -> Option<u64> {
        self.groups.lock().values().map(|group| group.durable.get(&partition).copied().unwrap_or(0)).min()
    }

    /// Every group with what it committed in the partition.
    pub(super) fn each(&self, partition: u32, mut tell: impl FnMut(&str, u64)) {
        for (name, group) in &*self.groups.lock() {
            tell(name, group.committed.get(&partition).copied().unwrap_or(0));
        }
    }

    /// Makes all commits durable. Tries every group before it answers with the first error.
    pub(super) fn flush(&self) -> io::Result<()> {
        let _flushing = self.flushing.lock();
        let changed: Vec<(String, Positions)> = self
            .groups
            .lock()
            .iter()
            .filter(|(_, group)| !group.kept || group.committed != group.durable)
            .map(|(name, group)| (name.clone(), group.committed.clone()))
            .collect();
        let mut outcome = Ok(());
        for (name, positions) in changed {
            let bytes = to_bytes(&positions, self.incarnation);
            let path = self.dir.join(format!("{name}.pos"));
            let before = || crash_point("queue.group_before_rename");
            let after = || crash_point("queue.group_after_rename");
            match replace_file(&*self.vfs, &path, &bytes, before, after) {
                Ok(()) => {
                    if let Some(group) = self.groups.lock().get_mut(&name) {
                        group.durable = positions;
                        group.kept = true;
                    }
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }
}

/// Name and path of every group's file.
pub(super) fn files(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| at(dir, &error))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pos")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            files.push((name.to_owned(), path));
        }
    }
    files.sort();
    Ok(files)
}

fn to_bytes(positions: &Positions, incarnation: Incarnation) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&incarnation.0.to_le_bytes());
    bytes.extend_from_slice(&(positions.len() as u32).to_le_bytes());
    for (partition, next) in positions {
        bytes.extend_from_slice(&partition.to_le_bytes());
        bytes.extend_from_slice(&next.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// None if the file is damaged or belongs to another queue.
pub(super) fn parse(bytes: &[u8], incarnation: Incarnation) -> Option<BTreeMap<u32, u64>> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut fields = Fields(content);
    if fields.take(8)? != MAGIC || fields.u32()? != VERSION || fields.u128()? != incarnation.0 {
        return None;
    }
    let count = fields.u32()?;
    let positions = (0..count).map(|_| Some((fields.u32()?, fields.u64()?))).collect::<Option<Positions>>()?;
    fields.0.is_empty().then_some(positions)
}
