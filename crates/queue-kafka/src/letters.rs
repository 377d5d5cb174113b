//! Dead letters in a topic of their own, for whoever watches Kafka.
//!
//! A letter is a record whose key is its id, 40 hexadecimal digits, and whose value is an OTLP
//! `ExportLogsServiceRequest` of the one record; the headers are the project, `devlogs-reason`, `devlogs-at`, when it
//! was received, and the message that it came with. When it was sent again or dropped, a record without a value follows.
//! The topic is compacted, so in the end it holds each letter once, and no letter that is gone. The letters that are
//! worked with are the metadata's.

use std::sync::Arc;

use futures::future::join_all;
use queue::{Letter, QueueError};
use tokio::sync::OnceCell;

use crate::{Shared, topic};

#[derive(Debug, Default)]
pub(crate) struct Letters {
    topic: OnceCell<()>,
}

/// Durable in the topic when it returns.
pub(crate) async fn show(shared: &Arc<Shared>, letters: &[Letter]) -> Result<(), QueueError> {
    let Some(topic) = &shared.config.letters_topic else { return Ok(()) };
    let made = || topic::open_letters(shared.admin(), &shared.config, topic);
    shared.letters.topic.get_or_try_init(made).await?;
    let mut outcomes = Vec::with_capacity(letters.len());
    for letter in letters {
        outcomes.push(shared.producer.put(topic, letter).await?);
    }
    for (letter, outcome) in letters.iter().zip(join_all(outcomes).await) {
        match outcome.unwrap_or_else(|_| Err(crate::producer::gone())) {
            Ok(_) => {}
            Err(error @ QueueError::TooLarge { .. }) => {
                tracing::warn!(topic, id = %letter.id, %error, "a dead letter is not shown in Kafka");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
