//! Consumer groups: who has which partition, and what a group has committed.
//!
//! A member only holds partitions and commits; it reads through cursors ([`crate::reader`]), from the position that
//! its store names. What it is given is paused at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use model::position::{Partition, Position};
use parking_lot::{Mutex, RwLock};
use queue::QueueError;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::blocking;
use crate::config::KafkaConfig;
use crate::health::Health;
use crate::topic::ASK_TIME_MAX;

/// Well under the second after which a commit must be durable.
const RENEW_FLUSH_MAX: Duration = Duration::from_secs(1);
const FLUSH_INTERVAL: Duration = Duration::from_millis(250);
const LEAVE_TIME_MAX: Duration = Duration::from_secs(5);
const LEAVE_AGAIN_TIME: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Groups {
    config: KafkaConfig,
    health: Arc<Health>,
    groups: Mutex<BTreeMap<String, Arc<Group>>>,
}

/// A group as this process takes part in it.
pub(crate) struct Group {
    topic: String,
    consumer: RwLock<Arc<Client>>,
    state: Arc<State>,
    joined: AtomicBool,
    /// Serves the consumer.
    events: Mutex<Option<JoinHandle<()>>>,
    /// Sends commits, once it has joined.
    flushes: Mutex<Option<JoinHandle<()>>>,
}

type Client = StreamConsumer<Member>;

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    assigned: watch::Sender<BTreeSet<Partition>>,
    /// Which of the members that followed each other was given a partition last.
    holders: Mutex<BTreeMap<Partition, u64>>,
    /// Members so far.
    members: AtomicU64,
    commits: Mutex<BTreeMap<u32, Commit>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Commit {
    next: u64,
    durable: u64,
    /// The brokers were asked whether another member committed more.
    compared: bool,
}

/// Hears what the group's coordinator decides.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    health: Arc<Health>,
    state: Arc<State>,
    number: u64,
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::health::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.hear(&error, reason);
    }
}

impl ConsumerContext for Member {
    /// The watchers learn first that partitions are gone, last that they came.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(_) => {}
            Rebalance::Revoke(list) => {
                let gone = self.state.given_up(partitions(list), self.number);
                self.state.assigned.send_if_modified(|assigned| {
                    let before = assigned.len();
                    assigned.retain(|partition| !gone.contains(partition));
                    assigned.len() != before
                });
                let topic = list.elements().first().map(|element| element.topic().to_owned());
                if let Some(list) = topic.and_then(|topic| self.state.pending_of(&gone, &topic))
                    && let Err(error) = consumer.commit(&list, CommitMode::Async)
                {
                    tracing::debug!(%error, "could not commit what was given up");
                }
            }
            Rebalance::Error(error) => {
                tracing::warn!(%error, "rebalancing failed");
                self.state.assigned.send_replace(BTreeSet::new());
            }
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            if let Err(error) = consumer.pause(list) {
                tracing::warn!(%error, "a partition could not be paused");
            }
            let came = partitions(list);
            self.state.holders.lock().extend(came.iter().map(|partition| (*partition, self.number)));
            for (partition, commit) in &mut *self.state.commits.lock() {
                commit.compared &= !came.contains(&Partition(*partition));
            }
            tracing::info!(partitions = ?came, "partitions assigned");
            self.state.assigned.send_if_modified(|assigned| {
                let before = assigned.len();
                assigned.extend(&came);
                assigned.len() != before
            });
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "a commit failed; it is tried again");
            return;
        }
        let mut commits = self.state.commits.lock();
        for element in offsets.elements() {
            if let (Ok(()), Offset::Offset(offset)) = (element.error(), element.offset())
                && let Some(commit) = commits.get_mut(&element.partition().unsigned_abs())
            {
                commit.durable = commit.durable.max(offset.unsigned_abs());
            }
        }
    }
}

fn partitions(list: &TopicPartitionList) -> BTreeSet<Partition> {
    list.elements().iter().map(|element| Partition(element.partition().unsigned_abs())).collect()
}

fn offsets(topic: &str, positions: impl IntoIterator<Item = (u32, u64)>) -> Option<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, next) in positions {
        let offset = Offset::Offset(i64::try_from(next).ok()?);
        list.add_partition_offset(topic, partition as i32, offset).ok()?;
    }
    (list.count() > 0).then_some(list)
}

