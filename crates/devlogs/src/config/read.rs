//! Reads the configuration and names each mistake by line and key.
//!
//! Every value is checked on its own, as a configuration that has just this one key, so that one mistake does not hide
//! the next and each is known by the line or the variable that it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::{Settings, tls};

/// Everything that is wrong with a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// One line each: where, which key, what is wrong, what to do.
    pub mistakes: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistakes.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Reads `file` (if any), lays `environment` over it and checks the whole. The second part of the answer are warnings.
///
/// # Errors
/// Every mistake that was found, in the order of the file, then of the environment.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(Settings, Vec<String>), ConfigError> {
    let mut reader = Reader { known: known_keys(), merged: Table::new(), mistakes: Vec::new(), warnings: Vec::new() };
    if let Some(path) = file {
        match std::fs::read_to_string(path) {
            Ok(text) => reader.file(&path.display().to_string(), &text),
            Err(error) => reader.mistakes.push(format!("{}: can't be read: {error}", path.display())),
        }
    }
    let sorted: BTreeMap<String, String> =
        environment.into_iter().filter(|(name, _)| name.starts_with("DEVLOGS_")).collect();
    for (name, value) in sorted {
        reader.variable(&name, &value);
    }
    reader.finish()
}

struct Reader {
    /// Full names of all keys (`queue.embedded.partitions`).
    known: Vec<String>,
    merged: Table,
    mistakes: Vec<String>,
    warnings: Vec<String>,
}

impl Reader {
    fn file(&mut self, name: &str, text: &str) {
        match DeTable::parse(text) {
            Ok(table) => self.table(name, text, "", table.get_ref()),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(text, span.start));
                self.mistakes.push(format!("{name}:{line}: {}", error.message()));
            }
        }
    }

    fn table(&mut self, file: &str, text: &str, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = join(prefix, key.get_ref());
            let place = format!("{file}:{}", line_of(text, key.span().start));
            let is_section = self.known.iter().any(|known| known.starts_with(&format!("{path}.")));
            match value.get_ref() {
                DeValue::Table(inner) if is_section => self.table(file, text, &path, inner),
                _ if is_section => self.mistakes.push(format!("{place}: `{path}` is a section: write `[{path}]`")),
                _ if !self.known.contains(&path) => self.unknown(&place, &path),
                written => match to_value(written) {
                    Some(value) => self.set(&place, &path, value),
                    None => self.mistakes.push(format!("{place}: `{path}`: the number is out of range")),
                },
            }
        }
    }

    fn variable(&mut self, name: &str, text: &str) {
        let path = name["DEVLOGS_".len()..].to_lowercase().replace("__", ".");
        if !self.known.contains(&path) {
            if name.contains("__") {
                self.unknown(name, &path);
            } else if !CLIENT_VARIABLES.contains(&name) {
                self.warnings.push(format!("{name} is not a key of the configuration and is ignored"));
            }
            return;
        }
        // A variable has no type: it is what the key takes, first as text, then as a TOML value.
        let as_text = Value::String(text.to_owned());
        let as_value = format!("v = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
        match as_value {
            Some(value) if check(&path, &as_text).is_err() => self.set(name, &path, value),
            _ => self.set(name, &path, as_text),
        }
    }

    fn set(&mut self, place: &str, path: &str, value: Value) {
        match check(path, &value) {
            Ok(()) => insert(&mut self.merged, path, value),
            Err(reason) => self.mistakes.push(format!("{place}: `{path}`: {reason}")),
        }
    }

    fn unknown(&mut self, place: &str, path: &str) {
        let nearest = self.known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, path));
        let hint = nearest.map(|known| format!("; the nearest known key is `{known}`")).unwrap_or_default();
        self.mistakes.push(format!("{place}: unknown key `{path}`{hint}"));
    }

    fn finish(mut self) -> Result<(Settings, Vec<String>), ConfigError> {
        match Value::Table(self.merged).try_into::<Settings>() {
            Ok(settings) if self.mistakes.is_empty() => {
                self.mistakes = tls::mistakes(&settings);
                if self.mistakes.is_empty() {
                    return Ok((settings, self.warnings));
                }
            }
            Ok(_) => {}
            Err(error) => self.mistakes.push(error.message().to_owned()),
        }
        Err(ConfigError { mistakes: self.mistakes })
    }
}

