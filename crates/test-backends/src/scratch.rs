//! Data directories of servers, removed with the server or, when the tests were killed or kept it in a static, by the
//! next tests.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

const PREFIX: &str = "devlogs-tests-";

/// An empty directory in the system's place for temporary files. Its name says which process uses it.
///
/// # Panics
/// When it can't be made.
pub fn dir(server: &str) -> TempDir {
    sweep();
    let prefix = format!("{PREFIX}{}-{server}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir().expect("a directory for a server")
}

/// Removes the directories of processes that are gone.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_removed() {
        // Above the largest process id of Linux.
        let left = std::env::temp_dir().join(format!("{PREFIX}4194305-test-x"));
        fs::create_dir_all(left.join("data")).expect("a directory");
        let mine = dir("test");
        assert!(!left.exists());
        sweep();
        assert!(mine.path().exists());
    }
}
