//! Passwords, hidden wherever settings are shown.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

const HIDDEN: &str = "(hidden)";

/// A password. Shown, it is only told that there is one.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

/// An address that may hold a password (`postgres://user:password@host/`), which is left out when it is shown.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The address without a password, neither before the host nor as a parameter.
    pub fn shown(&self) -> String {
        let (address, parameters) = match self.0.split_once('?') {
            Some((address, parameters)) => (address, Some(parameters)),
            None => (&*self.0, None),
        };
        let mut shown = without_password(address);
        for (number, parameter) in parameters.into_iter().flat_map(|all| all.split('&')).enumerate() {
            shown.push(if number == 0 { '?' } else { '&' });
            match parameter.split_once('=') {
                Some((name, _)) if name.to_ascii_lowercase().contains("pass") => {
                    shown.push_str(name);
                    shown.push('=');
                    shown.push_str(HIDDEN);
                }
                _ => shown.push_str(parameter),
            }
        }
        shown
    }
}

fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    // A password may hold any of these characters: the last `@` before the path ends it, or the last at all.
    let Some((credentials, host)) = rest.rsplit_once('@') else { return address.to_owned() };
    match credentials.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:{HIDDEN}@{host}"),
        None => address.to_owned(),
    }
}

impl From<&str> for SecretUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_their_password() {
        let shown = |url: &str| SecretUrl::from(url).shown();
        assert_eq!(shown("postgres://ada:p@ss/w:rd@db:5432/logs"), "postgres://ada:(hidden)@db:5432/logs");
        assert_eq!(shown("redis://:secret@cache/"), "redis://:(hidden)@cache/");
        assert_eq!(shown("postgres://db/logs?user=a&password=b"), "postgres://db/logs?user=a&password=(hidden)");
        assert_eq!(shown("postgres://ada@db/logs"), "postgres://ada@db/logs");
        assert_eq!(shown("sqlite:/var/lib/devlogs/metadata.sqlite"), "sqlite:/var/lib/devlogs/metadata.sqlite");
        assert_eq!(shown("http://127.0.0.1:8123"), "http://127.0.0.1:8123");
    }

    #[test]
    fn passwords_are_never_shown() -> Result<(), serde_json::Error> {
        let secret: Secret = serde_json::from_str("\"hunter2\"")?;
        assert_eq!(secret.reveal(), "hunter2");
        assert_eq!(format!("{secret:?} {}", serde_json::to_string(&secret)?), "(hidden) \"(hidden)\"");
        Ok(())
    }
}
