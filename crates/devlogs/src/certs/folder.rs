//! The authority's files.
//!
//! `ca.pem`, `ca-key.pem`, `crl.pem`, `index.json`, and `NAME.pem` with `NAME-key.pem` for each certificate. Keys are
//! readable by their owner only. Every file is replaced whole, so that a server that watches it never sees half of one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use rcgen::{Issuer, KeyPair};
use serde::{Deserialize, Serialize};

use super::make::{Made, Purpose, revocation_list, signer};

const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;
const NAME_BYTES_MAX: usize = 64;

/// What was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    pub(super) authority: Authority,
    /// Counts up with each revocation list.
    pub(super) crl_number: u64,
    pub(super) certificates: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Authority {
    pub(super) name: String,
    pub(super) not_after: Timestamp,
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// In hexadecimal.
    pub(super) serial: String,
    pub(super) name: String,
    pub(super) names: Vec<String>,
    pub(super) uses: Vec<Purpose>,
    pub(super) not_after: Timestamp,
    pub(super) revoked_at: Option<Timestamp>,
}

impl Entry {
    pub(super) fn row(&self, now: Timestamp) -> Vec<String> {
        let uses: Vec<_> = self.uses.iter().map(|purpose| purpose.as_str()).collect();
        let state = match self.revoked_at {
            Some(at) => format!("revoked {at:.0}"),
            None if self.not_after < now => "expired".to_owned(),
            None => "good".to_owned(),
        };
        let (uses, names) = (uses.join(","), self.names.join(","));
        vec![self.serial.clone(), self.name.clone(), uses, names, format!("{:.0}", self.not_after), state]
    }
}

/// The authority's folder, for one process at a time.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    /// Held until the end.
    _lock: File,
}

impl Folder {
    /// The folder of an authority that is not there yet.
    ///
    /// # Errors
    /// There is one already, or the folder can't be made.
    pub(super) fn create(dir: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("{} can't be made", dir.display()))?;
        let folder = Self::lock(dir)?;
        for file in ["ca.pem", "ca-key.pem", "index.json"] {
            let path = folder.path(file);
            ensure!(!path.exists(), "{} is there already: an authority is made once", path.display());
        }
        Ok(folder)
    }

    /// The folder of an authority.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        if !dir.join("index.json").is_file() {
            bail!("{} has no authority: `devlogs certs init --dir {0}` makes one", dir.display());
        }
        Self::lock(dir)
    }

    fn lock(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("lock");
        let failed = || format!("{} can't be locked", path.display());
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(SECRET)
            .open(&path)
            .with_context(failed)?;
        lock.lock().with_context(failed)?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    pub(super) fn index(&self) -> anyhow::Result<Index> {
        let path = self.path("index.json");
        serde_json::from_str(&self.read("index.json")?).with_context(|| format!("{} is damaged", path.display()))
    }

    /// The authority, ready to sign.
    pub(super) fn signer(&self) -> anyhow::Result<Issuer<'static, KeyPair>> {
        signer(&self.read("ca.pem")?, &self.read("ca-key.pem")?).with_context(|| format!("{}", self.dir.display()))
    }

    /// The index last: with it the authority is there.
    pub(super) fn write_authority(&self, made: &Made, authority: &Authority) -> anyhow::Result<()> {
        let index = Index { authority: authority.clone(), crl_number: 1, certificates: Vec::new() };
        self.write("ca-key.pem", SECRET, &made.key)?;
        self.write("ca.pem", PUBLIC, &made.certificate)?;
        self.write_crl(&revocation_list(&self.signer()?, &index)?)?;
        self.write_index(&index)
    }

    pub(super) fn write_issued(&self, name: &str, made: &Made) -> anyhow::Result<()> {
        self.write(&format!("{name}-key.pem"), SECRET, &made.key)?;
        self.write(&format!("{name}.pem"), PUBLIC, &made.certificate)
    }

    pub(super) fn write_crl(&self, pem: &str) -> anyhow::Result<()> {
        self.write("crl.pem", PUBLIC, pem)
    }

    pub(super) fn write_index(&self, index: &Index) -> anyhow::Result<()> {
        self.write("index.json", SECRET, &format!("{}\n", serde_json::to_string_pretty(index)?))
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        let path = self.path(file);
        std::fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))
    }

    fn write(&self, file: &str, mode: u32, text: &str) -> anyhow::Result<()> {
        let path = self.path(file);
        let written = || -> std::io::Result<()> {
            let mut new = tempfile::Builder::new().permissions(permissions(mode)).tempfile_in(&self.dir)?;
            new.write_all(text.as_bytes())?;
            new.as_file().sync_all()?;
            new.persist(&path)?;
            File::open(&self.dir)?.sync_all()
        };
        written().with_context(|| format!("{} can't be written", path.display()))
    }
}

fn permissions(mode: u32) -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

/// Holds a certificate's name against what a file of the folder may be called.
pub(super) fn check_name(name: &str) -> anyhow::Result<()> {
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    let fits = fits && !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.starts_with(['.', '-']);
    ensure!(fits, "`{name}` can't be the name of a file here: take letters, digits, `.`, `_` and `-`");
    ensure!(!matches!(name, "ca" | "crl") && !name.ends_with("-key"), "`{name}` is the name of another file here");
    Ok(())
}
