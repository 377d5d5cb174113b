//! What was read of valid keys: for a moment, so that a key in use is not asked for at each request; and for a grace while
//! the database is out of reach, so that collectors go on. Unknown keys are not kept: they could fill it.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::{MetadataError, Principal};

/// How long another process's revocation may go unseen.
const STALE_MAX: Duration = Duration::from_millis(1_500);
/// A database that did not answer is asked again after this time, by one request; the others do not wait for it.
const SILENCE: Duration = Duration::from_secs(1);
/// How long a request waits for the database to say whose key it has.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(2);
const KEYS_MAX: usize = 10_000;

#[derive(Clone)]
pub(crate) struct KnownKey {
    pub(crate) hash: [u8; 32],
    pub(crate) principal: Principal,
    pub(crate) expires_at: Option<i64>,
    pub(crate) read: Instant,
}

impl fmt::Debug for KnownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownKey").field("principal", &self.principal).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(crate) struct KnownKeys {
    keys: Mutex<HashMap<String, KnownKey>>,
    silence: Mutex<Silence>,
}

/// Since the database did not answer, and until it does: when it is asked again.
#[derive(Debug, Default)]
struct Silence(Option<Instant>);

impl Silence {
    fn goes_on(&mut self) -> bool {
        let now = Instant::now();
        match &mut self.0 {
            Some(ask_at) if *ask_at <= now => {
                *ask_at = now + ANSWER_MAX + SILENCE;
                false
            }
            ask_at => ask_at.is_some(),
        }
    }
}

impl KnownKeys {
    /// A key that was read a moment ago.
    pub(crate) fn fresh(&self, prefix: &str) -> Option<KnownKey> {
        self.keys.lock().get(prefix).filter(|key| key.read.elapsed() < STALE_MAX).cloned()
    }

    /// While the database is silent, a key that was read within the grace. It is not confirmed. None also for the one
    /// request that is to ask again.
    pub(crate) fn in_silence(&self, prefix: &str, grace: Duration) -> Option<KnownKey> {
        if !self.silence.lock().goes_on() {
            return None;
        }
        let mut key = self.keys.lock().get(prefix).filter(|key| key.read.elapsed() < grace).cloned()?;
        key.principal.confirmed = false;
        Some(key)
    }

    pub(crate) fn put(&self, prefix: &str, key: KnownKey, grace: Duration) {
        let mut keys = self.keys.lock();
        if keys.len() >= KEYS_MAX && !keys.contains_key(prefix) {
            keys.retain(|_, key| key.read.elapsed() < grace.max(STALE_MAX));
            if keys.len() >= KEYS_MAX {
                return;
            }
        }
        keys.insert(prefix.to_owned(), key);
    }

    pub(crate) fn forget(&self, prefix: &str) {
        self.keys.lock().remove(prefix);
    }

    pub(crate) fn silence_begins(&self, error: &MetadataError) {
        if self.silence.lock().0.replace(Instant::now() + SILENCE).is_none() {
            tracing::warn!(%error, "the metadata does not answer; keys that were read lately are taken for sending");
        }
    }

    pub(crate) fn silence_ends(&self) {
        if self.silence.lock().0.take().is_some() {
            tracing::info!("the metadata answers again");
        }
    }
}
