//! Roles apart on real servers, each of which is killed, frozen and restarted under load; at the end every acknowledged
//! record is there exactly once.

use std::time::Duration;

use test_backends::clickhouse::ClickHouse;
use test_backends::kafka::{Kafka, KafkaOptions};
use test_backends::postgres::{Postgres, PostgresOptions};
use test_backends::redis::{Options as RedisOptions, Redis};

use crate::fleet::{API, COLLECTOR, Fleet, PROCESSOR, in_clickhouse, in_postgres, metadata_in, on_kafka, on_redis};
use crate::harness::alone;
use crate::load::Load;

const CLIENTS: u64 = 4;

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
    load.progress("Kafka was killed").await;
    clickhouse.kill();
    load.progress("ClickHouse is away").await;
    clickhouse.restart();
    clickhouse.freeze();
    pause().await;
    clickhouse.thaw();
    load.progress("ClickHouse was frozen").await;
    postgres.kill();
    pause().await;
    postgres.restart();
    load.progress("the metadata was away").await;
    load.finish().await.prove_fleet(fleet.node(API), "Kafka and ClickHouse").await;
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
    load.progress("Redis was killed").await;
    redis.freeze();
    pause().await;
    redis.thaw();
    load.progress("Redis was frozen").await;
    postgres.kill();
    pause().await;
    postgres.restart();
    load.progress("PostgreSQL was killed").await;
    postgres.freeze();
    pause().await;
    postgres.thaw();
    load.progress("PostgreSQL was frozen").await;
    load.finish().await.prove_fleet(fleet.node(API), "Redis and PostgreSQL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_on_three_brokers_survives_the_death_of_each() {
    let _alone = alone().await;
    let mut kafka = Kafka::start(&KafkaOptions { nodes: 3, ..KafkaOptions::default() });
    let postgres = Postgres::start(PostgresOptions::default());
    let environment = [on_kafka(&kafka), in_postgres(&postgres), metadata_in(&postgres)];
    let (fleet, mut load) = start(Fleet::new(true, environment)).await;
    for broker in 1..=3 {
        kafka.kill(broker);
        load.progress(&format!("broker {broker} is away")).await;
        kafka.restart(broker);
        load.progress(&format!("broker {broker} is back")).await;
    }
    load.finish().await.prove_fleet(fleet.node(API), "three brokers and PostgreSQL").await;
}

async fn start(mut fleet: Fleet) -> (Fleet, Load) {
    for role in [API, COLLECTOR, COLLECTOR, PROCESSOR, PROCESSOR] {
        fleet.add(role).await;
    }
    let load = Load::start(CLIENTS, &fleet.client());
    fleet.take(&load);
    load.progress("the start").await;
    (fleet, load)
}

async fn kill_each_role(fleet: &mut Fleet, load: &Load) {
    for role in [COLLECTOR, PROCESSOR, API] {
        fleet.kill(role).await;
        fleet.take(load);
        load.progress(role).await;
        fleet.add(role).await;
        fleet.take(load);
    }
    // One more, and one fewer in an orderly way: partitions move, nothing is lost or doubled.
    fleet.add(PROCESSOR).await;
    load.progress("a third processor").await;
    fleet.stop(PROCESSOR).await;
    load.progress("a processor that left").await;
}

/// Long enough for requests to fail and for retries to begin.
async fn pause() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}
