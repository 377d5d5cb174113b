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

    /// The severity of a level's name in any case, as common loggers write it.
    ///
    /// OpenTelemetry's tables for syslog, Log4j, java.util.logging, Zap, Windows and .NET; besides these the synonyms
    /// and short forms of other loggers. `crit` is syslog's and less than `critical`, which is .NET's and Python's.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.trim_ascii();
        let mut folded = [0; 16];
        let folded = folded.get_mut(..name.len())?;
        folded.copy_from_slice(name.as_bytes());
        folded.make_ascii_lowercase();
        Some(Self(match &*folded {
            b"trace" | b"trc" | b"trce" | b"t" | b"finest" | b"silly" => 1,
            b"trace2" => 2,
            b"trace3" => 3,
            b"trace4" => 4,
            b"debug" | b"dbg" | b"dbug" | b"d" | b"verbose" | b"vrb" | b"v" | b"finer" => 5,
            b"debug2" | b"fine" => 6,
            b"debug3" | b"config" => 7,
            b"debug4" => 8,
            b"info" | b"inf" | b"i" | b"information" | b"informational" | b"log" | b"http" | b"success" => 9,
            b"info2" | b"notice" | b"note" => 10,
            b"info3" => 11,
            b"info4" => 12,
            b"warn" | b"wrn" | b"w" | b"warning" => 13,
            b"warn2" => 14,
            b"warn3" => 15,
            b"warn4" => 16,
            b"error" | b"err" | b"e" | b"severe" | b"fail" | b"failure" => 17,
            b"error2" | b"crit" | b"dpanic" => 18,
            b"error3" | b"alert" => 19,
            b"error4" => 20,
            b"fatal" | b"ftl" | b"f" | b"critical" | b"emerg" | b"emergency" | b"panic" => 21,
            b"fatal2" => 22,
            b"fatal3" => 23,
            b"fatal4" => 24,
            _ => return None,
        }))
    }

    /// The severity of a logger's number: syslog's 0 (emergency) to 7 (debug), or 10 (trace) to 60 (fatal) of pino and
    /// bunyan. None for any other number.
    pub fn from_logger_number(number: i64) -> Option<Self> {
        Some(Self(match number {
            0 => 21,
            1 => 19,
            2 => 18,
            3 => 17,
            4 => 13,
            5 => 10,
            6 => 9,
            7 => 5,
            10 => 1,
            20 => 5,
            30 => 9,
            40 => 13,
            50 => 17,
            60 => 21,
            _ => return None,
        }))
    }

    pub fn number(self) -> u8 {
        self.0
    }

    pub fn level(self) -> Level {
        Level::ALL[usize::from((self.0 - 1) / 4)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_common_loggers() {
        let read = |name| Severity::from_name(name).map(Severity::number);
        for (names, number) in [
            ("trace TRACE Trace finest silly trc trce", 1),
            ("debug DEBUG verbose finer dbg dbug D", 5),
            ("fine", 6),
            ("config", 7),
            ("info INFO Information informational I", 9),
            ("notice NOTICE", 10),
            ("warn Warning WARNING W wrn", 13),
            ("error ERR severe SEVERE fail E", 17),
            ("crit", 18),
            ("alert", 19),
            ("fatal critical CRITICAL emerg emergency panic F", 21),
            ("fatal4", 24),
        ] {
            for name in names.split(' ') {
                assert_eq!(read(name), Some(number), "{name}");
            }
        }
        for name in ["", "loud", "errors", "a very long name that no logger has", "17"] {
            assert_eq!(read(name), None, "{name}");
        }
        for level in Level::ALL {
            assert_eq!(Severity::from_name(level.as_str()), Some(level.severity()));
        }
    }

    #[test]
    fn numbers_of_loggers() {
        let levels: Vec<_> = (0..=61).filter_map(|n| Some((n, Severity::from_logger_number(n)?.number()))).collect();
        let syslog = [(0, 21), (1, 19), (2, 18), (3, 17), (4, 13), (5, 10), (6, 9), (7, 5)];
        let pino = [(10, 1), (20, 5), (30, 9), (40, 13), (50, 17), (60, 21)];
        assert_eq!(levels, [&syslog[..], &pino[..]].concat());
        assert_eq!(Severity::from_logger_number(-1), None);
    }

    #[test]
    fn levels_of_severities() {
        for (number, level) in
            [(1, Level::Trace), (4, Level::Trace), (10, Level::Info), (20, Level::Error), (24, Level::Fatal)]
        {
            assert_eq!(Severity::new(number).map(Severity::level), Some(level));
        }
        assert_eq!((Severity::new(0), Severity::new(25), Severity::new(i64::MAX)), (None, None, None));
    }
}
