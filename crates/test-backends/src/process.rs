//! Child processes that end with the test.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How long a server may take to answer; a busy machine is slow.
const READY_TIME_MAX: Duration = Duration::from_secs(120);
const STOP_TIME_MAX: Duration = Duration::from_secs(30);

/// A port that nothing listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// A running server. Dropping it kills the process and its children.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command` with its output in `log` and waits until `is_ready`.
    ///
    /// # Panics
    /// When it can't be started, ends, or is not ready in time; with the end of its log.
    pub fn start(name: &'static str, command: &Command, log: &Path, is_ready: impl Fn() -> bool) -> Self {
        let output = File::options().create(true).append(true).open(log).expect("a log file");
        let errors = output.try_clone().expect("the log file again");
        let mut command = bound_to_parent(command);
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = spawn(command).unwrap_or_else(|error| panic!("{name} can't be started: {error}"));
        let mut server = Self { name, child, log: log.to_owned() };
        let since = Instant::now();
        while !is_ready() {
            if let Some(status) = server.child.try_wait().expect("the state of a child") {
                panic!("{name} ended with {status}:\n{}", server.log_end());
            }
            assert!(since.elapsed() < READY_TIME_MAX, "{name} is not ready:\n{}", server.log_end());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, as a crash would; returns when it is gone.
    pub fn kill(&mut self) {
        if let Some(group) = self.group() {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }

    /// SIGSTOP: the process stays, its connections too, and nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM, and SIGKILL when that takes too long.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let since = Instant::now();
        while since.elapsed() < STOP_TIME_MAX {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
    }

    /// The last lines that the server wrote.
    pub fn log_end(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().rev().take(30).collect();
        let mut end = format!("the end of {}'s log:\n", self.name);
        for line in lines.into_iter().rev() {
            end.push_str(line);
            end.push('\n');
        }
        end
    }

    fn group(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.group() {
            let _ = kill_process(pid, signal);
        }
    }
}

/// The same command, killed by the kernel when the thread that started it ends.
fn bound_to_parent(command: &Command) -> Command {
    let mut bound = Command::new("setpriv");
    bound.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        bound.current_dir(dir);
    }
    bound
}

/// Starts children on a thread that lives as long as this process: a server kept in a static, which is never dropped,
/// still ends with the tests, also when they are killed.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, SyncSender<io::Result<Child>>);
    static SPAWNER: LazyLock<SyncSender<Order>> = LazyLock::new(|| {
        let (orders, receiver) = sync_channel::<Order>(0);
        std::thread::spawn(move || {
            for (mut command, answer) in receiver {
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, child) = sync_channel(1);
    SPAWNER.send((command, answer)).map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_server_is_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let server = Server::start("sleep", Command::new("sleep").arg("100"), &dir.path().join("log"), || true);
        let pid = server.pid();
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        drop(server);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    #[should_panic(expected = "no such thing")]
    fn a_server_that_ends_shows_its_log() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new("sh");
        Server::start("sh", command.args(["-c", "echo no such thing; exit 3"]), &dir.path().join("log"), || false);
    }
}
