//! The ledger: received = stored + dead-lettered + deduplicated + dropped, once a message is processed.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use model::position::Partition;
use serde::Serialize;
use store::LedgerRow;
use utoipa::ToSchema;

use crate::admin::maintenance::DamageBody;
use crate::error::{ApiError, Problem};
use crate::query::ApiState;
use crate::query::caller::Operator;
use crate::query::gate::store_error;

#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerAnswer {
    /// Whether every row adds up: received = stored + dead-lettered + deduplicated + dropped.
    pub balanced: bool,
    /// Sums for each project and partition of each queue that ever was.
    #[schema(value_type = Vec<LedgerRowDoc>)]
    pub ledger: Vec<LedgerRow>,
    /// What each partition of the queue that is now holds, and how far it is stored.
    pub partitions: Vec<PartitionBody>,
}

/// What became of the records of a partition and project.
#[derive(Debug, ToSchema)]
#[schema(as = LedgerRow)]
pub struct LedgerRowDoc {
    pub project: String,
    /// The queue's identity.
    pub incarnation: String,
    pub partition: u32,
    pub received: u64,
    pub stored: u64,
    pub dead_lettered: u64,
    pub deduplicated: u64,
    /// By a rule of the operator.
    pub dropped: u64,
    /// Messages that the queue held but could not give any more: dropped unread, or passed over because they are
    /// damaged. They were never received; their project is unknown, so their rows have an empty one and come with
    /// `project=*` only.
    pub lost: u64,
    /// Stored rows that retention removed since; in rows of their own with partition 0.
    pub expired: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PartitionBody {
    pub incarnation: String,
    pub partition: u32,
    /// The oldest position that the queue keeps.
    pub oldest: u64,
    /// Where the next message will stand.
    pub next: u64,
    /// Everything before is visible to queries.
    pub written: u64,
    /// Everything before survives a crash of the store.
    pub durable: u64,
    /// Messages that wait for the processor.
    pub waiting_messages: u64,
    pub bytes: u64,
    /// What the processor stands still before, until the operator restores the queue or gives the messages up with
    /// `devlogs queue skip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub damage: Option<DamageBody>,
}

/// What became of every record that was received, for the project; for all with `project=*`
#[utoipa::path(get, path = "/api/v1/ledger", tag = "admin",
    responses((status = 200, body = LedgerAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn ledger(State(state): State<ApiState>, operator: Operator) -> Result<Json<LedgerAnswer>, ApiError> {
    let mut ledger = state.store.ledger().await.map_err(store_error)?;
    if let Some(project) = &operator.project {
        ledger.retain(|row| row.project == *project);
    }
    let balanced = ledger.iter().all(LedgerRow::is_balanced);
    Ok(Json(LedgerAnswer { balanced, ledger, partitions: partitions(&state).await? }))
}

pub(super) async fn partitions(state: &ApiState) -> Result<Vec<PartitionBody>, ApiError> {
    let incarnation = state.queue.incarnation();
    let mut partitions = Vec::new();
    for partition in (0..state.queue.partitions()).map(Partition) {
        let holds = state.queue.state(partition).await.map_err(|error| {
            ApiError::unavailable("the queue can't be reached now", Duration::from_secs(2)).with_internal(error)
        })?;
        let progress = state.store.progress(incarnation, partition).await.map_err(store_error)?;
        let damage = match progress.written == holds.next {
            true => None,
            false => state.maintenance.damage(partition).await?,
        };
        partitions.push(PartitionBody {
            incarnation: incarnation.to_string(),
            partition: partition.0,
            oldest: holds.oldest.0,
            next: holds.next.0,
            written: progress.written.0,
            durable: progress.durable.0,
            waiting_messages: holds.waiting(progress.written.max(holds.oldest)),
            bytes: holds.bytes,
            damage,
        });
    }
    Ok(partitions)
}
