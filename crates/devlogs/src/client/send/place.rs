//! How far a file was shipped, kept in the user's state directory.
//!
//! One JSON file for each server and path. The shipped file is known by device, inode and a hash of its first bytes,
//! so that a rotated, replaced or rewritten file is not taken for the one before.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use model::origin::body_hash;
use serde::{Deserialize, Serialize};

/// Bytes at the start of a file that it is known by.
const HEAD_BYTES: usize = 256;

/// A file, whatever its name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct State {
    /// For people who look into the file.
    path: PathBuf,
    identity: Identity,
    /// How many first bytes `head` is the hash of.
    head_bytes: usize,
    head: String,
    /// Everything before was accepted by the server.
    offset: u64,
    /// The end of the batch that is under way.
    pending: Option<u64>,
}

/// Where shipping a file stands.
#[derive(Debug)]
pub(super) struct Place {
    kept_in: PathBuf,
    state: State,
}

impl Place {
    /// Reads the place of a path that is shipped to a server; a new one if there is none.
    pub(super) fn load(server: &str, path: &Path) -> anyhow::Result<Self> {
        let base = dirs::state_dir().or_else(dirs::data_local_dir).context("no home directory to keep the place in")?;
        Self::load_in(&base.join("devlogs").join("send"), server, path)
    }

    fn load_in(directory: &Path, server: &str, path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("{} can't be made", directory.display()))?;
        let path = std::path::absolute(path)?;
        let name = body_hash(format!("{server}\n{}", path.display()).as_bytes());
        let kept_in = directory.join(format!("{name:032x}.json"));
        let state = match fs::read(&kept_in) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged; delete it to begin again", kept_in.display()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State { path, ..State::default() },
            Err(error) => return Err(error).with_context(|| format!("{} can't be read", kept_in.display())),
        };
        Ok(Self { kept_in, state })
    }

    pub(super) fn offset(&self) -> u64 {
        self.state.offset
    }

    pub(super) fn pending(&self) -> Option<u64> {
        self.state.pending
    }

    /// Whether this is the file of the place, and still has what was shipped of it.
    pub(super) fn resumes(&self, file: &File) -> io::Result<bool> {
        let data = file.metadata()?;
        let identity = Identity { device: data.dev(), inode: data.ino() };
        Ok(identity == self.state.identity
            && data.len() >= self.state.offset
            && head(file, self.state.head_bytes)? == (self.state.head_bytes, self.state.head.clone()))
    }

    /// Begins at the start of another file.
    pub(super) fn begin(&mut self, file: &File) -> io::Result<()> {
        let data = file.metadata()?;
        self.state.identity = Identity { device: data.dev(), inode: data.ino() };
        self.restart();
        (self.state.head_bytes, self.state.head) = head(file, HEAD_BYTES)?;
        Ok(())
    }

    /// Begins at the start of the same file, which was truncated.
    pub(super) fn restart(&mut self) {
        self.state.offset = 0;
        self.state.pending = None;
        self.state.head_bytes = 0;
        self.state.head = hash_text(&[]);
    }

    /// Writes down the end of a batch before it is sent.
    pub(super) fn sending(&mut self, end: u64) -> anyhow::Result<()> {
        self.state.pending = Some(end);
        self.save()
    }

    /// Writes down that the server has everything before `end`.
    pub(super) fn sent(&mut self, end: u64, file: &File) -> anyhow::Result<()> {
        self.state.pending = None;
        self.state.offset = end;
        if self.state.head_bytes < HEAD_BYTES {
            (self.state.head_bytes, self.state.head) = head(file, HEAD_BYTES)?;
        }
        self.save()
    }

    /// A key that is the same whenever the same range of the same file is sent.
    pub(super) fn idempotency_key(&self, start: u64, end: u64, body: u128) -> String {
        let Identity { device, inode } = self.state.identity;
        format!("send-{device:x}-{inode:x}-{start}-{end}-{body:032x}")
    }

    /// The file of the place under its new name, if something else stands at its path now.
    pub(super) fn renamed_to(&self, path: &Path) -> Option<PathBuf> {
        let is_it = |data: &fs::Metadata| Identity { device: data.dev(), inode: data.ino() } == self.state.identity;
        if self.state.identity == Identity::default() || fs::metadata(path).is_ok_and(|data| is_it(&data)) {
            return None;
        }
        let directory = fs::read_dir(std::path::absolute(path).ok()?.parent()?).ok()?;
        directory.flatten().find(|entry| entry.metadata().is_ok_and(|data| is_it(&data))).map(|entry| entry.path())
    }

    /// All of it or nothing, and durable.
    fn save(&self) -> anyhow::Result<()> {
        let directory = self.kept_in.parent().unwrap_or(Path::new("."));
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&serde_json::to_vec(&self.state)?)?;
            file.as_file().sync_all()?;
            file.persist(&self.kept_in).map_err(|error| error.error)?;
            Ok(())
        };
        write().with_context(|| format!("{} can't be written", self.kept_in.display()))
    }
}

/// How many first bytes there are, at most `bytes_max`, and their hash.
fn head(file: &File, bytes_max: usize) -> io::Result<(usize, String)> {
    let mut bytes = [0; HEAD_BYTES];
    let mut filled = 0;
    while filled < bytes_max.min(HEAD_BYTES) {
        match file.read_at(&mut bytes[filled..bytes_max.min(HEAD_BYTES)], filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok((filled, hash_text(&bytes[..filled])))
}

fn hash_text(bytes: &[u8]) -> String {
    format!("{:032x}", body_hash(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(directory: &Path, path: &Path) -> Place {
        Place::load_in(&directory.join("state"), "http://server/", path).unwrap()
    }

    #[test]
    fn the_place_survives() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        fs::write(&path, "one\ntwo\n").unwrap();
        let file = File::open(&path).unwrap();
        let mut first = place(directory.path(), &path);
        assert!(!first.resumes(&file).unwrap());
        first.begin(&file).unwrap();
        first.sent(4, &file).unwrap();
        first.sending(8).unwrap();

        let again = place(directory.path(), &path);
        assert!(again.resumes(&file).unwrap());
        assert_eq!((again.offset(), again.pending()), (4, Some(8)));
        assert_eq!(again.idempotency_key(4, 8, 1), first.idempotency_key(4, 8, 1));
        let elsewhere = Place::load_in(&directory.path().join("state"), "http://other/", &path).unwrap();
        assert_eq!(elsewhere.offset(), 0);
    }

    #[test]
    fn another_content_is_another_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        fs::write(&path, "one\ntwo\n").unwrap();
        let mut kept = place(directory.path(), &path);
        let file = File::open(&path).unwrap();
        kept.begin(&file).unwrap();
        kept.sent(8, &file).unwrap();
        fs::write(&path, "three\nfour\n").unwrap();
        assert!(!kept.resumes(&File::open(&path).unwrap()).unwrap(), "rewritten in place");
        fs::write(&path, "one\n").unwrap();
        assert!(!kept.resumes(&File::open(&path).unwrap()).unwrap(), "truncated");
    }

    #[test]
    fn a_renamed_file_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        fs::write(&path, "one\n").unwrap();
        let mut kept = place(directory.path(), &path);
        kept.begin(&File::open(&path).unwrap()).unwrap();
        assert_eq!(kept.renamed_to(&path), None);
        let renamed = directory.path().join("a.log.1");
        fs::rename(&path, &renamed).unwrap();
        fs::write(&path, "two\n").unwrap();
        assert_eq!(kept.renamed_to(&path), Some(renamed));
    }
}
