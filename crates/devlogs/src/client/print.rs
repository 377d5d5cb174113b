//! Records on a terminal, coloured by level.

use std::io::{self, Write};

use anstyle::{AnsiColor, Effects, Style};
use serde_json::{Map, Value};

use super::Output;

/// Prints records as the API gives them.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    output: Output,
}

const FAINT: Style = Style::new().effects(Effects::DIMMED);

impl Printer {
    pub fn new(output: Output) -> Self {
        Self { output }
    }

    /// Prints one line for the record (more only where its message has line breaks).
    ///
    /// # Errors
    /// The output can't be written to.
    pub fn record(self, record: &Value) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        match self.output {
            Output::Json => writeln!(out, "{record}")?,
            Output::Text => writeln!(out, "{}", line(record))?,
        }
        out.flush()
    }
}

/// A record as a line: time, level, service, message, attributes.
fn line(record: &Value) -> String {
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
    let level = text("level");
    let style = style_of(level);
    let mut line = format!(
        "{FAINT}{}{FAINT:#} {style}{level:5}{style:#} {FAINT}{}{FAINT:#} {}",
        clean(&short_time(text("timestamp"))),
        clean(text("service")),
        clean(text("message")),
    );
    if let Some(attributes) = record.get("attributes").and_then(Value::as_object).filter(|fields| !fields.is_empty()) {
        line.push_str(&format!(" {FAINT}{}{FAINT:#}", pairs(attributes)));
    }
    line
}

fn pairs(fields: &Map<String, Value>) -> String {
    let pair = |(name, value): (&String, &Value)| match value {
        Value::String(text) if !text.is_empty() && !text.contains(char::is_whitespace) => {
            format!("{}={}", clean(name), clean(text))
        }
        other => format!("{}={}", clean(name), clean(&other.to_string())),
    };
    fields.iter().map(pair).collect::<Vec<_>>().join(" ")
}

fn style_of(level: &str) -> Style {
    let colour = match level {
        "trace" | "debug" => AnsiColor::Blue,
        "info" => AnsiColor::Green,
        "warn" => AnsiColor::Yellow,
        "error" => AnsiColor::Red,
        "fatal" => return AnsiColor::Red.on_default().effects(Effects::BOLD),
        _ => return Style::new(),
    };
    colour.on_default()
}

/// Milliseconds are enough for people: `2026-11-22T10:00:00.123Z`.
fn short_time(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, fraction)) if fraction.len() > 4 && fraction.is_ascii() => {
            format!("{seconds}.{}Z", &fraction[..3])
        }
        _ => time.to_owned(),
    }
}

/// Text that can't command the terminal: control characters but line breaks and tabs are shown by their number.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' && c != '\t' {
            clean.push_str(&format!("\\x{:02x}", u32::from(c)));
        } else {
            clean.push(c);
        }
    }
    clean
}

/// Rows under their headings, columns as wide as their widest cell.
///
/// # Errors
/// The output can't be written to.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    const CELL_CHARS_MAX: usize = 80;
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count().min(CELL_CHARS_MAX));
        }
    }
    let mut out = anstream::stdout().lock();
    let heading: Vec<String> = headings.iter().map(ToString::to_string).collect();
    for (at, row) in std::iter::once(&heading).chain(rows).enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{:width$}", clean(cell).replace('\n', " ")));
        let line = cells.collect::<Vec<_>>().join("  ");
        match at {
            0 => writeln!(out, "{FAINT}{}{FAINT:#}", line.trim_end())?,
            _ => writeln!(out, "{}", line.trim_end())?,
        }
    }
    out.flush()
}

/// A JSON value as a cell: text without quotes, null as nothing.
pub fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(","),
        Some(other) => other.to_string(),
    }
}

/// Prints JSON values, one a line.
///
/// # Errors
/// The output can't be written to.
pub fn json_lines<'v>(values: impl IntoIterator<Item = &'v Value>) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    for value in values {
        writeln!(out, "{value}")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_a_line() {
        let record = json!({"timestamp": "2026-11-22T10:00:00.123456789Z", "level": "error", "service": "shop",
            "message": "refused \u{1b}[2J", "attributes": {"code": 502, "path": "/a b"}});
        let line = anstream::adapter::strip_str(&line(&record)).to_string();
        assert_eq!(line, "2026-11-22T10:00:00.123Z error shop refused \\x1b[2J code=502 path=\"/a b\"");
    }

    #[test]
    fn a_record_with_little_is_a_line_too() {
        assert_eq!(anstream::adapter::strip_str(&line(&json!({}))).to_string().trim(), "");
    }
}
