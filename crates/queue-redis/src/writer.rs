//! Appends: messages that wait are sent together, one script call for each partition, in one round trip.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use model::position::{Partition, Position};
use parking_lot::Mutex;
use queue::QueueError;
use redis::{Cmd, Pipeline, RedisError, Value};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::answer::{append_failed, ends_connection, outcome};
use crate::codec::Fields;
use crate::core::Core;
use crate::scripts::APPEND;

/// Round trips at once: while Redis writes one to disk, the next is on its way and a third grows.
const FLIGHTS_MAX: usize = 4;
/// Of one round trip, so that Redis serves others between two; a larger message goes alone.
const FLIGHT_BYTES_MAX: usize = 4 << 20;
const FLIGHT_MESSAGES_MAX: usize = 1_000;
/// Retention deletes whole stretches of this share of a partition.
const MARKS: u64 = 64;
const MARK_BYTES_MIN: u64 = 4 << 10;

/// A message that waits for its position, or a request in parts, which one script call stores together.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) partition: Partition,
    pub(crate) messages: Vec<Fields>,
    pub(crate) done: oneshot::Sender<Result<Position, QueueError>>,
    /// Its part of the buffer.
    pub(crate) room: OwnedSemaphorePermit,
}

/// What waits to be sent. Bounded by the room that each message holds.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<Waiting>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Pending>,
    closed: bool,
}

impl Pending {
    fn bytes(&self) -> usize {
        self.messages.iter().map(Fields::bytes).sum()
    }
}

impl Inbox {
    pub(crate) fn push(&self, pending: Pending) -> Result<(), QueueError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(QueueError::Closed);
        }
        state.messages.push_back(pending);
        self.came.notify_one();
        Ok(())
    }

    /// Takes no more; what waits is still sent.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.came.notify_one();
    }

    /// Waits for messages. None when closed and empty.
    async fn wait(&self) -> Option<()> {
        loop {
            {
                let state = self.state.lock();
                if !state.messages.is_empty() {
                    return Some(());
                }
                if state.closed {
                    return None;
                }
            }
            self.came.notified().await;
        }
    }

    /// What fits one round trip, by partition, in the order in which it came.
    fn take(&self) -> BTreeMap<Partition, Vec<Pending>> {
        let mut state = self.state.lock();
        let mut taken: BTreeMap<Partition, Vec<Pending>> = BTreeMap::new();
        let (mut messages, mut bytes) = (0, 0);
        while let Some(next) = state.messages.front() {
            bytes += next.bytes();
            messages += next.messages.len();
            if !taken.is_empty() && (bytes > FLIGHT_BYTES_MAX || messages > FLIGHT_MESSAGES_MAX) {
                break;
            }
            if let Some(next) = state.messages.pop_front() {
                taken.entry(next.partition).or_default().push(next);
            }
        }
        taken
    }
}

/// Sends until the inbox is closed and empty and everything is answered.
pub(crate) async fn run(core: Arc<Core>, inbox: Arc<Inbox>) {
    let flights = Arc::new(Semaphore::new(FLIGHTS_MAX));
    while inbox.wait().await.is_some() {
        // The flight first: while all are under way, what waits becomes one large batch.
        let Ok(flight) = Arc::clone(&flights).acquire_owned().await else { return };
        let taken = inbox.take();
        let core = Arc::clone(&core);
        tokio::spawn(async move {
            send(&core, taken).await;
            drop(flight);
        });
    }
    let _ = flights.acquire_many(FLIGHTS_MAX as u32).await;
}

async fn send(core: &Core, batch: BTreeMap<Partition, Vec<Pending>>) {
    let mut line = match core.line().await {
        Ok(line) => line,
        Err(failure) => {
            for pending in batch.into_values().flatten() {
                core.metrics.write_failed(1);
                let _ = pending.done.send(Err(failure.clone().into()));
            }
            return;
        }
    };
    let mut pipeline = Pipeline::with_capacity(batch.len());
    for (partition, messages) in &batch {
        pipeline.add_command(command(core, *partition, messages));
    }
    let begun = Instant::now();
    let answers = line.connection.send_packed_commands(&pipeline, 0, batch.len()).await;
    drop(pipeline);
    core.metrics.answered(begun.elapsed());
    let outcomes: Vec<Result<Value, RedisError>> = match answers {
        Ok(answers) => answers.into_iter().map(outcome).collect(),
        Err(error) => vec![Err(error); batch.len()],
    };
    if outcomes.iter().any(|outcome| outcome.as_ref().is_err_and(ends_connection)) {
        core.lost(&line).await;
    }
    let mut outcomes = outcomes.into_iter();
    for (partition, messages) in batch {
        answer(core, partition, messages, outcomes.next());
    }
}

fn command(core: &Core, partition: Partition, messages: &[Pending]) -> Cmd {
    let share = core.config.retention_bytes / u64::from(core.partitions().max(1));
    let messages = || messages.iter().flat_map(|pending| &pending.messages);
    let bytes: usize = messages().map(|fields| fields.bytes() + 64).sum();
    let mut command = Cmd::with_capacity(9 + messages().count() * 8, bytes);
    command.arg("EVALSHA").arg(APPEND.get_hash()).arg(3);
    command.arg(core.keys.meta()).arg(core.keys.stream(partition)).arg(core.keys.marks(partition));
    command.arg(core.incarnation().to_string()).arg(partition.0).arg((share / MARKS).max(MARK_BYTES_MIN));
    for fields in messages() {
        command.arg(&*fields.project).arg(fields.received).arg(fields.records);
        command.arg(&fields.key).arg(&fields.body).arg(&fields.retry).arg(&fields.part).arg(&fields.payload[..]);
    }
    command
}

fn answer(core: &Core, partition: Partition, messages: Vec<Pending>, outcome: Option<Result<Value, RedisError>>) {
    match outcome {
        Some(Ok(Value::Int(first))) => {
            let bytes = messages.iter().map(Pending::bytes).sum();
            let count = messages.iter().map(|pending| pending.messages.len()).sum();
            core.metrics.appended(partition, count, bytes);
            core.gate.appended(bytes);
            let mut next = first as u64;
            for pending in messages {
                next += pending.messages.len() as u64;
                let _ = pending.done.send(Ok(Position(next.saturating_sub(1))));
                drop(pending.room);
            }
        }
        Some(Err(error)) => {
            core.metrics.write_failed(messages.len());
            for pending in messages {
                let _ = pending.done.send(Err(append_failed(&error)));
            }
        }
        other => {
            core.metrics.write_failed(messages.len());
            for pending in messages {
                let _ = pending.done.send(Err(QueueError::Unknown(format!("Redis answered {other:?}"))));
            }
        }
    }
}
