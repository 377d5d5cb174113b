//! Severities by OpenTelemetry's numbers, and the level names of common loggers.

use std::fmt;

/// The six levels, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Level {
    pub const ALL: [Level; 6] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Fatal];

    pub fn as_str(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }

    /// The first severity number of the level.
    pub fn severity(self) -> Severity {
        Severity(self as u8 * 4 + 1)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An OpenTelemetry severity number, 1 to 24.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Severity(u8);

impl Severity {
    /// None outside 1 to 24; 0 is OpenTelemetry's "unspecified".
    pub fn new(number: i64) -> Option<Self> {
        (1..=24).contains(&number).then_some(Self(number as u8))
    }

    pub fn number(self) -> u8 {
        self.0
    }

    pub fn level(self) -> Level {
        Level::ALL[usize::from((self.0 - 1) / 4)]
    }
}
