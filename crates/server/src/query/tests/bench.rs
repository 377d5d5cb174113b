//! An API with two projects, `shop` and `bank`, and requests to it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use metadata::{Metadata, NewKey, Scope};
use model::limits::Limits;
use model::position::{Partition, Position};
use model::{Batch, Record, RecordId, Severity, Value};
use prometheus_client::registry::Registry;
use queue::Queue;
use queue::embedded::{EmbeddedConfig, EmbeddedQueue};
use serde_json::Value as Json;
use store::memory::MemoryStore;
use store::{QueryLimits, WriteBatch};
use tower::ServiceExt as _;
use transform::Transforms;

use crate::ServerState;
use crate::admin::maintenance::{DamageBody, Maintenance, MaintenanceError, ReplayAnswer, VerifyAnswer};
use crate::auth::Auth;
use crate::metrics::Metrics;
use crate::ops::Health;
use crate::query::{ApiState, Gate, api_router};
use crate::tail::TailHub;
use crate::tls::identity::Identities;

pub(crate) struct Bench {
    pub(crate) state: ApiState,
    pub(crate) shop: String,
    pub(crate) bank: String,
    pub(crate) admin: String,
    pub(crate) password: String,
    dir: tempfile::TempDir,
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(false).await
    }

    pub(crate) async fn with(dev: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let metadata = Metadata::open(&dir.path().join("metadata.db").display().to_string()).await.unwrap();
        let secrets = metadata.bootstrap().await.unwrap().unwrap();
        let mut keys = Vec::new();
        for project in ["shop", "bank"] {
            metadata.create_project(project).await.unwrap();
            let scopes = [Scope::Query].into_iter().collect();
            let key = NewKey { name: project.into(), project: project.into(), scopes, expires_at: None };
            keys.push(metadata.create_key(&key).await.unwrap().1);
        }
        let config = EmbeddedConfig {
            dir: dir.path().join("queue"),
            partitions: 2,
            segment_bytes: 1 << 20,
            disk_free_min_bytes: 0,
            message_bytes_max: 512 << 10,
            ..EmbeddedConfig::default()
        };
        let queue = tokio::task::spawn_blocking(|| EmbeddedQueue::open(config, queue::metrics::Metrics::default()));
        let queue: Arc<dyn Queue> = Arc::new(queue.await.unwrap().unwrap());
        let shared = Arc::new(metadata.clone());
        let auth = if dev {
            Auth::Open
        } else {
            Auth::Required { keys: shared.clone(), sessions: Some(shared), identities: Identities::default() }
        };
        let state = ApiState {
            server: ServerState {
                auth: Arc::new(auth),
                metrics: Arc::new(Metrics::register(&mut Registry::default())),
                health: Arc::new(Health::default()),
            },
            store: Arc::new(MemoryStore::default()),
            tail: Arc::new(TailHub::new(Arc::clone(&queue), Arc::new(Transforms::default()), Limits::default())),
            queue,
            metadata,
            gate: Arc::new(Gate::register(&mut Registry::default(), 2)),
            maintenance: Arc::new(Unmaintained),
            addresses: Arc::default(),
            limits: QueryLimits::default(),
            secure_cookies: false,
        };
        let bank = keys.pop().unwrap();
        let shop = keys.pop().unwrap();
        Self { state, shop, bank, admin: secrets.admin_key, password: secrets.admin_password, dir }
    }

    /// Stores `count` records of a project, a millisecond apart, three of them at each time; the oldest `seconds` ago.
    pub(crate) async fn store(&self, project: &str, count: u32, seconds: i64) {
        let mut batch = Batch::new(project.into());
        let start = crate::query::now() - seconds * 1_000_000_000;
        for index in 0..count {
            batch.push(&record(project, index, start + i64::from(index / 3) * 1_000_000));
        }
        let incarnation = self.state.queue.incarnation();
        let partition = Partition(if project == "shop" { 0 } else { 1 });
        let at = self.state.store.progress(incarnation, partition).await.unwrap().written;
        let batch = WriteBatch {
            incarnation,
            partition,
            from: at,
            next: Position(at.0 + 1),
            batches: vec![batch],
            keys: Vec::new(),
            counts: Vec::new(),
        };
        self.state.store.write(batch).await.unwrap();
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.send(Request::get(path).header(header::AUTHORIZATION, format!("Bearer {key}")), "").await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: &str) -> Answer {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header(header::CONTENT_TYPE, "application/json");
        self.send(request, body).await
    }

    pub(crate) async fn send(&self, request: http::request::Builder, body: &str) -> Answer {
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = api_router(self.state.clone()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn close(self) {
        self.state.queue.close().await.unwrap();
        self.state.metadata.close().await;
        drop(self.dir);
    }
}

pub(crate) fn id(project: &str, index: u32) -> RecordId {
    RecordId { origin: if project == "shop" { 1 } else { 2 }, index }
}

pub(crate) fn record(project: &str, index: u32, timestamp: i64) -> Record<'static> {
    Record {
        id: id(project, index),
        timestamp,
        observed: timestamp + 5,
        project: Cow::Owned(project.to_owned()),
        service: Cow::Owned(format!("{project}-service")),
        host: index.is_multiple_of(2).then_some(Cow::Borrowed("h1")),
        severity: Severity::new(i64::from(index % 3) * 4 + 9),
        message: Cow::Owned(format!("=secret of {project} number {index}")),
        attributes: vec![
            (Cow::Borrowed("n"), Value::Int(i64::from(index))),
            (Cow::Owned(format!("only.{project}")), Value::Bool(true)),
        ],
        ..Record::default()
    }
}

/// A node whose maintenance always fails: it is tested end to end with the processor.
#[derive(Debug)]
struct Unmaintained;

#[async_trait::async_trait]
impl Maintenance for Unmaintained {
    async fn verify(&self) -> Result<VerifyAnswer, String> {
        Err("this node has no processor".to_owned())
    }

    async fn replay(&self, _: std::ops::Range<i64>, _: bool) -> Result<ReplayAnswer, MaintenanceError> {
        Err(MaintenanceError::Failed("this node has no processor".to_owned()))
    }

    async fn damage(&self, _: Partition) -> Result<Option<DamageBody>, MaintenanceError> {
        Ok(None)
    }

    async fn skip(&self, _: Partition, _: Position) -> Result<DamageBody, MaintenanceError> {
        Err(MaintenanceError::Refused("nothing is damaged".to_owned()))
    }
}
