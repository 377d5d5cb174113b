//! The ports and what answers on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use server::ServerState;
use server::auth::Auth;
use server::collect::{Collector, CollectorConfig, StoreKeys};
use server::edge::{self, EdgeConfig};
use server::ops::{self, Health, MetadataCheck, QueueCheck, StoreCheck};
use server::query::{ApiState, api_router};
use server::tail::TailHub;
use store::QueryLimits;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transform::Transforms;

use super::parts::Parts;
use crate::config::Settings;

/// Running requests get this long when the process stops; the whole stop takes five seconds at most.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// Bound ports.
pub struct Listeners {
    collector: TcpListener,
    grpc: TcpListener,
    api: TcpListener,
    ops: TcpListener,
}

/// The same as base URLs.
pub struct Addresses {
    pub collector: String,
    pub grpc: String,
    pub api: String,
    pub ops: String,
}

/// Tasks that serve.
pub struct Serving {
    tasks: TaskTracker,
    stop: CancellationToken,
    health: Arc<Health>,
    collector: Arc<Collector>,
}

impl Listeners {
    pub async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let bind = async |key: &'static str, address: SocketAddr| {
            TcpListener::bind(address)
                .await
                .with_context(|| format!("can't listen on {address} (`{key}`); port 0 picks a free one"))
        };
        Ok(Self {
            collector: bind("collector.listen", settings.collector.listen).await?,
            grpc: bind("collector.grpc_listen", settings.collector.grpc_listen).await?,
            api: bind("api.listen", settings.api.listen).await?,
            ops: bind("ops.listen", settings.ops.listen).await?,
        })
    }

    pub fn addresses(&self) -> anyhow::Result<Addresses> {
        let url = |listener: &TcpListener| Ok::<_, std::io::Error>(format!("http://{}", listener.local_addr()?));
        Ok(Addresses {
            collector: url(&self.collector)?,
            grpc: url(&self.grpc)?,
            api: url(&self.api)?,
            ops: url(&self.ops)?,
        })
    }

    /// Starts to answer.
    pub fn serve(
        self,
        parts: &Parts,
        settings: &Settings,
        dev: bool,
        transforms: Arc<Transforms>,
    ) -> anyhow::Result<Serving> {
        let Addresses { collector, grpc, api, ops } = self.addresses()?;
        let addresses = BTreeMap::from([("collector", collector), ("grpc", grpc), ("api", api), ("ops", ops)]);
        let metadata = Arc::new(parts.metadata.clone());
        let auth = if dev { Auth::Open } else { Auth::Required { keys: metadata.clone(), sessions: Some(metadata) } };
        let health = Arc::new(Health::new(vec![
            Box::new(QueueCheck(parts.queue.clone())),
            Box::new(StoreCheck(parts.store.clone())),
            Box::new(MetadataCheck(parts.metadata.clone())),
        ]));
        let state = ServerState { auth: Arc::new(auth), metrics: parts.server_metrics.clone(), health: health.clone() };
        let limits = settings.collector.limits();
        let collector = Collector::new(
            state.clone(),
            parts.queue.clone(),
            Some(Arc::new(StoreKeys(parts.store.clone()))),
            CollectorConfig {
                limits,
                in_flight_bytes_max: settings.collector.inflight_max.bytes(),
                ..CollectorConfig::default()
            },
        );
        let api = api_router(ApiState {
            server: state.clone(),
            store: parts.store.clone(),
            queue: parts.queue.clone(),
            metadata: parts.metadata.clone(),
            gate: parts.gate.clone(),
            tail: Arc::new(TailHub::new(parts.queue.clone(), transforms, limits)),
            maintenance: Arc::new(parts.maintenance(settings)),
            addresses: Arc::new(addresses),
            limits: QueryLimits {
                time: settings.api.query_time_max.0,
                memory_bytes: settings.api.query_memory_max.bytes(),
                rows: settings.api.query_rows_max,
            },
            secure_cookies: false,
        });
        let api = edge::wrap(api.merge(ops::health_router(health.clone())), &state);
        let ops = edge::finish(ops::ops_router(parts.registry.clone(), health.clone()), &state);
        let serving =
            Serving { tasks: TaskTracker::new(), stop: CancellationToken::new(), health, collector: collector.clone() };
        serving.start(self.collector, collector.router(), &state);
        serving.start(self.grpc, collector.grpc_router(), &state);
        serving.start(self.api, api, &state);
        serving.start(self.ops, ops, &state);
        Ok(serving)
    }
}

impl Serving {
    fn start(&self, listener: TcpListener, router: Router, state: &ServerState) {
        let config = EdgeConfig { drain_time_max: DRAIN_TIME_MAX, ..EdgeConfig::default() };
        let stop = self.stop.clone().cancelled_owned();
        self.tasks.spawn(edge::run(listener, router, config, state.metrics.clone(), stop));
    }

    /// Stops accepting, lets running requests finish, and returns when the queue holds all that was read.
    pub async fn stop(self) {
        self.health.drain();
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.collector.drain().await;
    }
}
