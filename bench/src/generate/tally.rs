//! Counts the true answers while records are made.

use std::collections::BTreeMap;

use regex::Regex;

use super::services::Line;
use super::{DAY_START, PHRASE, RARE_PHRASE, REGEX, TRACE_NEEDLE, UUID_NEEDLE};
use crate::truth::{Needle, Phrase, Truth};

#[derive(Debug)]
pub struct Tally {
    truth: Truth,
    regex: Regex,
    paths: BTreeMap<String, u64>,
    /// Tenths of a millisecond by service.
    durations: BTreeMap<&'static str, Vec<u32>>,
}

impl Default for Tally {
    fn default() -> Self {
        let needle = |value: &str| Needle { value: value.to_owned(), count: 0 };
        let truth = Truth {
            day_start_unix: DAY_START,
            uuid_needle: needle(UUID_NEEDLE),
            rare_phrase: needle(RARE_PHRASE),
            trace_needle: needle(TRACE_NEEDLE),
            regex: needle(REGEX),
            phrase: Phrase { value: PHRASE.to_owned(), ..Phrase::default() },
            ..Truth::default()
        };
        let regex = Regex::new(REGEX).expect("a constant");
        Self { truth, regex, paths: BTreeMap::new(), durations: BTreeMap::new() }
    }
}

impl Tally {
    /// One record, written with `bytes`.
    pub fn count(&mut self, line: &Line, micros: i64, bytes: usize) {
        let truth = &mut self.truth;
        truth.records += 1;
        truth.bytes += bytes as u64;
        *truth.by_level.entry(line.level.to_owned()).or_default() += 1;
        *truth.by_service.entry(line.service.to_owned()).or_default() += 1;
        *truth.by_hour.entry((micros / 3_600_000_000) as u32).or_default() += 1;
        truth.uuid_needle.count += u64::from(line.message.contains(UUID_NEEDLE));
        truth.rare_phrase.count += u64::from(line.message.contains(RARE_PHRASE));
        truth.trace_needle.count += u64::from(line.trace == TRACE_NEEDLE);
        if line.message.contains(PHRASE) {
            truth.phrase.substring_count += 1;
            truth.phrase.whole_words_count += u64::from(has_words(&line.message, PHRASE));
        }
        truth.regex.count += u64::from(self.regex.is_match(&line.message));
        if let Some(http) = &line.http {
            self.durations.entry(line.service).or_default().push(http.duration);
            if http.status >= 500 {
                truth.status_ge_500 += 1;
                *self.paths.entry(http.path.clone()).or_default() += 1;
            }
        }
    }

    pub fn finish(mut self) -> Truth {
        let mut paths: Vec<_> = self.paths.into_iter().collect();
        paths.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        paths.truncate(10);
        self.truth.status_ge_500_top10_paths = paths;
        for (service, mut durations) in self.durations {
            durations.sort_unstable();
            let nearest = durations[(durations.len() * 95).div_ceil(100) - 1];
            self.truth.p95_duration_ms_by_service_nearest_rank.insert(service.to_owned(), f64::from(nearest) / 10.0);
        }
        self.truth
    }
}

/// The phrase stands between characters that are not part of a word.
fn has_words(message: &str, phrase: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
    message.match_indices(phrase).any(|(at, _)| {
        !message[..at].chars().next_back().is_some_and(is_word)
            && !message[at + phrase.len()..].chars().next().is_some_and(is_word)
    })
}
