//! Records to OTLP protobuf.

use crate::record::Record;

/// Writes an `ExportLogsServiceRequest`, grouping consecutive records of the same service, host and resource.
#[derive(Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, _record: &Record<'_>) {}

    /// The bytes that [`Encoder::finish`] would return now, roughly.
    pub fn bytes(&self) -> usize {
        self.out.len()
    }

    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}
