//! Where the server is, who we are there, and how long things may take.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use store::StoreError;

/// The settings of a [`crate::ClickHouseStore`].
#[derive(Clone, PartialEq, Eq)]
pub struct ClickHouseConfig {
    /// The HTTP interface, `http://host:8123` or `https://host:8443`, without credentials. Every node must name the same
    /// server, by an address that always leads there.
    pub url: String,
    /// Made when it is missing and the user may make it. Letters, digits and `_`.
    pub database: String,
    pub user: String,
    pub password: String,
    /// Runs the statements of `/api/v1/sql`, so that the server itself refuses what the guard should have: a user with
    /// `SELECT` on the table of records and nothing else. None: `user`, in the server's read-only mode.
    pub sql_user: Option<String>,
    pub sql_password: String,
    /// A cluster of the server's configuration: records are kept on all its shards, in local tables behind a
    /// `Distributed` one. `url` is a server of the first shard.
    pub cluster: Option<String>,
    /// HTTP interfaces of the cluster's other shards, one server of each.
    pub cluster_urls: Vec<String>,
    /// Replicated tables, for servers with Keeper. Experimental.
    pub replicated: bool,
    /// PEM certificates of the authorities to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// PEM certificate and key to show to the server.
    pub client_cert_file: Option<PathBuf>,
    pub client_key_file: Option<PathBuf>,
    /// Records older than this many days are removed. None keeps them.
    pub retention_days: Option<u32>,
    /// A storage policy of the server's configuration.
    pub storage_policy: Option<String>,
    /// Records older than this many days are moved to a volume of the storage policy.
    pub tier_after_days: Option<u32>,
    /// The volume that `tier_after_days` moves to.
    pub tier_volume: Option<String>,
    /// Records whose time lies further than this before or after their receipt share one partition.
    pub past_max: Duration,
    pub future_max: Duration,
    /// Wait until the disk has what was written, so that it survives a power cut. Without it a machine that loses power
    /// may lose records of the last minutes.
    pub fsync: bool,
    pub connect_timeout: Duration,
    /// For one insert, on the server and here.
    pub write_timeout: Duration,
    /// How long a writer that took a partition over a moment ago is left alone.
    pub takeover_patience: Duration,
}

impl Default for ClickHouseConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8123".to_owned(),
            database: "devlogs".to_owned(),
            user: "default".to_owned(),
            password: String::new(),
            sql_user: None,
            sql_password: String::new(),
            cluster: None,
            cluster_urls: Vec::new(),
            replicated: false,
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            retention_days: None,
            storage_policy: None,
            tier_after_days: None,
            tier_volume: None,
            past_max: Duration::from_secs(400 * 86_400),
            future_max: Duration::from_secs(86_400),
            fsync: true,
            connect_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(60),
            takeover_patience: Duration::from_secs(2),
        }
    }
}

impl fmt::Debug for ClickHouseConfig {
    /// Without the passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ClickHouseConfig");
        shown.field("url", &self.url).field("database", &self.database).field("user", &self.user);
        shown.field("cluster", &self.cluster).field("retention_days", &self.retention_days).finish_non_exhaustive()
    }
}

impl ClickHouseConfig {
    /// Refuses what can't work and what would have to be pasted into SQL.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let refuse = |reason: String| Err(StoreError::Invalid(reason));
        for url in std::iter::once(&self.url).chain(&self.cluster_urls) {
            let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
            else {
                return refuse("the address of ClickHouse must begin with http:// or https://".to_owned());
            };
            if rest.contains('@') {
                return refuse("give the user and password of ClickHouse apart, not in its address".to_owned());
            }
            let has_tls_files = self.ca_file.is_some() || self.client_cert_file.is_some();
            if scheme == "http" && has_tls_files {
                return refuse(format!("certificates are configured for ClickHouse, but {url} is not https"));
            }
        }
        let names = [
            ("database", Some(&self.database)),
            ("cluster", self.cluster.as_ref()),
            ("storage policy", self.storage_policy.as_ref()),
            ("volume", self.tier_volume.as_ref()),
        ];
        for (what, name) in names {
            if name.is_some_and(|name| !is_identifier(name)) {
                return refuse(format!("the name of ClickHouse's {what} may have letters, digits and _ only"));
            }
        }
        if self.tier_after_days.is_some() && (self.tier_volume.is_none() || self.storage_policy.is_none()) {
            return refuse("moving old records needs the name of a volume and of a storage policy".to_owned());
        }
        if self.client_cert_file.is_some() != self.client_key_file.is_some() {
            return refuse("a client certificate for ClickHouse needs its key, and a key its certificate".to_owned());
        }
        if self.replicated && self.cluster.is_none() {
            return refuse("replicated tables of ClickHouse need the name of a cluster".to_owned());
        }
        if !self.cluster_urls.is_empty() && self.cluster.is_none() {
            return refuse("addresses of other shards of ClickHouse need the name of the cluster".to_owned());
        }
        if self.retention_days == Some(0) || self.tier_after_days == Some(0) {
            return refuse("ages of records in ClickHouse are at least one day".to_owned());
        }
        Ok(())
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_with_advice() {
        let with = |change: fn(&mut ClickHouseConfig)| {
            let mut config = ClickHouseConfig::default();
            change(&mut config);
            config.check().err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(with(|_| ()), "");
        assert!(with(|c| c.url = "127.0.0.1:8123".into()).contains("http://"));
        assert!(with(|c| c.url = "http://a:b@host".into()).contains("apart"));
        assert!(with(|c| c.database = "x`; DROP".into()).contains("database"));
        assert!(with(|c| c.ca_file = Some("ca.pem".into())).contains("https"));
        assert!(with(|c| c.tier_after_days = Some(3)).contains("volume"));
        assert!(with(|c| c.replicated = true).contains("cluster"));
        assert!(with(|c| c.cluster_urls = vec!["http://b".into()]).contains("cluster"));
        assert!(with(|c| c.retention_days = Some(0)).contains("one day"));
    }

    #[test]
    fn passwords_are_not_shown() {
        let config = ClickHouseConfig { password: "hidden".into(), ..ClickHouseConfig::default() };
        assert!(!format!("{config:?}").contains("hidden"));
    }
}
