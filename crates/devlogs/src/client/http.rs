//! The connection to a server, and errors as it tells them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::{Certificate, ClientBuilder, Identity, Method, RequestBuilder, Response, Url, header};
use serde::{Deserialize, de::DeserializeOwned};

/// Where the API answers by default.
pub const API_URL: &str = "http://127.0.0.1:8080";

/// Where the collector answers by default.
pub const COLLECTOR_URL: &str = "http://127.0.0.1:4318";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may send nothing in answer to a request.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest body of an error that is read.
const ERROR_BYTES_MAX: usize = 256 << 10;

/// Which server, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub struct ConnectionArgs {
    /// The server's address; the API's or the collector's on this machine if not given
    #[arg(long, global = true, env = "DEVLOGS_URL", value_name = "URL", value_parser = address)]
    pub url: Option<Url>,
    /// API key
    #[arg(long, global = true, env = "DEVLOGS_KEY", value_name = "KEY", hide_env_values = true)]
    pub key: Option<String>,
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// Certificates of an https:// server and of this client.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// The CA of the server's certificate (PEM); those of the system if not given
    #[arg(long, global = true, env = "DEVLOGS_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A client certificate (PEM) to show to the server
    #[arg(long, global = true, env = "DEVLOGS_CERT", value_name = "FILE", requires = "cert_key")]
    pub cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, global = true, env = "DEVLOGS_CERT_KEY", value_name = "FILE", requires = "cert")]
    pub cert_key: Option<PathBuf>,
}

fn address(text: &str) -> Result<Url, String> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some())
        .ok_or_else(|| format!("write one like {API_URL}"))
}

impl TlsArgs {
    /// # Errors
    /// A file that can't be read or used.
    fn read(&self) -> anyhow::Result<Certificates> {
        let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("{} can't be read", path.display()));
        let mut certificates = Certificates::default();
        if let Some(path) = &self.ca {
            let trusted = Certificate::from_pem_bundle(&read(path)?).unwrap_or_default();
            ensure!(!trusted.is_empty(), "{} has no certificate in PEM form", path.display());
            certificates.trusted = Some(trusted);
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.cert_key) {
            let pem = [read(cert)?, b"\n".to_vec(), read(key)?].concat();
            let own = Identity::from_pem(&pem)
                .with_context(|| format!("{} and {} are no certificate and its key", cert.display(), key.display()))?;
            certificates.own = Some(own);
        }
        Ok(certificates)
    }
}

/// What the files hold.
#[derive(Clone, Default)]
struct Certificates {
    trusted: Option<Vec<Certificate>>,
    own: Option<Identity>,
}

impl Certificates {
    fn client(&self) -> ClientBuilder {
        self.patient_client().read_timeout(SILENCE_TIMEOUT)
    }

    /// Waits as long as the connection lives.
    fn patient_client(&self) -> ClientBuilder {
        let mut builder = plain_client();
        if let Some(trusted) = &self.trusted {
            builder = builder.tls_certs_only(trusted.iter().cloned());
        }
        match &self.own {
            Some(own) => builder.identity(own.clone()),
            None => builder,
        }
    }
}

fn plain_client() -> ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("devlogs/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(SILENCE_TIMEOUT)
}

impl ConnectionArgs {
    /// A connection to the API.
    ///
    /// # Errors
    /// An address that is none.
    pub fn api(&self) -> anyhow::Result<Connection> {
        self.connect(API_URL)
    }

    /// A connection to the collector.
    ///
    /// # Errors
    /// An address that is none.
    pub fn collector(&self) -> anyhow::Result<Connection> {
        self.connect(COLLECTOR_URL)
    }

    fn connect(&self, default: &str) -> anyhow::Result<Connection> {
        let url = self.url.clone().map_or_else(|| Url::parse(default), Ok).context("an address")?;
        let certificates = self.tls.read()?;
        let client = certificates.client().build().context("the certificates can't be used")?;
        Ok(Connection { url, key: self.key.clone(), client, certificates, patient: false })
    }
}

/// A server to ask.
#[derive(Clone)]
pub struct Connection {
    url: Url,
    key: Option<String>,
    client: reqwest::Client,
    certificates: Certificates,
    /// Waits for an answer as long as the connection lives.
    patient: bool,
}

impl fmt::Debug for Connection {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection to an API that listens on a socket of this machine.
    ///
    /// # Errors
    /// No client can be made.
    pub fn to_socket(path: &Path) -> anyhow::Result<Self> {
        let client = plain_client().unix_socket(path).build().context("no client for a socket")?;
        let url = Url::parse("http://127.0.0.1").context("an address")?;
        Ok(Self { url, key: None, client, certificates: Certificates::default(), patient: true })
    }

    /// The same connection for work that takes its time, during which the server says nothing.
    ///
    /// # Errors
    /// The certificates can't be used.
    pub fn patient(&self) -> anyhow::Result<Self> {
        if self.patient {
            return Ok(self.clone());
        }
        let client = self.certificates.patient_client().build().context("the certificates can't be used")?;
        Ok(Self { client, patient: true, ..self.clone() })
    }

