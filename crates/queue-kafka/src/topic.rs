//! The topic: made with safe settings, or checked for them when somebody else made it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::position::Incarnation;
use queue::QueueError;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::{KafkaConfig, RECORD_OVERHEAD_BYTES};
use crate::health::{Context, Health, RETRY_AFTER};
use crate::{blocking, ffi};

/// One question to the brokers.
pub(crate) const ASK_TIME_MAX: Duration = Duration::from_secs(5);
const RETRY_TIME: Duration = Duration::from_millis(200);
const COPIES_WANTED: usize = 3;

pub(crate) type Admin = AdminClient<Context>;

/// A client that asks.
pub(crate) fn admin(config: &KafkaConfig, health: &Arc<Health>) -> Result<Arc<Admin>, QueueError> {
    let context = Context { health: Arc::clone(health) };
    let invalid = |error: KafkaError| io::Error::new(io::ErrorKind::InvalidInput, error.to_string());
    Ok(Arc::new(Admin::from_config_and_context(&config.client(), context).map_err(invalid)?))
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) incarnation: Incarnation,
    pub(crate) partitions: u32,
    /// The largest payload that the topic takes.
    pub(crate) message_bytes_max: usize,
    /// None: for ever.
    pub(crate) retention: Option<Duration>,
}

/// Who has what of the topic, as a broker knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) brokers: usize,
    /// A partition's copies, the broker that leads it and none while none does. Empty: there is no such topic.
    pub(crate) partitions: Vec<Lane>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) copies: usize,
    pub(crate) led: bool,
}

/// Finds or makes the topic and checks its settings.
pub(crate) async fn open(admin: &Arc<Admin>, config: &KafkaConfig, health: &Health) -> Result<Topic, QueueError> {
    let until = Instant::now() + config.open_timeout;
    let mut made = false;
    let layout = loop {
        let reason = match layout(admin, &config.topic).await {
            Ok(layout) if layout.partitions.is_empty() => {
                if !made {
                    create(admin, config, layout.brokers).await?;
                    made = true;
                }
                "it is being made".to_owned()
            }
            Ok(layout) if layout.partitions.iter().all(|lane| lane.led) => break layout,
            Ok(_) => "a partition has no leader".to_owned(),
            Err(reason) => reason,
        };
        if let Some(refused) = health.refused() {
            let text = format!("Kafka at {} does not let us in: {refused}", config.brokers);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text).into());
        }
        if Instant::now() > until {
            return Err(health.unavailable(&format!("topic {} at {}: {reason}", config.topic, config.brokers)));
        }
        tokio::time::sleep(RETRY_TIME).await;
    };
    let settings = settings(admin, config).await?;
    let found =
        Found { settings: &settings, copies: layout.partitions.iter().map(|lane| lane.copies).min().unwrap_or(0) };
    judge(&found, config)?;
    Ok(Topic {
        incarnation: incarnation(admin, &config.topic).await.map_err(|reason| health.unavailable(&reason))?,
        partitions: u32::try_from(layout.partitions.len()).unwrap_or(u32::MAX),
        message_bytes_max: message_bytes_max(&found, config),
        retention: found.retention().flatten(),
    })
}

