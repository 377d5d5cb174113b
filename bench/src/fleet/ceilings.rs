//! The same rows and messages without us: a plain insert into ClickHouse, COPY into PostgreSQL, a producer of Kafka.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use test_backends::clickhouse::{self, ClickHouse};
use test_backends::postgres::Postgres;

use super::Pair;
use super::servers::{Servers, Settings};
use crate::measure::Bench;
use crate::process::own_cpu_seconds;
use crate::report::{Report, Section};

const PATIENCE: Duration = Duration::from_secs(60);
const BYTES_MAX: &str = "100000000";

/// What doing without us came to.
struct Ceiling {
    wall: f64,
    /// Of this program, or of none where another one works.
    client_cpu: Option<f64>,
}

/// On what the last run of a pair left.
///
/// # Errors
/// A server refuses.
pub(super) async fn measure(
    bench: &Bench,
    report: &mut Report,
    servers: &Servers,
    pair: Pair,
    settings: &Settings,
) -> anyhow::Result<()> {
    let columns = ["what", "records/s", "server CPU µs a record", "client CPU µs a record"];
    let mut section = Section::new(format!("The servers of {pair} without us, the same rows and messages"), &columns);
    let records = bench.corpus.truth.records as f64;
    if let Some(kafka) = servers.kafka.as_ref().filter(|_| pair.on_kafka()) {
        let messages = tokio::task::block_in_place(|| messages(&kafka.brokers(), settings))?;
        let before = servers.queue_cpu(pair);
        let ceiling = produce(&kafka.brokers(), settings, &messages).await?;
        let cpu = servers.queue_cpu(pair) - before;
        add(report, &mut section, pair, ("a bare producer of Kafka", "producer"), (records, &ceiling, cpu));
    }
    let before = servers.store_cpu(pair);
    let (what, key, ceiling) = match (&servers.clickhouse, &servers.postgres) {
        (Some(server), _) if pair.in_clickhouse() => {
            ("a plain insert into ClickHouse, Native", "insert", insert(server, settings).await?)
        }
        (_, Some(server)) => {
            ("COPY into PostgreSQL by psql", "copy", tokio::task::block_in_place(|| copy(bench, server, settings))?)
        }
        _ => return Ok(()),
    };
    let cpu = servers.store_cpu(pair) - before;
    add(report, &mut section, pair, (what, key), (records, &ceiling, cpu));
    section.note("The store's CPU includes reading the rows out first.");
    report.add(section);
    Ok(())
}

fn add(
    report: &mut Report,
    section: &mut Section,
    pair: Pair,
    (what, key): (&str, &str),
    (records, ceiling, server_cpu): (f64, &Ceiling, f64),
) {
    report.figure(format!("fleet.{pair}.{key}.records_per_s"), records / ceiling.wall);
    section.row([
        what.into(),
        (records / ceiling.wall).round().into(),
        (server_cpu * 1e6 / records).into(),
        ceiling.client_cpu.map(|cpu| cpu * 1e6 / records).into(),
    ]);
}

/// Every message of the topic: partition and payload.
fn messages(brokers: &str, settings: &Settings) -> anyhow::Result<Vec<(i32, Vec<u8>)>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench")
        .set("fetch.message.max.bytes", BYTES_MAX)
        .set("receive.message.max.bytes", "1000000000")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    let mut expected = 0;
    for partition in 0..settings.partitions.cast_signed() {
        partitions.add_partition_offset(&settings.queue, partition, Offset::Beginning)?;
        let (from, to) = consumer.fetch_watermarks(&settings.queue, partition, PATIENCE)?;
        expected += to - from;
    }
    consumer.assign(&partitions)?;
    let mut messages = Vec::new();
    while (messages.len() as i64) < expected {
        let message = consumer.poll(PATIENCE).context("the topic does not read")??;
        messages.push((message.partition(), message.payload().unwrap_or_default().to_vec()));
    }
    Ok(messages)
}

/// As durable as ours, one after the other.
async fn produce(brokers: &str, settings: &Settings, messages: &[(i32, Vec<u8>)]) -> anyhow::Result<Ceiling> {
    let topic = format!("{}_bare", settings.queue);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("message.max.bytes", BYTES_MAX);
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let new = NewTopic::new(&topic, settings.partitions.cast_signed(), TopicReplication::Fixed(1))
        .set("max.message.bytes", BYTES_MAX);
    for made in admin.create_topics([&new], &AdminOptions::new()).await? {
        made.map_err(|(_, code)| anyhow::anyhow!("the topic is not made: {code}"))?;
    }
    let producer: BaseProducer = config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("compression.codec", "zstd")
        .set("linger.ms", "2")
        .set("queue.buffering.max.kbytes", "2097151")
        .create()?;
    tokio::task::block_in_place(|| {
        let (since, before) = (Instant::now(), own_cpu_seconds()?);
        for (partition, payload) in messages {
            let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&topic).partition(*partition).payload(payload);
            producer.send(record).map_err(|(error, _)| error)?;
            producer.poll(Duration::ZERO);
        }
        producer.flush(PATIENCE)?;
        Ok(Ceiling { wall: since.elapsed().as_secs_f64(), client_cpu: Some(own_cpu_seconds()? - before) })
    })
}

/// All rows in one request, in the server's own format.
async fn insert(server: &ClickHouse, settings: &Settings) -> anyhow::Result<Ceiling> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    // The statement in the address, or alone in the body.
    let post = |sql: &str, body: Vec<u8>| {
        let request = client.post(reqwest::Url::parse_with_params(&server.url(), [("query", sql)])?);
        let (user, password) = clickhouse::USER;
        anyhow::Ok(request.header("X-ClickHouse-User", user).header("X-ClickHouse-Key", password).body(body))
    };
    let database = &settings.database;
    let rows = post("", format!("SELECT * FROM {database}.otel_logs FORMAT Native").into())?.send().await?;
    let rows = rows.error_for_status()?.bytes().await?.to_vec();
    server.query(&format!("CREATE TABLE {database}.plain AS {database}.otel_logs"));
    let (since, before) = (Instant::now(), own_cpu_seconds()?);
    let answer = post(&format!("INSERT INTO {database}.plain FORMAT Native"), rows)?.send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{status}: {text}");
    let ceiling = Ceiling { wall: since.elapsed().as_secs_f64(), client_cpu: Some(own_cpu_seconds()? - before) };
    let count = |table: &str| server.query(&format!("SELECT count() FROM {database}.{table}"));
    ensure!(count("plain") == count("otel_logs"), "rows are missing");
    server.query(&format!("DROP TABLE {database}.plain"));
    Ok(ceiling)
}

/// All rows from a file, with the same indexes.
fn copy(bench: &Bench, server: &Postgres, settings: &Settings) -> anyhow::Result<Ceiling> {
    let file = bench.work.join("rows");
    let run = |sql: &str| server.psql(&settings.database, sql);
    run(&format!("\\copy (SELECT * FROM devlogs_records) TO '{}'", file.display()));
    run("CREATE TABLE plain (LIKE devlogs_records INCLUDING ALL)");
    let since = Instant::now();
    run(&format!("\\copy plain FROM '{}'", file.display()));
    let wall = since.elapsed().as_secs_f64();
    run("DROP TABLE plain");
    std::fs::remove_file(&file)?;
    Ok(Ceiling { wall, client_cpu: None })
}
