//! The live tail: records as they become durable in the queue, through the same transforms as in the processor, and
//! independent of the store.
//!
//! - [`hub`]: one reader for each partition while anybody listens;
//! - [`subscriber`]: one listener's filter and bounded buffer;
//! - [`socket`]: the WebSocket's conversation.
//!
//! The tail is at least once: a record can come twice (a retried request), and one that is dead-lettered later is
//! shown. Records carry ids, so that clients drop repeats.

mod hub;
pub(crate) mod socket;
mod subscriber;

pub use hub::TailHub;

#[cfg(test)]
mod tests;