/// Asks a broker. The error is what it said, or that none answered.
pub(crate) async fn layout(admin: &Arc<Admin>, topic: &str) -> Result<Layout, String> {
    let (admin, topic) = (Arc::clone(admin), topic.to_owned());
    let asked = blocking(move || {
        let metadata = match admin.inner().fetch_metadata(Some(&topic), ASK_TIME_MAX) {
            Ok(metadata) => metadata,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        if let Some(error) = found.and_then(|found| found.error()).map(RDKafkaErrorCode::from)
            && !matches!(error, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)
        {
            return Ok(Err(error.to_string()));
        }
        let mut partitions: Vec<_> = found.map_or(&[][..], |found| found.partitions()).iter().collect();
        partitions.sort_by_key(|partition| partition.id());
        let lane = |partition: &&rdkafka::metadata::MetadataPartition| Lane {
            copies: partition.replicas().len(),
            led: partition.leader() >= 0,
        };
        Ok(Ok(Layout { brokers: metadata.brokers().len(), partitions: partitions.iter().map(lane).collect() }))
    });
    asked.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// The topic's random id, which Kafka gives a topic when it is made: one of the same name made later has another, and
/// its positions are never taken for the old ones. All nodes see the same.
pub(crate) async fn incarnation(admin: &Arc<Admin>, topic: &str) -> Result<Incarnation, String> {
    let (admin, topic) = (Arc::clone(admin), topic.to_owned());
    let asked = blocking(move || Ok(ffi::topic_id(admin.inner(), &topic, ASK_TIME_MAX))).await;
    match asked {
        Ok(Ok(0)) => Err("the brokers give topics no ids; Kafka 2.8 or newer is needed".to_owned()),
        Ok(Ok(id)) => Ok(Incarnation(id)),
        Ok(Err(reason)) => Err(reason),
        Err(error) => Err(error.to_string()),
    }
}

async fn create(admin: &Admin, config: &KafkaConfig, brokers: usize) -> Result<(), QueueError> {
    let new = NewTopic::new(&config.topic, config.partitions as i32, copies(config, brokers));
    let retention = config.retention_age.as_millis().to_string();
    make(admin, config, brokers, new.set("cleanup.policy", "delete").set("retention.ms", &retention)).await
}

/// Makes the topic of dead letters unless it is there: compacted, so that it holds what is a dead letter now.
pub(crate) async fn open_letters(admin: Arc<Admin>, config: &KafkaConfig, name: &str) -> Result<(), QueueError> {
    let unavailable = |reason| QueueError::Unavailable { reason, retry_after: RETRY_AFTER };
    let found = layout(&admin, name).await.map_err(unavailable)?;
    if !found.partitions.is_empty() {
        return Ok(());
    }
    let new = NewTopic::new(name, 1, copies(config, found.brokers));
    make(&admin, config, found.brokers, new.set("cleanup.policy", "compact")).await
}

fn copies(config: &KafkaConfig, brokers: usize) -> TopicReplication<'static> {
    let copies = config.replication.map_or(brokers.clamp(1, COPIES_WANTED), usize::from);
    TopicReplication::Fixed(copies as i32)
}

async fn make(admin: &Admin, config: &KafkaConfig, brokers: usize, new: NewTopic<'_>) -> Result<(), QueueError> {
    let copies = config.replication.map_or(brokers.clamp(1, COPIES_WANTED), usize::from);
    let message = (config.message_bytes_max + RECORD_OVERHEAD_BYTES).to_string();
    let in_sync = if copies > 2 { "2" } else { "1" };
    let new = new
        .set("retention.bytes", "-1")
        .set("max.message.bytes", &message)
        .set("min.insync.replicas", in_sync)
        .set("unclean.leader.election.enable", "false");
    let (topic, partitions) = (new.name, new.num_partitions);
    let refused = |reason: String| {
        let text = format!("cannot make topic {topic} with {copies} copies: {reason}");
        QueueError::Io(io::Error::other(text))
    };
    let options = AdminOptions::new().request_timeout(Some(ASK_TIME_MAX)).operation_timeout(Some(ASK_TIME_MAX));
    let outcomes = admin.create_topics([&new], &options).await.map_err(|error| refused(error.to_string()))?;
    for outcome in outcomes {
        match outcome {
            Ok(_) => tracing::info!(topic, partitions, copies, "made the topic"),
            // Another node was faster.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, error)) => return Err(refused(error.to_string())),
        }
    }
    Ok(())
}

type Settings = HashMap<String, String>;

/// Empty, and a warning, where we may not ask.
async fn settings(admin: &Admin, config: &KafkaConfig) -> Result<Settings, QueueError> {
    let options = AdminOptions::new().request_timeout(Some(ASK_TIME_MAX));
    let unknown = |reason: String| {
        tracing::warn!(
            topic = config.topic,
            reason,
            "cannot read the topic's settings; allow DescribeConfigs so that dangerous ones are found"
        );
        Settings::new()
    };
    let resource = ResourceSpecifier::Topic(&config.topic);
    let answers = match admin.describe_configs([&resource], &options).await {
        Ok(answers) => answers,
        Err(error) => return Ok(unknown(error.to_string())),
    };
    Ok(match answers.into_iter().next() {
        Some(Ok(resource)) => {
            let entries = resource.entries.into_iter();
            entries.filter_map(|entry| Some((entry.name, entry.value?))).collect()
        }
        Some(Err(error)) => unknown(error.to_string()),
        None => unknown("no answer".to_owned()),
    })
}

/// What matters about a topic.
struct Found<'a> {
    settings: &'a Settings,
    /// The fewest that a partition has.
    copies: usize,
}

