//! What is measured, a file each.

pub mod ask;
pub mod fresh;
pub mod growth;
pub mod ingest;
pub mod peers;
pub mod small;
pub mod tails;
pub mod together;

use std::ops::Range;
use std::path::PathBuf;

use crate::corpus::{Corpus, DAY_NANOS};
use crate::target::Launch;

/// What every measurement is given.
#[derive(Debug)]
pub struct Bench {
    pub launch: Launch,
    pub corpus: Corpus,
    /// An empty folder for data.
    pub work: PathBuf,
    pub quick: bool,
    pub senders: usize,
}

impl Bench {
    /// The day of the data.
    pub fn day(&self) -> Range<i64> {
        let start = self.corpus.truth.day_start_unix * 1_000_000_000;
        start..start + DAY_NANOS
    }

    /// Where the server that questions are asked of has its data.
    pub fn main_data(&self) -> PathBuf {
        self.work.join("main")
    }
}
