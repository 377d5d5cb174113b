//! Named steps at which a test can end the process, to prove that no step loses or repeats a message.
//!
//! `DEVLOGS_CRASH_AT=queue.before_fsync` ends the process at the first pass through that step,
//! `DEVLOGS_CRASH_AT=queue.before_fsync:7` at the seventh. Without the variable a step costs one relaxed load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Not read yet, off, on.
static STATE: AtomicU8 = AtomicU8::new(UNREAD);
static TARGET: OnceLock<Option<Target>> = OnceLock::new();
const UNREAD: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

#[derive(Debug)]
struct Target {
    step: String,
    /// How many passes are still to come, this one included.
    passes: AtomicU64,
}

/// Ends the process without any clean-up if this is the step that `DEVLOGS_CRASH_AT` names.
#[inline]
pub fn crash_point(step: &str) {
    if STATE.load(Ordering::Relaxed) != OFF {
        crash_if_named(step);
    }
}

#[cold]
#[expect(clippy::disallowed_methods, reason = "a test's means, which must not be a setting of the product")]
fn crash_if_named(step: &str) {
    let target = TARGET.get_or_init(|| {
        let target = std::env::var("DEVLOGS_CRASH_AT").ok().map(|text| parse(&text));
        STATE.store(if target.is_some() { ON } else { OFF }, Ordering::Relaxed);
        target
    });
    if let Some(target) = target
        && target.step == step
        && target.passes.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}

fn parse(text: &str) -> Target {
    let (step, passes) = match text.rsplit_once(':') {
        Some((step, count)) => (step, count.parse().unwrap_or(1)),
        None => (text, 1),
    };
    Target { step: step.to_owned(), passes: AtomicU64::new(passes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_may_name_the_pass() {
        let target = parse("queue.before_roll:3");
        assert_eq!((target.step.as_str(), target.passes.into_inner()), ("queue.before_roll", 3));
        let target = parse("queue.before_roll");
        assert_eq!((target.step.as_str(), target.passes.into_inner()), ("queue.before_roll", 1));
    }
}
