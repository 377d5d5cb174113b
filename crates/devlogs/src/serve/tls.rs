//! TLS of the listeners, as the settings want it.

use std::sync::Arc;

use metadata::Metadata;
use prometheus_client::registry::Registry;
use server::metrics::Metrics;
use server::tls::{Tls, TlsFiles, TlsListener, watch};
use tokio::task::JoinHandle;

use super::roles::{self, Refused};
use crate::cli::Serve;
use crate::config::Settings;
use crate::config::tls::ClientAuth;

/// Plain HTTP carries keys and logs that everybody on the way can read: it stays on this machine, unless the operator
/// says that a proxy ends TLS.
///
/// # Errors
/// An address that is open to others, files that can't be used, or `--demo`, which speaks plain HTTP.
pub fn check(args: &Serve, settings: &Settings) -> Result<(), Refused> {
    if let Some(files) = settings.tls.files() {
        if args.demo {
            return Err(Refused("`--demo` sends plain HTTP: leave `[tls]` out to try it".to_owned()));
        }
        // Before anything is opened: a wrong path should cost nothing.
        return load(files, Arc::new(Metrics::register(&mut Registry::default()))).map(drop);
    }
    if settings.tls.behind_proxy {
        return Ok(());
    }
    for (key, address) in roles::addresses(settings, &args.roles) {
        if !address.ip().is_loopback() {
            return Err(Refused(format!(
                "`{key}` is {address}, and without TLS everybody on the way could read keys and logs: set `tls.cert` and \
                 `tls.key` (`devlogs certs` makes them), or `tls.behind_proxy = true` if a proxy in front of this server \
                 ends TLS"
            )));
        }
    }
    Ok(())
}

/// The listeners' TLS, watched for as long as this lives.
pub struct Listening {
    tls: Arc<Tls>,
    watching: JoinHandle<()>,
}

impl Listening {
    /// None: plain HTTP.
    ///
    /// # Errors
    /// A file that can't be used.
    pub fn start(settings: &Settings, metrics: Arc<Metrics>) -> Result<Option<Self>, Refused> {
        let Some(files) = settings.tls.files() else { return Ok(None) };
        let tls = load(files, metrics)?;
        let watching = tokio::spawn(watch::watch(tls.clone(), watch::EVERY));
        Ok(Some(Self { tls, watching }))
    }

    /// # Errors
    /// Client certificates are asked for, and no CA is configured.
    pub fn listener(&self, asked: Option<ClientAuth>, settings: &Settings) -> Result<TlsListener, Refused> {
        let client_auth = asked.unwrap_or(settings.tls.client_auth);
        self.tls.listener(client_auth.into()).map_err(|error| Refused(format!("TLS: {error}")))
    }
}

fn load(files: TlsFiles, metrics: Arc<Metrics>) -> Result<Arc<Tls>, Refused> {
    Tls::load(files, metrics).map_err(|error| Refused(format!("TLS: {error}")))
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// How the listeners' addresses begin.
pub fn scheme(settings: &Settings) -> &'static str {
    if settings.tls.is_on() { "https" } else { "http" }
}

/// Says which rules lead to projects that nobody has made: a typing mistake would hide records there.
pub async fn warn_of_unknown_projects(settings: &Settings, metadata: &Metadata) {
    for identity in &settings.tls.identities {
        let project = identity.project.as_str();
        match metadata.project(project).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                tracing::warn!(project, rule = identity.pattern, "a rule of tls.identities names an unknown project");
            }
            Err(error) => tracing::warn!(%error, project, "a project of tls.identities can't be looked up"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn refused(arguments: &[&str], settings: &Settings) -> Option<String> {
        let all = ["devlogs", "serve"].iter().chain(arguments);
        let Command::Serve(args) = Cli::try_parse_from(all).expect("arguments").command else { panic!("not serve") };
        check(&args, settings).err().map(|refused| refused.0)
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        let mut settings = Settings::default();
        assert_eq!(refused(&[], &settings), None);
        settings.collector.grpc_listen = SocketAddr::from(([0, 0, 0, 0], 4317));
        let reason = refused(&[], &settings).expect("refused");
        assert!(reason.contains("collector.grpc_listen") && reason.contains("tls.behind_proxy"), "{reason}");
        assert_eq!(refused(&["--roles", "processor"], &settings), None, "no collector runs here");
        settings.tls.behind_proxy = true;
        assert_eq!(refused(&[], &settings), None);
        (settings.tls.cert, settings.tls.key) = (Some("/nowhere/c.pem".into()), Some("/nowhere/k.pem".into()));
        assert!(refused(&[], &settings).is_some_and(|reason| reason.contains("/nowhere/c.pem")));
        assert!(refused(&["--demo"], &settings).is_some_and(|reason| reason.contains("--demo")));
    }
}