impl Found<'_> {
    fn number(&self, name: &str) -> Option<i64> {
        self.settings.get(name)?.parse().ok()
    }

    /// None: not known; `Some(None)`: for ever.
    fn retention(&self) -> Option<Option<Duration>> {
        Some(u64::try_from(self.number("retention.ms")?).ok().map(Duration::from_millis))
    }

    /// What would lose messages that were acknowledged, and how to mend it.
    fn dangers(&self, config: &KafkaConfig) -> Vec<String> {
        let mut dangers = Vec::new();
        if let Some(Some(kept)) = self.retention()
            && kept < config.retention_age
        {
            let wanted = config.retention_age;
            dangers.push(format!(
                "it keeps messages for {kept:?} only (retention.ms), {wanted:?} are wanted: raise it, or lower retention_age"
            ));
        }
        if self.number("min.insync.replicas") == Some(1) && self.copies > 2 {
            dangers.push(format!(
                "one of its {} copies is enough for an acknowledgement (min.insync.replicas = 1): set 2",
                self.copies
            ));
        }
        if let Some(wanted) = config.replication
            && self.copies < usize::from(wanted)
        {
            dangers.push(format!("it has {} copies of a partition, {wanted} are wanted (replication)", self.copies));
        }
        if self.settings.get("unclean.leader.election.enable").is_some_and(|value| value == "true") {
            dangers.push(
                "a copy that is behind may become the leader (unclean.leader.election.enable): set false".to_owned(),
            );
        }
        if self.number("retention.bytes").is_some_and(|bytes| bytes >= 0) {
            dangers.push("it deletes by size whether or not messages were read (retention.bytes): set -1".to_owned());
        }
        dangers
    }
}

/// Compaction is never accepted: it deletes messages whose key comes again, and those without a key are refused.
fn judge(found: &Found<'_>, config: &KafkaConfig) -> Result<(), QueueError> {
    let topic = &config.topic;
    let refuse = |text: String| Err(QueueError::Io(io::Error::new(io::ErrorKind::InvalidInput, text)));
    if found.settings.get("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        return refuse(format!(
            "topic {topic} is compacted (cleanup.policy), which deletes messages: set it to delete"
        ));
    }
    let dangers = found.dangers(config);
    if !dangers.is_empty() && !config.accept_topic_settings {
        let dangers = dangers.join("; ");
        return refuse(format!("topic {topic} can lose messages: {dangers}. Or set accept_topic_settings"));
    }
    for danger in dangers {
        tracing::warn!(topic, danger, "the topic can lose messages");
    }
    if found.copies < 2 {
        tracing::warn!(topic, copies = found.copies, "the topic has no second copy: a lost disk loses messages");
    }
    Ok(())
}

fn message_bytes_max(found: &Found<'_>, config: &KafkaConfig) -> usize {
    let taken = found.number("max.message.bytes").and_then(|bytes| usize::try_from(bytes).ok());
    let taken = taken.map_or(config.message_bytes_max, |bytes| bytes.saturating_sub(RECORD_OVERHEAD_BYTES));
    if taken < config.message_bytes_max {
        tracing::warn!(
            topic = config.topic,
            taken,
            wanted = config.message_bytes_max,
            "the topic takes smaller messages than wanted; larger requests are refused (raise max.message.bytes)"
        );
    }
    taken.min(config.message_bytes_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pairs: &[(&str, &str)], copies: usize, config: &KafkaConfig) -> Result<(), String> {
        let settings = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        judge(&Found { settings: &settings, copies }, config).map_err(|error| error.to_string())
    }

    #[test]
    fn each_danger_is_refused_with_its_name() {
        let config = KafkaConfig::default();
        for (name, value, copies) in [
            ("cleanup.policy", "compact,delete", 3),
            ("retention.ms", "3600000", 3),
            ("min.insync.replicas", "1", 3),
            ("unclean.leader.election.enable", "true", 3),
            ("retention.bytes", "1000000", 3),
        ] {
            let refusal = judged(&[(name, value)], copies, &config).expect_err(name);
            assert!(refusal.contains(name), "{refusal}");
        }
        let wanted = KafkaConfig { replication: Some(3), ..KafkaConfig::default() };
        assert!(judged(&[], 2, &wanted).expect_err("too few copies").contains("replication"));
    }

    #[test]
    fn safe_and_accepted_topics_pass() {
        let safe = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("min.insync.replicas", "2"),
            ("retention.bytes", "-1"),
        ];
        assert_eq!(judged(&safe, 3, &KafkaConfig::default()), Ok(()));
        assert_eq!(judged(&[("min.insync.replicas", "1")], 1, &KafkaConfig::default()), Ok(()));
        let bold = KafkaConfig { accept_topic_settings: true, ..KafkaConfig::default() };
        assert_eq!(judged(&[("retention.ms", "1000")], 3, &bold), Ok(()));
        assert!(judged(&[("cleanup.policy", "compact")], 3, &bold).is_err(), "compaction is never accepted");
    }

    #[test]
    fn a_topic_lowers_the_size_of_messages() {
        let settings = Settings::from([("max.message.bytes".to_owned(), "1048588".to_owned())]);
        let found = Found { settings: &settings, copies: 1 };
        assert_eq!(message_bytes_max(&found, &KafkaConfig::default()), 1_048_588 - RECORD_OVERHEAD_BYTES);
    }
}
