//! Keys, projects and dead letters.

use std::time::Duration;

use http::{Request, StatusCode, header};
use metadata::DeadLetter;
use model::otlp;
use model::position::{Partition, Position};
use serde_json::json;

use super::bench::{Bench, id, record};

#[tokio::test]
async fn an_admin_makes_projects_and_keys_and_takes_them_back() {
    let bench = Bench::new().await;
    let admin = &bench.admin;
    assert_eq!(bench.post(admin, "/api/v1/projects", r#"{"name": "new"}"#).await.status, StatusCode::CREATED);
    assert_eq!(bench.post(admin, "/api/v1/projects", r#"{"name": "new"}"#).await.status, StatusCode::CONFLICT);
    assert_eq!(bench.post(admin, "/api/v1/projects", r#"{"name": "No"}"#).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(bench.post(&bench.shop, "/api/v1/projects", r#"{"name": "x"}"#).await.status, StatusCode::FORBIDDEN);

    let body = json!({"name": "reader", "project": "new", "scopes": ["query"], "expires_at": "2099-01-01T00:00:00Z"});
    let made = bench.post(admin, "/api/v1/keys", &body.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    let key = made["key"].as_str().unwrap();
    assert_eq!(bench.get(key, "/api/v1/search").await.status, StatusCode::OK);
    let list = bench.get(admin, "/api/v1/keys").await;
    assert!(!String::from_utf8_lossy(&list.body).contains(key));
    assert!(list.json()["keys"].as_array().unwrap().iter().any(|listed| listed["id"] == made["id"]));

    let path = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    let revoke = || Request::delete(&path).header(header::AUTHORIZATION, format!("Bearer {admin}"));
    assert_eq!(bench.send(revoke(), "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(bench.send(revoke(), "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(bench.get(key, "/api/v1/search").await.status, StatusCode::UNAUTHORIZED);

    for wrong in [
        json!({"name": "k", "scopes": ["root"]}),
        json!({"name": "k", "scopes": []}),
        json!({"name": "k", "scopes": ["query"], "project": "nowhere"}),
        json!({"name": "k", "scopes": ["query"], "expires_at": "2001-01-01T00:00:00Z"}),
        json!({"scopes": ["query"]}),
    ] {
        let answer = bench.post(admin, "/api/v1/keys", &wrong.to_string()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    bench.close().await;
}

fn letter(bench: &Bench, project: &str, index: u32) -> DeadLetter {
    let mut encoder = otlp::Encoder::new();
    encoder.push(&record(project, index, 1_000_000_000));
    DeadLetter {
        id: id(project, index),
        project: project.into(),
        incarnation: bench.state.queue.incarnation(),
        partition: Partition(0),
        position: Position(u64::from(index)),
        index: 0,
        reason: "the store refuses it".into(),
        at: i64::from(index),
        received: 7,
        payload: encoder.finish(),
    }
}

#[tokio::test]
async fn dead_letters_are_listed_sent_again_and_dropped() {
    let bench = Bench::new().await;
    let mut letters: Vec<_> = (0..5).map(|index| letter(&bench, "shop", index)).collect();
    letters.push(letter(&bench, "bank", 9));
    letters[4].payload = b"not a message".to_vec();
    bench.state.metadata.put_dead_letters(&letters).await.unwrap();
    let admin = &bench.admin;

    let own = bench.get(admin, "/api/v1/dead-letters").await.json();
    assert_eq!((&own["dead_letters"], &own["count"]), (&json!([]), &json!(0)), "its own project is `default`");
    let all = bench.get(admin, "/api/v1/dead-letters?project=*").await.json();
    assert_eq!(all["count"], 6);
    let first = bench.get(admin, "/api/v1/dead-letters?project=shop&limit=3").await.json();
    let path = format!("/api/v1/dead-letters?project=shop&limit=3&cursor={}", first["next_cursor"].as_str().unwrap());
    let second = bench.get(admin, &path).await.json();
    let ids: Vec<_> = [first["dead_letters"].as_array().unwrap(), second["dead_letters"].as_array().unwrap()]
        .into_iter()
        .flatten()
        .map(|letter| letter["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, [4, 3, 2, 1, 0].map(|index| id("shop", index).to_string()));
    assert!(first["dead_letters"][0]["record"].is_null());
    assert_eq!(first["dead_letters"][1]["record"]["attributes"]["n"], 3);

    let path = |index: u32, end: &str| format!("/api/v1/dead-letters/{}{end}", id("shop", index));
    assert_eq!(bench.get(admin, &path(3, "")).await.status, StatusCode::NOT_FOUND, "another project's");
    let whole = bench.get(admin, &path(4, "?project=shop")).await.json();
    assert_eq!(whole["payload"], "bm90IGEgbWVzc2FnZQ==");

    assert_eq!(bench.post(admin, &path(3, "/retry?project=*"), "").await.status, StatusCode::ACCEPTED);
    assert_eq!(bench.post(admin, &path(3, "/retry?project=*"), "").await.status, StatusCode::NOT_FOUND);
    let mut sent = Vec::new();
    for partition in 0..bench.state.queue.partitions() {
        let read = bench.state.queue.read(Partition(partition), Position(0), 1 << 20, Duration::ZERO).await.unwrap();
        sent.extend(read.into_iter().map(|delivery| delivery.message));
    }
    assert_eq!(sent.len(), 1);
    assert_eq!((&*sent[0].headers.project, sent[0].headers.retry_of), ("shop", Some(letters[3].id)));
    assert!(sent[0].headers.key.is_some());
    assert_eq!(sent[0].payload, letters[3].payload);

    let discard = Request::delete(path(2, "?project=shop")).header(header::AUTHORIZATION, format!("Bearer {admin}"));
    assert_eq!(bench.send(discard, "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(bench.get(admin, "/api/v1/dead-letters?project=*").await.json()["count"], 4);

    bench.store("shop", 3, 60).await;
    let status = bench.get(admin, "/api/v1/status").await.json();
    assert_eq!((&status["store"]["rows"], &status["dead_letters"]), (&json!(3), &json!(4)));
    assert_eq!(status["queue"]["partitions"].as_array().unwrap().len(), 2);
    assert!(status["uptime_seconds"].as_u64().unwrap() < 3_600, "{status}");
    assert!(bench.get(admin, "/api/v1/ledger?project=*").await.json()["partitions"].is_array());
    bench.close().await;
}
