//! What only the queue on Kafka does: requests larger than a message, and dead letters in a topic of their own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfig as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Headers as _;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use serde_json::{Value, json};
use test_backends::kafka::{Kafka, KafkaOptions};

use crate::dead_letters::letters_until;
use crate::fleet::{Environment, on_kafka};
use crate::harness::{Options, PATIENCE, Server, alone, answer, client, folder, next_frame, tail};

const RECORDS: usize = 20_000;
const LETTERS: &str = "otlp_logs_dead_letters";

fn borrowed(environment: &Environment) -> Vec<(&'static str, &str)> {
    environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// 20 MB.
fn body() -> String {
    let text = "y".repeat(960);
    let mut body = String::with_capacity(RECORDS * 1_050);
    for number in 0..RECORDS {
        let word = if number % 2_000 == 0 { "needle" } else { "hay" };
        body += &json!({ "msg": format!("{word} {text}"), "n": number, "time": "2026-01-15T10:00:00Z" }).to_string();
        body.push('\n');
    }
    body
}

async fn send(server: &Server, body: &str) -> Option<(u16, Value)> {
    let request =
        server.http.post(format!("{}/v1/ingest", server.collector)).header("content-type", "application/json");
    let request = request.header("idempotency-key", "large-1").body(body.to_owned()).timeout(PATIENCE * 2);
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    Some((status, response.json().await.unwrap_or_default()))
}

/// Numbers of records in the order of an export, which is that of their ids where times are equal.
async fn exported(server: &Server) -> Vec<u64> {
    let url = format!("{}/api/v1/export?from=0&format=ndjson", server.api);
    let text = server.http.get(url).send().await.expect("an answer").text().await.expect("whole");
    let record = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    text.lines().map(|line| record(line)["attributes"]["n"].as_u64().expect("a number")).collect()
}

async fn is_all_stored_once(server: &Server, received: usize) {
    let since = Instant::now();
    loop {
        let (status, state) = server.get("/api/v1/status").await;
        assert_eq!(status, 200, "{state}");
        let partitions = state["queue"]["partitions"].as_array().cloned().unwrap_or_default();
        let waiting: u64 = partitions.iter().filter_map(|partition| partition["waiting_messages"].as_u64()).sum();
        let written: u64 = partitions.iter().filter_map(|partition| partition["written"].as_u64()).sum();
        if waiting == 0 && written > 20 {
            break;
        }
        assert!(since.elapsed() < PATIENCE * 2, "{state}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut numbers = exported(server).await;
    if numbers.first() > numbers.last() {
        numbers.reverse();
    }
    assert_eq!(numbers.len(), RECORDS);
    assert!(numbers.into_iter().eq(0..RECORDS as u64), "each record once, in the order of the request");
    let (_, ledger) = server.get("/api/v1/ledger?project=*").await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    let sum = |name: &str| -> u64 {
        ledger["ledger"].as_array().into_iter().flatten().filter_map(|row| row[name].as_u64()).sum()
    };
    assert_eq!((sum("received"), sum("stored"), sum("lost")), (received as u64, RECORDS as u64, 0), "{ledger}");
    let (code, out, err) = client(server, &["verify", "--url", &server.api]).await;
    assert_eq!(code, Some(0), "{out}{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_many_messages_is_stored_once() {
    let _alone = alone().await;
    let kafka = Kafka::start(&KafkaOptions::default());
    let mut environment = on_kafka(&kafka);
    environment.push(("DEVLOGS_QUEUE__KAFKA__MESSAGE_MAX", "1MiB".to_owned()));
    let environment = borrowed(&environment);
    let dying = [&environment[..], &[("DEVLOGS_CRASH_AT", "kafka.before_transaction_commit")]].concat();
    let dir = folder();
    let body = body();

    let mut server = Server::start(Options { environment: &dying, ..Options::dev(dir.path()) }).await;
    assert!(send(&server, &body).await.is_none_or(|(status, _)| status == 503), "it dies in the middle");
    let ended = tokio::time::timeout(PATIENCE, server.child.wait()).await.expect("it died").expect("waited");
    assert_ne!(ended.code(), Some(0));

    let server = Server::start(Options { environment: &environment, ..Options::dev(dir.path()) }).await;
    let mut needles = tail(&server, "needle").await;
    let since = Instant::now();
    loop {
        match send(&server, &body).await {
            Some((200, answer)) => {
                assert_eq!(answer["accepted"], RECORDS, "{answer}");
                break;
            }
            other => assert!(since.elapsed() < PATIENCE * 2, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    eprintln!("20 MB in messages of 1 MiB acknowledged after {:?}", since.elapsed());
    let mut seen = Vec::new();
    while seen.len() < RECORDS / 2_000 {
        let frame = next_frame(&mut needles).await;
        let records = frame["records"].as_array().cloned().unwrap_or_else(|| panic!("records, not {frame}"));
        seen.extend(records.iter().map(|record| record["attributes"]["n"].as_u64().expect("a number")));
    }
    assert_eq!(seen, (0..RECORDS as u64).step_by(2_000).collect::<Vec<_>>(), "the tail shows records of all parts");
    is_all_stored_once(&server, RECORDS).await;

    // Again with the same key, by a client that missed the answer, to this process and to one that does not know it.
    let (status, answer) = send(&server, &body).await.expect("an answer");
    assert_eq!((status, &answer["accepted"]), (200, &json!(RECORDS)));
    is_all_stored_once(&server, RECORDS).await;
    server.kill().await;
    let server = Server::start(Options { environment: &environment, ..Options::dev(dir.path()) }).await;
    let since = Instant::now();
    while send(&server, &body).await.expect("an answer").0 != 200 {
        assert!(since.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    is_all_stored_once(&server, RECORDS).await;
    assert_eq!(server.stop().await.1, Some(0));
}

/// The letters that the topic tells of in the end, by id: their reasons.
fn watched(kafka: &Kafka) -> BTreeMap<String, String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.brokers()).set("group.id", "watcher").set("enable.partition.eof", "true");
    let reader = BaseConsumer::from_config(&config).expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(LETTERS, 0, Offset::Beginning).expect("an offset");
    reader.assign(&list).expect("assigned");
    let mut letters = BTreeMap::new();
    loop {
        let record = match reader.poll(PATIENCE).expect("something") {
            Ok(record) => record.detach(),
            Err(KafkaError::PartitionEOF(_)) => return letters,
            // It is made with the first letter.
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                return letters;
            }
            Err(error) => panic!("{error}"),
        };
        let id = String::from_utf8(record.key().expect("a key").to_vec()).expect("text");
        let reason = record.headers().and_then(|headers| {
            let header = headers.iter().find(|header| header.key == "devlogs-reason")?;
            Some(String::from_utf8_lossy(header.value?).into_owned())
        });
        match record.payload() {
            Some(_) => drop(letters.insert(id, reason.expect("a reason"))),
            None => drop(letters.remove(&id)),
        }
    }
}

/// Waits until this process has buried so many records itself: letters of the one before are there at once.
async fn buried(server: &Server, count: u64) {
    let since = Instant::now();
    loop {
        let (_, ledger) = server.get("/api/v1/ledger?project=*").await;
        let rows = ledger["ledger"].as_array().into_iter().flatten();
        if rows.filter_map(|row| row["dead_lettered"].as_u64()).sum::<u64>() == count {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{ledger}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_of_dead_letters_follows_the_commands() {
    let _alone = alone().await;
    let kafka = Kafka::start(&KafkaOptions::default());
    let environment = |attributes_max: &str| {
        let more =
            [("DEVLOGS_STORE__EMBEDDED__FLUSH_AGE", "1h"), ("DEVLOGS_COLLECTOR__ATTRIBUTES_MAX", attributes_max)];
        let more = more.map(|(name, value)| (name, value.to_owned()));
        on_kafka(&kafka).into_iter().chain(more).collect::<Vec<_>>()
    };
    let dir = folder();
    let start = async |attributes_max: &str| {
        let environment = environment(attributes_max);
        Server::start(Options { environment: &borrowed(&environment), ..Options::dev(dir.path()) }).await
    };
    let server = start("1000").await;
    let wide = r#"{"msg":"wide","a":1,"b":2}"#;
    let url = format!("{}/v1/ingest", server.collector);
    let request = server.http.post(url).header("content-type", "application/json");
    assert_eq!(answer(request.body(format!("{wide}\n{wide}\n{wide}\n"))).await.0, 200);
    server.search_until("", 3).await;
    server.kill().await;

    // Not durable in the store, so that each start processes and buries them again, under the same ids.
    let mut ids = Vec::new();
    for _ in 0..2 {
        let server = start("1").await;
        let found = letters_until(&server, 3).await;
        ids = found.iter().map(|letter| letter["id"].as_str().expect("an id").to_owned()).collect();
        ids.sort();
        let since = Instant::now();
        let shown = loop {
            let shown = watched(&kafka);
            if shown.keys().eq(&ids) {
                break shown;
            }
            assert!(since.elapsed() < PATIENCE, "{shown:?}");
        };
        server.kill().await;
        assert!(shown.values().all(|reason| reason.contains("attributes")), "{shown:?}");
    }

    let server = start("1").await;
    buried(&server, 3).await;
    letters_until(&server, 3).await;
    for (command, id) in [("drop", &ids[0]), ("retry", &ids[1])] {
        let (code, _, err) = client(&server, &["dead-letters", command, id]).await;
        assert_eq!(code, Some(0), "{err}");
    }
    // What was sent again fails again.
    let left = letters_until(&server, 2).await;
    assert!(left.iter().all(|letter| letter["id"] != ids[0].as_str()), "{left:?}");
    let since = Instant::now();
    while !watched(&kafka).keys().eq(&ids[1..]) {
        assert!(since.elapsed() < PATIENCE, "{:?}", watched(&kafka));
    }
    let (_, ledger) = server.get("/api/v1/ledger?project=*").await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    let (code, out, err) = client(&server, &["verify", "--url", &server.api]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(server.stop().await.1, Some(0));
}
