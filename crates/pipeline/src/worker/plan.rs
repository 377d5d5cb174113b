//! What is to become of each message: stored, or known as a repetition.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use model::origin::{origin_of_key, parts_key};
use queue::{Delivery, Headers, IdempotencyKey, Part};

use super::{Stop, Worker};
use crate::metrics::Operation;
use crate::prepare::{Fate, Planned};

impl Worker {
    /// Finds the requests that were stored before: by the store's keys and by those of this batch.
    pub(super) async fn plan(&self, batch: Vec<Delivery>) -> Result<Vec<Planned>, Stop> {
        let mut seen: HashMap<u128, u128> = HashMap::new();
        let mut planned = Vec::with_capacity(batch.len());
        for delivery in batch {
            let Headers { project, key, part, .. } = &delivery.message.headers;
            let fate = match (*key, *part) {
                (None, _) => Fate::Store(None),
                (Some(key), None) => self.fate(project, key, &mut seen).await?,
                (Some(key), Some(part)) => self.fate_of_part(project, key, part, &mut seen).await?,
            };
            planned.push(Planned { delivery, fate });
        }
        Ok(planned)
    }

    /// Collectors refuse a key that came with another body; of two that raced both may be here. Both were acknowledged,
    /// so the second is stored too, and known by its key and body together.
    async fn fate(&self, project: &str, key: IdempotencyKey, seen: &mut HashMap<u128, u128>) -> Result<Fate, Stop> {
        for known_by in [key.key, origin_of_key(key.key, key.body)] {
            let body = match seen.entry(known_by) {
                Entry::Occupied(seen) => Some(*seen.get()),
                Entry::Vacant(unseen) => {
                    let stored = self.stored_body(project, known_by).await?;
                    unseen.insert(stored.unwrap_or(key.body));
                    stored
                }
            };
            match body {
                None => return Ok(Fate::Store(Some(known_by))),
                Some(body) if body == key.body => return Ok(Fate::Duplicate),
                Some(_) => {}
            }
        }
        Ok(Fate::Store(None))
    }

    /// The first part decides for the whole request: it is kept which copy is stored, and parts of others are
    /// repetitions, wherever they were cut.
    async fn fate_of_part(
        &self,
        project: &str,
        key: IdempotencyKey,
        part: Part,
        seen: &mut HashMap<u128, u128>,
    ) -> Result<Fate, Stop> {
        let parts = parts_key(key.key, key.body);
        if part.first == 0 {
            let fate = self.fate(project, key, seen).await?;
            if matches!(fate, Fate::Store(Some(_))) {
                seen.insert(parts, part.request);
            }
            return Ok(fate);
        }
        let stored = match seen.get(&parts) {
            Some(request) => Some(*request),
            None => self.stored_body(project, parts).await?,
        };
        if let Some(request) = stored {
            seen.insert(parts, request);
            return Ok(if request == part.request { Fate::Store(None) } else { Fate::Duplicate });
        }
        // The request was stored whole, or its key was forgotten since its first part.
        let mut of_key = seen.clone();
        match self.fate(project, key, &mut of_key).await? {
            Fate::Duplicate => Ok(Fate::Duplicate),
            Fate::Store(_) => Ok(Fate::Store(None)),
        }
    }

    async fn stored_body(&self, project: &str, key: u128) -> Result<Option<u128>, Stop> {
        let mut retry = self.retry(Operation::look_up_key);
        loop {
            match self.context.store.seen_key(project, key).await {
                Ok(body) => return Ok(body),
                Err(error) => retry.pause(&error, &self.context.metrics, &self.stop).await?,
            }
        }
    }
}
