//! What the embedded queue can be told.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::segment;

const SEGMENT_BYTES_MIN: u64 = 4 << 10;
const PARTITIONS_MAX: u32 = 1024;
/// A frame's lengths are 32-bit numbers.
const MESSAGE_BYTES_LIMIT: usize = 1 << 30;

/// Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedConfig {
    /// Made if it is not there. One process at a time uses it.
    pub dir: PathBuf,
    /// May be raised later. A lower number than the queue was made with has no effect.
    pub partitions: u32,
    /// The space reserved for a segment. Space is freed a segment at a time.
    pub segment_bytes: u64,
    /// Messages that every group has passed are kept up to this much, over all partitions. When messages that some
    /// group has not passed take this much, no more are taken.
    pub retention_bytes: u64,
    /// Messages that every group has passed are deleted when they are older, if this is set.
    pub retention_age: Option<Duration>,
    /// No messages are taken while the disk has less free.
    pub disk_free_min_bytes: u64,
    /// Messages on their way to the disk, over all partitions; who appends more waits.
    pub buffer_bytes_max: usize,
    /// Durable messages, and their records if they came decoded, that stay in memory for readers that keep up, over all
    /// partitions.
    pub recent_bytes_max: usize,
    /// The largest payload of a message.
    pub message_bytes_max: usize,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("./devlogs-data/queue"),
            partitions: 4,
            segment_bytes: 64 << 20,
            retention_bytes: 10 << 30,
            retention_age: Some(Duration::from_secs(24 * 60 * 60)),
            disk_free_min_bytes: 1 << 30,
            buffer_bytes_max: 128 << 20,
            recent_bytes_max: 32 << 20,
            message_bytes_max: 64 << 20,
        }
    }
}

impl EmbeddedConfig {
    /// The error names the setting and what it may be.
    pub(super) fn check(&self) -> io::Result<()> {
        let wrong = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        if !(1..=PARTITIONS_MAX).contains(&self.partitions) {
            return wrong(format!("partitions must be from 1 to {PARTITIONS_MAX}, not {}", self.partitions));
        }
        if self.segment_bytes < SEGMENT_BYTES_MIN {
            return wrong(format!("segment_bytes must be at least {SEGMENT_BYTES_MIN}, not {}", self.segment_bytes));
        }
        if self.retention_bytes < self.segment_bytes + segment::HEADER_BYTES {
            return wrong(format!(
                "retention_bytes must be more than segment_bytes ({}), not {}",
                self.segment_bytes, self.retention_bytes
            ));
        }
        if !(1..=MESSAGE_BYTES_LIMIT).contains(&self.message_bytes_max) {
            let most = MESSAGE_BYTES_LIMIT;
            return wrong(format!("message_bytes_max must be from 1 to {most}, not {}", self.message_bytes_max));
        }
        if self.buffer_bytes_max < 1 {
            return wrong("buffer_bytes_max must be at least 1".to_owned());
        }
        Ok(())
    }
}
