//! The server's HTTP interface: clients, TLS, deadlines.

use std::fs;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use clickhouse::{Client, Row, RowOwned, RowRead};
use futures::future::BoxFuture;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::{Connected, Connection as HttpConnection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use store::StoreError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::ClickHouseConfig;
use crate::error::Failure;

/// The server closes idle connections after 3 s (its default, in some versions 10 s or 30 s).
const IDLE_MAX: Duration = Duration::from_secs(2);

/// What the server may need to say that the time of a statement is up.
pub const GRACE: Duration = Duration::from_secs(2);

/// A server as one user.
#[derive(Clone)]
pub struct Connection {
    client: Client,
    /// What must not show in texts.
    secrets: Arc<[String]>,
    timeout: Duration,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Connection {
    /// Prepares a client; the first statement connects.
    ///
    /// # Errors
    /// A certificate file can't be read.
    pub fn new(config: &ClickHouseConfig, url: &str) -> Result<Self, StoreError> {
        let client = match tls(config)? {
            Some(tls) => {
                let connector = TlsConnections { tls, timeout: config.connect_timeout };
                let http = HttpClient::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_MAX).build(connector);
                Client::with_http_client(http)
            }
            None => Client::default(),
        };
        let mut client = client
            .with_url(url)
            .with_user(&config.user)
            .with_password(&config.password)
            .with_product_info("devlogs", env!("CARGO_PKG_VERSION"));
        if config.replicated {
            // An insert is done when most of the replicas have it.
            client = client.with_setting("insert_quorum", "auto");
        }
        let secrets = [&config.password, &config.sql_password].map(String::clone).into();
        Ok(Self { client, secrets, timeout: config.write_timeout })
    }

    #[must_use]
    pub fn in_database(mut self, database: &str) -> Self {
        self.client = self.client.with_database(database);
        self
    }

    #[must_use]
    pub fn as_user(mut self, user: &str, password: &str) -> Self {
        self.client = self.client.with_user(user).with_password(password);
        self
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Waits for an answer, a little longer than an insert may take.
    pub async fn within<T>(
        &self,
        answer: impl Future<Output = Result<T, clickhouse::error::Error>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout + GRACE, answer).await {
            Ok(answer) => answer.map_err(|error| self.failure(&error)),
            Err(_) => Err(Failure::Network(format!("no answer in {} s", (self.timeout + GRACE).as_secs()))),
        }
    }

    pub fn failure(&self, error: &clickhouse::error::Error) -> Failure {
        Failure::read(error, &self.secrets)
    }

    /// Runs a statement without an answer.
    pub async fn execute(&self, sql: &str) -> Result<(), Failure> {
        self.within(self.client.query_raw(sql).execute()).await
    }

    /// The only row of the answer.
    pub async fn one<T: Row + RowOwned + RowRead>(&self, sql: &str) -> Result<T, Failure> {
        self.within(self.client.query_raw(sql).fetch_one::<T>()).await
    }

    /// All rows of an answer that is known to be small.
    pub async fn all<T: Row + RowOwned + RowRead>(&self, sql: &str) -> Result<Vec<T>, Failure> {
        self.within(self.client.query_raw(sql).fetch_all::<T>()).await
    }
}

/// A query id of ours that no other has: `devlogs-SCOPE-N`.
pub fn query_id(scope: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("devlogs-{scope}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// 128 random bits as 32 hexadecimal digits.
pub fn random_name() -> String {
    let random = || {
        use std::hash::{BuildHasher as _, Hasher as _, RandomState};
        RandomState::new().build_hasher().finish()
    };
    format!("{:016x}{:016x}", random(), random())
}

/// None when the public authorities do.
fn tls(config: &ClickHouseConfig) -> Result<Option<TlsConnector>, StoreError> {
    if config.ca_file.is_none() && config.client_cert_file.is_none() {
        return Ok(None);
    }
    let unreadable = |path: &std::path::Path, error: &dyn std::fmt::Display| {
        StoreError::Invalid(format!("{} can't be read as PEM: {error}", path.display()))
    };
    let certificates = |path: &std::path::Path| -> Result<Vec<CertificateDer<'static>>, StoreError> {
        let pem = fs::read(path).map_err(|error| unreadable(path, &error))?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let found = found.map_err(|error| unreadable(path, &error))?;
        if found.is_empty() { Err(unreadable(path, &"no certificate in it")) } else { Ok(found) }
    };
    let mut roots = RootCertStore::empty();
    let Some(ca_file) = &config.ca_file else {
        return Err(StoreError::Invalid("a client certificate for ClickHouse needs the file of its authority".into()));
    };
    for certificate in certificates(ca_file)? {
        roots.add(certificate).map_err(|error| unreadable(ca_file, &error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Internal(format!("TLS can't be set up: {error}")))?
        .with_root_certificates(roots);
    let client = match (&config.client_cert_file, &config.client_key_file) {
        (Some(cert), Some(key_file)) => {
            let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| unreadable(key_file, &error))?;
            builder.with_client_auth_cert(certificates(cert)?, key).map_err(|error| unreadable(cert, &error))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Some(TlsConnector::from(Arc::new(client))))
}

/// Opens TLS connections with certificates of the configuration's own.
#[derive(Clone)]
struct TlsConnections {
    tls: TlsConnector,
    timeout: Duration,
}

impl tower::Service<http::Uri> for TlsConnections {
    type Response = TokioIo<TlsStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        let Self { tls, timeout } = self.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let connect = async {
                let tcp = TcpStream::connect((&*host, uri.port_u16().unwrap_or(8443))).await?;
                tcp.set_nodelay(true)?;
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                tls.connect(name, tcp).await
            };
            let stream = tokio::time::timeout(timeout, connect).await??;
            Ok(TokioIo::new(TlsStream(stream)))
        })
    }
}

/// A connection that the HTTP client can pool.
struct TlsStream(tokio_rustls::client::TlsStream<TcpStream>);

impl HttpConnection for TlsStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
