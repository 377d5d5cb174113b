//! Which licences dependencies may have: the list in `deny.toml`.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;

/// The dependencies whose licence is not on the list.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let deny: toml::Table = std::fs::read_to_string(root.join("deny.toml"))?.parse()?;
    let allowed: Vec<&str> = deny
        .get("licenses")
        .and_then(|section| section.get("allow"))
        .and_then(|list| list.as_array())
        .context("deny.toml has no licenses.allow")?
        .iter()
        .filter_map(|name| name.as_str())
        .collect();
    let metadata = crate::output(root, "cargo", &["metadata", "--format-version=1", "--locked"])?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    Ok(packages
        .iter()
        .filter_map(|package| {
            let licence = package["license"].as_str().unwrap_or("none stated");
            let fine = satisfied(licence, &allowed);
            (!fine).then(|| format!("dependency {}: licence {licence} is not on the list", package["name"]))
        })
        .collect())
}

/// Whether an SPDX expression can be met by the list. `AND` binds tighter than `OR`; `/` is an old `OR`.
fn satisfied(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.replace('/', " OR ");
    if let Some((before, rest)) = expression.split_once('(')
        && let Some((inner, after)) = rest.split_once(')')
    {
        // A group stands for a licence that is on the list, or for one that is not.
        let word = if satisfied(inner, allowed) { allowed[0] } else { "none" };
        return satisfied(&format!("{before}{word}{after}"), allowed);
    }
    expression.split(" OR ").any(|terms| terms.split(" AND ").all(|term| allowed.contains(&term.trim())))
}

#[cfg(test)]
mod tests {
    use super::satisfied;

    #[test]
    fn expressions_are_held_against_the_list() {
        let allowed = ["MIT", "ISC", "Apache-2.0"];
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT OR GPL-3.0", true),
            ("MIT AND GPL-3.0", false),
            ("MIT/Apache-2.0", true),
            ("(MIT OR GPL-3.0) AND ISC", true),
            ("(GPL-2.0 OR GPL-3.0) AND ISC", false),
            ("Apache-2.0 AND (MIT OR ISC)", true),
        ] {
            assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
        }
    }
}
