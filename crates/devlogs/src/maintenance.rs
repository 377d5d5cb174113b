//! What the API offers as maintenance, done by the processor's crate: the server and the pipeline do not know each other.

use std::ops::Range;

use async_trait::async_trait;
use pipeline::verify::Subject;
use server::admin::maintenance::{Maintenance, ReplayAnswer, VerifyAnswer};

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

    async fn replay(&self, range: Range<i64>) -> Result<ReplayAnswer, String> {
        let report = pipeline::replay::replay(&self.0, range).await.map_err(|error| error.to_string())?;
        Ok(ReplayAnswer { messages: report.messages, records: report.records, stored: report.stored })
    }
}
