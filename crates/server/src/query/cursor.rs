//! Where a page ended, as a token that clients hand back unread.
//!
//! It holds what page one asked, with absolute times, so that later pages continue the same question. It is bound to
//! its project and checked by a hash, so that a damaged or foreign one is told from a good one; it gives nothing that
//! the caller could not ask anyway, so the hash needs no secret.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::RecordId;
use model::cursor::{Order, SortKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::ApiError;

const TAG_BYTES: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) query: String,
    /// What relative times in the query refer to.
    pub(crate) now: i64,
    pub(crate) range: Range<i64>,
    pub(crate) order: Order,
    pub(crate) after: SortKey,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    q: String,
    now: i64,
    from: i64,
    to: i64,
    ascending: bool,
    timestamp: i64,
    id: String,
}

impl Cursor {
    pub(crate) fn encode(&self, project: &str) -> String {
        let wire = Wire {
            q: self.query.clone(),
            now: self.now,
            from: self.range.start,
            to: self.range.end,
            ascending: self.order == Order::Ascending,
            timestamp: self.after.timestamp,
            id: self.after.id.to_string(),
        };
        let body = serde_json::to_vec(&wire).unwrap_or_default();
        seal(project, &body)
    }

    /// # Errors
    /// 400 for what is no cursor of this project.
    pub(crate) fn decode(project: &str, text: &str) -> Result<Self, ApiError> {
        let wrong = || ApiError::malformed("`cursor` is damaged, or from another project or version");
        let body = open(project, text).ok_or_else(wrong)?;
        let wire: Wire = serde_json::from_slice(&body).map_err(|_| wrong())?;
        let id: RecordId = wire.id.parse().map_err(|_| wrong())?;
        Ok(Self {
            query: wire.q,
            now: wire.now,
            range: wire.from..wire.to,
            order: if wire.ascending { Order::Ascending } else { Order::Descending },
            after: SortKey { timestamp: wire.timestamp, id },
        })
    }
}

/// A token of some bytes that only the same scope opens again.
pub(crate) fn seal(scope: &str, body: &[u8]) -> String {
    let mut token = tag(scope, body).to_vec();
    token.extend_from_slice(body);
    URL_SAFE_NO_PAD.encode(token)
}

pub(crate) fn open(scope: &str, text: &str) -> Option<Vec<u8>> {
    let token = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (found, body) = token.split_at_checked(TAG_BYTES)?;
    (found == tag(scope, body)).then(|| body.to_vec())
}

fn tag(scope: &str, body: &[u8]) -> [u8; TAG_BYTES] {
    let mut hash = Sha256::new();
    hash.update(b"devlogs cursor 1");
    hash.update((scope.len() as u64).to_le_bytes());
    hash.update(scope.as_bytes());
    hash.update(body);
    let hash: [u8; 32] = hash.finalize().into();
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&hash[..TAG_BYTES]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        Cursor {
            query: "timeout \"ä\"".into(),
            now: 9,
            range: 1..i64::MAX,
            order: Order::Ascending,
            after: SortKey { timestamp: -3, id: RecordId { origin: u128::MAX, index: 4 } },
        }
    }

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        assert_eq!(Cursor::decode("p", &cursor().encode("p")).unwrap(), cursor());
    }

    #[test]
    fn every_changed_character_and_another_project_are_refused() {
        let text = cursor().encode("p");
        assert!(Cursor::decode("q", &text).is_err());
        for at in 0..text.len() {
            for other in ["A", "b", "*"] {
                let mut changed = text.clone();
                changed.replace_range(at..=at, other);
                assert!(changed == text || Cursor::decode("p", &changed).is_err(), "{at} {other}");
            }
        }
        for nonsense in ["", "AAAA", "=", "ä"] {
            assert!(Cursor::decode("p", nonsense).is_err());
        }
    }
}
