//! The ports and what answers on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use server::ServerState;
use server::auth::Auth;
use server::collect::{Collector, CollectorConfig};
use server::edge::{self, EdgeConfig};
use server::ops::{self, Health, MetadataCheck, QueueCheck, ReadyCheck, StoreCheck};
use server::query::{ApiState, api_router};
use server::tail::TailHub;
use server::tls::TlsListener;
use store::QueryLimits;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transform::Transforms;

use super::parts::Parts;
use super::tls::{self, Listening};
use crate::cli::Role;
use crate::config::Settings;

/// Running requests get this long when the process stops; the whole stop takes five seconds at most.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// Bound ports: those of the roles that run here.
pub struct Listeners {
    collector: Option<Collecting>,
    api: Option<TcpListener>,
    ops: TcpListener,
}

/// The collector's ports.
struct Collecting {
    http: TcpListener,
    grpc: TcpListener,
}

/// Base URLs by listener: `collector`, `grpc`, `api`, `ops`.
pub type Addresses = BTreeMap<&'static str, String>;

/// Tasks that serve.
pub struct Serving {
    tasks: TaskTracker,
    stop: CancellationToken,
    health: Arc<Health>,
    collector: Option<Arc<Collector>>,
    /// Watches the certificates until the end.
    _tls: Option<Listening>,
}

impl Listeners {
    pub async fn bind(settings: &Settings, roles: &[Role]) -> anyhow::Result<Self> {
        let bind = async |key: &'static str, address: SocketAddr| {
            TcpListener::bind(address)
                .await
                .with_context(|| format!("can't listen on {address} (`{key}`); port 0 picks a free one"))
        };
        let collector = if roles.contains(&Role::Collector) {
            Some(Collecting {
                http: bind("collector.listen", settings.collector.listen).await?,
                grpc: bind("collector.grpc_listen", settings.collector.grpc_listen).await?,
            })
        } else {
            None
        };
        let api = if roles.contains(&Role::Api) { Some(bind("api.listen", settings.api.listen).await?) } else { None };
        Ok(Self { collector, api, ops: bind("ops.listen", settings.ops.listen).await? })
    }

    pub fn addresses(&self, scheme: &str) -> anyhow::Result<Addresses> {
        let collector = self.collector.as_ref();
        let bound = [
            ("collector", collector.map(|bound| &bound.http)),
            ("grpc", collector.map(|bound| &bound.grpc)),
            ("api", self.api.as_ref()),
            ("ops", Some(&self.ops)),
        ];
        let url = |listener: &TcpListener| Ok(format!("{scheme}://{}", listener.local_addr()?));
        bound.into_iter().filter_map(|(name, listener)| Some(listener.map(url)?.map(|url| (name, url)))).collect()
    }

    /// Starts to answer.
    pub fn serve(
        self,
        parts: &Parts,
        settings: &Settings,
        dev: bool,
        transforms: Arc<Transforms>,
    ) -> anyhow::Result<Serving> {
        let addresses = self.addresses(tls::scheme(settings))?;
        let listening = Listening::start(settings, parts.server_metrics.clone())?;
        let tls = |client_auth| listening.as_ref().map(|tls| tls.listener(client_auth, settings)).transpose();
        let (tls_collector, tls_api) = (tls(settings.collector.client_auth)?, tls(settings.api.client_auth)?);
        let tls_ops = tls(settings.ops.client_auth)?;
        let metadata = Arc::new(parts.metadata.clone());
        let identities = settings.tls.rules();
        let auth = match dev {
            true => Auth::Open,
            false => Auth::Required { keys: metadata.clone(), sessions: Some(metadata), identities },
        };
        let mut checks: Vec<Box<dyn ReadyCheck>> = vec![Box::new(QueueCheck(parts.queue.clone()))];
        // A collector alone goes on without the metadata, by the keys that it has read.
        if parts.store.is_some() || settings.metadata.key_grace.0.is_zero() {
            checks.push(Box::new(MetadataCheck(parts.metadata.clone())));
        }
        checks.extend(parts.store.clone().map(|store| Box::new(StoreCheck(store)) as Box<dyn ReadyCheck>));
        let health = Arc::new(Health::new(checks));
        let state = ServerState { auth: Arc::new(auth), metrics: parts.server_metrics.clone(), health: health.clone() };
        let mut serving = Serving {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            health: health.clone(),
            collector: None,
            _tls: listening,
        };
        if let Some(Collecting { http, grpc }) = self.collector {
            let collector = collector(&state, parts, settings);
            serving.start(http, tls_collector.clone(), collector.router(), &state);
            serving.start(grpc, tls_collector, collector.grpc_router(), &state);
            serving.collector = Some(collector);
        }
        if let Some(listener) = self.api {
            let router = api_router(api(&state, parts, settings, transforms, addresses)?);
            let router = edge::wrap(router.merge(ops::health_router(health.clone())), &state);
            serving.start(listener, tls_api, router, &state);
        }
        let ops = edge::finish(ops::ops_router(parts.registry.clone(), health), &state);
        serving.start(self.ops, tls_ops, ops, &state);
        Ok(serving)
    }
}

fn collector(state: &ServerState, parts: &Parts, settings: &Settings) -> Arc<Collector> {
    Collector::new(
        state.clone(),
        parts.queue.clone(),
        Some(parts.keys.clone()),
        parts.pace.clone(),
        CollectorConfig {
            limits: settings.collector.limits(),
            in_flight_bytes_max: settings.collector.inflight_max.bytes(),
            ..CollectorConfig::default()
        },
    )
}

fn api(
    state: &ServerState,
    parts: &Parts,
    settings: &Settings,
    transforms: Arc<Transforms>,
    addresses: Addresses,
) -> anyhow::Result<ApiState> {
    Ok(ApiState {
        server: state.clone(),
        store: parts.store()?,
        queue: parts.queue.clone(),
        metadata: parts.metadata.clone(),
        gate: parts.gate.clone(),
        tail: Arc::new(TailHub::new(parts.queue.clone(), transforms, settings.collector.limits())),
        maintenance: Arc::new(parts.maintenance(settings)?),
        addresses: Arc::new(addresses),
        limits: QueryLimits {
            time: settings.api.query_time_max.0,
            memory_bytes: settings.api.query_memory_max.bytes(),
            rows: settings.api.query_rows_max,
        },
        secure_cookies: settings.tls.is_on() || settings.tls.behind_proxy,
    })
}

/// The API over what is open while nothing else runs, for whoever reaches the socket.
///
/// # Errors
/// The store is not open.
pub fn api_of_stopped(parts: &Parts, settings: &Settings) -> anyhow::Result<Router> {
    let health = Arc::new(Health::new(Vec::new()));
    let state = ServerState { auth: Arc::new(Auth::Open), metrics: parts.server_metrics.clone(), health };
    Ok(api_router(api(&state, parts, settings, Arc::new(Transforms::default()), Addresses::new())?))
}

impl Serving {
    fn start(&self, listener: TcpListener, tls: Option<TlsListener>, router: Router, state: &ServerState) {
        let config = EdgeConfig { drain_time_max: DRAIN_TIME_MAX, ..EdgeConfig::default() };
        let stop = self.stop.clone().cancelled_owned();
        self.tasks.spawn(edge::run(listener, tls, router, config, state.metrics.clone(), stop));
    }

    /// Stops accepting, lets running requests finish, and returns when the queue holds all that was read.
    pub async fn stop(self) {
        self.health.drain();
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(collector) = self.collector {
            collector.drain().await;
        }
    }
}
