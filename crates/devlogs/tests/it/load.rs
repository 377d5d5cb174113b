//! Clients that send under idempotency keys until they are acknowledged, while servers come and go, and the exact
//! count at the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{PATIENCE, Server, answer};

/// How much must be acknowledged for the load to go on.
const PROGRESS_RECORDS: usize = 2_000;

/// Running clients.
pub(crate) struct Load {
    acknowledged: Arc<Acknowledged>,
    /// Addresses of collectors; each request goes to any of them.
    collectors: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

/// What the clients know to be acknowledged.
#[derive(Default)]
struct Acknowledged {
    /// Record number to the client that sent it.
    records: Mutex<BTreeMap<u64, u64>>,
    repeated: AtomicU64,
}

/// What a run was.
pub(crate) struct Sent {
    pub(crate) records: BTreeMap<u64, u64>,
    pub(crate) repeated: u64,
}

impl Load {
    pub(crate) fn start(clients: u64, http: &reqwest::Client) -> Self {
        let acknowledged = Arc::new(Acknowledged::default());
        let collectors = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..clients)
            .map(|client| {
                tokio::spawn(send(client, http.clone(), acknowledged.clone(), collectors.clone(), stop.clone()))
            })
            .collect();
        Self { acknowledged, collectors, stop, clients }
    }

    /// Where requests go from now on.
    pub(crate) fn send_to(&self, collectors: Vec<String>) {
        *self.collectors.lock().expect("not poisoned") = collectors;
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.records.lock().expect("not poisoned").len()
    }

    /// Waits until clients had so much acknowledged since now.
    pub(crate) async fn progress(&self, after: &str) {
        let (since, before) = (Instant::now(), self.acknowledged());
        while self.acknowledged() < before + PROGRESS_RECORDS {
            assert!(since.elapsed() < PATIENCE * 3, "nothing is acknowledged any more after: {after}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets every client finish its last request.
    pub(crate) async fn finish(&mut self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.await.expect("the client ends");
        }
        let records = self.acknowledged.records.lock().expect("not poisoned").clone();
        Sent { records, repeated: self.acknowledged.repeated.load(Ordering::Relaxed) }
    }
}

impl Sent {
    /// Holds an export of a fleet, and its own verification, against what was sent.
    pub(crate) async fn prove_fleet(&self, api: &Server, on: &str) {
        wait_for_count(api, self.records.len()).await;
        self.prove(api).await;
        let (status, verified) = answer(api.http.post(format!("{}/api/v1/verify", api.api)).json(&json!({}))).await;
        assert_eq!((status, &verified["sound"]), (200, &json!(true)), "{verified}");
        let (acknowledged, repeated) = (self.records.len(), self.repeated);
        eprintln!("{on}: {acknowledged} records acknowledged, {repeated} requests repeated, 0 lost, 0 doubled");
    }

    /// Holds an export of a server against what was sent.
    pub(crate) async fn prove(&self, server: &Server) {
        let counted = export(server).await;
        for (number, times) in &counted {
            assert_eq!(*times, 1, "record {number} is stored {times} times");
            assert!(
                self.records.contains_key(number),
                "record {number} was never acknowledged, and no request is open"
            );
        }
        let lost: Vec<_> = self.records.keys().filter(|number| !counted.contains_key(number)).collect();
        assert!(lost.is_empty(), "{} acknowledged records are lost: {:?}…", lost.len(), &lost[..lost.len().min(10)]);
    }
}

/// Sends batches of one to forty records, each under its key until it is acknowledged.
async fn send(
    client: u64,
    http: reqwest::Client,
    acknowledged: Arc<Acknowledged>,
    collectors: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
) {
    let mut rng = fastrand::Rng::with_seed(client);
    let mut next = client << 40;
    for batch in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let numbers = next..next + rng.u64(1..40);
        next = numbers.end;
        let body: String = numbers
            .clone()
            .map(|number| {
                json!({ "n": number, "service": "crash", "msg": format!("record {number} {}", "x".repeat(200)) })
                    .to_string()
                    + "\n"
            })
            .collect();
        let since = Instant::now();
        loop {
            let url = {
                let collectors = collectors.lock().expect("not poisoned");
                rng.choice(collectors.iter()).cloned()
            };
            let answer = match url {
                Some(url) => {
                    http.post(format!("{url}/v1/ingest"))
                        .header("idempotency-key", format!("{client}-{batch}"))
                        .header("content-type", "application/x-ndjson")
                        .timeout(Duration::from_secs(5))
                        .body(body.clone())
                        .send()
                        .await
                }
                None => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            match answer {
                Ok(answer) if answer.status() == 200 => break,
                Ok(answer) => {
                    let status = answer.status();
                    assert!(status == 429 || status == 503, "{status}: {}", answer.text().await.unwrap_or_default());
                }
                Err(_) => {}
            }
            assert!(since.elapsed() < PATIENCE * 4, "a request is never acknowledged");
            acknowledged.repeated.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut records = acknowledged.records.lock().expect("not poisoned");
        records.extend(numbers.map(|number| (number, client)));
    }
}

/// How many records are searchable, and the answer that says so.
pub(crate) async fn found(server: &Server) -> (u16, Value, usize) {
    let (status, body) = server.get("/api/v1/aggregate?from=0&metrics=count&q=service:crash").await;
    let count = body["rows"][0]["metrics"]["count"].as_u64().unwrap_or(0);
    (status, body, count as usize)
}

pub(crate) async fn wait_for_count(server: &Server, expected: usize) {
    let since = Instant::now();
    loop {
        let (status, body, count) = found(server).await;
        assert_eq!(status, 200, "{body}");
        if count >= expected {
            return;
        }
        if since.elapsed() > PATIENCE {
            // The verification and the export below say what is missing.
            eprintln!("{count} of {expected} records are searchable: {body}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How often each record number is in the store.
async fn export(server: &Server) -> BTreeMap<u64, u32> {
    let since = Instant::now();
    loop {
        let url = format!("{}/api/v1/export?from=0&format=ndjson&q=service:crash", server.api);
        let text = server.http.get(url).send().await.expect("an answer").text().await.expect("whole");
        let mut counted = BTreeMap::new();
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).expect("JSON");
            *counted.entry(record["attributes"]["n"].as_u64().expect("a number")).or_insert(0) += 1;
        }
        // What the last run had not made durable in the store is read from the queue again.
        let (_, status) = server.get("/api/v1/status").await;
        let waiting = status["queue"]["partitions"].as_array().is_some_and(|partitions| {
            partitions.iter().any(|partition| partition["waiting_messages"].as_u64() != Some(0))
        });
        if !waiting {
            return counted;
        }
        assert!(since.elapsed() < PATIENCE, "the queue is never read to its end: {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
