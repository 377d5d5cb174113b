//! Reading and printing times. A time is nanoseconds since the Unix epoch; a record's lies in 1970-2262.
//!
//! The epoch itself is no record's time: it is OTLP's word for "no time", and the queue speaks OTLP.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SECOND: i64 = 1_000_000_000;
const MILLISECOND: i64 = 1_000_000;
const MICROSECOND: i64 = 1_000;

/// A record's time from RFC 3339 (a space for the `T` and a missing zone, meaning UTC, are allowed), RFC 2822, or the
/// decimal digits of an epoch time in s, ms, µs or ns. None for what can't be read or lies outside 1970-2262.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim_ascii();
    if text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return match text.parse() {
            Ok(number) => from_epoch(number),
            Err(_) => from_epoch_float(text.parse().ok()?),
        };
    }
    in_range(parse_date(text)?)
}

/// A record's time from an epoch time in s, ms, µs or ns, told by magnitude: below 1e11 it is seconds, below 1e14
/// milliseconds, below 1e17 microseconds.
pub fn from_epoch(number: i64) -> Option<i64> {
    let unit = match number {
        1..100_000_000_000 => SECOND,
        100_000_000_000..100_000_000_000_000 => MILLISECOND,
        100_000_000_000_000..100_000_000_000_000_000 => MICROSECOND,
        _ => 1,
    };
    in_range(i128::from(number) * i128::from(unit))
}

/// As [`from_epoch`], with a fraction. Doubles carry about 16 digits: the result is exact to the microsecond for
/// seconds.
pub fn from_epoch_float(number: f64) -> Option<i64> {
    let unit = match number {
        n if n < 1e11 => SECOND,
        n if n < 1e14 => MILLISECOND,
        n if n < 1e17 => MICROSECOND,
        _ => 1,
    };
    if !number.is_finite() {
        return None;
    }
    let whole = number.trunc();
    let fraction = ((number - whole) * unit as f64).round();
    in_range(whole as i128 * i128::from(unit) + fraction as i128)
}

fn in_range(nanoseconds: i128) -> Option<i64> {
    i64::try_from(nanoseconds).ok().filter(|&time| time > 0)
}

/// A time in a query or a request: RFC 3339, epoch milliseconds, `now`, or `-15m` before `now` (units `ms s m h d w`).
/// None for what can't be read or lies outside 1970-2262.
pub fn parse_query(text: &str, now: i64) -> Option<i64> {
    let text = text.trim_ascii();
    let relative = text.strip_prefix("now").unwrap_or(text);
    if relative.is_empty() {
        return text.starts_with("now").then_some(now);
    }
    if let Some(duration) = relative.strip_prefix('-') {
        return now.checked_sub(parse_duration(duration)?).filter(|&time| time >= 0);
    }
    if let Some(duration) = relative.strip_prefix('+')
        && relative.len() < text.len()
    {
        return now.checked_add(parse_duration(duration)?);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<i64>().ok()?.checked_mul(MILLISECOND);
    }
    i64::try_from(parse_date(text)?).ok().filter(|&time| time >= 0)
}

/// A duration such as `15m` in nanoseconds: an integer and a unit out of `ms s m h d w`.
pub fn parse_duration(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let unit = match unit {
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        "d" => 86_400 * SECOND,
        "w" => 7 * 86_400 * SECOND,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit)
}

/// Nanoseconds since the epoch of a written date and time.
fn parse_date(text: &str) -> Option<i128> {
    if let Some(time) = parse_rfc3339(text.as_bytes()) {
        return Some(i128::from(time));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_nanosecond());
    }
    if let Ok(time) = text.parse::<DateTime>() {
        return time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_nanosecond());
    }
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp().as_nanosecond())
}