    /// The server's address, for messages.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The key's header value, if there is a key.
    pub fn authorization(&self) -> Option<String> {
        self.key.as_ref().map(|key| format!("Bearer {key}"))
    }

    /// The address of a path on the server.
    pub fn address(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url
    }

    /// A `GET` with parameters.
    pub fn get(&self, path: &str, parameters: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.address(path);
        url.query_pairs_mut().extend_pairs(parameters);
        self.with_key(self.client.get(url))
    }

    /// A request with the key in its header.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.with_key(self.client.request(method, self.address(path)))
    }

    /// A `GET` that asks for another protocol on its connection, which HTTP/2 has no way to.
    ///
    /// # Errors
    /// The certificates can't be used.
    pub fn upgrade(&self, path: &str, protocol: &str) -> anyhow::Result<RequestBuilder> {
        let client = self.certificates.client().http1_only().build().context("the certificates can't be used")?;
        let request = client.get(self.address(path)).header(header::CONNECTION, "Upgrade");
        Ok(self.with_key(request.header(header::UPGRADE, protocol)))
    }

    fn with_key(&self, request: RequestBuilder) -> RequestBuilder {
        match self.authorization() {
            Some(value) => request.header(header::AUTHORIZATION, value),
            None => request,
        }
    }

    /// Sends a request and reads its JSON answer.
    ///
    /// # Errors
    /// No connection, a [`Problem`], or an answer that is not what was expected.
    pub async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let response = self.send(request).await?;
        response.json().await.with_context(|| format!("{} did not answer as a devlogs server does", self.url))
    }

    /// Sends a request and returns its successful answer.
    ///
    /// # Errors
    /// No connection, or a [`Problem`].
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request
            .send()
            .await
            .with_context(|| format!("{} can't be reached; is `devlogs serve` running?", self.url))?;
        if response.status().is_success() { Ok(response) } else { Err(Problem::read(response).await.into()) }
    }
}

/// An error as the server tells it.
#[derive(Debug, Clone, Deserialize)]
pub struct Problem {
    #[serde(default)]
    pub status: u16,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub detail: String,
    pub position: Option<usize>,
    pub hint: Option<String>,
    /// Of a request of which every record was rejected.
    #[serde(default)]
    pub errors: Vec<Rejected>,
    #[serde(default)]
    pub rejected: u64,
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// A record that was not accepted.
#[derive(Debug, Clone, Deserialize)]
pub struct Rejected {
    pub index: usize,
    pub reason: String,
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.detail.is_empty() { &self.title } else { &self.detail })?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        match self.status {
            401 => f.write_str("; give a key with --key or DEVLOGS_KEY, or a client certificate with --cert"),
            _ => Ok(()),
        }
    }
}

impl Problem {
    /// Reads an answer that is no success, whoever gave it.
    pub async fn read(mut response: Response) -> Self {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > ERROR_BYTES_MAX {
                break;
            }
        }
        let mut problem: Self = serde_json::from_slice(&body).unwrap_or_else(|_| Self::unknown());
        problem.status = status.as_u16();
        problem.retry_after = retry_after;
        if problem.title.is_empty() {
            problem.title = format!("the server answered {status}");
        }
        problem
    }

    fn unknown() -> Self {
        Self {
            status: 0,
            title: String::new(),
            detail: String::new(),
            position: None,
            hint: None,
            errors: Vec::new(),
            rejected: 0,
            retry_after: None,
        }
    }

    /// The query with a caret under the place of the mistake, if the server named one.
    pub fn pointed_at(&self, query: &str) -> Option<String> {
        let position = self.position.filter(|&position| position <= query.chars().count())?;
        let shown: String = query.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Some(format!("  {shown}\n  {}^", " ".repeat(position)))
    }
}

/// Adds the place of a query's mistake to an error.
pub fn explain(error: anyhow::Error, query: &str) -> anyhow::Error {
    match error.downcast_ref::<Problem>().and_then(|problem| problem.pointed_at(query)) {
        Some(pointed) => {
            let message = format!("{error}\n{pointed}");
            anyhow::anyhow!(message)
        }
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(url: &str) -> ConnectionArgs {
        ConnectionArgs { url: address(url).ok(), key: Some("secret".to_owned()), tls: TlsArgs::default() }
    }

    #[test]
    fn addresses_keep_the_path_of_a_proxy() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connection = args("https://logs.example.org/dev/").api().unwrap();
        assert_eq!(connection.address("/api/v1/search").as_str(), "https://logs.example.org/dev/api/v1/search");
        assert!(!format!("{connection:?}").contains("secret"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in ["localhost", "ftp://host", "127.0.0.1:8080", "http://"] {
            assert!(address(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_mistake_is_pointed_at_by_characters() {
        let problem: Problem =
            serde_json::from_str(r#"{"status":422,"detail":"a value is missing","position":6}"#).unwrap();
        assert_eq!(problem.pointed_at("größe:").as_deref(), Some("  größe:\n        ^"));
        assert_eq!(problem.pointed_at("x"), None);
    }
}
