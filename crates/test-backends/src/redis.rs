//! Redis 7 from the system's packages.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::install::{require, run};
use crate::process::{Server, free_port};

const ADVICE: &str = "install Redis 7, `apt-get install redis-server`";

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Options {
    pub appendonly: bool,
    /// `always`, `everysec` or `no`.
    pub appendfsync: &'static str,
    pub password: Option<&'static str>,
    /// A second port with TLS that asks for client certificates; see [`Redis::tls`].
    pub tls: bool,
    /// More lines of its configuration, name and value.
    pub more: Vec<(&'static str, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { appendonly: true, appendfsync: "always", password: None, tls: false, more: Vec::new() }
    }
}

/// A server on loopback with data that outlives restarts. Dropping it kills the server and removes the data.
#[derive(Debug)]
pub struct Redis {
    server: Server,
    options: Options,
    port: u16,
    tls: Option<Tls>,
    dir: TempDir,
}

/// A port with TLS, and files for a client.
#[derive(Debug, Clone)]
pub struct Tls {
    pub port: u16,
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Redis {
    /// # Panics
    /// When there is no `redis-server`, with how to get it; when it does not start.
    pub fn start(options: Options) -> Self {
        require("redis-server", ADVICE);
        let dir = TempDir::new().expect("a directory for Redis");
        let tls = options.tls.then(|| certificates(dir.path()));
        let port = free_port();
        let server = start(&options, port, tls.as_ref(), dir.path());
        Self { server, options, port, tls, dir }
    }

    /// Without a password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its data is.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// # Panics
    /// Unless it was started with TLS.
    pub fn tls(&self) -> &Tls {
        self.tls.as_ref().expect("a Redis with TLS")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Kills the server if it runs, and starts it on the same port with the same data.
    pub fn restart(&mut self) {
        self.server.kill();
        self.server = start(&self.options, self.port, self.tls.as_ref(), self.dir.path());
    }

    /// The same with other options. The port with TLS stays as it is.
    pub fn restart_with(&mut self, options: Options) {
        self.options = options;
        self.restart();
    }

    pub fn freeze(&self) {
        self.server.freeze();
    }

    pub fn thaw(&self) {
        self.server.thaw();
    }

    /// What `redis-cli` prints.
    ///
    /// # Panics
    /// When it can't be run.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string(), "--raw"]).args(arguments);
        if let Some(password) = self.options.password {
            command.env("REDISCLI_AUTH", password);
        }
        let output = command.output().expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}

fn start(options: &Options, port: u16, tls: Option<&Tls>, dir: &Path) -> Server {
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
    command.args(["--appendonly", yes(options.appendonly), "--appendfsync", options.appendfsync]);
    command.arg("--dir").arg(dir);
    if let Some(password) = options.password {
        command.args(["--requirepass", password]);
    }
    if let Some(tls) = tls {
        command.args(["--tls-port", &tls.port.to_string(), "--tls-auth-clients", "yes"]);
        command.arg("--tls-ca-cert-file").arg(&tls.ca);
        command.arg("--tls-cert-file").arg(dir.join("server.pem")).arg("--tls-key-file").arg(dir.join("server.key"));
    }
    for (name, value) in &options.more {
        command.arg(format!("--{name}")).arg(value);
    }
    Server::start("redis-server", &command, &dir.join("log"), || answers(port))
}

/// It answers PING, or that it wants a password.
fn answers(port: u16) -> bool {
    let ping = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    ping().is_ok_and(|answer| answer == *b"+PONG\r\n" || answer == *b"-NOAUTH")
}

/// A CA, a certificate for 127.0.0.1 and one for a client.
fn certificates(dir: &Path) -> Tls {
    require("openssl", "install OpenSSL");
    let openssl = |line: &str| {
        let mut command = Command::new("openssl");
        run(command.args(line.split(' ')).current_dir(dir)).unwrap_or_else(|error| panic!("{error}"));
    };
    let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {new_key} -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem"));
    for (name, subject) in [("server", "subjectAltName=IP:127.0.0.1"), ("client", "subjectAltName=DNS:client")] {
        openssl(&format!("req {new_key} -subj /CN={name} -addext {subject} -keyout {name}.key -out {name}.csr"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy -out {name}.pem"
        ));
    }
    let port = free_port();
    Tls { port, ca: dir.join("ca.pem"), certificate: dir.join("client.pem"), key: dir.join("client.key") }
}
