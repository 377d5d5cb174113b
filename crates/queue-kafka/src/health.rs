//! What the clients hear from the brokers, so that errors say why and appends fail fast while nothing answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use queue::QueueError;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// When to try again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(crate) struct Health {
    last: Mutex<Option<String>>,
    /// Why the brokers do not let us in.
    refused: Mutex<Option<String>>,
    /// Partitions to which a message could not be delivered in time, and not since.
    down: Mutex<BTreeSet<u32>>,
    any_down: AtomicBool,
    /// Partitions of which messages that nobody has read will soon be deleted.
    overdue: Mutex<BTreeSet<u32>>,
    any_overdue: AtomicBool,
    /// The topic is not the one that was opened.
    lost: Mutex<Option<String>>,
    is_lost: AtomicBool,
}

impl Health {
    /// Refuses while a partition is known not to take messages.
    pub(crate) fn check(&self, partition: u32) -> Result<(), QueueError> {
        self.check_topic()?;
        if self.any_down.load(Ordering::Acquire) && self.down.lock().contains(&partition) {
            return Err(self.unavailable(&format!("partition {partition} does not take messages")));
        }
        if self.any_overdue.load(Ordering::Acquire) && self.overdue.lock().contains(&partition) {
            let reason = format!(
                "messages of partition {partition} that are not stored yet come near the topic's retention; \
                 start processors, or raise retention.ms"
            );
            return Err(QueueError::Unavailable { reason, retry_after: RETRY_AFTER * 5 });
        }
        Ok(())
    }

    pub(crate) fn check_topic(&self) -> Result<(), QueueError> {
        if self.is_lost.load(Ordering::Acquire)
            && let Some(reason) = &*self.lost.lock()
        {
            return Err(QueueError::Corrupt(reason.clone()));
        }
        Ok(())
    }

    pub(crate) fn lose(&self, reason: String) {
        tracing::error!(reason, "the queue's topic is not what it was");
        *self.lost.lock() = Some(reason);
        self.is_lost.store(true, Ordering::Release);
    }

    pub(crate) fn unavailable(&self, what: &str) -> QueueError {
        let reason = match &*self.last.lock() {
            Some(last) => format!("{what}; Kafka's last error: {last}"),
            None => what.to_owned(),
        };
        QueueError::Unavailable { reason, retry_after: RETRY_AFTER }
    }

    pub(crate) fn refused(&self) -> Option<String> {
        self.refused.lock().clone()
    }

    pub(crate) fn timed_out(&self, partition: u32) {
        if self.down.lock().insert(partition) {
            tracing::warn!(
                partition,
                "messages could not be delivered to Kafka in time; refusing more until it answers"
            );
        }
        self.any_down.store(true, Ordering::Release);
    }

    pub(crate) fn delivered(&self, partition: u32) {
        if self.any_down.load(Ordering::Acquire) {
            let mut down = self.down.lock();
            if down.remove(&partition) {
                tracing::info!(partition, "Kafka takes messages again");
            }
            self.any_down.store(!down.is_empty(), Ordering::Release);
        }
    }

    pub(crate) fn overdue(&self, partitions: BTreeSet<u32>) {
        let mut overdue = self.overdue.lock();
        if *overdue != partitions {
            tracing::warn!(?partitions, "partitions refused because what is not stored yet comes near their retention");
        }
        self.any_overdue.store(!partitions.is_empty(), Ordering::Release);
        *overdue = partitions;
    }

    pub(crate) fn is_down(&self) -> bool {
        self.any_down.load(Ordering::Acquire)
    }
}

/// Hears what a client of librdkafka has to say.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) health: Arc<Health>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.hear(&error, reason);
    }
}

impl ConsumerContext for Context {}

impl Health {
    pub(crate) fn hear(&self, error: &KafkaError, reason: &str) {
        use RDKafkaErrorCode::{Authentication, SSL, SaslAuthenticationFailed};
        let code = error.rdkafka_error_code();
        // A broker that wants another certificate of us ends the connection with an alert, which has no code of its own.
        let alert = reason.contains("alert") && reason.contains("certificate");
        if alert || matches!(code, Some(Authentication | SSL | SaslAuthenticationFailed)) {
            *self.refused.lock() = Some(reason.to_owned());
        }
        // "All brokers down" hides the reason that came before it.
        if code != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.last.lock() = Some(reason.to_owned());
        }
        tracing::debug!(%error, reason, "a Kafka client reports an error");
    }
}

/// Connections that break are librdkafka's errors, but ours only when a message is late.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, message, "librdkafka");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::info!(target: "librdkafka", facility, message, "librdkafka");
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(target: "librdkafka", facility, message, "librdkafka");
        }
    }
}
