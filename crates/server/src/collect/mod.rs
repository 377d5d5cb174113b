//! Log records in: from a request's body to a durable message in the queue.
//!
//! Every protocol takes the same way, [`Collector::receive`]: who is it → read the body → unpack it → decode it to OTLP
//! → append it → answer. A protocol is a function from a body to [`Decoded`], in a file of its own:
//!
//! - [`ingest`]: `POST /v1/ingest`, with [`json`] (parsing), [`fields`] (which name means what) and [`plain`] (the short
//!   way of most records);
//! - [`otlp`]: `POST /v1/logs`;
//! - [`grpc`]: the same over gRPC;
//! - [`service`]: the service of a credential, for records that name none.
//! - [`offline`]: the same decoding without a server.
//!
//! Around them: [`body`] and [`encoding`] hold the limits while bytes arrive and unfold, [`budget`] bounds the memory of
//! all requests together, and [`idempotency`] knows which requests are retries.

mod body;
mod budget;
mod decoded;
mod encoding;
mod fields;
pub(crate) mod grpc;
mod idempotency;
mod ingest;
mod json;
pub mod offline;
mod otlp;
mod plain;
mod service;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use model::Batch;
use model::limits::Limits;
use model::origin::{body_hash, key_hash};
use model::position::Partition;
use queue::{Headers, IdempotencyKey, Message, Pace, Queue, QueueError, Records};
use serde::Serialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::ServerState;
use crate::auth::Scope;
use crate::edge;
use crate::error::{ApiError, Code};
use crate::metrics::{Metrics, Protocol};
use crate::ops::health_router;
use budget::{Budget, Share};
pub use decoded::Rejected;
use decoded::{Answer, Decoded, HandOver, too_many_records};
use encoding::Encoding;
pub use idempotency::{KeyLookup, StoreKeys};

/// Bodies up to this size are decoded where they were received: handing them to another thread would take longer.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Of a body of such a size the records go to the processor of this process as they were decoded. Below it, making
/// columns takes longer than decoding again; above it, the queue would not keep them for long.
const HANDED_OVER_BYTES: RangeInclusive<usize> = 4 << 10..=4 << 20;

/// So many bytes go to one partition before the next one's turn: their requests share an fsync.
const STICKY_BYTES: u64 = 1 << 20;

/// What a collector allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectorConfig {
    pub limits: Limits,
    /// Memory of all requests that are not answered yet; more is turned away with 429.
    pub in_flight_bytes_max: usize,
    /// For a whole body to arrive.
    pub body_time_max: Duration,
    /// For the queue to make a message durable; longer is answered with 503.
    pub append_time_max: Duration,
    /// Idempotency keys that are remembered until the store has them.
    pub keys_max: usize,
}

impl Default for CollectorConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            in_flight_bytes_max: 256 << 20,
            body_time_max: Duration::from_secs(60),
            append_time_max: Duration::from_secs(30),
            keys_max: 200_000,
        }
    }
}

/// Takes requests and appends their records to the queue.
#[derive(Debug)]
pub struct Collector {
    state: ServerState,
    queue: Arc<dyn Queue>,
    config: CollectorConfig,
    budget: Arc<Budget>,
    keys: idempotency::Keys,
    pace: Option<Arc<Pace>>,
    /// Bytes appended without a key, which choose the partition.
    spread: AtomicU64,
    /// As many bodies are decoded at once as there are cores.
    decoders: Semaphore,
    tasks: TaskTracker,
}

/// How a body is to be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Ingest,
    OtlpProtobuf,
    OtlpJson,
}

/// How a request carries its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Http(Encoding),
    Grpc,
}

/// What a request's head says about its body, or why it can't be taken.
type Head = Result<(Format, Framing), ApiError>;

/// A body as it was sent.
#[derive(Debug)]
struct Sent {
    encoding: Encoding,
    body: Bytes,
}

