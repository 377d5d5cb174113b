//! Columns to records.

impl<'a> RecordReader<'a> {
    /// Resolves the columns of a batch that has all of them (see the module's table).
    pub fn new(batch: &'a RecordBatch) -> Result<Self, StoreError>;
    pub fn id(&self, row: usize) -> RecordId;
    pub fn record(&self, row: usize, project: &str) -> Result<Record<'static>, StoreError>;
}

/// What stands in an `overflow` cell.
pub struct Overflow { pub attributes: Fields<'static>, pub resource: Fields<'static> }
pub fn overflow_fields(text: &str) -> Result<Overflow, StoreError>;
