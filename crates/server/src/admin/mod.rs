//! What operators see and do: projects, keys, dead letters, the ledger, the state of things.

#![allow(unused_qualifications, reason = "the macros of utoipa write them")]

pub mod dead_letters;
pub mod keys;
pub mod ledger;
pub mod maintenance;
pub mod projects;
pub mod status;

use std::time::Duration;

use metadata::MetadataError;

use crate::error::{ApiError, Code};

/// A refusal of the metadata database as clients read it.
pub(crate) fn metadata_error(error: MetadataError) -> ApiError {
    match error {
        MetadataError::Invalid(what) => ApiError::malformed(what),
        MetadataError::Exists(what) => ApiError::new(Code::Conflict, what),
        MetadataError::WrongPassword => ApiError::new(Code::Unauthenticated, "user or password is wrong"),
        MetadataError::TooManySignIns { retry_after } => {
            ApiError::overloaded("too many failed sign-ins; wait before the next", retry_after)
        }
        MetadataError::Database(cause) => {
            ApiError::unavailable("the metadata can't be reached now", Duration::from_secs(2)).with_internal(cause)
        }
        other => ApiError::internal(other),
    }
}