/// What the brokers answered about each partition. While a leader is chosen there is no answer for its partition, which
/// must not be taken for one without a position.
fn positions(list: &TopicPartitionList) -> Result<BTreeMap<u32, u64>, String> {
    let mut positions = BTreeMap::new();
    for element in list.elements() {
        element.error().map_err(|error| error.to_string())?;
        if let Offset::Offset(offset) = element.offset() {
            positions.insert(element.partition().unsigned_abs(), offset.unsigned_abs());
        }
    }
    Ok(positions)
}

/// Whether a commit failed because the group changes.
fn is_unsettled(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{IllegalGeneration, RebalanceInProgress};
    matches!(error.rdkafka_error_code(), Some(RebalanceInProgress | IllegalGeneration))
}

impl State {
    /// Those that no later member holds already.
    fn given_up(&self, mut partitions: BTreeSet<Partition>, number: u64) -> BTreeSet<Partition> {
        let mut holders = self.holders.lock();
        partitions.retain(|partition| holders.get(partition).is_none_or(|holder| *holder == number));
        holders.retain(|partition, _| !partitions.contains(partition));
        partitions
    }

    fn pending(&self, wanted: impl Fn(u32) -> bool) -> BTreeMap<u32, Commit> {
        let commits = self.commits.lock();
        let pending = commits.iter().filter(|(partition, commit)| commit.next > commit.durable && wanted(**partition));
        pending.map(|(partition, commit)| (*partition, *commit)).collect()
    }

    /// What is to be committed before partitions go to others, who go on from there. What is not durable stays known: the
    /// brokers refuse commits while the group changes, and who leaves looks once more.
    fn pending_of(&self, gone: &BTreeSet<Partition>, topic: &str) -> Option<TopicPartitionList> {
        let pending = self.pending(|partition| gone.contains(&Partition(partition)));
        let compared = pending.iter().filter(|(_, commit)| commit.compared);
        let list = offsets(topic, compared.map(|(partition, commit)| (*partition, commit.next)));
        let mut commits = self.commits.lock();
        commits.retain(|partition, commit| !gone.contains(&Partition(*partition)) || commit.next > commit.durable);
        list
    }
}

impl Groups {
    pub(crate) fn new(config: &KafkaConfig, health: Arc<Health>) -> Self {
        Self { config: config.clone(), health, groups: Mutex::default() }
    }

    /// The group, known to this process from now on, but not joined.
    pub(crate) fn get(&self, name: &str) -> Result<Arc<Group>, QueueError> {
        let mut groups = self.groups.lock();
        if let Some(group) = groups.get(name) {
            return Ok(Arc::clone(group));
        }
        let group = Arc::new(Group::open(&self.config, &self.health, name)?);
        groups.insert(name.to_owned(), Arc::clone(&group));
        Ok(group)
    }

    /// Puts members that read the certificates anew in the place of those that run.
    pub(crate) async fn renew(&self) -> Result<(), QueueError> {
        let groups: Vec<_> = self.groups.lock().iter().map(|(name, group)| (name.clone(), Arc::clone(group))).collect();
        for (name, group) in groups {
            group.renew(&self.config, &self.health, &name).await?;
        }
        Ok(())
    }

    /// Makes commits durable and leaves all groups.
    pub(crate) async fn close(&self) -> Result<(), QueueError> {
        let groups = std::mem::take(&mut *self.groups.lock());
        let mut outcome = Ok(());
        for (name, group) in groups {
            let left = group.leave(&self.config, &name).await;
            outcome = outcome.and(left.map_err(|reason| self.health.unavailable(&reason)));
        }
        outcome
    }
}

fn connect(config: &KafkaConfig, health: &Arc<Health>, name: &str, state: &Arc<State>) -> KafkaResult<Client> {
    let number = state.members.fetch_add(1, Ordering::AcqRel);
    let member = Member { health: Arc::clone(health), state: Arc::clone(state), number };
    StreamConsumer::from_config_and_context(&config.member(name), member)
}

/// Serves rebalances and answers to commits. Nothing else comes from paused partitions.
fn serve(polled: Arc<Client>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            if let Err(error) = polled.recv().await {
                tracing::debug!(%error, "a member of a Kafka group reports an error");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    })
}

async fn end(task: Option<JoinHandle<()>>) {
    if let Some(task) = task {
        task.abort();
        let _ = task.await;
    }
}