/// The body of a success of `POST /v1/ingest`.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct IngestAnswer {
    /// Records that are durable now.
    pub accepted: u32,
    pub rejected: usize,
    pub errors: Vec<Rejected>,
}

/// A request whose body is there, on its way to the queue.
#[derive(Debug)]
struct Job {
    protocol: Protocol,
    format: Format,
    project: Arc<str>,
    /// Of records that name none.
    service: Option<Arc<str>>,
    key: Option<String>,
    /// Nanoseconds since the Unix epoch.
    received: i64,
    sent: Sent,
    /// A processor of this process takes the message.
    is_handed_over: bool,
    share: Share,
}

/// A decoded request: its message, and the answer once that is durable.
#[derive(Debug)]
struct Ready {
    protocol: Protocol,
    answer: Answer,
    message: Message,
    share: Share,
}

impl Collector {
    /// `lookup` asks the store for idempotency keys; without it only this process's own are known here. `pace` holds
    /// appends back to what a processor of this process stores, which is also given records as they were decoded.
    pub fn new(
        state: ServerState,
        queue: Arc<dyn Queue>,
        lookup: Option<Arc<dyn KeyLookup>>,
        pace: Option<Arc<Pace>>,
        config: CollectorConfig,
    ) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Arc::new(Self {
            budget: Budget::new(config.in_flight_bytes_max, state.metrics.clone()),
            keys: idempotency::Keys::new(config.keys_max, lookup).behind(queue.clone()),
            state,
            queue,
            pace,
            config,
            spread: AtomicU64::new(0),
            decoders: Semaphore::new(cores),
            tasks: TaskTracker::new(),
        })
    }

    /// The HTTP listener's routes, ready to serve.
    pub fn router(self: &Arc<Self>) -> Router {
        let routes = Router::new()
            .route("/v1/ingest", post(receive_ingest))
            .route("/v1/logs", post(receive_otlp))
            .with_state(self.clone())
            .merge(health_router(self.state.health.clone()));
        edge::finish(routes, &self.state)
    }

    /// The gRPC listener's routes, ready to serve.
    pub fn grpc_router(self: &Arc<Self>) -> Router {
        edge::wrap(grpc::router(self.clone()), &self.state)
    }

    /// Waits until every request that was read is in the queue or refused, whether its client is still there or not.
    /// Call it when the listeners have ended.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Takes a request from its head to the queue.
    async fn receive(
        self: &Arc<Self>,
        protocol: Protocol,
        request: Request,
        head: fn(&HeaderMap) -> Head,
    ) -> Result<Answer, ApiError> {
        let (parts, body) = request.into_parts();
        let principal = self.state.auth.require(&parts, Scope::Ingest).await?;
        if !principal.confirmed {
            self.state.metrics.unconfirmed_key();
        }
        if self.state.health.is_draining() {
            return Err(ApiError::unavailable("the server is shutting down", Duration::from_secs(1)));
        }
        let key = idempotency::key_of(&parts.headers)?;
        let (format, framing) = head(&parts.headers)?;
        let mut share = self.budget.share();
        let bytes_max = self.config.limits.body_bytes_max;
        let body = body::read(&parts.headers, body, bytes_max, self.config.body_time_max, &mut share).await?;
        let sent = match framing {
            Framing::Http(encoding) => Sent { encoding, body },
            Framing::Grpc => grpc::unframe(&parts.headers, &body)?,
        };
        let (project, service) = (principal.project, principal.service);
        let is_handed_over = self.pace.is_some();
        let job = Job { protocol, format, project, service, key, received: now(), sent, is_handed_over, share };
        // A task of its own: a client that hangs up takes back nothing that was read.
        let this = self.clone();
        let task = if job.is_small() {
            let ready = job.decode(&self.config.limits, &self.state.metrics)?;
            self.tasks.spawn(async move { this.append_ready(ready).await })
        } else {
            self.tasks.spawn(async move { this.append_ready(this.decode(job).await?).await })
        };
        task.await.map_err(ApiError::internal)?
    }

    /// Decodes a body away from the threads that serve connections.
    async fn decode(&self, job: Job) -> Result<Ready, ApiError> {
        let (limits, metrics) = (self.config.limits, self.state.metrics.clone());
        let slot = self.decoders.acquire().await.map_err(ApiError::internal)?;
        let ready = tokio::task::spawn_blocking(move || job.decode(&limits, &metrics)).await;
        drop(slot);
        ready.map_err(ApiError::internal)?
    }

    async fn append_ready(&self, ready: Ready) -> Result<Answer, ApiError> {
        let Ready { protocol, answer, message, share } = ready;
        if answer.accepted > 0 {
            self.append(message).await?;
        }
        drop(share);
        self.state.metrics.records(protocol, answer.accepted, answer.rejected.len() as u32);
        Ok(answer)
    }

    /// Makes a message durable, once if it has a key.
    async fn append(&self, message: Message) -> Result<(), ApiError> {
        let partitions = self.queue.partitions().max(1);
        let Some(key) = message.headers.key else {
            let before = self.spread.fetch_add(message.payload.len() as u64, Ordering::Relaxed);
            return self.append_to(Partition((before / STICKY_BYTES % u64::from(partitions)) as u32), message).await;
        };
        let Some(claim) = self.keys.claim(&message.headers.project, key).await? else {
            self.state.metrics.repeated();
            return Ok(());
        };
        // Retries go to the partition of the first attempt, where the processor sees both.
        self.append_to(Partition((key.key % u128::from(partitions)) as u32), message).await?;
        claim.appended();
        Ok(())
    }

    async fn append_to(&self, partition: Partition, message: Message) -> Result<(), ApiError> {
        let admitted = match &self.pace {
            Some(pace) => pace.admit(partition, message.payload.len()).await,
            None => None,
        };
        if admitted.as_ref().is_some_and(|admitted| admitted.waited) {
            self.state.metrics.paced();
        }
        let append = self.queue.append(partition, message);
        match tokio::time::timeout(self.config.append_time_max, append).await {
            Ok(result) => result.map_err(queue_error)?,
            Err(_) => return Err(queue_error(QueueError::Unknown("no answer in time".to_owned()))),
        };
        if let Some(admitted) = admitted {
            admitted.appended();
        }
        Ok(())
    }

    /// Counts a request by its outcome.
    fn answered(&self, protocol: Protocol, started: Instant, result: &Result<Answer, ApiError>) {
        let status = result.as_ref().map_or_else(ApiError::status, |_| StatusCode::OK);
        self.state.metrics.answered(protocol, status, started.elapsed());
    }
}

