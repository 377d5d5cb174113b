//! The true answers about a data set, written beside it when it is made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that the measured queries ask for. Data sets made elsewhere come with a file of the same shape.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    pub records: u64,
    /// Of NDJSON.
    pub bytes: u64,
    /// Seconds since the Unix epoch; all records lie within the day that begins here.
    pub day_start_unix: i64,
    /// In one message.
    pub uuid_needle: Needle,
    /// In few messages.
    pub rare_phrase: Needle,
    /// The `trace_id` of few records.
    pub trace_needle: Needle,
    /// In many messages, as whole words and within longer ones.
    pub phrase: Phrase,
    /// Matches within messages.
    pub regex: Needle,
    /// Records with `http.status_code` of 500 or more, and their most frequent values of `http.path`.
    pub status_ge_500: u64,
    pub status_ge_500_top10_paths: Vec<(String, u64)>,
    pub by_level: BTreeMap<String, u64>,
    pub by_service: BTreeMap<String, u64>,
    /// Hour of the day.
    pub by_hour: BTreeMap<u32, u64>,
    /// `duration_ms`, nearest rank.
    pub p95_duration_ms_by_service_nearest_rank: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Needle {
    pub value: String,
    pub count: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Phrase {
    pub value: String,
    pub substring_count: u64,
    pub whole_words_count: u64,
}
