//! Figures, as a table for people and as JSON for programs.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

/// All figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What ran where.
    pub machine: Vec<(&'static str, String)>,
    pub sections: Vec<Section>,
}

#[derive(Debug, Serialize)]
pub struct Section {
    pub title: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

impl Section {
    pub fn new(title: &'static str, columns: &[&'static str]) -> Self {
        Self { title, columns: columns.to_vec(), rows: Vec::new() }
    }
}

impl Report {
    /// About this machine and this build.
    pub fn new(command: String) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|found| found.1);
        let git = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
        let commit = git.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let machine = vec![
            ("command", command),
            ("commit", commit),
            ("machine", format!("{cores} cores, {}", model.unwrap_or("unknown processor"))),
            ("load average before", read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" ")),
        ];
        Self { machine, sections: Vec::new() }
    }

    /// Adds figures and shows them at once.
    pub fn add(&mut self, section: Section) {
        anstream::eprintln!("{}", table(&section));
        self.sections.push(section);
    }

    /// Writes `results.md` and `results.json`.
    ///
    /// # Errors
    /// They can't be written.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(dir)?;
        let mut text = String::from("# Measured\n\n");
        for (name, value) in &self.machine {
            let _ = writeln!(text, "- {name}: {value}");
        }
        for section in &self.sections {
            text.push('\n');
            text.push_str(&table(section));
        }
        std::fs::write(dir.join("results.md"), text)?;
        std::fs::write(dir.join("results.json"), serde_json::to_string_pretty(self)?)?;
        Ok(())
    }
}

fn table(section: &Section) -> String {
    let mut text = format!("## {}\n\n| {} |\n|", section.title, section.columns.join(" | "));
    text.push_str(&"---|".repeat(section.columns.len()));
    text.push('\n');
    for row in &section.rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}
