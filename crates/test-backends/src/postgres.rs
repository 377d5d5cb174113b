//! A real PostgreSQL server.
//!
//! [`Postgres::shared`] is one server for all tests of a binary, each with a [`Postgres::database`] of its own.
//! [`Postgres::start`] is a server of one's own, to be killed, frozen and started again on the same data.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::install::run;
use crate::process::{Server, free_port};
use crate::scratch;

const ADVICE: &str = "install PostgreSQL 15 or newer (Debian and Ubuntu: apt-get install postgresql)";

/// The system user that runs the server when the tests are run by root, which PostgreSQL refuses.
const USER: &str = "postgres";

/// How long the kernel may take to stop or end a process; a busy machine is slow.
const SIGNAL_TIME_MAX: Duration = Duration::from_secs(30);

/// Settings of every server. What a process writes survives its death without fsync, and tests cut no power.
const SETTINGS: [&str; 6] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "fsync=off",
    "shared_buffers=128MB",
    "max_wal_size=2GB",
];

/// What a server is started with.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// `name=value` of `postgresql.conf`; they win over the tests' own.
    pub settings: Vec<String>,
    /// Accepts only TLS, with client certificates of [`TlsFiles::ca`].
    pub tls: bool,
}

/// Certificates in PEM, made for one server.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub ca: PathBuf,
    pub client_cert: PathBuf,
    pub client_key: PathBuf,
}

/// A running server with one superuser, `postgres`, that needs no password.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    port: u16,
    options: PostgresOptions,
    /// `data/` and `log`; with TLS the certificates too.
    dir: TempDir,
}

impl Postgres {
    /// The server that all tests of this program share.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Postgres> = LazyLock::new(|| Postgres::start(PostgresOptions::default()));
        &SHARED
    }

    /// A new server on a free loopback port.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub fn start(options: PostgresOptions) -> Self {
        let dir = scratch::dir("postgres");
        give(dir.path());
        let mut initdb = command("initdb");
        initdb.args(["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-D"]);
        run(initdb.arg(dir.path().join("data"))).unwrap_or_else(|reason| panic!("{reason}"));
        if options.tls {
            make_certificates(dir.path()).unwrap_or_else(|reason| panic!("{reason}"));
        }
        let port = free_port();
        Self { server: serve(dir.path(), port, &options), port, options, dir }
    }

    /// The address of a database, without the parameters of TLS.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database that nobody else has and returns its address.
    pub fn database(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Runs SQL as the superuser and returns what it answers: a line a row, `|` between columns.
    ///
    /// # Panics
    /// When it fails.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        psql(&self.url(database), self.tls().as_ref(), sql)
    }

    /// The certificates, when started with TLS.
    pub fn tls(&self) -> Option<TlsFiles> {
        let file = |name: &str| self.dir.path().join(name);
        self.options.tls.then(|| TlsFiles {
            ca: file("ca.crt"),
            client_cert: file("client.crt"),
            client_key: file("client.key"),
        })
    }

    /// SIGKILL to the server and every backend, as a crash of the machine's processes would; returns when all are gone,
    /// since a new server refuses the data while a backend of the old one still holds its shared memory.
    pub fn kill(&mut self) {
        // A stopped server makes no backend that the list would miss.
        self.server.freeze();
        wait_for(self.server.pid(), "TZX");
        let children = self.children();
        self.server.kill();
        signal(&children, Signal::KILL);
        children.iter().for_each(|child| wait_for(*child, "ZX"));
    }

    /// Starts a killed or stopped server again, on the same port and data.
    pub fn restart(&mut self) {
        self.server = serve(self.dir.path(), self.port, &self.options);
    }

    /// A quick orderly end: connections are closed.
    pub fn stop(&mut self) {
        signal(&[self.server.pid()], Signal::INT);
        self.server.stop();
    }

    /// SIGSTOP to the server and every backend: connections stay, nothing answers.
    pub fn freeze(&self) {
        self.server.freeze();
        signal(&self.children(), Signal::STOP);
    }

    pub fn thaw(&self) {
        signal(&self.children(), Signal::CONT);
        self.server.thaw();
    }

    /// Backends lead process groups of their own.
    fn children(&self) -> Vec<u32> {
        let pid = self.server.pid();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs SQL with PostgreSQL's own client and returns what it answers.
pub(crate) fn psql(url: &str, tls: Option<&TlsFiles>, sql: &str) -> String {
    let mut command = Command::new(program("psql"));
    command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]);
    if let Some(tls) = tls {
        command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", &tls.ca);
        command.env("PGSSLCERT", &tls.client_cert).env("PGSSLKEY", &tls.client_key);
    }
    let output = command.output().unwrap_or_else(|error| panic!("psql can't be started: {error}"));
    assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn serve(dir: &Path, port: u16, options: &PostgresOptions) -> Server {
    let mut postgres = command("postgres");
    postgres.arg("-D").arg(dir.join("data")).args(["-p", &port.to_string()]);
    for setting in SETTINGS.into_iter().chain(options.settings.iter().map(String::as_str)) {
        postgres.args(["-c", setting]);
    }
    if options.tls {
        let file = |name: &str| dir.join(name).display().to_string();
        postgres.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={}", file("server.crt"))]);
        postgres.args(["-c", &format!("ssl_key_file={}", file("server.key"))]);
        postgres.args(["-c", &format!("ssl_ca_file={}", file("ca.crt"))]);
        postgres.args(["-c", &format!("hba_file={}", file("hba.conf"))]);
    }
    let is_ready = program("pg_isready");
    Server::start("postgres", &postgres, &dir.join("log"), move || {
        let mut probe = Command::new(&is_ready);
        probe.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
        probe.status().is_ok_and(|status| status.success())
    })
}

