//! Roles apart: what one node takes or changes, the others show.

use std::time::{Duration, Instant};

use serde_json::json;
use test_backends::clickhouse::ClickHouse;
use test_backends::kafka::{Kafka, KafkaOptions};
use test_backends::postgres::{Postgres, PostgresOptions};
use test_backends::redis::{Options as RedisOptions, Redis};

use crate::fleet::{API, COLLECTOR, Fleet, PROCESSOR, in_clickhouse, in_postgres, metadata_in, on_kafka, on_redis};
use crate::harness::{PATIENCE, Tail, alone, answer, next_frame, tail};

#[tokio::test(flavor = "multi_thread")]
async fn each_api_node_tails_each_collector_also_while_the_store_is_down() {
    let _alone = alone().await;
    let kafka = Kafka::start(&KafkaOptions::default());
    let mut clickhouse = ClickHouse::start();
    let postgres = Postgres::start(PostgresOptions::default());
    let environment = [on_kafka(&kafka), in_clickhouse(&clickhouse), metadata_in(&postgres)];
    let mut fleet = Fleet::new(true, environment);
    for role in [API, COLLECTOR, PROCESSOR] {
        fleet.add(role).await;
    }
    let mut first = tail(fleet.node(API), "hello").await;
    let mut second = tail(fleet.add(API).await, "hello").await;
    let other = fleet.add(COLLECTOR).await;
    assert_eq!(other.ingest(r#"{"msg":"hello from the second"}"#).await.0, 200);
    assert_eq!(fleet.node(COLLECTOR).ingest(r#"{"msg":"hello from the first"}"#).await.0, 200);
    for socket in [&mut first, &mut second] {
        let mut messages = [message(socket).await, message(socket).await];
        messages.sort();
        assert_eq!(messages, ["hello from the first", "hello from the second"]);
    }
    fleet.node(API).search_until("hello", 2).await;

    clickhouse.kill();
    let since = Instant::now();
    assert_eq!(fleet.node(COLLECTOR).ingest(r#"{"msg":"hello without a store"}"#).await.0, 200);
    assert_eq!(message(&mut first).await, "hello without a store");
    eprintln!("acknowledged and in the tail of another node after {:?}, the store being down", since.elapsed());
    clickhouse.restart();
    fleet.node(API).search_until("hello", 3).await;
}

/// The message of the one record of the next frame; frames may hold several, which then come one by one.
async fn message(socket: &mut Tail) -> String {
    let frame = next_frame(socket).await;
    let records = frame["records"].as_array().unwrap_or_else(|| panic!("records, not {frame}"));
    assert_eq!(records.len(), 1, "each request is a frame of its own: {frame}");
    records[0]["message"].as_str().expect("text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_revoked_on_one_node_is_refused_by_the_others() {
    let _alone = alone().await;
    let redis = Redis::start(RedisOptions::default());
    let postgres = Postgres::start(PostgresOptions::default());
    let mut fleet = Fleet::new(false, [on_redis(&redis), in_postgres(&postgres), metadata_in(&postgres)]);
    let ready = fleet.add(API).await.ready.clone();
    assert!(ready["secrets_file"].is_string(), "made by the first node: {ready}");
    fleet.add(COLLECTOR).await;
    let (api, collector) = (fleet.node(API), fleet.node(COLLECTOR));
    assert_eq!(collector.ready.get("secrets_file"), None, "only the first node makes keys");

    let keys = format!("{}/api/v1/keys", api.api);
    let wish = json!({ "name": "app", "project": "default", "scopes": ["ingest"] });
    let (status, made) = answer(api.http.post(&keys).json(&wish)).await;
    assert_eq!(status, 201, "{made}");
    let key = made["key"].as_str().expect("the key").to_owned();
    let send = async || {
        let request = collector.http.post(format!("{}/v1/ingest", collector.collector));
        answer(request.bearer_auth(&key).body(r#"{"msg":"hello"}"#)).await.0
    };
    assert_eq!(send().await, 200);
    let id = made["id"].as_str().expect("an id");
    let (status, _) = answer(api.http.delete(format!("{keys}/{id}"))).await;
    assert!(status < 300, "{status}");
    let since = Instant::now();
    while send().await != 401 {
        assert!(since.elapsed() < PATIENCE, "the revoked key is still taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!("a revoked key was refused by another node after {:?}", since.elapsed());
}