impl Group {
    fn open(config: &KafkaConfig, health: &Arc<Health>, name: &str) -> Result<Self, QueueError> {
        let state = Arc::new(State::default());
        let failed = |error: KafkaError| QueueError::Io(std::io::Error::other(error.to_string()));
        let consumer = Arc::new(connect(config, health, name, &state).map_err(failed)?);
        Ok(Self {
            topic: config.topic.clone(),
            events: Mutex::new(Some(serve(Arc::clone(&consumer)))),
            consumer: RwLock::new(consumer),
            state,
            joined: AtomicBool::new(false),
            flushes: Mutex::default(),
        })
    }

    fn consumer(&self) -> Arc<Client> {
        Arc::clone(&self.consumer.read())
    }

    /// Another member joins, then this one leaves: its partitions go the way of any that leaves.
    async fn renew(&self, config: &KafkaConfig, health: &Arc<Health>, name: &str) -> Result<(), QueueError> {
        let failed = |error: KafkaError| QueueError::Io(std::io::Error::other(error.to_string()));
        // What can't be committed now is committed by the next member.
        let _ = tokio::time::timeout(RENEW_FLUSH_MAX, self.flush()).await;
        let new = Arc::new(connect(config, health, name, &self.state).map_err(failed)?);
        if self.joined.load(Ordering::Acquire) {
            new.subscribe(&[&self.topic]).map_err(failed)?;
        }
        let events = self.events.lock().replace(serve(Arc::clone(&new)));
        let old = std::mem::replace(&mut *self.consumer.write(), new);
        end(events).await;
        // Leaving may wait for brokers that do not let the old one in any more.
        tokio::task::spawn_blocking(move || drop(old));
        Ok(())
    }

    pub(crate) fn join(self: &Arc<Self>) -> Result<watch::Receiver<BTreeSet<Partition>>, QueueError> {
        if !self.joined.swap(true, Ordering::AcqRel) {
            let subscribed = self.consumer().subscribe(&[&self.topic]);
            subscribed.map_err(|error| QueueError::Io(std::io::Error::other(error.to_string())))?;
            let group = Arc::downgrade(self);
            let flushes = tokio::spawn(async move {
                loop {
                    tokio::time::sleep(FLUSH_INTERVAL).await;
                    let Some(group) = group.upgrade() else { return };
                    group.flush().await;
                }
            });
            *self.flushes.lock() = Some(flushes);
        }
        Ok(self.state.assigned.subscribe())
    }

