//! The project's own chores: `xtask generate` writes what is generated, `xtask check` holds the tree to its rules.
//!
//! - [`generated`]: the OpenAPI document, the configuration and command references;
//! - [`lengths`]: how long a file may be;
//! - [`log_texts`]: how log messages are written;
//! - [`licences`]: which licences dependencies may have.

mod generated;
mod lengths;
mod licences;
mod log_texts;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let root = std::env::current_dir().context("no current folder")?;
    match std::env::args().nth(1).as_deref() {
        Some("generate") => generated::write(&root),
        Some("check") => {
            let mut findings = generated::check(&root)?;
            findings.extend(lengths::check(&root)?);
            findings.extend(log_texts::check(&root)?);
            findings.extend(licences::check(&root)?);
            if findings.is_empty() {
                return Ok(());
            }
            bail!("{} findings:\n{}", findings.len(), findings.join("\n"))
        }
        _ => bail!("usage: xtask generate | check"),
    }
}

/// The files that git knows below `folder` whose names end so.
fn tracked(root: &Path, folder: &str, endings: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let listed = output(root, "git", &["ls-files", "--cached", "--others", "--exclude-standard", folder])?;
    let mut files: Vec<PathBuf> = listed
        .lines()
        .filter(|name| endings.iter().any(|ending| name.ends_with(ending)))
        .map(|name| root.join(name))
        .filter(|path| path.exists())
        .collect();
    files.sort();
    Ok(files)
}

/// Runs a program and returns what it prints.
fn output(folder: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let done = std::process::Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .with_context(|| format!("can't run {program}"))?;
    if !done.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8(done.stdout)?)
}
