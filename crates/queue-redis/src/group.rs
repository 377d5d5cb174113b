//! Members of a consumer group and their leases.
//!
//! A member reports to Redis five times a lease. Redis answers which partitions it holds, under which epochs, and how
//! many are its fair share. A member that holds more first takes them out of what its reader sees, and gives them back
//! with its next report, when the reader has stopped. A member that could not report for a whole lease withdraws
//! everything by its own clock, which is before Redis gives its partitions to others.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use model::position::{Incarnation, Partition, Position};
use parking_lot::Mutex;
use queue::QueueError;
use tokio::sync::watch;

use crate::answer::{commit_failed, unavailable};
use crate::core::Core;
use crate::link::Failure;
use crate::scripts::{BEAT, COMMIT, LEAVE};

const NAME_BYTES_MAX: usize = 64;
/// Between taking a partition from its reader and giving it back.
const HANDOVER_PAUSE: Duration = Duration::from_millis(300);

/// A partition's lease: every new one has a higher epoch.
type Epochs = BTreeMap<Partition, u64>;

/// The members of this process, by group.
#[derive(Debug, Default)]
pub(crate) struct Members {
    members: Mutex<Vec<(String, Weak<Held>)>>,
}

/// What a member holds; commits go by it.
#[derive(Debug, Default)]
struct Held {
    epochs: Mutex<Epochs>,
}

impl Members {
    /// Joins and waits for the first answer. The member lives in a task until its receiver or the queue goes.
    pub(crate) async fn join(
        &self,
        core: &Arc<Core>,
        group: &str,
    ) -> Result<(watch::Receiver<BTreeSet<Partition>>, impl Future<Output = ()> + Send + 'static), QueueError> {
        check_name(group)?;
        let held = Arc::new(Held::default());
        let (seen, receiver) = watch::channel(BTreeSet::new());
        let mut member = Member {
            name: name()?,
            group: group.to_owned(),
            incarnation: core.incarnation(),
            core: Arc::clone(core),
            held: Arc::clone(&held),
            leaving: BTreeSet::new(),
            valid_until: Instant::now(),
            seen,
        };
        member.report().await?;
        let mut members = self.members.lock();
        members.retain(|(_, held)| held.strong_count() > 0);
        members.push((group.to_owned(), Arc::downgrade(&held)));
        Ok((receiver, member.run()))
    }

