//! Downloads, kept in `test-backends/` beside the build output and made once however many tests ask.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory of a download. `make` fills an empty directory; a half-made one is thrown away.
///
/// # Panics
/// When it can't be made, with what `make` said.
pub fn once(name: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> PathBuf {
    let home = home();
    fs::create_dir_all(&home).unwrap_or_else(|error| panic!("{}: {error}", home.display()));
    let done = home.join(name);
    let lock = File::create(home.join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("the lock of a download");
    if !done.exists() {
        let half = home.join(format!("{name}.half"));
        let _ = fs::remove_dir_all(&half);
        fs::create_dir_all(&half).expect("a directory for a download");
        if let Err(reason) = make(&half) {
            panic!("the tests need {name}, which could not be had: {reason}");
        }
        fs::rename(&half, &done).expect("a finished download in its place");
    }
    done
}

/// Runs a command to its end.
///
/// # Errors
/// What it printed, when it failed or could not be started.
pub fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{} failed: {}", command.get_program().display(), String::from_utf8_lossy(&said)))
}

/// Panics with advice unless a program is on the path.
pub fn require(program: &str, advice: &str) {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    assert!(found.is_ok_and(|output| output.status.success()), "the tests need `{program}`: {advice}");
}

/// `TARGET/test-backends`: test binaries are in `TARGET/PROFILE/deps/`, examples and programs one or two levels up.
fn home() -> PathBuf {
    let exe = std::env::current_exe().expect("this program's path");
    let target = exe.ancestors().find(|dir| dir.join("CACHEDIR.TAG").exists());
    target.expect("a build directory above this program").join("test-backends")
}
