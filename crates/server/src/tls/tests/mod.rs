//! TLS over real sockets, with certificates made on the spot.

mod authority;
mod certificates;
mod flood;
mod protocols;
mod reload;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{Request, State};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prometheus_client::registry::Registry;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::identity::{Identities, IdentityRule};
use super::watch::watch;
use super::*;
use crate::ServerState;
use crate::auth::{Auth, Keys, Principal, Scope, Scopes};
use crate::edge::{self, EdgeConfig};
use crate::error::ApiError;
use crate::ops::Health;
use authority::{Authority, Issued};

/// How long anything that must happen may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// `shop` and `bank` are keys of these projects.
#[derive(Debug)]
struct TestKeys;

#[async_trait]
impl Keys for TestKeys {
    async fn authenticate(&self, key: &str) -> Result<Option<Principal>, ApiError> {
        let known = matches!(key, "shop" | "bank");
        let scopes = Scopes::from_iter([Scope::Ingest, Scope::Query]);
        Ok(known.then(|| Principal { id: key.into(), project: key.into(), scopes, service: None, confirmed: true }))
    }
}

/// The web servers of the shop may send its logs, under the service `web`; the payments may send and read.
pub(super) fn identities() -> Identities {
    let rule = |pattern: &str, project: &str, service: Option<&str>, scopes: &[Scope]| IdentityRule {
        pattern: pattern.to_owned(),
        project: project.into(),
        service: service.map(Into::into),
        scopes: scopes.iter().copied().collect(),
    };
    Identities::new(vec![
        rule("*.web.shop.test", "shop", Some("web"), &[Scope::Ingest]),
        rule("spiffe://test/bank/*", "bank", None, &[Scope::Ingest, Scope::Query]),
        rule("bank-batch", "bank", None, &[Scope::Ingest]),
    ])
}

pub(super) fn auth() -> Arc<Auth> {
    Arc::new(Auth::Required { keys: Arc::new(TestKeys), sessions: None, identities: identities() })
}

/// Files, a listener on them, and the CA of both sides.
pub(super) struct Bench {
    pub(super) authority: Authority,
    pub(super) tls: Arc<Tls>,
    pub(super) address: SocketAddr,
    dir: TempDir,
    registry: Registry,
    _stop: oneshot::Sender<()>,
}

impl Bench {
    pub(super) async fn new(client_auth: ClientAuth) -> Self {
        Self::with(client_auth, EdgeConfig::default(), router).await
    }

    /// A listener with these routes.
    pub(super) async fn with(
        client_auth: ClientAuth,
        config: EdgeConfig,
        routes: impl FnOnce(&ServerState) -> Router,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new("test CA");
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::register(&mut registry));
        let state = ServerState { auth: auth(), metrics: metrics.clone(), health: Arc::new(Health::default()) };
        authority.server().write(dir.path(), "server");
        std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        std::fs::write(dir.path().join("crl.pem"), authority.crl(&[])).unwrap();
        let tls = Tls::load(files(dir.path()), metrics.clone()).unwrap();
        tokio::spawn(watch(tls.clone(), Duration::from_millis(20)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = routes(&state);
        tokio::spawn(edge::run(listener, Some(tls.listener(client_auth).unwrap()), router, config, metrics, async {
            stopped.await.ok();
        }));
        Self { authority, tls, address, dir, registry, _stop: stop }
    }

    pub(super) fn file(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// A TLS connection as a client with this certificate, to a server that must have this name.
    pub(super) async fn connect(
        &self,
        trusted: &Authority,
        own: Option<&Issued>,
        name: &str,
        protocol: &[u8],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::new(trusted.client(own, protocol)));
        let stream = TcpStream::connect(self.address).await?;
        connector.connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
    }

    /// One HTTP/1.1 connection.
    pub(super) async fn http1(&self, own: Option<&Issued>) -> Result<Client, String> {
        let stream = self.connect(&self.authority, own, "localhost", b"http/1.1").await.map_err(|e| e.to_string())?;
        let serial = serial(&stream);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        Ok(Client { sender, serial })
    }

    /// Status and body of one request on a connection of its own; the error of a connection that is refused.
    pub(super) async fn get(
        &self,
        own: Option<&Issued>,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(u16, Value), String> {
        self.http1(own).await?.get(path, headers).await
    }

    pub(super) fn metric(&self, name: &str) -> i64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_default()
    }

    /// Waits until a metric is at least this.
    pub(super) async fn metric_reaches(&self, name: &str, least: i64) {
        let reached = async {
            while self.metric(name) < least {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "{name} is {}, not {least}", self.metric(name));
    }
}

pub(super) fn files(dir: &Path) -> TlsFiles {
    TlsFiles {
        cert: dir.join("server.pem"),
        key: dir.join("server-key.pem"),
        client_ca: Some(dir.join("ca.pem")),
        crl: Some(dir.join("crl.pem")),
    }
}

/// The serial number of the server's certificate.
pub(super) fn serial(stream: &TlsStream<TcpStream>) -> String {
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    peer::parse(&chain[0]).unwrap().raw_serial_as_string()
}

/// A keep-alive connection.
#[derive(Debug)]
pub(super) struct Client {
    sender: http1::SendRequest<Empty<bytes::Bytes>>,
    pub(super) serial: String,
}

impl Client {
    pub(super) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<(u16, Value), String> {
        let mut request = http::Request::get(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new()).unwrap();
        let answered = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>((head.status.as_u16(), serde_json::from_slice(&body).unwrap_or_default()))
        };
        tokio::time::timeout(PATIENCE, answered).await.expect("an answer in time").map_err(|e| e.to_string())
    }
}

pub(super) fn router(state: &ServerState) -> Router {
    let routes = Router::new()
        .route("/open", get(|| async { Json(json!("open")) }))
        .route("/send", get(send))
        .route("/read", get(read))
        .with_state(state.clone());
    edge::finish(routes, state)
}

async fn send(State(state): State<ServerState>, request: Request) -> Result<Json<Value>, ApiError> {
    who(&state, request, Scope::Ingest).await
}

async fn read(State(state): State<ServerState>, request: Request) -> Result<Json<Value>, ApiError> {
    who(&state, request, Scope::Query).await
}

async fn who(state: &ServerState, request: Request, scope: Scope) -> Result<Json<Value>, ApiError> {
    let principal = state.auth.require(&request.into_parts().0, scope).await?;
    Ok(Json(json!({"project": principal.project, "service": principal.service, "id": principal.id})))
}

pub(super) const OK: u16 = StatusCode::OK.as_u16();
