//! What the API offers as maintenance, done by the processor's crate: the server and the pipeline do not know each other.

use std::ops::Range;

use async_trait::async_trait;
use model::position::{Partition, Position};
use pipeline::damage::{self, Damage, SkipError};
use pipeline::replay::ReplayError;
use pipeline::verify::Subject;
use server::admin::maintenance::{DamageBody, Maintenance, MaintenanceError, ReplayAnswer, VerifyAnswer};

/// Maintenance of what this process has open.
#[derive(Debug)]
pub struct Node(pub Subject);

#[async_trait]
impl Maintenance for Node {
    async fn verify(&self) -> Result<VerifyAnswer, String> {
        let report = pipeline::verify::verify(&self.0).await.map_err(|error| error.to_string())?;
        Ok(VerifyAnswer {
            sound: report.is_sound(),
            messages: report.messages,
            records: report.records,
            stored: report.stored,
            dead_lettered: report.dead_lettered,
            gone: report.gone,
            lost: report.lost,
            doubled: report.doubled,
            waiting: report.waiting,
            problems: report.problems,
        })
    }

    async fn replay(&self, range: Range<i64>, partial: bool) -> Result<ReplayAnswer, MaintenanceError> {
        let report = pipeline::replay::replay(&self.0, range, partial).await.map_err(|error| match error {
            ReplayError::NotHeld(reason) => MaintenanceError::Refused(reason),
            ReplayError::Failed(error) => MaintenanceError::Failed(error.to_string()),
        })?;
        Ok(ReplayAnswer {
            messages: report.messages,
            records: report.records,
            stored: report.stored,
            damaged: report.damaged,
        })
    }

    async fn damage(&self, partition: Partition) -> Result<Option<DamageBody>, MaintenanceError> {
        let found = damage::find(&self.0, partition).await;
        Ok(found.map_err(|error| MaintenanceError::Failed(error.to_string()))?.map(damage_body))
    }

    async fn skip(&self, partition: Partition, to: Position) -> Result<DamageBody, MaintenanceError> {
        damage::skip(&self.0, partition, to).await.map(damage_body).map_err(|error| match error {
            SkipError::Refused(reason) => MaintenanceError::Refused(reason),
            SkipError::Failed(error) => MaintenanceError::Failed(error.to_string()),
        })
    }
}

fn damage_body(damage: Damage) -> DamageBody {
    DamageBody { from: damage.from.0, to: damage.to.map(|to| to.0), reason: damage.reason }
}
