//! The writer's process dies at a named step; another one goes on.

use std::process::Command;

use store::Store;

use super::{assert_exact, config, open, position, range, store};

const URL: &str = "DEVLOGS_TEST_POSTGRES_URL";
const RANGES: u64 = 4;
const ROWS: usize = 25;

/// Not a test of its own: what the child process does until it dies.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "how a test talks to its child process")]
async fn child() {
    let Ok(url) = std::env::var(URL) else { return };
    let store = open(config(url)).await;
    for from in position(&store, 0).await..RANGES {
        store.write(range("p", 0, from, ROWS)).await.expect("written");
    }
}

/// Runs the child; true when it died.
async fn run_child(url: &str, step: Option<&str>) -> bool {
    let mut command = Command::new(std::env::current_exe().expect("the test binary"));
    command.args(["tests::crash::child", "--exact"]).env(URL, url);
    match step {
        Some(step) => command.env("DEVLOGS_CRASH_AT", step),
        None => command.env_remove("DEVLOGS_CRASH_AT"),
    };
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it runs").expect("it starts");
    assert!(step.is_some() || output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    !output.status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_at_any_step_leaves_the_old_state_or_the_new() {
    // The step, and how many ranges are stored when the process dies there at its n-th pass.
    let steps = [
        ("store.after_position:2", 1),
        ("store.after_rows:1", 0),
        ("store.after_rows:3", 2),
        ("store.before_commit:2", 1),
        ("store.after_commit:2", 2),
    ];
    for (step, stored) in steps {
        let (store, url) = store().await;
        assert!(run_child(&url, Some(step)).await, "{step} was not reached");
        assert_eq!(position(&store, 0).await, stored, "{step}");
        assert_exact(&store, stored * ROWS as u64).await;
        assert!(!run_child(&url, None).await);
        assert_exact(&store, RANGES * ROWS as u64).await;
    }
}