    /// Sends commits of partitions that we have. Those that fail are sent again the next time.
    async fn flush(&self) {
        let assigned = self.state.assigned.borrow().clone();
        let wanted = |partition| assigned.contains(&Partition(partition));
        let mut pending = self.state.pending(wanted);
        if pending.is_empty() {
            return;
        }
        if pending.values().any(|commit| !commit.compared) {
            let Ok(held) = self.held(pending.keys().copied().collect()).await else { return };
            let mut commits = self.state.commits.lock();
            for (partition, commit) in &mut *commits {
                if pending.contains_key(partition) {
                    commit.compared = true;
                    commit.durable = commit.durable.max(held.get(partition).copied().unwrap_or_default());
                }
            }
            drop(commits);
            pending = self.state.pending(wanted);
        }
        if let Some(list) = offsets(&self.topic, pending.iter().map(|(partition, commit)| (*partition, commit.next)))
            && let Err(error) = self.consumer().commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "commits could not be sent");
        }
    }

    /// What the brokers know of the group's commits.
    async fn held(&self, partitions: Vec<u32>) -> Result<BTreeMap<u32, u64>, String> {
        let (consumer, topic) = (self.consumer(), self.topic.clone());
        let asked = blocking(move || {
            let mut list = TopicPartitionList::new();
            for partition in partitions {
                list.add_partition(&topic, partition as i32);
            }
            Ok(consumer.committed_offsets(list, ASK_TIME_MAX))
        });
        let list = asked.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        positions(&list)
    }

    pub(crate) async fn committed(&self, partition: Partition) -> Result<Option<Position>, String> {
        let held = self.held(vec![partition.0]).await?.remove(&partition.0);
        let ours = self.state.commits.lock().get(&partition.0).map(|commit| commit.next);
        Ok(held.max(ours).map(Position))
    }

    /// Positions that the group has committed, of many partitions.
    pub(crate) async fn all_committed(&self, count: u32) -> Result<BTreeMap<u32, u64>, String> {
        self.held((0..count).collect()).await
    }

    /// The first positions whose messages are not older than `milliseconds` since the Unix epoch. Partitions of which
    /// all are older are left out.
    pub(crate) async fn positions_at(&self, milliseconds: i64, count: u32) -> Result<BTreeMap<u32, u64>, String> {
        let (consumer, topic) = (self.consumer(), self.topic.clone());
        let asked = blocking(move || {
            let mut list = TopicPartitionList::new();
            for partition in 0..count {
                let offset = Offset::Offset(milliseconds);
                if let Err(error) = list.add_partition_offset(&topic, partition as i32, offset) {
                    return Ok(Err(error));
                }
            }
            Ok(consumer.offsets_for_times(list, ASK_TIME_MAX))
        });
        let list = asked.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        positions(&list)
    }

    pub(crate) async fn commit(&self, partition: Partition, next: Position) -> Result<(), String> {
        {
            let mut commits = self.state.commits.lock();
            let commit = commits.entry(partition.0).or_default();
            commit.next = commit.next.max(next.0);
        }
        if self.joined.load(Ordering::Acquire) {
            return Ok(());
        }
        // Nobody of us is a member, so there is nothing to wait for.
        let held = self.held(vec![partition.0]).await?;
        if held.get(&partition.0).is_some_and(|held| *held >= next.0) {
            return Ok(());
        }
        let (consumer, list) = (self.consumer(), offsets(&self.topic, [(partition.0, next.0)]));
        let Some(list) = list else { return Err(format!("no position {next}")) };
        let committed = blocking(move || Ok(consumer.commit(&list, CommitMode::Sync))).await;
        committed.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Commits that the brokers do not know yet, also of partitions whose new owners have not committed so far.
    async fn unsaved(&self) -> Result<Option<TopicPartitionList>, String> {
        let pending = self.state.pending(|_| true);
        if pending.is_empty() {
            return Ok(None);
        }
        let held = self.held(pending.keys().copied().collect()).await?;
        let ahead =
            pending.iter().filter(|(partition, commit)| held.get(partition).is_none_or(|held| *held < commit.next));
        Ok(offsets(&self.topic, ahead.map(|(partition, commit)| (*partition, commit.next))))
    }

    /// Commits what is left, if need be when the others have settled: while they join or leave, nobody can. What could
    /// not be committed comes back, with the reason.
    async fn save(&self) -> Result<Option<(String, TopicPartitionList)>, String> {
        let give_up = Instant::now() + LEAVE_TIME_MAX;
        loop {
            let Some(list) = self.unsaved().await? else { return Ok(None) };
            let consumer = self.consumer();
            let saved = blocking(move || Ok((consumer.commit(&list, CommitMode::Sync), list)));
            let (committed, list) = match tokio::time::timeout_at(give_up, saved).await {
                Ok(saved) => saved.map_err(|error| error.to_string())?,
                Err(_) => return Err("commits were not answered in time".to_owned()),
            };
            match committed {
                Ok(()) => return Ok(None),
                Err(error) if is_unsettled(&error) && Instant::now() + LEAVE_AGAIN_TIME < give_up => {
                    tokio::time::sleep(LEAVE_AGAIN_TIME).await;
                }
                Err(error) => return Ok(Some((error.to_string(), list))),
            }
        }
    }

    async fn leave(self: Arc<Self>, config: &KafkaConfig, name: &str) -> Result<(), String> {
        let unsaved = self.save().await?;
        let (flushes, events) = (self.flushes.lock().take(), self.events.lock().take());
        end(flushes).await;
        end(events).await;
        self.state.assigned.send_replace(BTreeSet::new());
        let health = Arc::new(Health::default());
        let state = Arc::clone(&self.state);
        let (config, name) = (config.clone(), name.to_owned());
        // Leaving waits for the coordinator. Who was not yet a member commits when the group has none.
        let left = blocking(move || {
            drop(self);
            let Some((reason, list)) = unsaved else { return Ok(Ok(())) };
            let again = connect(&config, &health, &name, &state).and_then(|last| last.commit(&list, CommitMode::Sync));
            Ok(again.map_err(|error| format!("positions of group {name} were not committed: {reason}, then {error}")))
        });
        left.await.map_err(|error| error.to_string())?
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for task in [self.flushes.get_mut(), self.events.get_mut()].into_iter().flatten() {
            task.abort();
        }
    }
}
