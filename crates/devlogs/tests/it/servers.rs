//! Dead letters and replay where queue and store are servers.

use serde_json::{Value, json};
use test_backends::clickhouse::ClickHouse;
use test_backends::kafka::{Kafka, KafkaOptions};
use test_backends::postgres::{Postgres, PostgresOptions};
use test_backends::redis::{Options as RedisOptions, Redis};

use crate::dead_letters::letters_until;
use crate::fleet::{
    API, COLLECTOR, Environment, Fleet, PROCESSOR, in_clickhouse, in_postgres, metadata_in, on_kafka, on_redis, told,
};
use crate::harness::{Server, client};
use crate::replay::{assert_sound, ids, replay};

/// What the administrator of a store's server can do to it.
trait Administrator {
    /// From now on the server refuses records whose message is `poison`.
    fn refuse_poison(&self);
    fn accept_poison(&self);
    /// Removes all records, and nothing else.
    fn empty(&self);
}

struct OnClickHouse<'a>(&'a ClickHouse, String);

impl Administrator for OnClickHouse<'_> {
    fn refuse_poison(&self) {
        self.0.query(&format!("ALTER TABLE {}.otel_logs ADD CONSTRAINT no_poison CHECK Body != 'poison'", self.1));
    }

    fn accept_poison(&self) {
        self.0.query(&format!("ALTER TABLE {}.otel_logs DROP CONSTRAINT no_poison", self.1));
    }

    fn empty(&self) {
        self.0.query(&format!("TRUNCATE TABLE {}.otel_logs", self.1));
    }
}

struct OnPostgres<'a>(&'a Postgres, String);

impl Administrator for OnPostgres<'_> {
    fn refuse_poison(&self) {
        self.0.psql(&self.1, "ALTER TABLE devlogs_records ADD CONSTRAINT no_poison CHECK (message <> 'poison')");
    }

    fn accept_poison(&self) {
        self.0.psql(&self.1, "ALTER TABLE devlogs_records DROP CONSTRAINT no_poison");
    }

    fn empty(&self) {
        self.0.psql(&self.1, "TRUNCATE devlogs_records, devlogs_overflow");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_kafka_and_clickhouse() {
    let kafka = Kafka::start(&KafkaOptions::default());
    let (clickhouse, postgres) = (ClickHouse::start(), Postgres::start(PostgresOptions::default()));
    let store = in_clickhouse(&clickhouse);
    let administrator = OnClickHouse(&clickhouse, told(&store, "DEVLOGS_STORE__CLICKHOUSE__DATABASE").to_owned());
    prove([on_kafka(&kafka), store, metadata_in(&postgres)], &administrator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis_and_postgres() {
    let redis = Redis::start(RedisOptions::default());
    let postgres = Postgres::start(PostgresOptions::default());
    let store = in_postgres(&postgres);
    let (_, database) = told(&store, "DEVLOGS_STORE__TIMESCALE__URL").rsplit_once('/').expect("a database");
    let administrator = OnPostgres(&postgres, database.to_owned());
    prove([on_redis(&redis), store, metadata_in(&postgres)], &administrator).await;
}

async fn prove(environment: [Environment; 3], administrator: &dyn Administrator) {
    let mut fleet = Fleet::new(true, environment);
    for role in [API, COLLECTOR, PROCESSOR] {
        fleet.add(role).await;
    }
    let (api, collector) = (fleet.node(API), fleet.node(COLLECTOR));
    let stored = a_record_that_the_server_refuses_is_buried_alone(api, collector, administrator).await;
    a_replay_stores_what_is_missing(api, &stored, administrator).await;
}

/// Returns what is stored at the end.
async fn a_record_that_the_server_refuses_is_buried_alone(
    api: &Server,
    collector: &Server,
    administrator: &dyn Administrator,
) -> Vec<Value> {
    // The first record makes the table's partition.
    assert_eq!(collector.ingest(r#"{"msg":"first"}"#).await.0, 200);
    api.search_until("", 1).await;
    administrator.refuse_poison();
    // Each a request of its own: ClickHouse does not name the record that it refuses, and its request is buried whole.
    for message in ["before", "poison", "after"] {
        assert_eq!(collector.ingest(json!({ "msg": message }).to_string()).await.0, 200);
    }
    let letters = letters_until(api, 1).await;
    assert_eq!(letters[0]["record"]["message"], "poison", "{letters:?}");
    assert!(letters[0]["reason"].as_str().is_some_and(|reason| reason.contains("no_poison")), "{letters:?}");
    assert_eq!(api.search_until("", 3).await.len(), 3, "the others are stored");
    assert_sound(api).await;

    administrator.accept_poison();
    let id = letters[0]["id"].as_str().expect("an id");
    let (code, _, err) = client(api, &["dead-letters", "retry", id]).await;
    assert_eq!(code, Some(0), "{err}");
    let stored = api.search_until("", 4).await;
    assert!(stored.iter().any(|record| record["id"] == id && record["message"] == "poison"), "it keeps its id");
    letters_until(api, 0).await;
    stored
}

async fn a_replay_stores_what_is_missing(api: &Server, stored: &[Value], administrator: &dyn Administrator) {
    let report = replay(api, &[]).await;
    assert_eq!(report["stored"], 0, "what is there is not stored again: {report}");
    assert_eq!(ids(&api.search("").await), ids(stored));
    assert_sound(api).await;

    administrator.empty();
    assert!(api.search("").await.is_empty());
    let report = replay(api, &[]).await;
    assert_eq!(report["stored"], 4, "{report}");
    assert_eq!(ids(&api.search_until("", 4).await), ids(stored), "the same ids in the same order");
    assert_eq!(replay(api, &[]).await["stored"], 0, "once");
}
