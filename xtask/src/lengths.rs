//! How long a file may be: 500 lines of Rust, 250 of TypeScript, tests apart.

use std::path::Path;

const RUST_LINES_MAX: usize = 500;
const TYPESCRIPT_LINES_MAX: usize = 250;

/// The files that are too long.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for path in crate::tracked(root, ".", &[".rs", ".ts", ".tsx"])? {
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let is_rust = name.ends_with(".rs");
        let is_test =
            name.contains("/tests/") || name.contains("tests.rs") || name.contains(".test.") || name.contains("/e2e/");
        let is_generated = name.contains("/generated/");
        if is_test || is_generated {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let code = if is_rust { text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(&text) } else { &text };
        let lines_max = if is_rust { RUST_LINES_MAX } else { TYPESCRIPT_LINES_MAX };
        let lines = code.lines().count();
        if lines > lines_max {
            findings.push(format!("{name}: {lines} lines, {lines_max} at most: split it by concept"));
        }
    }
    Ok(findings)
}
