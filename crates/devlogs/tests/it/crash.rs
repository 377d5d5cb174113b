//! SIGKILL at random and at each named step while clients send with retries and idempotency keys; afterwards
//! `devlogs verify` and a full export prove that every acknowledged record is there exactly once.
//!
//! `DEVLOGS_CRASH_ROUNDS` sets the number of random kills (50 unless told otherwise).

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::harness::{Options, Server, devlogs, folder, http};
use crate::load::{Load, wait_for_count};

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
    load: Load,
}

impl<'a> Run<'a> {
    fn new(dir: &'a Path) -> Self {
        Self { dir, address: format!("127.0.0.1:{}", fixed_port()), load: Load::start(CLIENTS, &http()) }
    }

    async fn start(&mut self, crash_at: Option<&str>) -> Option<Server> {
        let mut environment = EAGER.to_vec();
        environment.push(("DEVLOGS_COLLECTOR__LISTEN", &self.address));
        environment.extend(crash_at.map(|step| ("DEVLOGS_CRASH_AT", step)));
        let options = Options { dir: self.dir, arguments: &["--dev"], environment: &environment };
        let server = Server::try_start(options).await?;
        self.load.send_to(vec![server.collector.clone()]);
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
        let sent = self.load.finish().await;
        assert!(sent.records.len() > 100, "only {} records were acknowledged", sent.records.len());
        wait_for_count(&server, sent.records.len()).await;
        assert_eq!(server.stop().await.1, Some(0));

        self.verify("the end").await;

        let server = self.start(None).await.expect("restarts");
        sent.prove(&server).await;
        server.kill().await;
        (sent.records.len(), sent.repeated)
    }
}

fn fixed_port() -> u16 {
    std::iter::repeat_with(|| fastrand::u16(20_000..30_000))
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