impl Job {
    /// Whether it is decoded where it was received.
    fn is_small(&self) -> bool {
        self.sent.encoding == Encoding::Identity && self.sent.body.len() <= INLINE_BYTES_MAX
    }

    /// Unpacks and decodes the body.
    fn decode(self, limits: &Limits, metrics: &Metrics) -> Result<Ready, ApiError> {
        let Job { protocol, format, project, service, key, received, sent, is_handed_over, mut share } = self;
        let sent_bytes = sent.body.len();
        let body = sent.encoding.decode(sent.body, limits.decoded_bytes_max, &mut share)?;
        metrics.body(protocol, sent_bytes, body.len());
        let key = key.map(|key| IdempotencyKey { key: key_hash(&project, &key), body: body_hash(&body) });
        // The message is about as large as the body; what it takes beyond is reserved when it is known.
        let body_bytes = body.len();
        share.grow(body_bytes)?;
        let is_handed_over = is_handed_over && service.is_none() && HANDED_OVER_BYTES.contains(&body_bytes);
        let hand_over = if is_handed_over { HandOver::new(project.clone(), body_bytes) } else { HandOver::default() };
        let mut decoded = match format {
            Format::Ingest => ingest::decode(&body, limits, received, hand_over)?,
            Format::OtlpProtobuf => otlp::decode_protobuf(body, limits, &project, received, hand_over)?,
            Format::OtlpJson => otlp::decode_json(&body, limits, &project, received, hand_over)?,
        };
        if let Some(service) = service.filter(|_| decoded.accepted > 0) {
            decoded.payload = service::fill(&decoded.payload, &service).map_err(ApiError::internal)?;
        }
        let Decoded { payload, accepted, rejected, records } = decoded;
        share.shrink(body_bytes);
        share.grow(payload.len().saturating_sub(body_bytes) + records.as_ref().map_or(0, Batch::bytes))?;
        let headers = Headers { project, received, records: accepted, key, retry_of: None, part: None };
        let records = records.map(Records::new).unwrap_or_default();
        let message = Message { headers, payload, records };
        Ok(Ready { protocol, answer: Answer { accepted, rejected }, message, share })
    }
}

