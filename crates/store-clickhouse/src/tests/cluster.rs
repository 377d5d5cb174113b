//! Two real servers, each a shard.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use model::position::{Incarnation, Partition};
use store::{Counts, QueryLimits, SeenKey, Store, StoreError, WriteBatch, WriteError, conformance};
use store_sql::Statement;
use test_backends::clickhouse::{CLUSTER, ClickHouse, READER};

use super::rig::{self, Dice, counts_of, die_anywhere, node, range, write_all, write_all_while};
use crate::{ClickHouseConfig, ClickHouseStore};

type Pair = [ClickHouse; 2];

fn shared() -> &'static Pair {
    static SHARED: LazyLock<Pair> = LazyLock::new(ClickHouse::start_cluster);
    &SHARED
}

fn config(pair: &Pair, database: &str) -> ClickHouseConfig {
    let [first, second] = pair;
    ClickHouseConfig {
        cluster: Some(CLUSTER.to_owned()),
        cluster_urls: vec![second.url()],
        ..rig::config(first, database)
    }
}

/// A store on the shards of the shared cluster, in a database that is not there yet.
async fn open() -> (ClickHouseStore, ClickHouseConfig) {
    let config = config(shared(), &shared()[0].database());
    (ClickHouseStore::open(config.clone()).await.expect("a store"), config)
}

