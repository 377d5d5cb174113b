use axum::body::Body;
use http::{HeaderValue, StatusCode};

use super::*;

fn headers(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())])
}

#[test]
fn a_key_is_found_in_every_place() {
    for (name, value) in [
        ("authorization", "Bearer dl_key"),
        ("authorization", "bearer   dl_key "),
        ("authorization", "Splunk dl_key"),
        ("authorization", "Basic dXNlcjpkbF9rZXk="),
        ("x-api-key", "dl_key"),
        ("dd-api-key", "dl_key"),
    ] {
        assert_eq!(key_of(&headers(name, value)).unwrap().as_deref(), Some("dl_key"), "{name}: {value}");
    }
    assert_eq!(key_of(&HeaderMap::new()).unwrap(), None);
}

#[test]
fn bad_credentials_are_refused_not_ignored() {
    let long = format!("Bearer {}", "k".repeat(KEY_BYTES_MAX + 1));
    for (name, value) in [
        ("authorization", "Bearer"),
        ("authorization", "Bearer "),
        ("authorization", "Digest abc"),
        ("authorization", "Basic !!!"),
        ("authorization", "Basic bm9jb2xvbg=="),
        ("authorization", &long),
        ("x-api-key", ""),
    ] {
        let error = key_of(&headers(name, value)).expect_err(value);
        assert_eq!(error.code(), Code::Unauthenticated, "{name}: {value}");
    }
}

#[derive(Debug)]
struct OneKey;

#[async_trait]
impl Keys for OneKey {
    async fn authenticate(&self, key: &str) -> Result<Option<Principal>, ApiError> {
        let scopes = Scopes::from_iter([Scope::Ingest]);
        Ok(["good", "stale"].contains(&key).then(|| Principal {
            id: "1".into(),
            project: "shop".into(),
            scopes,
            service: None,
            confirmed: key != "stale",
        }))
    }
}

fn parts(headers: HeaderMap) -> Parts {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.headers = headers;
    parts
}

#[tokio::test]
async fn a_key_opens_its_scopes_only() {
    let auth = Auth::Required { keys: Arc::new(OneKey), sessions: None, identities: Identities::default() };
    let good = parts(headers("x-api-key", "good"));
    assert_eq!(&*auth.require(&good, Scope::Ingest).await.unwrap().project, "shop");
    assert_eq!(auth.require(&good, Scope::Query).await.unwrap_err().code(), Code::Forbidden);
    assert_eq!(auth.require(&good, Scope::Admin).await.unwrap_err().code(), Code::Forbidden);
    for bad in [headers("x-api-key", "bad"), HeaderMap::new()] {
        assert_eq!(auth.require(&parts(bad), Scope::Ingest).await.unwrap_err().code(), Code::Unauthenticated);
    }
    let stale = parts(headers("x-api-key", "stale"));
    assert_eq!(&*auth.require(&stale, Scope::Ingest).await.unwrap().project, "shop");
    assert_eq!(auth.require(&stale, Scope::Query).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(&*Auth::Open.require(&parts(HeaderMap::new()), Scope::Admin).await.unwrap().project, DEFAULT_PROJECT);
}

#[test]
fn the_loopback_guard_knows_hosts_and_origins() {
    let cases = [
        ("localhost:4318", None, true),
        ("127.0.0.1", None, true),
        ("127.8.8.8:1", None, true),
        ("[::1]:8080", None, true),
        ("app.localhost:3000", None, true),
        ("LOCALHOST.", None, true),
        ("evil.example", None, false),
        ("localhost.evil.example", None, false),
        ("127.0.0.1.evil.example", None, false),
        ("10.0.0.1", None, false),
        ("[::2]", None, false),
        ("[::1", None, false),
        ("[::1]x", None, false),
        ("localhost:80@evil.example", None, false),
        ("localhost", Some("http://localhost:5173"), true),
        ("localhost", Some("http://127.0.0.1:3000"), true),
        ("localhost", Some("https://evil.example"), false),
        ("localhost", Some("null"), false),
    ];
    for (host, origin, allowed) in cases {
        for method in ["GET", "POST", "OPTIONS"] {
            let mut request = http::Request::builder().method(method).uri("/").header("host", host);
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let refused = refuse_foreign(&request.body(Body::empty()).unwrap()).map(|error| error.status());
            let expected = if allowed { None } else { Some(StatusCode::FORBIDDEN) };
            assert_eq!(refused, expected, "{method} {host} {origin:?}");
        }
    }
}
