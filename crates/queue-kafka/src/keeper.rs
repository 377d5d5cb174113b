//! What is looked after while the queue is open: new partitions, a topic that was made anew, brokers that are back,
//! lag, messages that retention would take before they are stored, and certificates that changed.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::position::Partition;

use crate::certificates::Certificates;
use crate::{Shared, blocking, topic};

const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// While messages can't be delivered.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
const LAG_INTERVAL: Duration = Duration::from_secs(15);
/// Of the retention, in percent: messages that are older and not stored close their partition.
const AGE_PERCENT_MAX: u32 = 80;

/// Runs until the queue is gone.
pub(crate) async fn run(shared: Weak<Shared>, mut certificates: Certificates) {
    let mut lag_seen: Option<Instant> = None;
    loop {
        let interval = match shared.upgrade() {
            Some(shared) if shared.health.is_down() => PROBE_INTERVAL,
            Some(_) => LOOK_INTERVAL,
            None => return,
        };
        tokio::time::sleep(interval).await;
        let Some(shared) = shared.upgrade() else { return };
        let followed = follow(&shared, &mut certificates).await;
        // Clients that the brokers no longer let in would only wait, and nothing is looked after without them.
        if !followed && shared.health.is_down() {
            continue;
        }
        look(&shared).await;
        shared.readers.sweep();
        shared.transactions.sweep().await;
        if lag_seen.is_none_or(|at| at.elapsed() > LAG_INTERVAL) {
            lag_seen = Some(Instant::now());
            if let Err(reason) = measure(&shared).await {
                tracing::debug!(reason, "the lag could not be measured");
            }
        }
    }
}

/// New clients for new certificates. Those that the brokers refuse, or that do not fit together yet, are tried again; the
/// clients that run go on meanwhile. Returns whether those that run have the certificates of now.
async fn follow(shared: &Arc<Shared>, certificates: &mut Certificates) -> bool {
    let config = shared.config.clone();
    let Ok(now) = blocking(move || Ok(Certificates::read(&config))).await else { return true };
    if now == *certificates {
        return true;
    }
    match shared.renew().await {
        Ok(()) => {
            tracing::info!("the certificates for Kafka changed; new clients took the place of those that ran");
            *certificates = now;
            true
        }
        Err(error) => {
            tracing::warn!(%error, "the certificates for Kafka changed, but cannot be used");
            false
        }
    }
}

async fn look(shared: &Arc<Shared>) {
    let layout = match topic::layout(&shared.admin(), &shared.config.topic).await {
        Ok(layout) => layout,
        Err(reason) => {
            tracing::debug!(reason, "the topic could not be looked at");
            return;
        }
    };
    if layout.partitions.is_empty() {
        shared.health.lose(format!("topic {} was deleted; restart to make it anew", shared.config.topic));
        return;
    }
    for (partition, lane) in (0..).zip(&layout.partitions) {
        if lane.led {
            shared.health.delivered(partition);
        }
    }
    shared.grow(u32::try_from(layout.partitions.len()).unwrap_or(u32::MAX));
    if let Ok(incarnation) = topic::incarnation(&shared.admin(), &shared.config.topic).await
        && incarnation != shared.topic.incarnation
    {
        shared.health.lose(format!(
            "topic {} was deleted and made anew; restart, so that its positions are not taken for the old ones",
            shared.config.topic
        ));
    }
}

async fn measure(shared: &Arc<Shared>) -> Result<(), String> {
    let group = shared.groups.get(&shared.config.watched_group).map_err(|error| error.to_string())?;
    let partitions = shared.partitions.load(Ordering::Acquire);
    // Ends before anything else: what is appended while the brokers are asked must not look old, or unread.
    let mut marks = Vec::new();
    for partition in 0..partitions {
        marks.push(shared.watermarks(Partition(partition)).await.map_err(|error| error.to_string())?);
    }
    let committed = group.all_committed(partitions).await?;
    let horizon = match shared.topic.retention {
        Some(retention) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let horizon = now.saturating_sub(retention * AGE_PERCENT_MAX / 100);
            let milliseconds = i64::try_from(horizon.as_millis()).unwrap_or(i64::MAX);
            Some(group.positions_at(milliseconds, partitions).await?)
        }
        None => None,
    };
    let mut overdue = BTreeSet::new();
    for (partition, (low, high)) in (0..).zip(marks) {
        let next = committed.get(&partition).copied().unwrap_or(low).max(low);
        shared.metrics.lags(&shared.config.watched_group, Partition(partition), high.saturating_sub(next));
        // No message is younger than the horizon: then every one is older.
        if let Some(horizon) = &horizon
            && next < horizon.get(&partition).copied().unwrap_or(high)
        {
            overdue.insert(partition);
        }
    }
    shared.health.overdue(overdue);
    Ok(())
}
