//! Slows down guessing of passwords: after a few failures each next try of the same user from the same place waits.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Failures that cost nothing.
const FREE: u32 = 5;
const WAIT_MAX: Duration = Duration::from_secs(300);
/// Failures are forgotten after this time without another.
const FORGET: Duration = Duration::from_secs(900);
const ENTRIES_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<(String, String), Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    fn wait(self, now: Instant) -> Option<Duration> {
        let step = self.count.checked_sub(FREE)?;
        let pause = Duration::from_secs(1 << step.min(9)).min(WAIT_MAX);
        (self.last + pause).checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

impl Throttle {
    /// How long a try must wait, if it must. A try that may go ahead counts as failed until [`Throttle::clear`], so
    /// that many at once can't slip through.
    pub(crate) fn begin(&self, user: &str, from: &str, now: Instant) -> Result<(), Duration> {
        let mut failures = self.failures.lock();
        if failures.len() >= ENTRIES_MAX {
            failures.retain(|_, entry| now.duration_since(entry.last) < FORGET);
            if failures.len() >= ENTRIES_MAX {
                return Err(Duration::from_secs(60));
            }
        }
        let entry = failures.entry((user.to_owned(), from.to_owned())).or_insert(Failures { count: 0, last: now });
        if now.duration_since(entry.last) >= FORGET {
            entry.count = 0;
        }
        if let Some(wait) = entry.wait(now) {
            return Err(wait);
        }
        *entry = Failures { count: entry.count.saturating_add(1), last: now };
        Ok(())
    }

    pub(crate) fn clear(&self, user: &str, from: &str) {
        self.failures.lock().remove(&(user.to_owned(), from.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_after_the_free_tries_and_are_forgotten() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for _ in 0..FREE {
            assert_eq!(throttle.begin("admin", "a", start), Ok(()));
        }
        assert_eq!(throttle.begin("admin", "a", start), Err(Duration::from_secs(1)));
        assert_eq!(throttle.begin("admin", "b", start), Ok(()), "another place is not held back");
        let later = start + Duration::from_secs(1);
        assert_eq!(throttle.begin("admin", "a", later), Ok(()));
        assert_eq!(throttle.begin("admin", "a", later), Err(Duration::from_secs(2)));
        assert_eq!(throttle.begin("admin", "a", later + FORGET), Ok(()));
        assert_eq!(throttle.begin("admin", "a", later + FORGET), Ok(()));
        throttle.clear("admin", "b");
        assert_eq!(throttle.begin("admin", "b", start), Ok(()));
    }

    #[test]
    fn the_table_is_bounded() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for user in 0..ENTRIES_MAX {
            assert_eq!(throttle.begin(&user.to_string(), "", start), Ok(()));
        }
        assert!(throttle.begin("one more", "", start).is_err());
        assert_eq!(throttle.begin("one more", "", start + FORGET), Ok(()));
    }
}
