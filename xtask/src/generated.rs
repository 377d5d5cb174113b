//! Files that are made from the code and committed: the OpenAPI document, the dashboard's types made from it, and the
//! references.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

const DASHBOARD_TYPES: &str = "web/src/lib/api/generated/schema.d.ts";

/// Writes every generated file.
#[expect(clippy::print_stdout, reason = "says what it did")]
pub fn write(root: &Path) -> anyhow::Result<()> {
    installed(root)?;
    for (path, text) in files(root)? {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text)?;
        println!("wrote {}", path.display());
    }
    // Made from the document that was just written.
    dashboard(root, "generate")?;
    println!("wrote {}", root.join(DASHBOARD_TYPES).display());
    Ok(())
}

/// The files that are not as they would be written now.
pub fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    installed(root)?;
    let mut findings = Vec::new();
    for (path, text) in files(root)? {
        if std::fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            findings.push(stale(root, &path));
        }
    }
    if dashboard(root, "check:generated").is_err() {
        findings.push(stale(root, &root.join(DASHBOARD_TYPES)));
    }
    Ok(findings)
}

/// Refuses to go on without the packages that make TypeScript.
fn installed(root: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        root.join("web/node_modules/openapi-typescript").exists(),
        "the dashboard's packages are not installed: run `make web/node_modules/.package-lock.json`"
    );
    Ok(())
}

/// Runs a script of the dashboard's package.
fn dashboard(root: &Path, script: &str) -> anyhow::Result<String> {
    crate::output(root, "npm", &["run", "--silent", "--prefix", "web", script])
}

fn stale(root: &Path, path: &Path) -> String {
    let name = path.strip_prefix(root).unwrap_or(path).display();
    format!("{name} is not up to date: run `make generate`")
}

#[expect(clippy::disallowed_methods, reason = "set by the test command, which knows where the binary is")]
fn files(root: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let binary = std::env::var("DEVLOGS_BIN").unwrap_or_else(|_| "target/release/devlogs".to_owned());
    let run = |arguments: &[&str]| crate::output(root, &binary, arguments);
    let schema: Value = serde_json::from_str(&run(&["config", "schema"])?)?;
    let defaults: toml::Table = run(&["config", "print"])?.parse()?;
    let mut help = String::from("# Commands\n\nMade from `--help`; do not edit.\n");
    commands(&run, &[], &mut help)?;
    Ok(vec![
        (root.join("web/openapi.json"), run(&["openapi"])?),
        (root.join("docs/reference/configuration.md"), configuration(&schema, &defaults)),
        (root.join("docs/reference/commands.md"), help),
    ])
}

/// The help of a command and of those below it.
fn commands(
    run: &dyn Fn(&[&str]) -> anyhow::Result<String>,
    command: &[&str],
    page: &mut String,
) -> anyhow::Result<()> {
    let help = run(&[command, &["--help"]].concat())?;
    let name = command.iter().fold("devlogs".to_owned(), |name, word| format!("{name} {word}"));
    anyhow::ensure!(help.contains("Example"), "`{name} --help` has no example");
    write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.trim_end())?;
    let below = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for word in below.filter_map(|line| line.split_whitespace().next()).filter(|word| *word != "help") {
        commands(run, &[command, &[word]].concat(), page)?;
    }
    Ok(())
}

/// The page of all keys, a table for each section.
fn configuration(schema: &Value, defaults: &toml::Table) -> String {
    let mut page = String::from(
        "# Configuration\n\nMade from the code; do not edit. One TOML file, given by `--config`. Each key can be set in the \
         environment as `DEVLOGS_<SECTION>__<KEY>`, a top-level key as `DEVLOGS_<KEY>`; the environment wins.\n",
    );
    section(&mut page, "", schema, schema, defaults);
    page
}

fn section(page: &mut String, name: &str, schema: &Value, root: &Value, defaults: &toml::Table) {
    let resolve = |schema: &Value| -> Value {
        let target = schema["$ref"].as_str().and_then(|path| root.pointer(&path[1..]));
        target.unwrap_or(schema).clone()
    };
    let here = resolve(schema);
    let Some(properties) = here["properties"].as_object() else { return };
    let title = if name.is_empty() { "Top level".to_owned() } else { format!("`[{name}]`") };
    let _ = write!(page, "\n## {title}\n\n{}\n", here["description"].as_str().unwrap_or_default());
    let leaves: Vec<_> = properties.iter().filter(|(_, property)| resolve(property)["properties"].is_null()).collect();
    if !leaves.is_empty() {
        page.push_str("\n| key | default | meaning |\n|---|---|---|\n");
        for (key, property) in leaves {
            let default = defaults.get(key).map_or_else(|| "unset".to_owned(), |value| format!("`{value}`"));
            let meaning = property["description"].as_str().unwrap_or_default().replace('\n', " ");
            let _ = writeln!(page, "| `{key}` | {default} | {meaning} |");
        }
    }
    let empty = toml::Table::new();
    for (key, property) in properties.iter().filter(|(_, property)| !resolve(property)["properties"].is_null()) {
        let inner = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        let table = defaults.get(key).and_then(|value| value.as_table()).unwrap_or(&empty);
        section(page, &inner, property, root, table);
    }
}
