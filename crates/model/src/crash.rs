//! Named steps at which a test can have the process die.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where to die: the environment's `DEVLOGS_CRASH_AT`, read once.
struct Plan {
    name: String,
    /// Passes of the step that are left, this one included.
    left: AtomicU64,
}

/// Aborts the process when `DEVLOGS_CRASH_AT` is `name`, or at the n-th pass when it is `name:n`. Only a test's
/// child process has it set; without it this is one load.
#[expect(clippy::disallowed_methods, reason = "a test's means, which must not be a setting of the product")]
pub fn crash_point(name: &str) {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    let Some(plan) = PLAN.get_or_init(|| std::env::var("DEVLOGS_CRASH_AT").ok().map(|text| parse(&text))) else {
        return;
    };
    if plan.name == name && plan.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        std::process::abort();
    }
}

fn parse(text: &str) -> Plan {
    let (name, passes) = match text.rsplit_once(':') {
        Some((name, passes)) if passes.parse::<u64>().is_ok() => (name, passes.parse().unwrap_or(1)),
        _ => (text, 1),
    };
    Plan { name: name.to_owned(), left: AtomicU64::new(passes.max(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_may_name_the_pass() {
        for (text, name, passes) in [
            ("queue.before_roll:3", "queue.before_roll", 3),
            ("queue.before_roll", "queue.before_roll", 1),
            ("queue.before_roll:0", "queue.before_roll", 1),
            ("queue:before", "queue:before", 1),
        ] {
            let plan = parse(text);
            assert_eq!((plan.name.as_str(), plan.left.into_inner()), (name, passes), "{text}");
        }
    }
}
