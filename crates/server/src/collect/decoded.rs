//! What a decoder makes of a body, and what its sender is told.

use bytes::Bytes;
use model::Batch;
use model::limits::Limits;
use serde::Serialize;

use crate::error::{ApiError, Code};

/// A body as a message for the queue.
#[derive(Debug)]
pub(super) struct Decoded {
    /// An `ExportLogsServiceRequest` of the accepted records.
    pub(super) payload: Bytes,
    pub(super) accepted: u32,
    pub(super) rejected: Vec<Rejected>,
    /// The accepted records, if they were wanted.
    pub(super) records: Option<Batch>,
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
