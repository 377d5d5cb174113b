//! The WebSocket's conversation.
//!
//! The client sends `{"q": "…"}`, again to change the query. It gets `{"type": "ready", "q"}` once the query is in
//! force, then `{"type": "records", "records": […]}` and, when it was too slow, `{"type": "dropped", "count": n}` in
//! the place of what it missed. A query that can't be read is answered by `{"type": "error", …}`; the one before it
//! stays in force.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, Request, State};
use axum::response::Response;
use http::request::Parts;
use model::query::Evaluator;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use crate::auth::Scope;
use crate::error::{ApiError, Code};
use crate::query::ApiState;
use crate::query::caller::Reader;
use crate::query::{now, parse_query};
use crate::tail::hub::Subscription;
use crate::tail::subscriber::{Arrivals, Subscriber};

/// What a client may send at once.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// What is sent at once.
const BATCH_RECORDS_MAX: usize = 500;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// After a message of so many records the next gathers records for so much longer, so that single records go out at
/// once and a flood goes out in large messages.
const GATHER_PER_RECORD: Duration = Duration::from_millis(1);
const GATHER_MAX: Duration = Duration::from_millis(20);
/// A farewell is not waited for longer.
const FAREWELL_MAX: Duration = Duration::from_millis(20);
const PING_EVERY: Duration = Duration::from_secs(20);
/// No sign of life, or no progress in sending, for this long ends the connection.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// RFC 6455's "try again later".
const CLOSE_TRY_AGAIN: u16 = 1013;

/// Live records over a WebSocket
///
/// Send `{"q": "…"}`, again to change it; receive messages of the types `ready`, `records`, `dropped` and `error`.
/// Programs send the key in a header, browsers their session cookie.
#[utoipa::path(get, path = "/api/v1/tail", tag = "query",
    responses((status = 101, description = "The WebSocket is open"),
        (status = "4XX", body = crate::error::Problem, content_type = "application/problem+json")))]
pub(crate) async fn tail(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &state).await.map_err(
        |rejection: WebSocketUpgradeRejection| {
            ApiError::malformed(rejection.body_text()).with_hint("this path is a WebSocket")
        },
    )?;
    let client = Client { project: caller.project, state, parts };
    Ok(upgrade.max_message_size(REQUEST_BYTES_MAX).on_upgrade(|socket| client.run(socket)))
}

struct Client {
    project: Arc<str>,
    state: ApiState,
    /// The request's head: credentials are checked again now and then, so that a revoked key stops hearing.
    parts: Parts,
}

/// Why a conversation ended.
struct End(Option<CloseFrame>);

impl Client {
    async fn run(self, mut socket: WebSocket) {
        let End(frame) = self.talk(&mut socket).await;
        if let Some(frame) = frame {
            // The peer may be gone already.
            drop(tokio::time::timeout(FAREWELL_MAX, socket.send(Message::Close(Some(frame)))).await);
        }
    }

