//! The measured questions, in no one's language, each with its true answer.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::ensure;

use crate::corpus::{Corpus, DAY_NANOS, MINUTE_NANOS};

/// What is asked about all records of a time.
#[derive(Debug, Clone)]
pub enum What {
    /// Records whose message has this text, which is words.
    Needle(String),
    /// Records of a trace.
    Trace(String),
    /// How many messages have these words next to each other.
    CountWords(String),
    CountSubstring(String),
    CountRegex(String),
    /// Times of the newest records, newest first.
    NewestErrors,
    Newest,
    /// As many minutes together as the range has days: what makes one chart.
    PerMinute,
    PerMinuteByLevel,
    TopServices,
    /// `http.status_code` of 500 or more by `http.path`.
    TopFailingPaths,
    /// Of `duration_ms`.
    P95ByService,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Count(u64),
    /// The messages or ids of the records, to be looked at one by one.
    Texts(Vec<String>),
    Times(Vec<i64>),
    Ranking(Vec<(String, u64)>),
    /// By the minute's start and, if asked, the level (else empty). Empty minutes may be left out.
    Minutes(BTreeMap<(i64, String), u64>),
    Values(BTreeMap<String, f64>),
}

/// A question over a range of time and what makes an answer right.
#[derive(Debug)]
pub struct Question {
    pub name: &'static str,
    /// In names of figures.
    pub key: &'static str,
    pub what: What,
    /// Nanoseconds since the Unix epoch.
    pub range: Range<i64>,
    check: Check,
}

#[derive(Debug)]
enum Check {
    Equals(Answer),
    /// So many texts, each with this in it.
    Texts(usize, String),
    /// Values in order by service: an answer must be within one per cent of the ranks, or, for a peer that says its
    /// percentiles are approximate, within ten per cent of the value.
    P95(BTreeMap<String, Vec<f64>>),
}

const RANK_ERROR: f64 = 0.01;

impl Question {
    /// All questions, over so many days that each hold the data.
    pub fn all(corpus: &Corpus, days: u32) -> Vec<Self> {
        let (truth, copies) = (&corpus.truth, u64::from(days));
        let start = truth.day_start_unix * 1_000_000_000;
        let range = start..start + i64::from(days) * DAY_NANOS;
        let later = i64::from(days - 1) * DAY_NANOS;
        let question = |key, name, what, check| Self { name, key, what, range: range.clone(), check };
        let texts = |count: u64, text: &str| Check::Texts(count as usize, text.to_owned());
        let count = |count: u64| Check::Equals(Answer::Count(count * copies));
        let times = |times: &[i64]| Check::Equals(Answer::Times(times.iter().map(|time| time + later).collect()));
        let minutes = |by_level: bool| {
            let mut minutes = BTreeMap::new();
            for day in 0..i64::from(days) {
                for ((minute, level), count) in &corpus.seen.minutes {
                    let level = if by_level { level.clone() } else { String::new() };
                    let time = minute + day * DAY_NANOS;
                    let start = time - time.rem_euclid(i64::from(days) * MINUTE_NANOS);
                    *minutes.entry((start, level)).or_default() += count;
                }
            }
            Check::Equals(Answer::Minutes(minutes))
        };
        let ranking = |ranking: &[(String, u64)]| {
            Check::Equals(Answer::Ranking(ranking.iter().map(|(name, n)| (name.clone(), n * copies)).collect()))
        };
        let mut services: Vec<_> = truth.by_service.clone().into_iter().collect();
        services.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        services.truncate(10);
        let (uuid, trace) = (&truth.uuid_needle, &truth.trace_needle);
        let (rare, phrase) = (&truth.rare_phrase, &truth.phrase);
        vec![
            question("needle", "needle UUID", What::Needle(uuid.value.clone()), texts(uuid.count, &uuid.value)),
            question("trace", "trace_id = X", What::Trace(trace.value.clone()), texts(trace.count, &trace.value)),
            question("rare", "count of a rare phrase", What::CountWords(rare.value.clone()), count(rare.count)),
            question(
                "words",
                "count of two words",
                What::CountWords(phrase.value.clone()),
                count(phrase.whole_words_count),
            ),
            question(
                "substring",
                "count of a substring",
                What::CountSubstring(phrase.value.clone()),
                count(phrase.substring_count),
            ),
            question(
                "regex",
                "count of a regex with a literal prefix",
                What::CountRegex(truth.regex.value.clone()),
                count(truth.regex.count),
            ),
            question("newest_errors", "newest 100 errors", What::NewestErrors, times(&corpus.seen.newest_errors)),
            question("newest", "newest 100 of all", What::Newest, times(&corpus.seen.newest)),
            question("minutes", "count per minute, all", What::PerMinute, minutes(false)),
            question("minutes_by_level", "count per minute by level", What::PerMinuteByLevel, minutes(true)),
            question("services", "top 10 services", What::TopServices, ranking(&services)),
            question(
                "failing_paths",
                "status >= 500 by path, top 10",
                What::TopFailingPaths,
                ranking(&truth.status_ge_500_top10_paths),
            ),
            question("p95", "p95 duration by service", What::P95ByService, Check::P95(corpus.seen.durations.clone())),
        ]
    }

