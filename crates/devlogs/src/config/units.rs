//! Sizes and durations as people write them: `64MiB`, `15m`, `30d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes: `64MiB`, `1GB`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl Size {
    pub const fn mib(mebibytes: u64) -> Self {
        Self(mebibytes << 20)
    }

    /// As a `usize`, cut at what the machine can address.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, bytes) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= bytes && self.0.is_multiple_of(bytes) {
                return write!(f, "{}{unit}", self.0 / bytes);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<ByteSize>()
            .map(|size| Self(size.as_u64()))
            .map_err(|_| format!("`{text}` is not a size: write a number and a unit, such as `64MiB`"))
    }
}

/// A length of time: `500ms`, `15m`, `30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(pub Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if self.0.subsec_nanos() == 0 && seconds > 0 && seconds.is_multiple_of(86_400) {
            return write!(f, "{}d", seconds / 86_400);
        }
        humantime::format_duration(self.0).fmt(f)
    }
}

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|_| format!("`{text}` is not a duration: write a number and a unit, such as `15m` or `30d`"))
    }
}

macro_rules! text_setting {
    ($name:ident, $description:literal, $pattern:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(untagged, expecting = $description)]
                enum Written {
                    Number(u64),
                    Text(String),
                }
                match Written::deserialize(deserializer)? {
                    Written::Number(number) => number.to_string(),
                    Written::Text(text) => text,
                }
                .parse()
                .map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $description, "pattern": $pattern })
            }
        }
    };
}

text_setting!(Size, "a size such as `64MiB`", r"^\d+(\.\d+)?\s*([KMGT]i?)?B?$");
text_setting!(Age, "a duration such as `15m` or `30d`", r"^(\d+\s*[a-z]+\s*)+$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes) in [("64MiB", 64 << 20), ("1 GiB", 1 << 30), ("512", 512), ("10kB", 10_000)] {
            assert_eq!(text.parse::<Size>().map(|size| size.0), Ok(bytes), "{text}");
        }
        assert_eq!(Size(64 << 20).to_string(), "64MiB");
        assert!("lots".parse::<Size>().is_err_and(|e| e.contains("64MiB")));
    }

    #[test]
    fn ages_read_and_print() {
        for (text, seconds) in [("15m", 900), ("30d", 2_592_000), ("1h 30m", 5_400)] {
            assert_eq!(text.parse::<Age>().map(|age| age.0.as_secs()), Ok(seconds), "{text}");
        }
        assert_eq!(Age(Duration::from_secs(2_592_000)).to_string(), "30d");
        assert_eq!(Age(Duration::from_millis(500)).to_string(), "500ms");
        assert!("soon".parse::<Age>().is_err());
    }
}
