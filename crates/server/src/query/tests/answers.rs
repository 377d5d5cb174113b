//! Isolation, paging, the shapes of answers, the table of errors.

use std::collections::HashSet;

use http::StatusCode;
use serde_json::{Value as Json, json};

use super::bench::{Bench, id};

#[tokio::test]
async fn a_key_sees_only_its_own_project_on_every_endpoint() {
    let bench = Bench::new().await;
    bench.store("shop", 9, 60).await;
    bench.store("bank", 3, 60).await;
    for path in [
        "/api/v1/search",
        "/api/v1/search?q=project:shop",
        "/api/v1/search?q=NOT%20project:bank",
        "/api/v1/histogram?group_by=service",
        "/api/v1/aggregate?group_by=service&metrics=count,distinct(project)",
        "/api/v1/fields",
        "/api/v1/fields/service/values",
        "/api/v1/fields/project/values",
        "/api/v1/export",
        "/api/v1/export?format=csv",
        "/api/v1/projects",
    ] {
        let answer = bench.get(&bench.bank, path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(!text.contains("shop"), "{path}: {text}");
    }
    let count = bench.get(&bench.bank, "/api/v1/aggregate").await.json();
    assert_eq!(count["rows"][0]["metrics"]["count"], 3);

    let foreign = bench.get(&bench.bank, &format!("/api/v1/context/{}", id("shop", 4))).await;
    let unknown = bench.get(&bench.bank, &format!("/api/v1/context/{}", id("bank", 99))).await;
    let nonsense = bench.get(&bench.bank, "/api/v1/context/x").await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    assert_eq!((&foreign.body, &foreign.body), (&unknown.body, &nonsense.body));

    for path in ["/api/v1/search?project=shop", "/api/v1/export?project=*"] {
        assert_eq!(bench.get(&bench.bank, path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    for path in ["/api/v1/keys", "/api/v1/dead-letters", "/api/v1/ledger", "/api/v1/status"] {
        assert_eq!(bench.get(&bench.bank, path).await.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(bench.get("dl_x", path).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    bench.close().await;
}

#[tokio::test]
async fn pages_are_complete_ordered_and_without_repeats() {
    let bench = Bench::new().await;
    bench.store("shop", 25, 60).await;
    for order in ["desc", "asc"] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/v1/search?q=secret&limit=7&order={order}{cursor}");
            let page = bench.get(&bench.shop, &path).await.json();
            for record in page["records"].as_array().unwrap() {
                seen.push((record["timestamp"].to_string(), record["id"].as_str().unwrap().to_owned()));
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let mut sorted = seen.clone();
        sorted.sort();
        if order == "desc" {
            sorted.reverse();
        }
        assert_eq!(seen, sorted);
        let distinct: HashSet<_> = seen.iter().map(|(_, id)| id.clone()).collect();
        assert_eq!((seen.len(), distinct.len()), (25, 25));
    }
    bench.close().await;
}

#[tokio::test]
async fn cursors_that_were_changed_are_refused() {
    let bench = Bench::new().await;
    bench.store("shop", 9, 60).await;
    let page = bench.get(&bench.shop, "/api/v1/search?limit=2").await.json();
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let mut changed = cursor.clone();
    changed.replace_range(3..4, if &cursor[3..4] == "A" { "B" } else { "A" });
    for (key, path) in [
        (&bench.shop, format!("/api/v1/search?cursor={changed}")),
        (&bench.shop, "/api/v1/search?cursor=nonsense".to_owned()),
        (&bench.bank, format!("/api/v1/search?cursor={cursor}")),
        (&bench.shop, format!("/api/v1/search?cursor={cursor}&q=other")),
        (&bench.shop, format!("/api/v1/search?cursor={cursor}&order=asc")),
    ] {
        let answer = bench.get(key, &path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
    }
    bench.close().await;
}

#[tokio::test]
async fn answers_have_the_shapes_of_the_contract() {
    let bench = Bench::new().await;
    bench.store("shop", 9, 60).await;
    let shop = &bench.shop;
    let search = bench.post(shop, "/api/v1/search", r#"{"q": "n:3", "limit": 5}"#).await.json();
    let record = &search["records"][0];
    assert_eq!(record["attributes"], json!({"n": 3, "only.shop": true}));
    assert_eq!((&record["level"], &record["severity_number"]), (&json!("info"), &json!(9)));
    assert!(search["next_cursor"].is_null() && search["stats"]["elapsed_ms"].is_u64());

    let histogram = bench.get(shop, "/api/v1/histogram?interval=1m&group_by=level").await.json();
    assert_eq!(histogram["interval_ms"], 60_000);
    let buckets = histogram["buckets"].as_array().unwrap();
    let sum = |of: &dyn Fn(&Json) -> u64| buckets.iter().map(of).sum::<u64>();
    assert_eq!(sum(&|bucket| bucket["count"].as_u64().unwrap()), 9);
    assert_eq!(sum(&|bucket| bucket["groups"]["warn"].as_u64().unwrap_or(0)), 3);
    assert!(buckets.len() >= 60 && buckets[0]["start"].as_str().unwrap().ends_with(":00.000000000Z"));

    let body = r#"{"group_by": ["host"], "metrics": [{"fn": "count"}, {"fn": "max", "field": "n"}], "order": "host"}"#;
    let rows = bench.post(shop, "/api/v1/aggregate", body).await.json();
    assert_eq!(
        rows["rows"],
        json!([
            {"group": {"host": "h1"}, "metrics": {"count": 5, "max(n)": 8}},
            {"group": {"host": null}, "metrics": {"count": 4, "max(n)": 7}},
        ])
    );

    let fields = bench.get(shop, "/api/v1/fields").await.json();
    let fields = fields["fields"].as_array().unwrap();
    assert!(fields.iter().any(|field| field["name"] == "n" && field["type"] == "int" && field["coverage"] == 1.0));
    let values = bench.get(shop, "/api/v1/fields/level/values?limit=1").await.json();
    assert_eq!(values["values"].as_array().unwrap().len(), 1);
    assert_eq!(values["values"][0]["count"], 3);

    let path = format!("/api/v1/context/{}?before=2&after=1&same=host", id("shop", 4));
    let context = bench.get(shop, &path).await.json();
    let numbers = |list: &Json| -> Vec<i64> {
        list.as_array().unwrap().iter().map(|record| record["attributes"]["n"].as_i64().unwrap()).collect()
    };
    assert_eq!((numbers(&context["before"]), numbers(&context["after"])), (vec![0, 2], vec![6]));
    assert_eq!(context["record"]["attributes"]["n"], 4);
    bench.close().await;
}

#[tokio::test]
async fn mistakes_are_named() {
    let bench = Bench::new().await;
    let table = [
        ("/api/v1/search?from=now&to=-1h", 400, "malformed", "after"),
        ("/api/v1/search?limit=10001", 400, "malformed", "10000"),
        ("/api/v1/search?limit=0", 400, "malformed", "limit"),
        ("/api/v1/search?limit=ten", 400, "malformed", "ten"),
        ("/api/v1/search?from=yesterday", 400, "malformed", "yesterday"),
        ("/api/v1/search?order=up", 400, "malformed", "desc"),
        ("/api/v1/search?limits=3", 400, "malformed", "`limit`"),
        ("/api/v1/search?q=(a", 422, "invalid_query", "position"),
        ("/api/v1/histogram?buckets=3&interval=1m", 400, "malformed", "not both"),
        ("/api/v1/histogram?interval=1ms", 400, "malformed", "wider"),
        ("/api/v1/histogram?interval=soon", 400, "malformed", "soon"),
        ("/api/v1/aggregate?metrics=p100(n)", 400, "malformed", "p99"),
        ("/api/v1/aggregate?metrics=avg", 400, "malformed", "field"),
        ("/api/v1/aggregate?order=size", 400, "malformed", "size"),
        ("/api/v1/context/0000000000000000000000000000000000000000?same=level", 404, "not_found", "id"),
        ("/api/v1/export?format=xml", 400, "malformed", "ndjson"),
        ("/api/v1/nowhere", 404, "not_found", "openapi"),
    ];
    for (path, status, code, told) in table {
        let answer = bench.get(&bench.shop, path).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status.as_u16(), status, "{path}: {text}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
        assert_eq!(answer.json()["code"], code, "{path}");
        assert!(text.contains(told), "{path}: {text}");
    }
    let posts = [
        ("/api/v1/search", "[]", 400),
        ("/api/v1/search", r#"{"q": ["a"]}"#, 400),
        ("/api/v1/search", r#"{"querry": "a"}"#, 400),
        ("/api/v1/sql", "{}", 400),
        ("/api/v1/fields", "{}", 405),
    ];
    for (path, body, status) in posts {
        assert_eq!(bench.post(&bench.shop, path, body).await.status.as_u16(), status, "{path} {body}");
    }
    let large = format!("{{\"q\": \"{}\"}}", "a".repeat(2 << 20));
    assert_eq!(bench.post(&bench.shop, "/api/v1/search", &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    bench.close().await;
}

#[tokio::test]
async fn too_many_queries_at_once_are_told_to_wait() {
    let bench = Bench::new().await;
    let running = [bench.state.gate.enter().await.unwrap(), bench.state.gate.enter().await.unwrap()];
    let answer = bench.get(&bench.shop, "/api/v1/search").await;
    assert_eq!((answer.status, answer.headers["retry-after"].as_bytes()), (StatusCode::TOO_MANY_REQUESTS, &b"1"[..]));
    drop(running);
    assert_eq!(bench.get(&bench.shop, "/api/v1/search").await.status, StatusCode::OK);
    bench.close().await;
}