/// The common form `2026-11-22T10:00:00[.123456789]Z` without the detours that the general reader makes.
fn parse_rfc3339(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_first_chunk::<19>()?;
    let separators = (date[4], date[7], date[10], date[13], date[16]);
    if !matches!(separators, (b'-', b'-', b'T' | b' ', b':', b':')) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        date[range].iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Leap seconds, days of short months and years outside the range are left to the general reader.
    if !(1970..2262).contains(&year) || !(1..=12).contains(&month) || !(1..=28).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let nanoseconds = match rest {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
            let value = digits.iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
            value * 10_i64.pow(9 - digits.len() as u32)
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds * SECOND + nanoseconds)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Howard Hinnant's algorithm, for years from 0 on).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`]: year, month and day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// A time as text of fixed width: `2026-11-22T10:00:00.123456789Z`.
pub fn format(time: i64) -> String {
    Text::new(time).as_str().to_owned()
}

/// A time as text, without an allocation.
#[derive(Clone, Copy)]
pub struct Text([u8; 30]);

impl Text {
    pub fn new(time: i64) -> Self {
        let (seconds, nanoseconds) = (time.div_euclid(SECOND), time.rem_euclid(SECOND));
        let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let mut put = |mut at: usize, digits: usize, mut value: i64| {
            at += digits;
            for _ in 0..digits {
                at -= 1;
                text[at] = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, of_day / 3_600);
        put(14, 2, of_day / 60 % 60);
        put(17, 2, of_day % 60);
        put(20, 9, nanoseconds);
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: i64 = 1_795_341_600 * SECOND;

    #[test]
    fn reads_times_as_people_and_programs_write_them() {
        for (text, expected) in [
            ("2026-11-22T10:00:00Z", Some(AT)),
            ("2026-11-22T10:00:00.5Z", Some(AT + SECOND / 2)),
            ("2026-11-22T10:00:00.123456789Z", Some(AT + 123_456_789)),
            ("2026-11-22t10:00:00z", Some(AT)),
            ("2026-11-22 10:00:00Z", Some(AT)),
            ("2026-11-22 10:00:00", Some(AT)),
            ("2026-11-22T10:00:00", Some(AT)),
            ("2026-11-22T11:00:00+01:00", Some(AT)),
            ("2026-11-22T11:00:00.25+0100", Some(AT + SECOND / 4)),
            ("Sun, 22 Nov 2026 10:00:00 +0000", Some(AT)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800 * SECOND)),
            ("1795341600", Some(AT)),
            ("1795341600000", Some(AT)),
            ("1795341600.5", Some(AT + SECOND / 2)),
            ("2262-04-11T23:47:16.854775807Z", Some(i64::MAX)),
            ("2262-04-11T23:47:16.854775808Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("9999-01-01T00:00:00Z", None),
            ("2026-02-30T00:00:00Z", None),
            ("2026-11-22T25:00:00Z", None),
            ("yesterday", None),
            ("", None),
            ("1.2.3", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn tells_the_unit_of_epoch_times_by_magnitude() {
        for number in [1_795_341_600, 1_795_341_600_000, 1_795_341_600_000_000, AT] {
            assert_eq!(from_epoch(number), Some(AT), "{number}");
            assert_eq!(from_epoch_float(number as f64), Some(AT), "{number}");
        }
        assert_eq!(from_epoch_float(1_795_341_600.25), Some(AT + SECOND / 4));
        assert_eq!(from_epoch_float(1_795_341_600_000.5), Some(AT + MILLISECOND / 2));
        for number in [0, -1, i64::MIN, 10_000_000_000] {
            assert_eq!(from_epoch(number), None, "{number}");
        }
        for number in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(from_epoch_float(number), None, "{number}");
        }
    }

    #[test]
    fn reads_times_of_queries() {
        for (text, expected) in [
            ("now", Some(AT)),
            ("-15m", Some(AT - 900 * SECOND)),
            ("now-1h", Some(AT - 3_600 * SECOND)),
            ("now+1s", Some(AT + SECOND)),
            ("-7d", Some(AT - 7 * 86_400 * SECOND)),
            ("-500ms", Some(AT - SECOND / 2)),
            ("0", Some(0)),
            ("1795341600000", Some(AT)),
            ("1795341600", Some(1_795_341_600 * MILLISECOND)),
            ("2026-11-22T10:00:00Z", Some(AT)),
            ("2026-11-22", Some(1_795_305_600 * SECOND)),
            ("15m", None),
            ("+15m", None),
            ("-15", None),
            ("-m", None),
            ("-999999w", None),
            ("-99999999999999999999d", None),
            ("99999999999999999999", None),
            ("later", None),
            ("nowish", None),
            ("", None),
        ] {
            assert_eq!(parse_query(text, AT), expected, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn prints_what_jiff_prints_and_reads_it_back(time in 1..=i64::MAX) {
            let text = format(time);
            let expected = Timestamp::from_nanosecond(time.into()).map(|time| std::format!("{time:.9}"));
            prop_assert_eq!(Some(&text), expected.as_ref().ok());
            prop_assert_eq!(parse(&text), Some(time));
        }
    }
}
