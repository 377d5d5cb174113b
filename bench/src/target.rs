//! The server under test: started by us on free ports, and what the kernel says about it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long it may take to start with a large data directory.
const START_TIME_MAX: Duration = Duration::from_secs(120);
const STOP_TIME_MAX: Duration = Duration::from_secs(30);

/// The unit of `/proc/PID/stat`, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running `devlogs serve`; killed when dropped.
#[derive(Debug)]
pub struct Target {
    child: Child,
    pub collector: String,
    pub api: String,
    /// From the start of the process to its ready line.
    pub start_time: Duration,
    pub data_dir: PathBuf,
}

impl Target {
    /// Starts `program` without keys on a data directory.
    ///
    /// # Errors
    /// It does not start; its log is on standard error.
    pub async fn start(program: &Path, data_dir: &Path) -> anyhow::Result<Self> {
        let since = std::time::Instant::now();
        let mut command = Command::new(program);
        command.args(["serve", "--dev", "--data-dir"]).arg(data_dir).kill_on_drop(true);
        for listener in ["COLLECTOR__LISTEN", "COLLECTOR__GRPC_LISTEN", "API__LISTEN", "OPS__LISTEN"] {
            command.env(format!("DEVLOGS_{listener}"), "127.0.0.1:0");
        }
        command.env("DEVLOGS_LOG__FILTER", "error").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("can't start {}", program.display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready =
            tokio::time::timeout(START_TIME_MAX, lines.next_line()).await.context("it does not get ready")??;
        let Some(ready) = ready else { bail!("{} ended before it was ready", program.display()) };
        let ready: Value = serde_json::from_str(&ready).context("not the line that says ready")?;
        let address = |name: &str| Ok::<_, anyhow::Error>(ready[name].as_str().context("an address")?.to_owned());
        Ok(Self {
            collector: address("collector")?,
            api: address("api")?,
            start_time: since.elapsed(),
            child,
            data_dir: data_dir.to_owned(),
        })
    }

    fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Seconds of CPU, user and system.
    ///
    /// # Errors
    /// The process is gone.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let fields: Vec<_> = stat.rsplit_once(')').context("the form of stat")?.1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }

    /// Resident memory now and at its peak since the last [`Target::reset_peak`], bytes.
    ///
    /// # Errors
    /// The process is gone.
    pub fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let read = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find(|line| line.starts_with(name)).context("a line of status")?;
            let number = line.split_whitespace().nth(1).context("a number")?;
            Ok(number.parse::<u64>()? * 1024)
        };
        Ok((read("VmRSS:")?, read("VmHWM:")?))
    }

    pub fn reset_peak(&self) {
        // Not permitted everywhere; the peak is then that of the whole run.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5");
    }

    /// Bytes on disk of the store's folder.
    ///
    /// # Errors
    /// It can't be read.
    pub fn store_bytes(&self) -> anyhow::Result<u64> {
        bytes_under(&self.data_dir.join("store"))
    }

    /// Stops it cleanly.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        tokio::time::timeout(STOP_TIME_MAX, self.child.wait()).await.context("it does not stop")??;
        Ok(())
    }
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
            let file = std::fs::File::open(&path)?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}