async fn receive_ingest(State(collector): State<Arc<Collector>>, request: Request) -> Response {
    let started = Instant::now();
    let received = collector.receive(Protocol::Ingest, request, |headers| {
        ingest::check_content_type(headers)?;
        Ok((Format::Ingest, Framing::Http(Encoding::of(headers)?)))
    });
    let result = received.await.and_then(refuse_if_nothing);
    collector.answered(Protocol::Ingest, started, &result);
    match result {
        Ok(Answer { accepted, rejected }) => {
            Json(IngestAnswer { accepted, rejected: rejected.len(), errors: rejected }).into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// `/v1/ingest` answers 400 when each record was rejected, with the same members as a success.
fn refuse_if_nothing(answer: Answer) -> Result<Answer, ApiError> {
    if answer.accepted > 0 || answer.rejected.is_empty() {
        return Ok(answer);
    }
    let detail = format!("all {} records were rejected", answer.rejected.len());
    Err(ApiError::new(Code::AllRejected, detail)
        .with_member("accepted", 0)
        .with_member("rejected", answer.rejected.len())
        .with_member("errors", json!(answer.rejected)))
}

async fn receive_otlp(State(collector): State<Arc<Collector>>, request: Request) -> Response {
    let started = Instant::now();
    let wire = otlp::Wire::of(request.headers());
    let received = collector.receive(Protocol::OtlpHttp, request, |headers| {
        let format = match otlp::Wire::of(headers).ok_or_else(otlp::unsupported_type)? {
            otlp::Wire::Protobuf => Format::OtlpProtobuf,
            otlp::Wire::Json => Format::OtlpJson,
        };
        Ok((format, Framing::Http(Encoding::of(headers)?)))
    });
    let result = received.await;
    collector.answered(Protocol::OtlpHttp, started, &result);
    otlp::http_response(wire.unwrap_or(otlp::Wire::Json), result)
}

fn queue_error(error: QueueError) -> ApiError {
    const SOON: Duration = Duration::from_secs(1);
    let internal = error.to_string();
    let error = match error {
        QueueError::Unavailable { reason, retry_after } => {
            ApiError::unavailable(format!("the queue takes no messages now: {reason}"), retry_after)
        }
        QueueError::TooLarge { bytes_max, .. } => {
            ApiError::new(Code::TooLarge, format!("the records take more than the {bytes_max} bytes of a message"))
                .with_hint("send fewer records in a request")
        }
        QueueError::Closed => ApiError::unavailable("the server is shutting down", SOON),
        QueueError::Unknown(_) => ApiError::unavailable("it is not known whether the records were stored", SOON)
            .with_hint("repeat the request with the same Idempotency-Key to store them once"),
        _ => ApiError::unavailable("the queue does not work now", Duration::from_secs(5)),
    };
    error.with_internal(internal)
}

/// Nanoseconds since the Unix epoch.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

#[cfg(test)]
pub(crate) mod tests;
