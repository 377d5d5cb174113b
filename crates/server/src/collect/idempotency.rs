//! `Idempotency-Key`: a retry stores nothing twice and gets the first answer.
//!
//! Three places know a key: this process, for what it appended itself and the store does not have yet; the store, for
//! 24 h; and the processor, which drops a repeated message whatever happened here. So a key that is forgotten here
//! costs a message in the queue, never a duplicate. The first answer is not kept: it follows from the body alone. For a
//! moment after a start only the queue knows the last keys of before: [`tail`] waits for the store to have them.

mod tail;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::HeaderMap;
use model::position::{Incarnation, Partition, Position};
use parking_lot::Mutex;
use queue::{IdempotencyKey, Queue};
use store::Store;

use crate::error::{ApiError, Code};
use tail::Tail;

const HEADER: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 255;
/// As long as the store remembers.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// Asks whoever stores records whether a key was seen.
#[async_trait]
pub trait KeyLookup: Send + Sync + std::fmt::Debug {
    /// The hash of the body that came with the key; None when the key is not known.
    async fn body_of(&self, project: &str, key: u128) -> Result<Option<u128>, String>;

    /// Before which position of a partition all keys are known; None when nobody can tell.
    async fn written(&self, incarnation: Incarnation, partition: Partition) -> Result<Option<Position>, String>;
}

/// Keys as the store knows them.
#[derive(Debug)]
pub struct StoreKeys(pub Arc<dyn Store>);

#[async_trait]
impl KeyLookup for StoreKeys {
    async fn body_of(&self, project: &str, key: u128) -> Result<Option<u128>, String> {
        self.0.seen_key(project, key).await.map_err(|error| error.to_string())
    }

    async fn written(&self, incarnation: Incarnation, partition: Partition) -> Result<Option<Position>, String> {
        let progress = self.0.progress(incarnation, partition).await.map_err(|error| error.to_string())?;
        Ok(Some(progress.written))
    }
}

/// The key of a request, if it has one.
///
/// # Errors
/// 400 when it is empty, too long or not visible ASCII.
pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let visible = |text: &&str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    match value.to_str().ok().filter(visible) {
        Some(key) if !key.is_empty() && key.len() <= KEY_BYTES_MAX => Ok(Some(key.to_owned())),
        _ => Err(ApiError::malformed(format!("an Idempotency-Key is 1 to {KEY_BYTES_MAX} visible ASCII characters"))),
    }
}

/// The body hash that a key was appended with. Requests with the same key wait for each other on it.
type Slot = Arc<tokio::sync::Mutex<Option<u128>>>;

/// The keys that this process has appended.
#[derive(Debug)]
pub(super) struct Keys {
    keys_max: usize,
    known: Mutex<Known>,
    lookup: Option<Arc<dyn KeyLookup>>,
    tail: Option<Tail>,
    /// When it was last said that the store does not answer.
    warned: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Known {
    slots: HashMap<u128, Slot>,
    /// In the order of first use, to forget the oldest.
    ages: VecDeque<(Instant, u128)>,
}

/// A key that this request may append; other requests with it wait until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    slot: tokio::sync::OwnedMutexGuard<Option<u128>>,
    key: IdempotencyKey,
}

impl Claim {
    /// The message is durable.
    pub(super) fn appended(mut self) {
        *self.slot = Some(self.key.body);
    }
}

impl Keys {
    /// Remembers at most `keys_max` keys.
    pub(super) fn new(keys_max: usize, lookup: Option<Arc<dyn KeyLookup>>) -> Self {
        Self { keys_max, known: Mutex::default(), lookup, tail: None, warned: Mutex::default() }
    }

    /// Waits for the keys of what stands in the queue now.
    pub(super) fn behind(self, queue: Arc<dyn Queue>) -> Self {
        Self { tail: Some(Tail::new(queue)), ..self }
    }

    /// The right to append under this key; None when that has been done.
    ///
    /// # Errors
    /// 422 when it was done with another body; 503 while that is not known.
    pub(super) async fn claim(&self, project: &str, key: IdempotencyKey) -> Result<Option<Claim>, ApiError> {
        let mut slot = self.slot(key.key).lock_owned().await;
        if slot.is_none() {
            *slot = self.look_up(project, key.key).await?;
        }
        match *slot {
            None => Ok(Some(Claim { slot, key })),
            Some(body) if body == key.body => Ok(None),
            Some(_) => {
                Err(ApiError::new(Code::IdempotencyMismatch, "this Idempotency-Key came with another body before")
                    .with_hint("use a new key for each request; a retry must send the same bytes"))
            }
        }
    }

    async fn look_up(&self, project: &str, key: u128) -> Result<Option<u128>, ApiError> {
        let Some(lookup) = &self.lookup else { return Ok(None) };
        if let Some(tail) = &self.tail {
            tail.pass(key, &**lookup).await?;
        }
        let body = lookup.body_of(project, key).await.unwrap_or_else(|error| {
            // The processor drops repetitions all the same, so that lines go on coming in while the store is away.
            self.warn(&error);
            None
        });
        Ok(body)
    }

    /// Once in a while: each request asks.
    fn warn(&self, error: &str) {
        let mut warned = self.warned.lock();
        if warned.is_none_or(|at| at.elapsed() > WARN_INTERVAL) {
            *warned = Some(Instant::now());
            tracing::warn!(error, "the store can't say which idempotency keys are known");
        }
    }

    fn slot(&self, key: u128) -> Slot {
        let now = Instant::now();
        let mut known = self.known.lock();
        let known = &mut *known;
        while let Some(&(since, oldest)) = known.ages.front()
            && (known.ages.len() >= self.keys_max || now.duration_since(since) > LIFETIME)
        {
            known.ages.pop_front();
            known.slots.remove(&oldest);
        }
        known
            .slots
            .entry(key)
            .or_insert_with(|| {
                known.ages.push_back((now, key));
                Slot::default()
            })
            .clone()
    }
}

#[cfg(test)]
mod tests;
