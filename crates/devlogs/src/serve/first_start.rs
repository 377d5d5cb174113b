//! The first start: keys and the admin's password, in a file that only its owner reads.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use metadata::{Metadata, Secrets};
use serde_json::json;

/// Makes the admin and the keys if there are none yet, and returns the file that holds them. They are also shown on a
/// terminal, or wherever standard error goes with `print`.
///
/// # Errors
/// The metadata or the file can't be written.
pub async fn secrets(metadata: &Metadata, data_dir: &Path, print: bool) -> anyhow::Result<Option<PathBuf>> {
    let path = data_dir.join("secrets.json");
    let made = metadata.bootstrap_with(|secrets| write(&path, secrets)).await.context("can't make the first keys")?;
    if made.is_some() && (print || std::io::stderr().is_terminal()) {
        show(&path)?;
    }
    Ok(made.map(|_| path))
}

fn write(path: &Path, secrets: &Secrets) -> std::io::Result<()> {
    let text = json!({
        "admin_user": secrets.admin_user,
        "admin_password": secrets.admin_password,
        "admin_key": secrets.admin_key,
        "ingest_key": secrets.ingest_key,
        "query_key": secrets.query_key,
    });
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{text:#}")?;
    file.sync_all()
}

fn show(path: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).context("the keys were written, but can't be read")?;
    anstream::eprintln!("{text}");
    Ok(())
}
