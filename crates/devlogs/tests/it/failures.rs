//! Roles apart on real servers, each of which is killed, frozen and restarted under load; at the end every acknowledged
//! record is there exactly once.

use std::time::{Duration, Instant};

use serde_json::json;
use test_backends::clickhouse::ClickHouse;
use test_backends::kafka::{Kafka, KafkaOptions};
use test_backends::postgres::{Postgres, PostgresOptions};
use test_backends::redis::{Options as RedisOptions, Redis};

use crate::fleet::{API, COLLECTOR, Fleet, PROCESSOR, in_clickhouse, in_postgres, metadata_in, on_kafka, on_redis};
use crate::harness::{PATIENCE, alone, answer};
use crate::load::{Load, wait_for_count};

const CLIENTS: u64 = 4;

/// How much must be acknowledged between two failures.
const RECORDS_BETWEEN: usize = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_on_kafka_and_clickhouse_survives_every_failure() {
    let _alone = alone().await;
    let mut kafka = Kafka::start(&KafkaOptions::default());
    let mut clickhouse = ClickHouse::start();
    let mut postgres = Postgres::start(PostgresOptions::default());
    let environment = [on_kafka(&kafka), in_clickhouse(&clickhouse), metadata_in(&postgres)];
    let (mut fleet, mut load) = start(Fleet::new(true, environment)).await;
    kill_each_role(&mut fleet, &load).await;

    kafka.kill(1);
    pause().await;
    kafka.restart(1);
    progress(&load, "Kafka was killed").await;
    clickhouse.kill();
    progress(&load, "ClickHouse is away").await;
    clickhouse.restart();
    clickhouse.freeze();
    pause().await;
    clickhouse.thaw();
    progress(&load, "ClickHouse was frozen").await;
    postgres.kill();
    pause().await;
    postgres.restart();
    progress(&load, "the metadata was away").await;
    prove(&fleet, &mut load, "Kafka and ClickHouse").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_on_redis_and_postgres_survives_every_failure() {
    let _alone = alone().await;
    let mut redis = Redis::start(RedisOptions::default());
    let mut postgres = Postgres::start(PostgresOptions::default());
    let environment = [on_redis(&redis), in_postgres(&postgres), metadata_in(&postgres)];
    let (mut fleet, mut load) = start(Fleet::new(true, environment)).await;
    kill_each_role(&mut fleet, &load).await;

    redis.kill();
    pause().await;
    redis.restart();
    progress(&load, "Redis was killed").await;
    redis.freeze();
    pause().await;
    redis.thaw();
    progress(&load, "Redis was frozen").await;
    postgres.kill();
    pause().await;
    postgres.restart();
    progress(&load, "PostgreSQL was killed").await;
    postgres.freeze();
    pause().await;
    postgres.thaw();
    progress(&load, "PostgreSQL was frozen").await;
    prove(&fleet, &mut load, "Redis and PostgreSQL").await;
}

async fn start(mut fleet: Fleet) -> (Fleet, Load) {
    for role in [API, COLLECTOR, COLLECTOR, PROCESSOR, PROCESSOR] {
        fleet.add(role).await;
    }
    let load = Load::start(CLIENTS);
    fleet.take(&load);
    progress(&load, "the start").await;
    (fleet, load)
}

async fn kill_each_role(fleet: &mut Fleet, load: &Load) {
    for role in [COLLECTOR, PROCESSOR, API] {
        fleet.kill(role).await;
        fleet.take(load);
        progress(load, role).await;
        fleet.add(role).await;
        fleet.take(load);
    }
    // One more, and one fewer in an orderly way: partitions move, nothing is lost or doubled.
    fleet.add(PROCESSOR).await;
    progress(load, "a third processor").await;
    fleet.stop(PROCESSOR).await;
    progress(load, "a processor that left").await;
}

/// Waits until clients had so much acknowledged since now.
async fn progress(load: &Load, after: &str) {
    let (since, before) = (Instant::now(), load.acknowledged());
    while load.acknowledged() < before + RECORDS_BETWEEN {
        assert!(since.elapsed() < PATIENCE * 3, "nothing is acknowledged any more after: {after}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Long enough for requests to fail and for retries to begin.
async fn pause() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}

async fn prove(fleet: &Fleet, load: &mut Load, on: &str) {
    let sent = load.finish().await;
    let api = fleet.node(API);
    wait_for_count(api, sent.records.len()).await;
    sent.prove(api).await;
    let (status, verified) = answer(api.http.post(format!("{}/api/v1/verify", api.api)).json(&json!({}))).await;
    assert_eq!((status, &verified["sound"]), (200, &json!(true)), "{verified}");
    eprintln!(
        "{on}: {} records acknowledged, {} requests repeated, 0 lost, 0 doubled",
        sent.records.len(),
        sent.repeated
    );
}
