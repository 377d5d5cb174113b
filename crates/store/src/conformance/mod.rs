//! What every store must do, as tests that each backend runs.
//!
//! - [`run`]: the contract case by case, each on a project and a partition of its own in one empty store;
//! - [`compare()`]: generated records and queries, the same answers as [`crate::memory::MemoryStore`];
//! - [`generate`]: the records and queries, from a seed.
//!
//! A failed check panics and says what was expected.

mod compare;
mod contract;
pub mod generate;

pub use compare::{compare, sorted_fields};
pub use contract::run;

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_reference_store_keeps_the_contract() {
        super::run(&crate::memory::MemoryStore::default()).await;
    }
}
