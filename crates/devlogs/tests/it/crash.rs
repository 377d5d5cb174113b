//! SIGKILL at random and at each named step while clients send with retries and idempotency keys; afterwards
//! `devlogs verify` and a full export prove that every acknowledged record is there exactly once.
//!
//! `DEVLOGS_CRASH_ROUNDS` sets the number of random kills (50 unless told otherwise).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Options, PATIENCE, Server, devlogs, folder, http};

const CLIENTS: u64 = 4;

/// Every step at which the process can be told to die, and how often it is reached before it does.
const STEPS: [(&str, &[u32]); 18] = [
    ("queue.before_write", &[1, 9]),
    ("queue.after_write", &[1, 9]),
    ("queue.after_fsync", &[1, 9]),
    ("queue.before_roll", &[1]),
    ("queue.after_roll", &[1]),
    ("queue.group_before_rename", &[1, 3]),
    ("queue.group_after_rename", &[1, 3]),
    ("queue.before_delete", &[1]),
    ("pipeline.before_write", &[1, 5]),
    ("pipeline.after_write", &[1, 5]),
    ("pipeline.before_commit", &[1, 2]),
    ("store.before_segment_rename", &[1, 2]),
    ("store.after_segment_rename", &[1, 2]),
    ("store.before_manifest_rename", &[1, 2]),
    ("store.after_manifest_rename", &[1, 2]),
    ("store.before_manifest", &[1, 2]),
    ("store.before_compaction_manifest", &[1]),
    ("store.before_segment_delete", &[1]),
];

/// Small files and short ages, so that each step is reached within moments.
const EAGER: [(&str, &str); 6] = [
    ("DEVLOGS_QUEUE__EMBEDDED__SEGMENT", "256KiB"),
    ("DEVLOGS_QUEUE__EMBEDDED__RETENTION_SIZE", "1MiB"),
    ("DEVLOGS_QUEUE__EMBEDDED__DISK_FREE_MIN", "1MiB"),
    ("DEVLOGS_STORE__EMBEDDED__FLUSH_AGE", "150ms"),
    ("DEVLOGS_STORE__EMBEDDED__FLUSH_SIZE", "1MiB"),
    ("DEVLOGS_LOG__FILTER", "error"),
];

