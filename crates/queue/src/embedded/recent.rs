//! The last messages of a partition, kept in memory for readers that keep up.
//!
//! A message comes here after the fsync that made it durable, so that a reader sees nothing that a crash could take
//! back. It is what the file holds: the processor and the live tail then neither read nor unpack it again. Who lags
//! behind reads the file. Records that came decoded stay with their message until a processor takes them; they count as
//! long as the message is here.

use std::collections::VecDeque;

use model::position::Position;

use crate::{Delivery, Message};

/// What a message takes beside its payload and records, about.
const OVERHEAD_BYTES: usize = 200;

/// The newest messages without a gap, bounded by their bytes.
#[derive(Debug)]
pub(super) struct Recent {
    /// The position of the first.
    first: u64,
    /// With the bytes that each was counted with.
    messages: VecDeque<(Message, usize)>,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { first: 0, messages: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Adds the message at `position`; the oldest give way.
    pub(super) fn push(&mut self, position: u64, message: Message) {
        if self.first + self.messages.len() as u64 != position {
            self.messages.clear();
            self.bytes = 0;
        }
        if self.messages.is_empty() {
            self.first = position;
        }
        let bytes = message.payload.len() + message.records.bytes() + OVERHEAD_BYTES;
        self.bytes += bytes;
        self.messages.push_back((message, bytes));
        while self.bytes > self.bytes_max {
            let Some((_, bytes)) = self.messages.pop_front() else { break };
            self.first += 1;
            self.bytes -= bytes;
        }
    }

    /// Messages from `from` on, at least one and at most `bytes_max` of payload; None when `from` is not here.
    pub(super) fn read(&self, from: u64, bytes_max: usize) -> Option<Vec<Delivery>> {
        let skip = usize::try_from(from.checked_sub(self.first)?).ok()?;
        let mut read = Vec::new();
        let mut bytes_left = bytes_max;
        for (position, (message, _)) in (from..).zip(self.messages.range(skip.min(self.messages.len())..)) {
            let left = bytes_left.checked_sub(message.payload.len());
            if left.is_none() && !read.is_empty() {
                break;
            }
            bytes_left = left.unwrap_or(0);
            read.push(Delivery { position: Position(position), message: message.clone() });
        }
        (!read.is_empty()).then_some(read)
    }
}
