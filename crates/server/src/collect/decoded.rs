//! What a decoder makes of a body, and what its sender is told.

use std::sync::Arc;

use bytes::Bytes;
use model::limits::Limits;
use model::{Batch, Record};
use serde::Serialize;

use crate::error::{ApiError, Code};

/// A body as a message for the queue.
#[derive(Debug)]
pub(super) struct Decoded {
    /// An `ExportLogsServiceRequest` of the accepted records.
    pub(super) payload: Bytes,
    pub(super) accepted: u32,
    pub(super) rejected: Vec<Rejected>,
    /// The accepted records, if they are to be handed over.
    pub(super) records: Option<Batch>,
}

/// The records of a body take at most so many times its bytes, or are not handed over: each repeats what it shares with
/// others, such as a resource.
const RECORDS_BYTES_FACTOR: usize = 4;

/// Of a record in a body, for the room that is made before its records are counted.
const RECORD_BYTES_USUAL: usize = 256;

/// Collects the accepted records of a body for a processor of this process.
#[derive(Debug, Default)]
pub(super) struct HandOver {
    records: Option<Batch>,
    bytes_max: usize,
}

impl HandOver {
    pub(super) fn new(project: Arc<str>, body_bytes: usize) -> Self {
        let records = Batch::with_capacity(project, body_bytes / RECORD_BYTES_USUAL, body_bytes);
        Self { records: Some(records), bytes_max: body_bytes.saturating_mul(RECORDS_BYTES_FACTOR) }
    }

    pub(super) fn push(&mut self, record: &Record<'_>) {
        if let Some(records) = &mut self.records {
            records.push(record);
            if records.bytes() > self.bytes_max {
                self.records = None;
            }
        }
    }

    pub(super) fn finish(self) -> Option<Batch> {
        self.records
    }
}

/// A record that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Rejected {
    /// In its request, from 0.
    pub index: u32,
    pub reason: String,
}

/// What a request's sender is told. It depends on the body alone, so that a retry gets the same.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) accepted: u32,
    pub(super) rejected: Vec<Rejected>,
}

pub(super) fn too_many_records(limits: &Limits) -> ApiError {
    ApiError::new(Code::TooLarge, format!("the request has more than {} records", limits.records_max))
        .with_hint("send fewer records in a request")
}

#[cfg(test)]
mod tests;
