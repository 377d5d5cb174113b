//! Figures, as tables for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::process::load_average;

/// All figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What ran where.
    pub machine: Vec<(&'static str, String)>,
    pub sections: Vec<Section>,
    /// The figures that targets and comparisons look at, by name.
    pub figures: Figures,
}

/// Figures by name; units are the last part of the name.
pub type Figures = BTreeMap<String, f64>;

/// One table.
#[derive(Debug, Serialize)]
pub struct Section {
    pub title: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
    /// Sentences below the table.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    Text(String),
    Number(f64),
    Nothing,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Number(number as f64)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Self::Nothing, Into::into)
    }
}

impl fmt::Display for Cell {
    /// Three digits that count, or all before the point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Nothing => f.write_str("–"),
            Self::Number(number) if number.fract() == 0.0 || number.abs() >= 100.0 => write!(f, "{number:.0}"),
            Self::Number(number) if number.abs() >= 10.0 => write!(f, "{number:.1}"),
            Self::Number(number) => write!(f, "{number:.2}"),
        }
    }
}

impl Section {
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { title: title.into(), columns, rows: Vec::new(), notes: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

impl Report {
    /// About this machine and this build.
    pub fn new(command: String) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|found| found.1);
        let memory = read("/proc/meminfo");
        let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        let git = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
        let commit = git.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let machine = vec![
            ("command", command),
            ("commit", commit),
            (
                "machine",
                format!(
                    "{cores} cores, {}, {} GiB, Linux {}",
                    model.unwrap_or("unknown processor"),
                    memory.unwrap_or_default() >> 20,
                    read("/proc/sys/kernel/osrelease").trim()
                ),
            ),
            ("date", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()),
            ("load average before", load_average()),
        ];
        Self { machine, sections: Vec::new(), figures: BTreeMap::new() }
    }

    /// Adds a table and shows it at once.
    pub fn add(&mut self, section: Section) {
        anstream::eprintln!("{section}");
        self.sections.push(section);
    }

    pub fn figure(&mut self, name: impl Into<String>, value: f64) {
        self.figures.insert(name.into(), value);
    }

    /// Sets the figures beside those of an earlier run.
    ///
    /// # Errors
    /// Its file can't be read.
    pub fn compare(&self, before: &Path) -> anyhow::Result<Section> {
        #[derive(Deserialize)]
        struct Before {
            figures: Figures,
        }
        let text = std::fs::read_to_string(before).with_context(|| before.display().to_string())?;
        let before: Before = serde_json::from_str(&text).context("the results of an earlier run")?;
        let mut section = Section::new("Beside an earlier run", &["figure", "before", "now", "now / before"]);
        for (name, now) in &self.figures {
            if let Some(then) = before.figures.get(name) {
                let ratio = (*then != 0.0).then(|| format!("{:.2}", now / then));
                section.row([name.as_str().into(), (*then).into(), (*now).into(), ratio.into()]);
            }
        }
        Ok(section)
    }

    /// Writes `results.md` and `results.json`.
    ///
    /// # Errors
    /// They can't be written.
    pub fn write(&mut self, dir: &Path) -> anyhow::Result<()> {
        self.machine.push(("load average after", load_average()));
        std::fs::create_dir_all(dir)?;
        let mut text = String::from("# Measured\n\n");
        for (name, value) in &self.machine {
            writeln!(text, "- {name}: {value}")?;
        }
        for section in &self.sections {
            write!(text, "\n{section}")?;
        }
        std::fs::write(dir.join("results.md"), text)?;
        std::fs::write(dir.join("results.json"), serde_json::to_string_pretty(self)?)?;
        Ok(())
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n| {} |", self.title, self.columns.join(" | "))?;
        writeln!(f, "|{}", "---|".repeat(self.columns.len()))?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.iter().map(Cell::to_string).collect::<Vec<_>>().join(" | "))?;
        }
        if !self.notes.is_empty() {
            writeln!(f, "\n{}", self.notes.join("\n"))?;
        }
        Ok(())
    }
}

/// Sorts and takes the middle one.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