/// What the clients know to be acknowledged.
#[derive(Default)]
struct Acknowledged {
    /// Record number to the client that sent it.
    records: Mutex<BTreeMap<u64, u64>>,
    repeated: AtomicU64,
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the long run is told how long")]
async fn sigkill_at_random_loses_and_doubles_nothing() {
    let rounds = std::env::var("DEVLOGS_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(50);
    let mut rng = fastrand::Rng::with_seed(7);
    let dir = folder();
    let mut run = Run::new(dir.path());
    for _ in 0..rounds {
        let server = run.start(None).await.expect("restarts after a kill");
        tokio::time::sleep(Duration::from_millis(rng.u64(20..500))).await;
        server.kill().await;
    }
    let (records, repeated) = run.prove().await;
    eprintln!("{rounds} random kills: {records} records acknowledged, {repeated} requests repeated, 0 lost, 0 doubled");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_at_each_named_step_loses_and_doubles_nothing() {
    let dir = folder();
    let mut run = Run::new(dir.path());
    let mut reached = BTreeSet::new();
    let mut missed = BTreeSet::new();
    for (step, hits) in STEPS {
        for hit in hits {
            let at = format!("{step}:{hit}");
            let died = match run.start(Some(&at)).await {
                Some(server) => died_by_itself(server).await,
                // It died before it was ready.
                None => true,
            };
            if died {
                reached.insert(step)
            } else {
                missed.insert(step)
            };
            run.verify(&at).await;
        }
    }
    let never: Vec<_> = missed.difference(&reached).collect();
    assert!(never.is_empty(), "steps that were never reached: {never:?}");
    let (records, repeated) = run.prove().await;
    eprintln!(
        "{} named steps: {records} records acknowledged, {repeated} requests repeated, 0 lost, 0 doubled",
        reached.len()
    );
}

/// Waits for the process to abort at its step; kills it when it does not come there.
async fn died_by_itself(mut server: Server) -> bool {
    if tokio::time::timeout(Duration::from_secs(6), server.child.wait()).await.is_ok() {
        return true;
    }
    server.kill().await;
    false
}

/// Clients that go on while servers come and go on one data directory.
struct Run<'a> {
    dir: &'a Path,
    /// Every server of the run listens here, outside the range of free ports: a client that comes too late must not
    /// reach the server of another test.
    address: String,
    acknowledged: Arc<Acknowledged>,
    collector: Arc<Mutex<Option<String>>>,
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl<'a> Run<'a> {
    fn new(dir: &'a Path) -> Self {
        let acknowledged = Arc::new(Acknowledged::default());
        let collector = Arc::new(Mutex::new(None));
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS)
            .map(|client| tokio::spawn(send(client, acknowledged.clone(), collector.clone(), stop.clone())))
            .collect();
        let address = format!("127.0.0.1:{}", fixed_port());
        Self { dir, address, acknowledged, collector, stop, clients }
    }

    async fn start(&mut self, crash_at: Option<&str>) -> Option<Server> {
        let mut environment = EAGER.to_vec();
        environment.push(("DEVLOGS_COLLECTOR__LISTEN", &self.address));
        environment.extend(crash_at.map(|step| ("DEVLOGS_CRASH_AT", step)));
        let options = Options { dir: self.dir, arguments: &["--dev"], environment: &environment };
        let server = Server::try_start(options).await?;
        *self.collector.lock().expect("not poisoned") = Some(server.collector.clone());
        Some(server)
    }

    /// Holds what the last server left against what its queue still has.
    async fn verify(&self, after: &str) {
        let verified = devlogs().args(["verify", "--data-dir"]).arg(self.dir).output().await.expect("runs");
        assert!(
            verified.status.success(),
            "verify after {after}: {}{}",
            String::from_utf8_lossy(&verified.stdout),
            String::from_utf8_lossy(&verified.stderr)
        );
    }

    /// Lets every client finish its last request, stops the server, verifies, and counts an export.
    async fn prove(mut self) -> (usize, u64) {
        let server = self.start(None).await.expect("restarts");
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.await.expect("the client ends");
        }
        let expected = self.acknowledged.records.lock().expect("not poisoned").clone();
        assert!(expected.len() > 100, "only {} records were acknowledged", expected.len());
        wait_for_count(&server, expected.len()).await;
        assert_eq!(server.stop().await.1, Some(0));

        self.verify("the end").await;

        let server = self.start(None).await.expect("restarts");
        let counted = export(&server).await;
        server.kill().await;
        for (number, times) in &counted {
            assert_eq!(*times, 1, "record {number} is stored {times} times");
            assert!(expected.contains_key(number), "record {number} was never acknowledged, and no request is open");
        }
        let lost: Vec<_> = expected.keys().filter(|number| !counted.contains_key(number)).collect();
        assert!(lost.is_empty(), "{} acknowledged records are lost: {:?}…", lost.len(), &lost[..lost.len().min(10)]);
        (expected.len(), self.acknowledged.repeated.load(Ordering::Relaxed))
    }
}

fn fixed_port() -> u16 {
    std::iter::repeat_with(|| fastrand::u16(20_000..30_000))
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// Sends batches of one to forty records, each under its key until it is acknowledged.
async fn send(
    client: u64,
    acknowledged: Arc<Acknowledged>,
    collector: Arc<Mutex<Option<String>>>,
    stop: Arc<AtomicBool>,
) {
    let http = http();
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
            let url = collector.lock().expect("not poisoned").clone();
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

async fn wait_for_count(server: &Server, expected: usize) {
    let since = Instant::now();
    loop {
        let (status, body) = server.get("/api/v1/aggregate?from=0&metrics=count&q=service:crash").await;
        assert_eq!(status, 200, "{body}");
        let count = body["rows"][0]["metrics"]["count"].as_u64().unwrap_or(0);
        if count >= expected as u64 {
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
