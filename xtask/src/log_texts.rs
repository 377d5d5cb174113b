//! How log messages are written: in lower case, without a final period, values as fields.

use std::path::Path;

use regex::Regex;

/// Words that are written with a capital everywhere.
const NAMES: [&str; 3] = ["Kafka ", "Redis ", "TLS "];

/// The messages that are not written so.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let call = Regex::new(
        r#"(?s)tracing::(?:trace|debug|info|warn|error)!\((?:[^;"]*?[,(]\s*)?"((?:[^"\\]|\\.)*)"\s*,?\s*\)"#,
    )?;
    let mut findings = Vec::new();
    for path in crate::tracked(root, "crates", &[".rs"])? {
        let text = std::fs::read_to_string(&path)?;
        for found in call.captures_iter(&text) {
            let message = &found[1];
            let line = text[..found.get(0).map_or(0, |all| all.start())].lines().count() + 1;
            let is_name = NAMES.iter().any(|name| message.starts_with(name));
            let reason = if !is_name && message.starts_with(|first: char| first.is_ascii_uppercase()) {
                "begins with a capital"
            } else if message.ends_with('.') {
                "ends with a period"
            } else if message.contains('{') {
                "formats values: give them as fields"
            } else {
                continue;
            };
            let name = path.strip_prefix(root).unwrap_or(&path).display();
            findings.push(format!("{name}:{line}: log message {message:?} {reason}"));
        }
    }
    Ok(findings)
}
