//! What a message costs, appended and read: run by tests that are ignored unless somebody measures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::position::Partition;

use super::large::request;
use crate::Queue;

/// Of all threads of this process.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    // The 14th and 15th field of the line, in hundredths of a second.
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Counts what is done until it is dropped, and says what one cost.
#[derive(Debug)]
pub struct Meter {
    what: String,
    begun: Instant,
    cpu: Duration,
}

impl Meter {
    pub fn start(what: impl Into<String>) -> Self {
        Self { what: what.into(), begun: Instant::now(), cpu: cpu() }
    }

    pub fn stop(self, messages: u64, records: u64) {
        let (took, cpu) = (self.begun.elapsed().as_secs_f64(), (cpu() - self.cpu).as_secs_f64());
        let per = |count: u64, seconds: f64| count as f64 / seconds.max(1e-9);
        eprintln!(
            "{}: {messages} messages in {took:.2} s = {:.0}/s; {cpu:.2} CPU s = {:.1} us a message, {:.0} records a CPU s",
            self.what,
            per(messages, took),
            cpu * 1e6 / messages.max(1) as f64,
            per(records, cpu),
        );
    }
}

/// Appends by some tasks to all partitions, then reads everything, for messages of one, a hundred and a thousand records.
pub async fn measure(queue: Arc<dyn Queue>) {
    for (bytes, tasks, count) in [(1, 64, 40_000), (95_000, 16, 3_000), (950_000, 8, 300)] {
        let sent =
            crate::Message { headers: crate::Headers { key: None, ..request(1, bytes).headers }, ..request(1, bytes) };
        let (records, partitions) = (u64::from(sent.headers.records), queue.partitions());
        let mut starts = Vec::new();
        for partition in (0..partitions).map(Partition) {
            starts.push(queue.state(partition).await.unwrap_or_else(|error| panic!("state: {error}")).next);
        }
        let meter = Meter::start(format!("append, {records} records, {} bytes, {tasks} tasks", sent.payload.len()));
        let next = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..tasks)
            .map(|_| {
                let (queue, next, sent) = (Arc::clone(&queue), Arc::clone(&next), sent.clone());
                tokio::spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return;
                        }
                        let partition = Partition((number % u64::from(partitions)) as u32);
                        let appended = queue.append(partition, sent.clone()).await;
                        appended.unwrap_or_else(|error| panic!("append: {error}"));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap_or_else(|error| panic!("{error}"));
        }
        meter.stop(count, count * records);

        let meter = Meter::start("read");
        let (mut read, mut calls) = (0, 0);
        for (partition, start) in (0..).map(Partition).zip(starts) {
            let end = queue.state(partition).await.unwrap_or_else(|error| panic!("state: {error}")).next;
            let mut from = start;
            while from < end {
                let deliveries = queue.read(partition, from, 8 << 20, Duration::from_secs(5)).await;
                let deliveries = deliveries.unwrap_or_else(|error| panic!("read: {error}"));
                let Some(last) = deliveries.last() else { panic!("nothing comes from {from}") };
                from = last.position.next();
                (read, calls) = (read + deliveries.len() as u64, calls + 1);
            }
        }
        assert_eq!(read, count);
        meter.stop(read, read * records);
        eprintln!("in {calls} reads");
    }
}
