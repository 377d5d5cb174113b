//! The network between each pair of a fleet is cut under load; at the end every acknowledged record is there exactly once.
//!
//! Each role reaches each server through a proxy of its own, but for one processor that is not cut off: it takes over
//! what the other one reads, which comes back with what it had not written yet. After each cut requests are accepted,
//! everything accepted is found, and a live tail goes on. `DEVLOGS_CUT_ROUNDS` sets how often each pair is cut (once
//! unless told otherwise); what the network does changes from round to round.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use test_backends::clickhouse::ClickHouse;
use test_backends::free_port;
use test_backends::kafka::{Kafka, KafkaOptions};
use test_backends::postgres::{Postgres, PostgresOptions};
use test_backends::redis::{Options as RedisOptions, Redis};

use crate::fleet::{
    API, COLLECTOR, Environment, Fleet, PROCESSOR, in_clickhouse, in_postgres, metadata_in, on_kafka, on_redis, told,
};
use crate::harness::{PATIENCE, Server, alone, next_frame, tail};
use crate::load::{Load, found};
use crate::proxy::{Network, Proxy};

const CLIENTS: u64 = 4;
const ROLES: [&str; 3] = [COLLECTOR, PROCESSOR, API];
const DISTURBANCES: [Network; 4] = [Network::Stalls, Network::Closes, Network::Resets, Network::Delays];

/// Long enough for requests to fail and for retries to begin.
const LASTS: Duration = Duration::from_millis(2_500);

/// Longer than the time after which a processor's partitions are given to another one.
const LASTS_LONG: Duration = Duration::from_secs(10);

const QUEUE: &str = "queue";
const STORE: &str = "store";
const METADATA: &str = "metadata";

/// The networks between a role and a server each.
#[derive(Default)]
struct Links(Vec<(&'static str, &'static str, Proxy)>);

impl Links {
    /// Lets each of the roles reach a server, whose address has this name in the environment, through a proxy of its own.
    async fn cut(
        &mut self,
        fleet: &mut Fleet,
        roles: &[&'static str],
        server: &'static str,
        (name, environment): (&'static str, &Environment),
    ) {
        let address = told(environment, name);
        for role in roles {
            let (_, port) = address.rsplit_once("127.0.0.1:").expect("a loopback address");
            let port: String = port.chars().take_while(char::is_ascii_digit).collect();
            let proxy = Proxy::before(port.parse().expect("a port")).await;
            fleet.tell(role, vec![(name, proxy.address(address))]);
            self.0.push((role, server, proxy));
        }
    }

    /// Cuts one after the other, and waits each time until everything goes on.
    #[expect(clippy::disallowed_methods, reason = "the long run is told how long")]
    async fn cut_each(&self, watched: &Watched<'_>, first: usize) {
        let rounds = std::env::var("DEVLOGS_CUT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        for round in first..first + rounds {
            for (index, (role, server, proxy)) in self.0.iter().enumerate() {
                let network = DISTURBANCES[(index + round) % DISTURBANCES.len()];
                proxy.set(network);
                tokio::time::sleep(LASTS).await;
                proxy.set(Network::Passes);
                watched.goes_on(&format!("{network:?}: {role} and {server}")).await;
            }
        }
        let link = self.0.iter().find(|(role, server, _)| (*role, *server) == (PROCESSOR, QUEUE));
        let (_, _, proxy) = link.expect("the processor reads the queue");
        proxy.set(Network::Stalls);
        tokio::time::sleep(LASTS_LONG).await;
        watched.goes_on("during a long cut: processor and queue").await;
        proxy.set(Network::Passes);
        watched.goes_on("after a long cut: processor and queue").await;
    }
}

/// What must go on after every cut.
struct Watched<'a> {
    load: Load,
    api: &'a Server,
    /// Records that the live tail has shown.
    tailed: Arc<AtomicUsize>,
}

impl<'a> Watched<'a> {
    /// Starts nodes that are cut off, with a load that needs a key.
    async fn start(fleet: &'a mut Fleet) -> Self {
        for role in [API, COLLECTOR, COLLECTOR, PROCESSOR] {
            fleet.add(role).await;
        }
        let (load, api) = (Load::start(CLIENTS, &fleet.client()), fleet.node(API));
        let mut socket = tail(api, "service:crash").await;
        let tailed = Arc::new(AtomicUsize::new(0));
        let counter = tailed.clone();
        tokio::spawn(async move {
            loop {
                let frame = next_frame(&mut socket).await;
                let shown = frame["records"].as_array().map_or(0, Vec::len);
                counter.fetch_add(shown, Ordering::Relaxed);
            }
        });
        fleet.take(&load);
        let watched = Self { load, api, tailed };
        watched.goes_on("the start").await;
        watched
    }

