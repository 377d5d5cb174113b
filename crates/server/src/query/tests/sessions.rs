//! The browser's way in, and what foreign pages may not do.

use http::{Request, StatusCode, header};
use serde_json::json;

use super::bench::{Answer, Bench};

const ORIGIN: &str = "http://logs.example";

async fn sign_in(bench: &Bench, password: &str, origin: &str) -> Answer {
    let request = Request::post("/api/v1/session")
        .header(header::HOST, "logs.example")
        .header(header::ORIGIN, origin)
        .header(header::CONTENT_TYPE, "application/json");
    bench.send(request, &json!({"user": "admin", "password": password}).to_string()).await
}

#[tokio::test]
async fn a_session_reads_freely_and_changes_only_with_token_and_origin() {
    let bench = Bench::new().await;
    assert_eq!(sign_in(&bench, "wrong", ORIGIN).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(sign_in(&bench, &bench.password, "http://evil.example").await.status, StatusCode::FORBIDDEN);
    let signed_in = sign_in(&bench, &bench.password, ORIGIN).await;
    assert_eq!(signed_in.status, StatusCode::OK);
    let cookie = signed_in.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("Secure"));
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let body = signed_in.json();
    assert_eq!((&body["user"], &body["projects"]), (&json!("admin"), &json!(["bank", "default", "shop"])));
    let token = body["csrf_token"].as_str().unwrap();

    let get = |path: &str| {
        Request::get(path).header(header::COOKIE, format!("a=b; {cookie}")).header(header::HOST, "logs.example")
    };
    assert_eq!(bench.send(get("/api/v1/session"), "").await.json(), body);
    bench.store("shop", 3, 60).await;
    let found = bench.send(get("/api/v1/search?project=shop"), "").await.json();
    assert_eq!(found["records"].as_array().unwrap().len(), 3);
    let found = bench.send(get("/api/v1/search").header("x-devlogs-project", "bank"), "").await.json();
    assert_eq!(found["records"], json!([]));
    let nowhere = bench.send(get("/api/v1/search?project=nowhere"), "").await;
    assert_eq!(nowhere.status, StatusCode::FORBIDDEN);
    let foreign = bench.send(get("/api/v1/search").header(header::ORIGIN, "http://evil.example"), "").await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let socket = bench.send(get("/api/v1/tail").header(header::UPGRADE, "websocket"), "").await;
    assert_eq!(socket.status, StatusCode::FORBIDDEN, "a WebSocket tells its origin");

    let change = |token: Option<&str>, origin: Option<&str>| {
        let mut request =
            Request::post("/api/v1/projects").header(header::COOKIE, &cookie).header(header::HOST, "logs.example");
        for (name, value) in [("x-csrf-token", token), ("origin", origin)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request
    };
    for (token, origin) in
        [(None, Some(ORIGIN)), (Some("x"), Some(ORIGIN)), (Some(token), None), (Some(token), Some("null"))]
    {
        let answer = bench.send(change(token, origin), r#"{"name": "new"}"#).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{token:?} {origin:?}");
    }
    let made = bench.send(change(Some(token), Some(ORIGIN)), r#"{"name": "new"}"#).await;
    assert_eq!(made.status, StatusCode::CREATED);

    let leave =
        || Request::delete("/api/v1/session").header(header::COOKIE, &cookie).header(header::HOST, "logs.example");
    assert_eq!(bench.send(leave(), "").await.status, StatusCode::FORBIDDEN);
    let left = bench.send(leave().header("x-csrf-token", token).header(header::ORIGIN, ORIGIN), "").await;
    assert_eq!(left.status, StatusCode::NO_CONTENT);
    assert_eq!(bench.send(get("/api/v1/session"), "").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(bench.send(get("/api/v1/search"), "").await.status, StatusCode::UNAUTHORIZED);
    bench.close().await;
}

#[tokio::test]
async fn with_dev_nobody_signs_in() {
    let bench = Bench::with(true).await;
    let session = bench.send(Request::get("/api/v1/session"), "").await.json();
    assert_eq!(session, json!({"dev": true, "user": "dev", "csrf_token": "dev", "projects": ["default"]}));
    assert_eq!(bench.send(Request::get("/api/v1/search"), "").await.status, StatusCode::OK);
    assert_eq!(bench.send(Request::get("/api/v1/status"), "").await.status, StatusCode::OK);
    bench.close().await;
}

#[tokio::test]
async fn the_dashboard_is_served_with_a_strict_policy() {
    let bench = Bench::new().await;
    let page = bench.send(Request::get("/explore/anything").header(header::HOST, "logs.example:8080"), "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
    assert!(policy.contains("ws://logs.example:8080"));
    let tag = page.headers[header::ETAG].clone();
    let again = bench.send(Request::get("/").header(header::IF_NONE_MATCH, tag), "").await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert_eq!(bench.send(Request::get("/assets/gone.js"), "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(bench.send(Request::post("/explore"), "").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(bench.send(Request::get("/api/v1/openapi.json"), "").await.json()["openapi"], "3.1.0");
    bench.close().await;
}