    /// # Errors
    /// The answer is not the true one. `approximate` forgives a percentile that is close by value only.
    pub fn check(&self, answer: &Answer, approximate: bool) -> anyhow::Result<()> {
        match (&self.check, answer) {
            (Check::Equals(Answer::Ranking(truth)), Answer::Ranking(found)) if approximate => {
                // Which of those that tie with the last are shown is the peer's choice.
                let counts = |ranking: &[(String, u64)]| ranking.iter().map(|(_, count)| *count).collect::<Vec<_>>();
                ensure!(counts(found) == counts(truth), "{}: {found:?}, not {truth:?}", self.name);
            }
            (Check::Equals(truth), found) => {
                ensure!(found == truth, "{}: the answer is wrong: {}", self.name, difference(found, truth));
            }
            (Check::Texts(count, part), Answer::Texts(found)) => {
                ensure!(found.len() == *count, "{}: {} records, not {count}", self.name, found.len());
                let strange = found.iter().find(|text| !text.contains(part));
                ensure!(strange.is_none(), "{}: a record without it: {strange:?}", self.name);
            }
            (Check::P95(truth), Answer::Values(found)) => {
                ensure!(found.keys().eq(truth.keys()), "{}: the services {found:?}", self.name);
                for (service, value) in found {
                    check_p95(&truth[service], *value, approximate)
                        .map_err(|why| anyhow::anyhow!("{}: {service}: {why}", self.name))?;
                }
            }
            (_, found) => anyhow::bail!("{}: an answer of another kind: {found:?}", self.name),
        }
        Ok(())
    }
}

fn check_p95(in_order: &[f64], value: f64, approximate: bool) -> Result<(), String> {
    let rank = |count: usize| count as f64 / in_order.len() as f64;
    let below = rank(in_order.partition_point(|other| *other < value));
    let up_to = rank(in_order.partition_point(|other| *other <= value));
    // The ranks of one value are a range; a set of few values has none closer than one rank.
    let slack = RANK_ERROR + 1.0 / in_order.len() as f64;
    if below <= 0.95 + slack && up_to >= 0.95 - slack {
        return Ok(());
    }
    let exact = in_order[(in_order.len() * 95).div_ceil(100) - 1];
    if approximate && (value - exact).abs() <= exact * 0.1 {
        return Ok(());
    }
    Err(format!("{value} is at the ranks {below:.4} to {up_to:.4}; the 95th percentile is {exact}"))
}

/// Short enough to read.
fn difference(found: &Answer, truth: &Answer) -> String {
    match (found, truth) {
        (Answer::Minutes(found), Answer::Minutes(truth)) => {
            let other = truth.iter().find(|(key, count)| found.get(*key) != Some(*count));
            let extra = found.iter().find(|(key, _)| !truth.contains_key(*key));
            format!("{} minutes, not {}; for example {other:?}, {extra:?}", found.len(), truth.len())
        }
        (Answer::Times(found), Answer::Times(truth)) => {
            let at = found.iter().zip(truth).position(|(found, truth)| found != truth);
            format!("{} times, not {}; the first that differs is at {at:?}", found.len(), truth.len())
        }
        _ => format!("{found:?}, not {truth:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_may_be_off_by_one_per_cent_of_the_ranks() {
        let in_order: Vec<f64> = (1..=1_000).map(f64::from).collect();
        for value in [945.0, 950.0, 958.0] {
            assert_eq!(check_p95(&in_order, value, false), Ok(()));
        }
        for value in [930.0, 970.0] {
            assert!(check_p95(&in_order, value, false).is_err());
            assert_eq!(check_p95(&in_order, value, true), Ok(()));
        }
        assert!(check_p95(&in_order, 700.0, true).is_err());
    }

    #[test]
    fn a_wrong_answer_is_told() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let corpus = Corpus::make(2_000, 1, dir.path())?;
        for question in Question::all(&corpus, 2) {
            let Check::Equals(truth) = &question.check else { continue };
            question.check(truth, false)?;
            let wrong = match truth.clone() {
                Answer::Count(count) => Answer::Count(count + 1),
                Answer::Times(mut times) => {
                    times[7] += 1;
                    Answer::Times(times)
                }
                Answer::Ranking(mut ranking) => {
                    ranking[0].1 -= 1;
                    Answer::Ranking(ranking)
                }
                Answer::Minutes(mut minutes) => {
                    minutes.pop_first();
                    Answer::Minutes(minutes)
                }
                other => other,
            };
            assert!(question.check(&wrong, false).is_err(), "{}", question.name);
        }
        Ok(())
    }
}
