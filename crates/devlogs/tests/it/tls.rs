//! TLS from the first certificate to its revocation, with nothing but the program itself.

use std::process::Stdio;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::harness::{Options, PATIENCE, Server, alone, devlogs, folder, serve};

/// Runs a command to its end: whether it succeeded, and all that it said.
async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (bool, String) {
    let output = devlogs()
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// An authority with certificates for a server and for two clients.
async fn certificates(dir: &str) {
    let server = ["issue", "--server", "--name", "server", "--san", "localhost,127.0.0.1"];
    let web = ["issue", "--client", "--name", "web", "--san", "spiffe://test/shop/web"];
    let stranger = ["issue", "--client", "--name", "stranger", "--san", "spiffe://test/other"];
    for arguments in [&["init"][..], &server, &web, &stranger] {
        let (done, said) = run(&[&["certs", "--dir", dir], arguments].concat(), &[]).await;
        assert!(done, "{arguments:?}: {said}");
    }
}

const RULES: &str =
    r#"[{ match = "spiffe://test/shop/*", project = "default", service = "web", scopes = ["ingest", "query"] }]"#;

struct Fixture {
    dir: tempfile::TempDir,
    server: Server,
}

impl Fixture {
    async fn start() -> Self {
        let dir = folder();
        let file = |name: &str| dir.path().join("certs").join(name).display().to_string();
        let [cert, key, ca, crl] = ["server.pem", "server-key.pem", "ca.pem", "crl.pem"].map(file);
        certificates(&dir.path().join("certs").display().to_string()).await;
        let environment = [
            ("DEVLOGS_TLS__CERT", cert.as_str()),
            ("DEVLOGS_TLS__KEY", key.as_str()),
            ("DEVLOGS_TLS__CLIENT_CA", ca.as_str()),
            ("DEVLOGS_TLS__CRL", crl.as_str()),
            ("DEVLOGS_TLS__CLIENT_AUTH", "optional"),
            ("DEVLOGS_OPS__CLIENT_AUTH", "required"),
            ("DEVLOGS_TLS__IDENTITIES", RULES),
        ];
        let data = dir.path().join("data");
        let server = Server::start(Options { dir: &data, arguments: &[], environment: &environment }).await;
        for url in [&server.collector, &server.grpc, &server.api, &server.ops] {
            assert!(url.starts_with("https://"), "{url}");
        }
        Self { dir, server }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The variables of a client with this certificate.
    fn client<'a>(&self, name: &str, files: &'a mut [String; 3]) -> [(&'static str, &'a str); 3] {
        let file = |name: String| self.path(&format!("certs/{name}"));
        *files = [file("ca.pem".to_owned()), file(format!("{name}.pem")), file(format!("{name}-key.pem"))];
        let [ca, cert, key] = files;
        [("DEVLOGS_CA", ca.as_str()), ("DEVLOGS_CERT", cert.as_str()), ("DEVLOGS_CERT_KEY", key.as_str())]
    }

    /// Ships one line as the web server, another one for each number: the same would be known by its idempotency key, and
    /// not be stored again.
    async fn send(&self, number: u32) -> (bool, String) {
        let mut files = Default::default();
        let environment = self.client("web", &mut files);
        let lines = self.path("lines");
        std::fs::write(&lines, format!("{{\"message\":\"over the wire\",\"n\":{number}}}\n")).expect("written");
        // A place of its own each time, so that the file is sent from its start.
        let state = folder();
        let state = state.path().display().to_string();
        let environment = [&environment[..], &[("XDG_STATE_HOME", &*state)]].concat();
        run(&["send", &lines, "--url", &self.server.collector], &environment).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_sends_searches_and_tails_until_it_is_revoked() {
    let _alone = alone().await;
    let fixture = Fixture::start().await;
    let mut files = Default::default();
    let web = fixture.client("web", &mut files);
    let api = fixture.server.api.clone();

    let mut tail = devlogs()
        .args(["tail", "wire", "--output", "json", "--url", &api])
        .envs(web)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut lines = BufReader::new(tail.stdout.take().expect("piped")).lines();
    // The tail shows what comes once it listens: lines are sent until one is seen.
    let seen = async {
        for number in 0.. {
            let (sent, said) = fixture.send(number).await;
            assert!(sent, "{said}");
            if let Ok(line) = tokio::time::timeout(std::time::Duration::from_millis(500), lines.next_line()).await {
                return line.expect("readable").expect("a line");
            }
        }
        unreachable!("numbers do not end")
    };
    let line = tokio::time::timeout(PATIENCE * 2, seen).await.expect("a record over the tail");
    assert!(line.contains("over the wire") && line.contains("\"service\":\"web\""), "{line}");
    tail.kill().await.expect("killed");

    let since = Instant::now();
    loop {
        let (found, said) = run(&["search", "service:web wire", "--output", "json", "--url", &api], &web).await;
        assert!(found, "{said}");
        if said.contains("over the wire") {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{said}");
    }

    let (found, said) = run(&["search", "wire", "--url", &api], &[]).await;
    assert!(!found && said.contains("UnknownIssuer"), "{said}");
    let ca = fixture.path("certs/ca.pem");
    let (found, said) = run(&["search", "wire", "--url", &api, "--ca", &ca], &[]).await;
    assert!(!found && said.contains("--cert"), "{said}");
    let mut other = Default::default();
    let (found, said) = run(&["search", "wire", "--url", &api], &fixture.client("stranger", &mut other)).await;
    assert!(!found && said.contains("spiffe://test/other"), "{said}");

    let (revoked, said) =
        run(&["certs", "--dir", &fixture.path("certs"), "revoke", &fixture.path("certs/web.pem")], &[]).await;
    assert!(revoked, "{said}");
    let since = Instant::now();
    while run(&["search", "wire", "--url", &api], &web).await.0 {
        assert!(since.elapsed() < PATIENCE, "the certificate is still good");
    }
    assert_eq!(fixture.server.stop().await.1, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_stays_on_this_machine() {
    let dir = folder();
    let open = [("DEVLOGS_COLLECTOR__LISTEN", "0.0.0.0:0")];
    let absent = [("DEVLOGS_TLS__CERT", "/nowhere/cert.pem"), ("DEVLOGS_TLS__KEY", "/nowhere/key.pem")];
    let cases: [(&[_], &[_]); 2] =
        [(&open, &["collector.listen", "tls.behind_proxy"]), (&absent, &["/nowhere/cert.pem"])];
    for (environment, reasons) in cases {
        let options = Options { dir: dir.path(), arguments: &[], environment };
        let ended = serve(&options).stdin(Stdio::null()).output().await.expect("runs");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(reasons.iter().all(|reason| said.contains(reason)), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_ends_tls_is_named_in_so_many_words() {
    let dir = folder();
    let environment = [("DEVLOGS_COLLECTOR__LISTEN", "0.0.0.0:0"), ("DEVLOGS_TLS__BEHIND_PROXY", "true")];
    let server = Server::start(Options { dir: dir.path(), arguments: &[], environment: &environment }).await;
    assert!(server.collector.starts_with("http://0.0.0.0:"), "{}", server.collector);
    assert_eq!(server.stop().await.1, Some(0));
}
