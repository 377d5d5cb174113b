//! Where a page of results ended.

use crate::record::RecordId;

/// What search results are ordered by: time, then id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SortKey {
    /// Nanoseconds since the Unix epoch.
    pub timestamp: i64,
    pub id: RecordId,
}

/// The direction of both parts of a [`SortKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    Ascending,
    #[default]
    Descending,
}