/// Variables that the client commands read.
const CLIENT_VARIABLES: [&str; 5] = ["DEVLOGS_URL", "DEVLOGS_KEY", "DEVLOGS_CA", "DEVLOGS_CERT", "DEVLOGS_CERT_KEY"];

/// Holds one value against its key.
fn check(path: &str, value: &Value) -> Result<(), String> {
    let mut table = Table::new();
    insert(&mut table, path, value.clone());
    Value::Table(table).try_into::<Settings>().map(drop).map_err(|error| error.message().trim().to_owned())
}

fn insert(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

fn to_value(written: &DeValue<'_>) -> Option<Value> {
    Some(match written {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => Value::Float(number.as_str().parse().ok()?),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(time) => Value::Datetime(*time),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| to_value(item.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Table(table) => Value::Table(
            table
                .iter()
                .map(|(key, value)| Some((key.get_ref().clone().into_owned(), to_value(value.get_ref())?)))
                .collect::<Option<_>>()?,
        ),
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// The full names of all keys, from the schema of [`Settings`].
pub fn known_keys() -> Vec<String> {
    fn walk(schema: &serde_json::Value, root: &serde_json::Value, prefix: &str, keys: &mut Vec<String>) {
        let target = schema.get("$ref").and_then(|name| name.as_str()).and_then(|name| root.pointer(&name[1..]));
        let properties = target.unwrap_or(schema).get("properties").and_then(|properties| properties.as_object());
        match properties {
            Some(properties) => {
                for (name, property) in properties {
                    walk(property, root, &join(prefix, name), keys);
                }
            }
            None => keys.push(prefix.to_owned()),
        }
    }
    let schema = schemars::schema_for!(Settings).to_value();
    let mut keys = Vec::new();
    walk(&schema, &schema, "", &mut keys);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str, environment: &[(&str, &str)]) -> Result<(Settings, Vec<String>), ConfigError> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("written");
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(Some(file.path()), environment)
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let (settings, warnings) = load_text(
            "data_dir = 'a'\n[collector]\nlisten = '127.0.0.1:1'\nrecords_max = 5\n",
            &[("DEVLOGS_DATA_DIR", "b"), ("DEVLOGS_COLLECTOR__RECORDS_MAX", "7"), ("DEVLOGS_SERVICE_HOST", "x")],
        )
        .expect("valid");
        assert_eq!(settings.data_dir, Path::new("b"));
        assert_eq!(settings.collector.records_max, 7);
        assert_eq!(settings.collector.listen.port(), 1);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }

    #[test]
    fn every_mistake_is_named_by_line_and_key() {
        let error = load_text(
            "data_dir = 3\n\n[collectr]\nlisten = 'x'\n[collector]\nlisten = 'here'\nbody_max = 'much'\nnesting_max = 101\n[queue.embedded]\npartition = 3\n",
            &[("DEVLOGS_API__LISTN", "x"), ("DEVLOGS_API__QUERIES_MAX", "many"), ("DEVLOGS_PROCESSOR__BATCH_ROWS", "0")],
        )
        .expect_err("mistakes");
        let text = error.to_string();
        assert_eq!(error.mistakes.len(), 9, "{text}");
        for part in [
            ":1: `data_dir`",
            ":3: unknown key `collectr`",
            ":6: `collector.listen`",
            ":7: `collector.body_max`: `much` is not a size",
            ":8: `collector.nesting_max`: must be from 0 to 100",
            ":10: unknown key `queue.embedded.partition`; the nearest known key is `queue.embedded.partitions`",
            "DEVLOGS_API__LISTN: unknown key `api.listn`; the nearest known key is `api.listen`",
            "DEVLOGS_API__QUERIES_MAX: `api.queries_max`",
            "DEVLOGS_PROCESSOR__BATCH_ROWS: `processor.batch_rows`: must be at least 1",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_file_that_is_not_toml_is_named_by_line() {
        let error = load_text("a = 1\nb =\n", &[]).expect_err("broken");
        assert!(error.mistakes[0].contains(":2:"), "{error}");
    }

    #[test]
    fn the_defaults_print_and_read_back() {
        let text = toml::to_string(&Settings::default()).expect("printed");
        assert_eq!(load_text(&text, &[]).expect("read").0, Settings::default());
    }
}
