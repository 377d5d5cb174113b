//! The network between each pair of a fleet is cut under load; at the end every acknowledged record is there exactly once.
//!
//! Each role reaches each server through a proxy of its own. `DEVLOGS_CUT_ROUNDS` sets how often each pair is cut (once
//! unless told otherwise); what the network does changes from round to round.

use std::time::Duration;

use test_backends::clickhouse::ClickHouse;
use test_backends::free_port;
use test_backends::kafka::{Kafka, KafkaOptions};
use test_backends::postgres::{Postgres, PostgresOptions};
use test_backends::redis::{Options as RedisOptions, Redis};

use crate::fleet::{
    API, COLLECTOR, Environment, Fleet, PROCESSOR, in_clickhouse, in_postgres, metadata_in, on_kafka, on_redis, told,
};
use crate::harness::alone;
use crate::load::Load;
use crate::proxy::{Network, Proxy};

const CLIENTS: u64 = 4;
const ROLES: [&str; 3] = [COLLECTOR, PROCESSOR, API];
const DISTURBANCES: [Network; 4] = [Network::Stalls, Network::Closes, Network::Resets, Network::Delays];

/// Long enough for requests to fail and for retries to begin.
const LASTS: Duration = Duration::from_millis(2_500);

/// The networks between roles and servers.
#[derive(Default)]
struct Links(Vec<(String, Proxy)>);

impl Links {
    /// Lets each of the roles reach a server, whose address has this name in the environment, through a proxy of its own.
    async fn cut(&mut self, fleet: &mut Fleet, roles: &[&'static str], name: &'static str, server: &Environment) {
        let address = told(server, name);
        for role in roles {
            let (_, port) = address.rsplit_once("127.0.0.1:").expect("a loopback address");
            let port: String = port.chars().take_while(char::is_ascii_digit).collect();
            let proxy = Proxy::before(port.parse().expect("a port")).await;
            fleet.tell(role, vec![(name, proxy.address(address))]);
            self.0.push((format!("{role} and {name}"), proxy));
        }
    }

    /// Cuts one after the other, and waits each time until the load goes on.
    #[expect(clippy::disallowed_methods, reason = "the long run is told how long")]
    async fn cut_each(&self, load: &Load, first: usize) {
        let rounds = std::env::var("DEVLOGS_CUT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        for round in first..first + rounds {
            for (index, (between, proxy)) in self.0.iter().enumerate() {
                let network = DISTURBANCES[(index + round) % DISTURBANCES.len()];
                proxy.set(network);
                tokio::time::sleep(LASTS).await;
                proxy.set(Network::Passes);
                load.progress(&format!("{network:?}: {between}")).await;
            }
        }
    }
}

/// Starts nodes of each role, with a load that needs a key.
async fn start(fleet: &mut Fleet) -> Load {
    for role in [API, COLLECTOR, PROCESSOR, PROCESSOR] {
        fleet.add(role).await;
    }
    let load = Load::start(CLIENTS, &fleet.client());
    fleet.take(&load);
    load.progress("the start").await;
    load
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_on_redis_and_postgres_survives_every_cut() {
    let _alone = alone().await;
    let redis = Redis::start(RedisOptions::default());
    let postgres = Postgres::start(PostgresOptions::default());
    let (queue, store, metadata) = (on_redis(&redis), in_postgres(&postgres), metadata_in(&postgres));
    let mut fleet = Fleet::new(false, [queue.clone(), store.clone(), metadata.clone()]);
    let mut links = Links::default();
    links.cut(&mut fleet, &ROLES, "DEVLOGS_QUEUE__REDIS__URL", &queue).await;
    links.cut(&mut fleet, &[PROCESSOR, API], "DEVLOGS_STORE__TIMESCALE__URL", &store).await;
    links.cut(&mut fleet, &ROLES, "DEVLOGS_METADATA__URL", &metadata).await;
    let mut load = start(&mut fleet).await;
    links.cut_each(&load, 0).await;
    load.finish().await.prove_fleet(fleet.node(API), "cuts before Redis and PostgreSQL").await;
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
    let mut links = Links::default();
    for (role, _, proxy) in proxies {
        fleet.tell(role, vec![("DEVLOGS_QUEUE__KAFKA__BROKERS", format!("127.0.0.1:{}", proxy.port()))]);
        links.0.push((format!("{role} and Kafka"), proxy));
    }
    links.cut(&mut fleet, &[PROCESSOR, API], "DEVLOGS_STORE__CLICKHOUSE__URL", &store).await;
    links.cut(&mut fleet, &ROLES, "DEVLOGS_METADATA__URL", &metadata).await;
    let mut load = start(&mut fleet).await;
    links.cut_each(&load, 1).await;
    load.finish().await.prove_fleet(fleet.node(API), "cuts before Kafka and ClickHouse").await;
}
