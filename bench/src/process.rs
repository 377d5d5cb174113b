//! What the kernel says about a process, its children and the whole machine.

use std::collections::HashMap;
use std::fs;
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::Context;

/// The unit of `/proc/PID/stat` and `/proc/stat`, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process(pub u32);

impl Process {
    /// Who listens on a TCP port of this machine, if we may see it.
    pub fn listening_on(port: u16) -> Option<Self> {
        let socket = listening_socket(port)?;
        let wanted = format!("socket:[{socket}]");
        let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.map(Self).find(|process| {
            let files = fs::read_dir(format!("/proc/{}/fd", process.0));
            files
                .into_iter()
                .flatten()
                .flatten()
                .any(|file| fs::read_link(file.path()).is_ok_and(|target| target.to_str() == Some(wanted.as_str())))
        })
    }

    /// Seconds of CPU, user and system. To the microsecond while its threads live; what ended between two looks is
    /// counted to the tick.
    ///
    /// # Errors
    /// The process is gone.
    pub fn cpu_seconds(self) -> anyhow::Result<f64> {
        let stat = Stat::of(self.0).context("the process is gone")?;
        Ok(self.thread_seconds().max(stat.own_ticks as f64 / TICKS_PER_SECOND))
    }

    /// The sum over all threads that were ever seen.
    fn thread_seconds(self) -> f64 {
        type Threads = HashMap<u32, HashMap<u32, u64>>;
        static SEEN: LazyLock<Mutex<Threads>> = LazyLock::new(Mutex::default);
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = seen.entry(self.0).or_default();
        let now = fs::read_dir(format!("/proc/{}/task", self.0)).into_iter().flatten().flatten();
        threads.extend(now.filter_map(|entry| {
            let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
            let thread: u32 = entry.file_name().to_str()?.parse().ok()?;
            let nanos: u64 = text.split_whitespace().next()?.parse().ok()?;
            Some((thread, nanos))
        }));
        threads.values().sum::<u64>() as f64 / 1e9
    }

    /// The same with all its descendants, those that ended included; to the tick.
    pub fn tree_cpu_seconds(self) -> f64 {
        let stats: HashMap<u32, Stat> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, Stat::of(pid)?)))
            .collect();
        let is_inside = |pid: u32| {
            let mut at = Some(pid);
            while let Some(pid) = at {
                if pid == self.0 {
                    return true;
                }
                at = stats.get(&pid).map(|stat| stat.parent).filter(|parent| *parent > 1);
            }
            false
        };
        stats.iter().filter(|(pid, _)| is_inside(**pid)).map(|(_, stat)| stat.ticks as f64 / TICKS_PER_SECOND).sum()
    }

    /// Resident memory now and at its peak since the last [`Process::reset_peak`], bytes.
    ///
    /// # Errors
    /// The process is gone.
    pub fn memory(self) -> anyhow::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let read = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find(|line| line.starts_with(name)).context("a line of status")?;
            let number = line.split_whitespace().nth(1).context("a number")?;
            Ok(number.parse::<u64>()? * 1024)
        };
        Ok((read("VmRSS:")?, read("VmHWM:")?))
    }

    pub fn reset_peak(self) {
        // Not permitted everywhere; the peak is then that of the whole run.
        let _ = fs::write(format!("/proc/{}/clear_refs", self.0), "5");
    }
}

/// Of `/proc/PID/stat`.
struct Stat {
    parent: u32,
    own_ticks: u64,
    /// Its own and those of children that ended.
    ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: Vec<u64> = fields.get(11..15)?.iter().map(|field| field.parse().unwrap_or_default()).collect();
        let own_ticks = ticks[..2].iter().sum();
        Some(Self { parent: fields.get(1)?.parse().ok()?, own_ticks, ticks: ticks.iter().sum() })
    }
}

/// The inode of the socket that listens on a port.
fn listening_socket(port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    let local = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let is_it = fields.get(1)?.ends_with(&local) && *fields.get(3)? == LISTEN;
            is_it.then(|| fields.get(9)?.parse().ok()).flatten()
        })
    })
}

/// Seconds of CPU that this program used.
///
/// # Errors
/// There is no `/proc`.
pub fn own_cpu_seconds() -> anyhow::Result<f64> {
    Process(std::process::id()).cpu_seconds()
}

/// Seconds of CPU that everything on this machine used since it started.
///
/// # Errors
/// `/proc/stat` can't be read.
pub fn machine_cpu_seconds() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("a line of stat")?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, then idle and iowait, then interrupts.
    let busy: u64 = ticks.iter().take(3).chain(ticks.iter().skip(5).take(2)).sum();
    Ok(busy as f64 / TICKS_PER_SECOND)
}

/// One, five and fifteen minutes.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