/// A program of PostgreSQL, run by a user that may. A change of user forgets which signal the end of the parent sends,
/// so it is set again.
fn command(name: &str) -> Command {
    let program = program(name);
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        let reuid = format!("--reuid={USER}");
        command.args([&reuid, &format!("--regid={USER}"), "--init-groups", "--pdeathsig", "KILL"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    command
}

/// On the path, or where Debian and Ubuntu put the servers, the newest first.
fn program(name: &str) -> PathBuf {
    let newest = || {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let numbers = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        Some(PathBuf::from(format!("/usr/lib/postgresql/{}/bin", numbers.max()?)))
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).chain(newest()).map(|dir| dir.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("the tests need `{name}`: {ADVICE}"))
}

/// Lets the server's user own a file.
fn give(path: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let id = |flag: &str| {
        let output = Command::new("id").args([flag, USER]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    let (Some(uid), Some(gid)) = (id("-u"), id("-g")) else {
        panic!("the tests need the system user `{USER}`: {ADVICE}");
    };
    chown(path, Some(uid), Some(gid)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// A CA, a certificate of 127.0.0.1 for the server and one of `postgres` for its client.
fn make_certificates(dir: &Path) -> Result<(), String> {
    let openssl = |args: &str| run(Command::new("openssl").current_dir(dir).args(args.split(' ')));
    openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=devlogs-test-ca -keyout ca.key -out ca.crt")?;
    for (name, subject, extension) in
        [("server", "127.0.0.1", "subjectAltName=IP:127.0.0.1"), ("client", "postgres", "extendedKeyUsage=clientAuth")]
    {
        let extensions = format!("basicConstraints=CA:FALSE\n{extension}\n");
        fs::write(dir.join(format!("{name}.ext")), extensions).map_err(|error| error.to_string())?;
        openssl(&format!("req -newkey rsa:2048 -nodes -subj /CN={subject} -keyout {name}.key -out {name}.csr"))?;
        let sign = "x509 -req -days 30 -CA ca.crt -CAkey ca.key -CAcreateserial";
        openssl(&format!("{sign} -in {name}.csr -out {name}.crt -extfile {name}.ext"))?;
    }
    fs::write(dir.join("hba.conf"), "hostssl all all 127.0.0.1/32 cert\n").map_err(|error| error.to_string())?;
    for file in ["ca.crt", "server.crt", "server.key", "hba.conf"] {
        give(&dir.join(file));
    }
    Ok(())
}

fn signal(pids: &[u32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
        let _ = kill_process(pid, signal);
    }
}

/// Waits until a process is in one of these states of `/proc`, or is no more. Z and X: it has given back everything.
///
/// # Panics
/// When that takes too long.
fn wait_for(pid: u32, states: &str) {
    let since = Instant::now();
    while state(pid).is_some_and(|state| !states.contains(state)) {
        assert!(since.elapsed() < SIGNAL_TIME_MAX, "process {pid} does not come to a state of {states}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The letter after the name, which stands in parentheses and may have any characters.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_survives_a_kill() {
        let mut server = Postgres::start(PostgresOptions::default());
        server.psql("postgres", "CREATE TABLE kept (n int)");
        server.psql("postgres", "INSERT INTO kept SELECT generate_series(1, 1000)");
        server.kill();
        server.restart();
        assert_eq!(server.psql("postgres", "SELECT count(*) FROM kept"), "1000");
        server.stop();
        server.restart();
        assert_eq!(server.psql("postgres", "SELECT sum(n) FROM kept"), "500500");
    }

    #[test]
    fn databases_are_apart() {
        let server = Postgres::shared();
        let (one, other) = (server.database(), server.database());
        assert_ne!(one, other);
    }

    #[test]
    fn tls_is_asked_for() {
        let server = Postgres::start(PostgresOptions { tls: true, ..PostgresOptions::default() });
        let used = "SELECT ssl AND client_dn = '/CN=postgres' FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        assert_eq!(server.psql("postgres", used), "t");
    }
}