/// Records on each shard.
fn spread(pair: &Pair, database: &str) -> [u64; 2] {
    pair.each_ref().map(|server| {
        server.query(&format!("SELECT count() FROM {database}.otel_logs_local")).parse().expect("a number")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let (store, _) = open().await;
    conformance::run(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_the_reference_store() {
    let (store, config) = open().await;
    for seed in [3, 4] {
        conformance::compare(&store, seed, 300, 25).await;
    }
    let [one, other] = spread(shared(), &config.database);
    assert!(one > 100 && other > 100, "{one} and {other} records: one shard has them all");
}

/// New partitions go to the shard that has the fewest, and stay there whatever the order of the addresses.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_spread_and_stay() {
    let (store, config) = open().await;
    for partition in 0..6 {
        store.write(range(partition, 0, 100)).await.expect("a write");
    }
    let pair = shared();
    assert_eq!(spread(pair, &config.database), [300, 300]);
    let again = node(&config, Duration::ZERO).await;
    for partition in 0..6 {
        let progress = again.progress(Incarnation(7), Partition(partition)).await.expect("progress");
        assert_eq!(progress.written.0, 100);
        again.write(range(partition, 100, 110)).await.expect("a write of another node");
    }
    assert_eq!(counts_of(&pair.each_ref(), &config.database), [660; 3]);
    assert!(again.check().await.expect("a check").is_empty());
    let status = again.status().await.expect("the status");
    assert_eq!(status.rows, 660);
    assert_eq!(again.ledger().await.expect("the ledger").len(), 6);
    let unknown = again.progress(Incarnation(7), Partition(99)).await.expect("progress");
    assert_eq!(unknown.written.0, 0);
    let placed = pair[0].query(&format!("SELECT uniqExact(Partition) FROM {}.devlogs_lanes", config.database));
    assert_eq!(placed, "6", "asking places nothing");
}

/// Several nodes meet a new partition at once; all must take the same shard for it.
#[tokio::test(flavor = "multi_thread")]
async fn racing_nodes_place_a_partition_once() {
    let (_, config) = open().await;
    let nodes = (0..3).map(|_| node(&config, Duration::from_secs(2)));
    let nodes = futures::future::join_all(nodes).await;
    let writers = nodes.into_iter().map(|store| {
        tokio::spawn(async move {
            for partition in 0..4 {
                write_all(&store, partition, 30).await;
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.expect("a writer");
    }
    assert_eq!(counts_of(&shared().each_ref(), &config.database), [4 * 30; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_dies_anywhere_leaves_nothing_lost_or_doubled() {
    let (store, config) = open().await;
    let written = die_anywhere(store, &config, 2, 150).await;
    assert_eq!(counts_of(&shared().each_ref(), &config.database), [written; 3]);
    assert!(spread(shared(), &config.database).iter().all(|rows| *rows > 0));
}

/// SIGKILL of either server under the load of four partitions, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_shard_loses_and_doubles_nothing() {
    let mut pair = ClickHouse::start_cluster();
    let database = pair[0].database();
    let config = config(&pair, &database);
    const END: u64 = 1_000;
    let stores = futures::future::join_all([0; 4].map(|_| node(&config, Duration::from_millis(50)))).await;
    for partition in 0..4 {
        stores[0].write(range(partition, 0, 1)).await.expect("a first write");
    }
    let kills = async {
        let mut dice = Dice::new(6);
        for round in 0..4 {
            tokio::time::sleep(Duration::from_millis(400) + dice.micros(700_000)).await;
            tokio::task::block_in_place(|| {
                pair[round % 2].kill();
                pair[round % 2].restart();
            });
        }
    };
    let failures = write_all_while(stores, END, kills).await;
    assert!(failures > 0, "no write met a killed server");
    assert_eq!(counts_of(&pair.each_ref(), &database), [4 * END; 3]);
    assert_eq!(spread(&pair, &database), [2 * END; 2]);
}

/// The partitions of a shard that lives are written on; queries say that they can't see everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_shard_stops_its_own_partitions_only() {
    let mut pair = ClickHouse::start_cluster();
    let database = pair[0].database();
    let store = ClickHouseStore::open(config(&pair, &database)).await.expect("a store");
    for partition in 0..2 {
        store.write(keyed(partition)).await.expect("a write");
    }
    let alive = pair[0].query(&format!("SELECT DISTINCT QueuePartition FROM {database}.otel_logs_local"));
    let alive: u32 = alive.parse().expect("one partition");
    pair[1].kill();
    store.write(range(alive, 10, 20)).await.expect("a write to the shard that lives");
    let refused = store.write(range(1 - alive, 10, 20)).await;
    assert!(matches!(refused, Err(WriteError::Unavailable(_))), "{refused:?}");
    assert_eq!(store.seen_key("p", alive.into()).await.expect("a look"), Some(100 + u128::from(alive)));
    let unknown = store.seen_key("p", 99).await;
    assert!(matches!(unknown, Err(StoreError::Unavailable(_))), "the dead shard may have it: {unknown:?}");
    let count = "SELECT count(*) AS n FROM logs";
    let partial = store.sql("p".into(), count, QueryLimits::default()).await;
    assert!(matches!(partial, Err(StoreError::Unavailable(_))), "{partial:?}");
    pair[1].restart();
    store.write(range(1 - alive, 10, 20)).await.expect("a write after the restart");
    let answer = store.sql("p".into(), count, QueryLimits::default()).await.expect("an answer");
    assert_eq!(answer.rows, [[serde_json::json!(40)]]);
    assert_eq!(counts_of(&pair.each_ref(), &database), [40; 3]);
}

/// A first write of a partition, with an idempotency key of its number.
fn keyed(partition: u32) -> WriteBatch {
    let received = i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("a clock").as_nanos()).expect("this century");
    let body = 100 + u128::from(partition);
    let key = SeenKey { project: "p".into(), key: partition.into(), body, received };
    WriteBatch { keys: vec![key], ..range(partition, 0, 10) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_found_on_whichever_shard_it_is() {
    let (store, _) = open().await;
    for partition in 0..4 {
        store.write(keyed(partition)).await.expect("a write");
    }
    for key in 0..4 {
        assert_eq!(store.seen_key("p", key).await.expect("a look"), Some(100 + key));
    }
    assert_eq!(store.seen_key("p", 4).await.expect("a look"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_sees_its_project_only_on_every_shard() {
    let (owner, mut config) = open().await;
    for partition in 0..2 {
        owner.write(range(partition, 0, 7)).await.expect("a write");
        let mut theirs = range(partition + 2, 0, 5);
        theirs.batches[0].project = "other".into();
        theirs.counts = vec![Counts { received: 5, stored: 5, ..Counts::new("other".into()) }];
        owner.write(theirs).await.expect("a write of another project");
    }
    assert_eq!(spread(shared(), &config.database), [12, 12]);
    (config.sql_user, config.sql_password) = (Some(READER.0.to_owned()), READER.1.to_owned());
    let store = ClickHouseStore::open(config).await.expect("a store with a reader");
    let run = async |sql: &str| {
        let statement = Statement { sql: sql.to_owned(), params: Vec::new() };
        store.run_checked_sql("p", &statement, QueryLimits::default()).await
    };
    for (table, rows) in [("logs", 14), ("otel_logs", 14), ("otel_logs_local", 7)] {
        let answer = run(&format!("SELECT count() AS n FROM {table}")).await.expect("an answer");
        assert_eq!(answer.rows, [[serde_json::json!(rows)]], "{table}: the other project stays hidden");
    }
    let services = "SELECT project, count() AS n FROM logs GROUP BY project";
    assert_eq!(run(services).await.expect("an answer").rows, [[serde_json::json!("p"), serde_json::json!(14)]]);
    for hidden in
        ["devlogs_positions", "devlogs_claims", "devlogs_keys", "devlogs_lanes", "devlogs_shard", "devlogs_shards"]
    {
        let answer = run(&format!("SELECT * FROM {hidden}")).await.expect("an answer");
        assert!(answer.rows.is_empty(), "{hidden}: {answer:?}");
    }
    for refused in [
        format!("SELECT * FROM cluster('{CLUSTER}', system.one)"),
        "SELECT * FROM remote('127.0.0.1', system.one)".to_owned(),
        "INSERT INTO otel_logs (Body) VALUES ('x')".to_owned(),
    ] {
        let answer = run(&refused).await;
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{refused}: {answer:?}");
    }
    let asked = store.sql("p".into(), "SELECT count(*) AS n FROM logs", QueryLimits::default());
    assert_eq!(asked.await.expect("an answer").rows, [[serde_json::json!(14)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_not_the_shards_are_refused() {
    let (_, good) = open().await;
    let [first, second] = shared();
    let refused = async |change: &dyn Fn(&mut ClickHouseConfig)| {
        let mut config = good.clone();
        change(&mut config);
        match ClickHouseStore::open(config).await {
            Err(StoreError::Invalid(said)) => said,
            other => panic!("{other:?}"),
        }
    };
    let said = refused(&|config| config.cluster_urls.clear()).await;
    assert!(said.contains("1 addresses lead to 1 shards, the cluster has 2"), "{said}");
    let said = refused(&|config| config.cluster_urls = vec![second.url(), second.url()]).await;
    assert!(said.contains("3 addresses lead to 2 shards"), "{said}");
    let said = refused(&|config| (config.url, config.cluster_urls) = (second.url(), vec![first.url()])).await;
    assert!(said.contains("`url` must stay"), "{said}");
    let said = refused(&|config| (config.cluster, config.cluster_urls) = (None, Vec::new())).await;
    assert!(said.contains("single server"), "{said}");
    let (_, single) = rig::open().await;
    let said = refused(&|config| {
        (config.url, config.database) = (single.url.clone(), single.database.clone());
    })
    .await;
    assert!(said.contains("single server"), "{said}");
    // And nothing of this did harm.
    let store = Arc::new(ClickHouseStore::open(good).await.expect("a store"));
    store.write(range(0, 0, 10)).await.expect("a write");
}
