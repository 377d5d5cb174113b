//! What a request and a record may be.

/// The most that [`Limits::nesting_max`] may be: values are read by recursion.
pub const NESTING_MAX: usize = 100;

/// Limits on what a collector accepts; the processor applies the record's part again to every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A request's body as sent.
    pub body_bytes_max: usize,
    /// A request's body after decompression.
    pub decoded_bytes_max: usize,
    /// Records in a request.
    pub records_max: usize,
    /// A record: message, names and values together.
    pub record_bytes_max: usize,
    /// Attributes and resource values of a record together.
    pub attributes_max: usize,
    /// An attribute's name.
    pub name_bytes_max: usize,
    /// How deep objects and arrays may stand in each other, at most [`NESTING_MAX`].
    pub nesting_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 << 20,
            decoded_bytes_max: 64 << 20,
            records_max: 100_000,
            record_bytes_max: 1 << 20,
            attributes_max: 1_000,
            name_bytes_max: 512,
            nesting_max: 32,
        }
    }
}