    async fn talk(&self, socket: &mut WebSocket) -> End {
        let mut subscription: Option<Subscription> = None;
        let mut pings = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut not_before = Instant::now();
        loop {
            let subscriber = subscription.as_ref().map(|subscription| &*subscription.subscriber);
            tokio::select! {
                message = socket.recv() => {
                    let Some(Ok(message)) = message else { return End(None) };
                    heard = Instant::now();
                    let answer = match message {
                        Message::Text(text) => self.request(&text, &mut subscription).await,
                        Message::Binary(bytes) => match std::str::from_utf8(&bytes) {
                            Ok(text) => self.request(text, &mut subscription).await,
                            Err(_) => Err(ApiError::malformed("the message is not UTF-8")),
                        },
                        Message::Close(_) => return End(None),
                        Message::Ping(_) | Message::Pong(_) => continue,
                    };
                    if let Err(end) = send(socket, answer.unwrap_or_else(|error| error_message(&error))).await {
                        return end;
                    }
                }
                () = arrived(subscriber, not_before) => {
                    let Some(subscriber) = subscriber else { continue };
                    match send_arrivals(socket, subscriber).await {
                        Ok(records) => not_before = Instant::now() + GATHER_MAX.min(GATHER_PER_RECORD * records),
                        Err(end) => return end,
                    }
                }
                _ = pings.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return End(None);
                    }
                    if let Err(end) = self.check_credentials().await {
                        return end;
                    }
                    if send_message(socket, Message::Ping(Bytes::new())).await.is_err() {
                        return End(None);
                    }
                }
            }
        }
    }

    /// Puts a query in force and gives the answer to it.
    async fn request(&self, text: &str, subscription: &mut Option<Subscription>) -> Result<String, ApiError> {
        let wrong = |what: String| ApiError::malformed(what).with_hint("send {\"q\": \"level:error\"}");
        let request: serde_json::Map<String, Value> =
            serde_json::from_str(text).map_err(|error| wrong(format!("the message is not a JSON object: {error}")))?;
        if let Some(name) = request.keys().find(|name| *name != "q") {
            return Err(wrong(format!("there is no member `{name}`")));
        }
        let q = match request.get("q") {
            None => return Err(wrong("`q` is missing".to_owned())),
            Some(Value::String(q)) => q,
            Some(_) => return Err(wrong("`q` must be a text".to_owned())),
        };
        let filter = Evaluator::new(&parse_query(q, now())?);
        match subscription {
            Some(subscription) => subscription.subscriber.set_filter(filter),
            None => *subscription = Some(self.state.tail.subscribe(Arc::clone(&self.project), filter).await?),
        }
        Ok(json!({"type": "ready", "q": q}).to_string())
    }

    async fn check_credentials(&self) -> Result<(), End> {
        match self.state.server.auth.require(&self.parts, Scope::Query).await {
            Ok(principal) if principal.project == self.project => Ok(()),
            // Out of reach is no verdict on the key.
            Err(error) if error.status().is_server_error() => Ok(()),
            _ => Err(End(Some(close(close_code::POLICY, "the credentials are no longer valid")))),
        }
    }
}

/// Waits for something to send, and then until `not_before`.
async fn arrived(subscriber: Option<&Subscriber>, not_before: Instant) {
    match subscriber {
        Some(subscriber) => {
            subscriber.wait().await;
            tokio::time::sleep_until(not_before).await;
        }
        None => std::future::pending().await,
    }
}

/// Sends what waits and says how many records that was.
async fn send_arrivals(socket: &mut WebSocket, subscriber: &Subscriber) -> Result<u32, End> {
    let Arrivals { dropped, records } = subscriber.take(BATCH_RECORDS_MAX, BATCH_BYTES_MAX);
    if dropped > 0 {
        send(socket, json!({"type": "dropped", "count": dropped}).to_string()).await?;
    }
    if records.is_empty() {
        return Ok(0);
    }
    let count = records.len() as u32;
    let length: usize = records.iter().map(|record| record.len() + 1).sum();
    let mut text = String::with_capacity(length + 40);
    text.push_str("{\"type\":\"records\",\"records\":[");
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(record);
    }
    text.push_str("]}");
    send(socket, text).await?;
    Ok(count)
}

async fn send(socket: &mut WebSocket, text: String) -> Result<(), End> {
    send_message(socket, Message::Text(text.into())).await
}

async fn send_message(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match tokio::time::timeout(SILENCE_MAX, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End(None)),
        Err(_) => Err(End(Some(close(CLOSE_TRY_AGAIN, "the reader is too slow")))),
    }
}

/// A problem document whose `type` is `error`.
fn error_message(error: &ApiError) -> String {
    if error.code() == Code::Internal {
        tracing::error!(%error, internal = error.internal_message(), "live tail failed");
    }
    let mut body = error.to_json();
    body["type"] = "error".into();
    body.to_string()
}

fn close(code: u16, reason: &'static str) -> CloseFrame {
    CloseFrame { code, reason: reason.into() }
}
