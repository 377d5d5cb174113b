use queue::embedded::{EmbeddedConfig, EmbeddedQueue};
use queue::{Headers, Message};

use super::*;

const KEY: IdempotencyKey = IdempotencyKey { key: 7, body: 1 };

#[derive(Debug, Default)]
struct Fake {
    known: HashMap<u128, u128>,
    away: bool,
    written: Mutex<Position>,
}

#[async_trait]
impl KeyLookup for Fake {
    async fn body_of(&self, _project: &str, key: u128) -> Result<Option<u128>, String> {
        if self.away { Err("away".to_owned()) } else { Ok(self.known.get(&key).copied()) }
    }

    async fn written(&self, _: Incarnation, _: Partition) -> Result<Option<Position>, String> {
        if self.away { Err("away".to_owned()) } else { Ok(Some(*self.written.lock())) }
    }
}

#[tokio::test]
async fn a_key_is_appended_once_and_only_with_its_body() {
    let keys = Keys::new(10, None);
    keys.claim("p", KEY).await.unwrap().expect("new").appended();
    assert!(keys.claim("p", KEY).await.unwrap().is_none());
    let other = IdempotencyKey { body: 2, ..KEY };
    assert_eq!(keys.claim("p", other).await.unwrap_err().code(), Code::IdempotencyMismatch);
}

#[tokio::test]
async fn a_failed_append_leaves_the_key_free() {
    let keys = Keys::new(10, None);
    drop(keys.claim("p", KEY).await.unwrap().expect("new"));
    assert!(keys.claim("p", IdempotencyKey { body: 2, ..KEY }).await.unwrap().is_some());
}

#[tokio::test]
async fn requests_at_once_wait_for_the_first() {
    let keys = Arc::new(Keys::new(10, None));
    let first = keys.claim("p", KEY).await.unwrap().expect("new");
    let second = tokio::spawn({
        let keys = keys.clone();
        async move { keys.claim("p", KEY).await }
    });
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    first.appended();
    assert!(second.await.unwrap().unwrap().is_none());
}

#[tokio::test]
async fn the_store_is_asked_for_keys_of_before() {
    let lookup = Fake { known: HashMap::from([(7, 1)]), ..Fake::default() };
    let keys = Keys::new(10, Some(Arc::new(lookup)));
    assert!(keys.claim("p", KEY).await.unwrap().is_none());
    assert!(keys.claim("p", IdempotencyKey { body: 2, ..KEY }).await.is_err());
    let away = Keys::new(10, Some(Arc::new(Fake { away: true, ..Fake::default() })));
    assert!(away.claim("p", KEY).await.unwrap().is_some());
}

/// A queue of one partition with a message that was acknowledged before.
async fn queue_with_a_tail(dir: &std::path::Path) -> Arc<dyn Queue> {
    let config = EmbeddedConfig { dir: dir.to_owned(), partitions: 1, segment_bytes: 1 << 20, ..Default::default() };
    let queue = EmbeddedQueue::open(config, Default::default()).unwrap();
    let headers = Headers { project: "p".into(), received: 0, records: 1, key: Some(KEY), retry_of: None, part: None };
    queue.append(Partition(0), Message::new(headers, bytes::Bytes::from_static(b"m"))).await.unwrap();
    Arc::new(queue)
}

#[tokio::test]
async fn after_a_start_a_new_key_waits_until_the_keys_of_before_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let queue = queue_with_a_tail(dir.path()).await;
    let fake = Arc::new(Fake { known: HashMap::from([(7, 1)]), ..Fake::default() });
    let keys = Keys::new(10, Some(fake.clone())).behind(queue.clone());
    let other = IdempotencyKey { body: 2, ..KEY };
    let refused = keys.claim("p", other).await.unwrap_err();
    assert_eq!((refused.code(), refused.retry_after()), (Code::Unavailable, Some(Duration::from_secs(1))));
    let stored = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        *fake.written.lock() = Position(1);
    };
    let (claim, ()) = tokio::join!(keys.claim("p", other), stored);
    assert_eq!(claim.unwrap_err().code(), Code::IdempotencyMismatch, "the processor has stored the key meanwhile");
    *fake.written.lock() = Position(0);
    assert!(keys.claim("p", IdempotencyKey { key: 8, body: 1 }).await.unwrap().is_some(), "it waits once only");

    // Nobody waits for ever, nor while nobody can tell.
    let mut keys = Keys::new(10, Some(fake)).behind(queue.clone());
    keys.tail.as_mut().unwrap().begun -= Duration::from_secs(10);
    assert!(keys.claim("p", IdempotencyKey { key: 8, body: 1 }).await.unwrap().is_some());
    let away = Keys::new(10, Some(Arc::new(Fake { away: true, ..Fake::default() }))).behind(queue.clone());
    assert!(away.claim("p", KEY).await.unwrap().is_some());
    queue.close().await.unwrap();
}

#[tokio::test]
async fn the_oldest_keys_are_forgotten() {
    let keys = Keys::new(2, None);
    for key in 0..3 {
        keys.claim("p", IdempotencyKey { key, body: 1 }).await.unwrap().expect("new").appended();
    }
    assert!(keys.claim("p", IdempotencyKey { key: 2, body: 1 }).await.unwrap().is_none());
    assert!(keys.claim("p", IdempotencyKey { key: 0, body: 1 }).await.unwrap().is_some());
    assert!(keys.known.lock().slots.len() <= 2);
}

#[test]
fn keys_are_visible_text() {
    let of = |value: &[u8]| {
        let value = http::HeaderValue::from_bytes(value).unwrap();
        key_of(&HeaderMap::from_iter([(http::HeaderName::from_static(HEADER), value)])).map_err(|e| e.code())
    };
    assert_eq!(of(b"a b-1").unwrap().as_deref(), Some("a b-1"));
    for bad in [&b""[..], &[b'k'; 256], b"\xe9", b"a\tb"] {
        assert_eq!(of(bad), Err(Code::Malformed));
    }
    assert_eq!(key_of(&HeaderMap::new()).unwrap(), None);
}
