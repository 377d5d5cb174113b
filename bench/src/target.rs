//! The server under test: started by us on free ports.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::process::Process;

/// How long it may take to start with a large data directory.
const START_TIME_MAX: Duration = Duration::from_secs(120);
const STOP_TIME_MAX: Duration = Duration::from_secs(60);

/// A server is settled when it used less CPU than this share of one core for [`QUIET_TIME`].
const QUIET_SHARE: f64 = 0.05;
const QUIET_TIME: Duration = Duration::from_secs(2);
const SETTLE_TIME_MAX: Duration = Duration::from_secs(600);

/// How servers are started.
#[derive(Debug, Clone)]
pub struct Launch {
    pub program: PathBuf,
    /// Settings in its environment.
    pub environment: Vec<(String, String)>,
}

/// A running `devlogs serve`; killed when dropped.
#[derive(Debug)]
pub struct Target {
    child: Child,
    pub process: Process,
    pub collector: String,
    pub api: String,
    /// From the start of the process to its ready line.
    pub start_time: Duration,
    pub data_dir: PathBuf,
}

impl Launch {
    /// Starts a server without keys on a data directory.
    ///
    /// # Errors
    /// It does not start; what it logged.
    pub async fn start(&self, data_dir: &Path) -> anyhow::Result<Target> {
        self.start_with(data_dir, &[], &[]).await
    }

    /// The same with more arguments and settings.
    ///
    /// # Errors
    /// As [`Launch::start`].
    pub async fn start_with(
        &self,
        data_dir: &Path,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> anyhow::Result<Target> {
        let since = Instant::now();
        let mut command = Command::new(&self.program);
        command.args(["serve", "--dev", "--data-dir"]).arg(data_dir).args(arguments).kill_on_drop(true);
        for listener in ["COLLECTOR__LISTEN", "COLLECTOR__GRPC_LISTEN", "API__LISTEN", "OPS__LISTEN"] {
            command.env(format!("DEVLOGS_{listener}"), "127.0.0.1:0");
        }
        command.envs(environment.iter().map(|(name, value)| (*name, value)));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("DEVLOGS_LOG__FILTER", "error").stdout(Stdio::piped());
        let log = data_dir.with_extension("log");
        command.stderr(File::options().create(true).append(true).open(&log)?);
        let mut child = command.spawn().with_context(|| format!("can't start {}", self.program.display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready =
            tokio::time::timeout(START_TIME_MAX, lines.next_line()).await.context("it does not get ready")??;
        let Some(ready) = ready else {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("{} ended before it was ready: {said}", self.program.display())
        };
        let ready: Value = serde_json::from_str(&ready).context("not the line that says ready")?;
        let address = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        Ok(Target {
            process: Process(child.id().context("it ended")?),
            collector: address("collector"),
            api: address("api"),
            start_time: since.elapsed(),
            child,
            data_dir: data_dir.to_owned(),
        })
    }
}

impl Target {
    /// # Errors
    /// The process is gone.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        self.process.cpu_seconds()
    }

    /// Bytes on disk of the store's folder.
    ///
    /// # Errors
    /// It can't be read.
    pub fn store_bytes(&self) -> anyhow::Result<u64> {
        bytes_under(&self.data_dir.join("store"))
    }

    /// What the server says about itself.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn status(&self) -> anyhow::Result<Value> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client.get(format!("{}/api/v1/status", self.api)).send().await?.text().await?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Waits until nothing waits or is buffered and no background work is left.
    ///
    /// # Errors
    /// That does not happen in time.
    pub async fn settle(&self) -> anyhow::Result<()> {
        let since = Instant::now();
        let mut before = self.cpu_seconds()?;
        while since.elapsed() < SETTLE_TIME_MAX {
            tokio::time::sleep(QUIET_TIME).await;
            let now = self.cpu_seconds()?;
            let quiet = now - before < QUIET_SHARE * QUIET_TIME.as_secs_f64();
            before = now;
            if quiet && is_stored(&self.status().await?) {
                return Ok(());
            }
        }
        bail!("the server does not come to rest")
    }

    /// Stops it cleanly.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = rustix::process::Pid::from_raw(self.process.0.cast_signed()) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        tokio::time::timeout(STOP_TIME_MAX, self.child.wait()).await.context("it does not stop")??;
        Ok(())
    }
}

/// Everything that the queue holds is durable in the store.
fn is_stored(status: &Value) -> bool {
    let waits = |partition: &Value| partition["waiting_messages"].as_u64() != Some(0);
    let partitions = status["queue"]["partitions"].as_array();
    status["store"]["buffered_rows"] == 0 && partitions.is_some_and(|all| !all.iter().any(waits))
}

fn bytes_under(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_under(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// Takes the files of a folder out of the page cache, so that the next read comes from the disk.
///
/// # Errors
/// A file can't be opened.
pub fn drop_cached(dir: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            drop_cached(&path)?;
        } else {
            let file = File::open(&path)?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}
