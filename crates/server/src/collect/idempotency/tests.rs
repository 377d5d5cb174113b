use super::*;

const KEY: IdempotencyKey = IdempotencyKey { key: 7, body: 1 };

#[derive(Debug, Default)]
struct Fake {
    known: HashMap<u128, u128>,
    away: bool,
}

#[async_trait]
impl KeyLookup for Fake {
    async fn body_of(&self, _project: &str, key: u128) -> Result<Option<u128>, String> {
        if self.away { Err("away".to_owned()) } else { Ok(self.known.get(&key).copied()) }
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
    let lookup = Fake { known: HashMap::from([(7, 1)]), away: false };
    let keys = Keys::new(10, Some(Arc::new(lookup)));
    assert!(keys.claim("p", KEY).await.unwrap().is_none());
    assert!(keys.claim("p", IdempotencyKey { body: 2, ..KEY }).await.is_err());
    let away = Keys::new(10, Some(Arc::new(Fake { away: true, ..Fake::default() })));
    assert!(away.claim("p", KEY).await.unwrap().is_some());
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
