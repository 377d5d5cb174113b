//! Makes a day of log records of a web shop's services, the same for the same seed, and the true answers about it.
//!
//! - [`services`]: who logs what;
//! - [`tally`]: counts the answers while records are made.

mod services;
mod tally;

use std::io::{self, Write};

use crate::truth::Truth;
use services::Line;
use tally::Tally;

/// 2026-01-15T00:00:00Z.
pub const DAY_START: i64 = 1_768_435_200;
const DAY_MICROS: i64 = 86_400_000_000;

pub const UUID_NEEDLE: &str = "2b7e1516-28ae-4d2a-a6ab-f7158809cf4f";
pub const RARE_PHRASE: &str = "replica fell behind the retention horizon";
pub const TRACE_NEEDLE: &str = "00f067aa0ba902b7a3ce929d0e0e4736";
pub const PHRASE: &str = "session expired";
pub const REGEX: &str = r"card declined for (order|invoice) [0-9]+ after 1[0-9]{2}ms";

/// How busy each hour of the day is.
const RHYTHM: [u64; 24] =
    [48, 40, 35, 32, 31, 36, 50, 72, 95, 112, 121, 125, 128, 126, 124, 119, 113, 108, 101, 95, 88, 80, 70, 58];
/// One record of this many has the rare phrase.
const RARE_EVERY: u64 = 23_000;
const TRACE_COUNT: u64 = 12;

/// Writes `records` lines of NDJSON in about the order of their times.
///
/// # Errors
/// Of `out`.
pub fn generate(records: u64, seed: u64, out: &mut impl Write) -> io::Result<Truth> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut services = services::Services::new(&mut random);
    let mut tally = Tally::default();
    let needle_at = records / 3;
    let traces_from = records / 2;
    let mut line = Line::default();
    let mut json = String::new();
    for number in 0..records {
        services.next(&mut random, &mut line);
        if number == needle_at {
            line.message.push_str(" request ");
            line.message.push_str(UUID_NEEDLE);
        }
        if number % RARE_EVERY == RARE_EVERY / 2 {
            line.message.push_str("; ");
            line.message.push_str(RARE_PHRASE);
        }
        if (traces_from..traces_from + TRACE_COUNT * 7).contains(&number) && (number - traces_from).is_multiple_of(7) {
            line.trace.clear();
            line.trace.push_str(TRACE_NEEDLE);
        }
        let micros = time_of_day(number, records, &mut random);
        json.clear();
        line.write(micros, &mut json);
        tally.count(&line, micros, json.len());
        out.write_all(json.as_bytes())?;
    }
    out.flush()?;
    Ok(tally.finish())
}

/// Microseconds since midnight: records follow the day's rhythm, with some jitter.
fn time_of_day(number: u64, records: u64, random: &mut fastrand::Rng) -> i64 {
    let total: u64 = RHYTHM.iter().sum();
    let mut at = u128::from(number) * u128::from(total);
    for (hour, &weight) in RHYTHM.iter().enumerate() {
        let share = u128::from(weight) * u128::from(records);
        if at < share {
            let within = (at * 3_600_000_000 / share) as i64;
            let jitter = random.i64(-40_000..40_000);
            return (hour as i64 * 3_600_000_000 + within + jitter).clamp(0, DAY_MICROS - 1);
        }
        at -= share;
    }
    DAY_MICROS - 1
}

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "the micro-benchmarks take this file without its tests")]
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_answers() -> io::Result<()> {
        let make = |seed| -> io::Result<(Vec<u8>, Truth)> {
            let mut out = Vec::new();
            let truth = generate(3_000, seed, &mut out)?;
            Ok((out, truth))
        };
        let (bytes, truth) = make(1)?;
        assert_eq!(make(1)?, (bytes.clone(), truth.clone()));
        assert_ne!(make(2)?.0, bytes);
        let lines: Vec<serde_json::Value> = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("each line is JSON"))
            .collect();
        let count = |test: &dyn Fn(&serde_json::Value) -> bool| lines.iter().filter(|line| test(line)).count() as u64;
        let message = |line: &serde_json::Value| line["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(truth.records, 3_000);
        assert_eq!(truth.bytes, bytes.len() as u64);
        assert_eq!((truth.uuid_needle.count, count(&|line| message(line).contains(UUID_NEEDLE))), (1, 1));
        assert_eq!((truth.trace_needle.count, count(&|line| line["trace_id"] == TRACE_NEEDLE)), (12, 12));
        assert_eq!(truth.phrase.substring_count, count(&|line| message(line).contains(PHRASE)));
        assert!(truth.phrase.whole_words_count < truth.phrase.substring_count);
        let regex = regex::Regex::new(REGEX).expect("a regular expression");
        assert_eq!(truth.regex.count, count(&|line| regex.is_match(&message(line))));
        assert!(truth.regex.count > 0);
        assert_eq!(truth.status_ge_500, count(&|line| line["http.status_code"].as_u64() >= Some(500)));
        assert_eq!(truth.by_level.values().sum::<u64>(), 3_000);
        assert_eq!(truth.by_hour.len(), 24);
        Ok(())
    }
}