    async fn goes_on(&self, after: &str) {
        self.load.progress(after).await;
        self.is_found(self.load.acknowledged(), after).await;
        let (since, before) = (Instant::now(), self.tailed.load(Ordering::Relaxed));
        while self.tailed.load(Ordering::Relaxed) == before {
            assert!(since.elapsed() < PATIENCE, "the live tail shows nothing any more: {after}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until so many records are found; the store may be away for a moment yet.
    async fn is_found(&self, records: usize, after: &str) {
        let since = Instant::now();
        loop {
            let (status, body, count) = found(self.api).await;
            if count >= records {
                return;
            }
            assert!([200, 503, 504].contains(&status), "{after}: {status} {body}");
            assert!(since.elapsed() < PATIENCE * 2, "not all of {records} records are found: {after}: {body}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn prove(mut self, on: &str) {
        self.load.finish().await.prove_fleet(self.api, on).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_on_redis_and_postgres_survives_every_cut() {
    let _alone = alone().await;
    let redis = Redis::start(RedisOptions::default());
    let postgres = Postgres::start(PostgresOptions::default());
    let (queue, store, metadata) = (on_redis(&redis), in_postgres(&postgres), metadata_in(&postgres));
    let mut fleet = Fleet::new(false, [queue.clone(), store.clone(), metadata.clone()]);
    fleet.add(PROCESSOR).await;
    let mut links = Links::default();
    links.cut(&mut fleet, &ROLES, QUEUE, ("DEVLOGS_QUEUE__REDIS__URL", &queue)).await;
    links.cut(&mut fleet, &[PROCESSOR, API], STORE, ("DEVLOGS_STORE__TIMESCALE__URL", &store)).await;
    links.cut(&mut fleet, &ROLES, METADATA, ("DEVLOGS_METADATA__URL", &metadata)).await;
    let watched = Watched::start(&mut fleet).await;
    links.cut_each(&watched, 0).await;
    watched.prove("cuts before Redis and PostgreSQL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_on_kafka_and_clickhouse_survives_every_cut() {
    let _alone = alone().await;
    // Kafka tells its clients where it is: a listener for each role, which tells of that role's proxy.
    let mut proxies = Vec::new();
    for role in ROLES {
        let port = free_port();
        proxies.push((role, port, Proxy::before(port).await));
    }
    let behind_proxies = proxies.iter().map(|(_, port, proxy)| (*port, proxy.port())).collect();
    let kafka = Kafka::start(&KafkaOptions { behind_proxies, ..KafkaOptions::default() });
    let clickhouse = ClickHouse::start();
    let postgres = Postgres::start(PostgresOptions::default());
    let (store, metadata) = (in_clickhouse(&clickhouse), metadata_in(&postgres));
    let mut fleet = Fleet::new(false, [on_kafka(&kafka), store.clone(), metadata.clone()]);
    fleet.add(PROCESSOR).await;
    let mut links = Links::default();
    for (role, _, proxy) in proxies {
        fleet.tell(role, vec![("DEVLOGS_QUEUE__KAFKA__BROKERS", format!("127.0.0.1:{}", proxy.port()))]);
        links.0.push((role, QUEUE, proxy));
    }
    links.cut(&mut fleet, &[PROCESSOR, API], STORE, ("DEVLOGS_STORE__CLICKHOUSE__URL", &store)).await;
    links.cut(&mut fleet, &ROLES, METADATA, ("DEVLOGS_METADATA__URL", &metadata)).await;
    let watched = Watched::start(&mut fleet).await;
    links.cut_each(&watched, 1).await;
    watched.prove("cuts before Kafka and ClickHouse").await;
}
