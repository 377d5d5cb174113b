//! What operators and orchestrators ask: `/metrics`, `/healthz`, `/readyz`.
//!
//! `/healthz` says that the process runs. `/readyz` says whether it should get requests: not while it drains, and not
//! while one of its [`ReadyCheck`]s fails. Both answer on every listener; `/metrics` on the operations' one only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use metadata::{DEFAULT_PROJECT, Metadata};
use model::position::Partition;
use prometheus_client::registry::Registry;
use queue::Queue;
use serde_json::{Map, Value, json};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::error::ApiError;

/// A check that hangs counts as failed after this.
const CHECK_TIME_MAX: Duration = Duration::from_secs(2);

/// Something that must work before requests make sense.
#[async_trait]
pub trait ReadyCheck: Send + Sync + std::fmt::Debug {
    /// As shown in the answer: `queue`, `store`, `metadata`.
    fn name(&self) -> &'static str;

    /// What is wrong, in a sentence.
    async fn check(&self) -> Result<(), String>;
}

/// The queue can be reached.
#[derive(Debug)]
pub struct QueueCheck(pub Arc<dyn Queue>);

#[async_trait]
impl ReadyCheck for QueueCheck {
    fn name(&self) -> &'static str {
        "queue"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.state(Partition(0)).await.map(|_| ()).map_err(|error| error.to_string())
    }
}

/// The store can be reached.
#[derive(Debug)]
pub struct StoreCheck(pub Arc<dyn Store>);

#[async_trait]
impl ReadyCheck for StoreCheck {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.status().await.map(|_| ()).map_err(|error| error.to_string())
    }
}

/// The metadata database answers.
#[derive(Debug)]
pub struct MetadataCheck(pub Metadata);

#[async_trait]
impl ReadyCheck for MetadataCheck {
    fn name(&self) -> &'static str {
        "metadata"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.project(DEFAULT_PROJECT).await.map(|_| ()).map_err(|error| error.to_string())
    }
}

/// Whether the process should get requests, and since when it runs.
#[derive(Debug)]
pub struct Health {
    draining: CancellationToken,
    checks: Vec<Box<dyn ReadyCheck>>,
    started: Instant,
}

impl Default for Health {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Health {
    /// Made once, when the process starts to serve.
    pub fn new(checks: Vec<Box<dyn ReadyCheck>>) -> Self {
        Self { draining: CancellationToken::new(), checks, started: Instant::now() }
    }

    /// How long ago this was made.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// From now on the process is not ready: it finishes what it has.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Ends when draining begins. What lives as long as its client wants (a live tail) ends with it.
    pub async fn drained(&self) {
        self.draining.cancelled().await;
    }

    /// Runs every check. True when all is well; the map names each check with `ok` or what is wrong.
    pub async fn ready(&self) -> (bool, Map<String, Value>) {
        let mut ready = !self.is_draining();
        let mut report = Map::new();
        if !ready {
            report.insert("server".to_owned(), "draining".into());
        }
        let results = futures::future::join_all(self.checks.iter().map(|check| async move {
            let result = tokio::time::timeout(CHECK_TIME_MAX, check.check()).await;
            (check.name(), result.unwrap_or_else(|_| Err("no answer in time".to_owned())))
        }))
        .await;
        for (name, result) in results {
            ready &= result.is_ok();
            report.insert(name.to_owned(), result.map_or_else(Value::from, |()| "ok".into()));
        }
        (ready, report)
    }
}

/// `/healthz` and `/readyz`, for every listener.
pub fn health_router(health: Arc<Health>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/readyz", get(readyz))
        .with_state(health)
}

/// The operations' listener: `/metrics` and the two health paths.
pub fn ops_router(registry: Arc<Registry>, health: Arc<Health>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(registry).merge(health_router(health))
}

async fn readyz(State(health): State<Arc<Health>>) -> Response {
    let (ready, checks) = health.ready().await;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if ready { "ready" } else { "not ready" };
    (status, Json(json!({"status": word, "checks": checks}))).into_response()
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(error) => ApiError::internal(error).into_response(),
    }
}

#[cfg(test)]
mod tests;