    /// See [`queue::Queue::commit`]. A process that has members in the group commits only what they hold.
    pub(crate) async fn commit(
        &self,
        core: &Core,
        group: &str,
        partition: Partition,
        next: Position,
    ) -> Result<(), QueueError> {
        check_name(group)?;
        let epoch = match self.epoch(group, partition) {
            Some(None) => {
                return Err(unavailable(format!("partition {partition} is not this member's of group {group} now")));
            }
            Some(Some(epoch)) => epoch.to_string(),
            None => String::new(),
        };
        let keys = &core.keys;
        let mut commit = COMMIT.key((keys.meta(), keys.groups(), keys.committed(), keys.leases(group)));
        commit.arg(core.incarnation().to_string()).arg(group).arg(partition.0).arg(next.0).arg(epoch);
        match core.call(&commit).await {
            Ok(()) => Ok(()),
            Err(Failure::Redis(error)) => Err(commit_failed(&error, group, partition, next)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// None without members; within, the epoch if one of them holds the partition.
    fn epoch(&self, group: &str, partition: Partition) -> Option<Option<u64>> {
        let members = self.members.lock();
        let of_group = members.iter().filter(|(name, _)| name == group);
        let held: Vec<_> = of_group.filter_map(|(_, held)| held.upgrade()).collect();
        if held.is_empty() {
            return None;
        }
        Some(held.iter().find_map(|held| held.epochs.lock().get(&partition).copied()))
    }
}

/// See [`queue::Queue::committed`].
pub(crate) async fn committed(core: &Core, group: &str, partition: Partition) -> Result<Option<Position>, QueueError> {
    let mut line = core.line().await?;
    let field = format!("{group}/{partition}");
    let mut get = redis::cmd("HGET");
    match get.arg(core.keys.committed()).arg(field).query_async(&mut line.connection).await {
        Ok(position) => Ok(Option::<u64>::map(position, Position)),
        Err(error) => {
            core.lost(&line).await;
            Err(Failure::Redis(error).into())
        }
    }
}

#[derive(Debug)]
struct Member {
    name: String,
    group: String,
    core: Arc<Core>,
    /// Of the queue that the member's leases belong to.
    incarnation: Incarnation,
    held: Arc<Held>,
    /// Taken from the reader, not yet given back.
    leaving: BTreeSet<Partition>,
    /// By this clock, Redis gives the leases to nobody else before.
    valid_until: Instant,
    seen: watch::Sender<BTreeSet<Partition>>,
}

impl Member {
    /// Reports until nobody looks or the queue closes, then gives everything back.
    async fn run(mut self) {
        let mut pause = self.pause();
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.seen.closed() => break,
                () = self.core.closed() => break,
            }
            if self.incarnation != self.core.incarnation() {
                self.start_over().await;
            }
            if let Err(error) = self.report().await {
                tracing::debug!(group = self.group, %error, "a group's member could not report");
            }
            pause = self.pause();
        }
        self.leave().await;
    }

    /// Until the next report, or until the leases end.
    fn pause(&self) -> Duration {
        let beat = self.core.beat();
        let pause = if self.leaving.is_empty() { beat } else { HANDOVER_PAUSE.min(beat) };
        if self.held.epochs.lock().is_empty() {
            return pause;
        }
        pause.min(self.valid_until.saturating_duration_since(Instant::now()).max(Duration::from_millis(10)))
    }

    async fn report(&mut self) -> Result<(), Failure> {
        let asked_at = Instant::now();
        let answer = tokio::time::timeout(self.core.config.lease / 2, self.beat()).await;
        let late = || Failure::Refused("Redis did not answer within half a lease".to_owned());
        match answer.map_err(|_| late()).and_then(|answer| answer) {
            Ok((share, epochs)) => {
                self.valid_until = asked_at + self.core.config.lease;
                self.hold(share, epochs);
                Ok(())
            }
            Err(failure) => {
                if Instant::now() >= self.valid_until {
                    self.withdraw();
                }
                Err(failure)
            }
        }
    }

    async fn beat(&self) -> Result<(usize, Epochs), Failure> {
        let keys = &self.core.keys;
        let lease_ms = self.core.config.lease.as_millis() as u64;
        let mut beat = BEAT.key((keys.meta(), keys.groups(), keys.members(&self.group), keys.leases(&self.group)));
        beat.arg(self.incarnation.to_string()).arg(&self.group).arg(&self.name).arg(lease_ms);
        for partition in &self.leaving {
            beat.arg(partition.0);
        }
        let answer: Vec<u64> = self.core.call(&beat).await?;
        let [partitions, share, epochs @ ..] = answer.as_slice() else {
            return Err(Failure::Refused("Redis answered a report with too little".to_owned()));
        };
        self.core.has_partitions(u32::try_from(*partitions).unwrap_or(0));
        let epochs = epochs.as_chunks::<2>().0;
        Ok((*share as usize, epochs.iter().map(|[partition, epoch]| (Partition(*partition as u32), *epoch)).collect()))
    }

    /// Shows the reader what it is to read. What is above the share leaves first and is given back with the next report.
    fn hold(&mut self, share: usize, epochs: Epochs) {
        let show: BTreeSet<Partition> = epochs.keys().take(share).copied().collect();
        self.leaving = epochs.keys().skip(share).copied().collect();
        {
            let mut held = self.held.epochs.lock();
            for (partition, epoch) in held.iter() {
                if epochs.get(partition) != Some(epoch) {
                    tracing::info!(group = self.group, %partition, epoch, "a partition's lease is another member's");
                }
            }
            *held = epochs;
        }
        self.seen.send_if_modified(|seen| {
            let changed = *seen != show;
            *seen = show;
            changed
        });
    }

    fn withdraw(&mut self) {
        if !self.held.epochs.lock().is_empty() {
            tracing::warn!(
                group = self.group,
                "the leases ended without a word from Redis; the partitions are given up"
            );
        }
        self.hold(0, Epochs::new());
    }

    /// The queue was replaced: whoever reads the old one is told to stop before the new one is shown.
    async fn start_over(&mut self) {
        self.hold(0, Epochs::new());
        tokio::time::sleep(self.core.beat()).await;
        self.incarnation = self.core.incarnation();
    }

    async fn leave(mut self) {
        self.hold(0, Epochs::new());
        let keys = &self.core.keys;
        let mut leave = LEAVE.key((keys.members(&self.group), keys.leases(&self.group)));
        leave.arg(&self.name);
        let left = tokio::time::timeout(self.core.config.lease, self.core.call::<()>(&leave)).await;
        if !matches!(left, Ok(Ok(()))) {
            tracing::info!(group = self.group, "Redis was not told that a member left; its leases will end");
        }
    }
}

fn check_name(name: &str) -> Result<(), QueueError> {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(letters) {
        return Ok(());
    }
    let text =
        format!("the group name {name:?} must have 1 to {NAME_BYTES_MAX} lower-case letters, digits, `-` and `_`");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text).into())
}

fn name() -> Result<String, QueueError> {
    let number = getrandom::u64().map_err(|error| QueueError::Io(io::Error::other(error)))?;
    Ok(format!("{number:016x}"))
}
