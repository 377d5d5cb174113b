//! Whose directory it is: the lock, and the file that tells incarnation and partitions (the format's section 1).

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use model::position::Incarnation;

use super::frame::Fields;
use super::vfs::{Vfs, at, read_file, replace_file};
use crate::QueueError;

const MAGIC: &[u8; 8] = b"dlq-meta";
const VERSION: u32 = 1;
const LOCK: &str = "LOCK";
const META: &str = "queue.meta";

/// Holds the directory until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// `make` makes the lock's file if there is none; without it the directory may be read-only.
    pub(super) fn take(dir: &Path, make: bool) -> io::Result<Self> {
        let path = dir.join(LOCK);
        let file = OpenOptions::new().read(true).write(make).create(make).truncate(false).open(&path);
        let file = file.map_err(|error| at(&path, &error))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("the queue in {} is in use by another process; stop it first", dir.display()),
            )),
            Err(error) => Err(at(&path, &error.into())),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // To close the file is not enough while a process that is being started still has it from us.
        if let Err(error) = rustix::fs::flock(&self.0, rustix::fs::FlockOperation::Unlock) {
            tracing::warn!(%error, "the queue's lock could not be given back");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) incarnation: Incarnation,
    pub(super) partitions: u32,
}

impl Identity {
    /// None if there is no queue yet.
    pub(super) fn read(vfs: &dyn Vfs, dir: &Path) -> Result<Option<Self>, QueueError> {
        let path = dir.join(META);
        let bytes = match read_file(vfs, &path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let damaged = || {
            let path = path.display();
            QueueError::Corrupt(format!("{path} is damaged or of another version; restore it from a backup"))
        };
        Self::parse(&bytes).map(Some).ok_or_else(damaged)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, crc) = bytes.split_last_chunk::<4>()?;
        let mut fields = Fields(content);
        let known = fields.take(8)? == MAGIC && fields.u32()? == VERSION;
        let identity = Self { incarnation: Incarnation(fields.u128()?), partitions: fields.u32()? };
        (known && fields.0.is_empty() && crc32c::crc32c(content) == u32::from_le_bytes(*crc)).then_some(identity)
    }

    fn write(self, vfs: &dyn Vfs, dir: &Path) -> io::Result<()> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.incarnation.0.to_le_bytes());
        bytes.extend_from_slice(&self.partitions.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        replace_file(vfs, &dir.join(META), &bytes, || (), || ())
    }

    /// Reads the identity, or makes one for a new queue; raises the number of partitions if more are asked for.
    pub(super) fn open(vfs: &dyn Vfs, dir: &Path, partitions: u32) -> Result<Self, QueueError> {
        let found = Self::read(vfs, dir)?;
        let identity = match found {
            Some(found) => {
                if partitions < found.partitions {
                    tracing::warn!(
                        asked = partitions,
                        partitions = found.partitions,
                        "the number of partitions cannot be lowered; all of them stay in use"
                    );
                }
                Self { partitions: partitions.max(found.partitions), ..found }
            }
            None if dir.join(super::PARTITIONS_DIR).exists() => {
                let path = dir.join(META);
                let path = path.display();
                return Err(QueueError::Corrupt(format!(
                    "{path} is missing although there are messages; restore it from a backup"
                )));
            }
            None => {
                let mut random = [0; 16];
                getrandom::fill(&mut random).map_err(io::Error::other)?;
                Self { incarnation: Incarnation(u128::from_le_bytes(random)), partitions }
            }
        };
        if found != Some(identity) {
            identity.write(vfs, dir)?;
        }
        Ok(identity)
    }
}
