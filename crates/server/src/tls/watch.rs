//! Notices that the files changed, by reading them: what replaces files (an editor, a certificate manager, the links of
//! an orchestrator's secret) differs, their content does not lie.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::Tls;
use super::files::{Content, Fingerprint, TlsError};

/// How often the files are read.
pub const EVERY: Duration = Duration::from_secs(1);

/// Takes changed files into force until the future is dropped: once they were the same twice (a certificate and its key
/// are two files, which nobody replaces at once), or at once on SIGHUP.
pub async fn watch(tls: Arc<Tls>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => Some(hangup),
        Err(error) => {
            tracing::warn!(%error, "no SIGHUP: TLS files are still noticed when they change");
            None
        }
    };
    let mut seen = None;
    loop {
        let at_once = tokio::select! {
            _ = ticks.tick() => false,
            () = received(&mut hangup) => true,
        };
        let tls = tls.clone();
        // The file system may be slow or a network's.
        match tokio::task::spawn_blocking(move || look(&tls, seen, at_once)).await {
            Ok(now) => seen = Some(now),
            Err(error) => tracing::error!(%error, "looking at the TLS files failed"),
        }
    }
}

/// Reads the files, takes them if they rest, and says what they hold.
fn look(tls: &Tls, seen: Option<Fingerprint>, at_once: bool) -> Fingerprint {
    let content = Content::read(&tls.files);
    let now = content.as_ref().map_or_else(TlsError::fingerprint, Content::fingerprint);
    if at_once || seen == Some(now) {
        // Told and counted where it happens.
        let _ = tls.take(content);
    }
    now
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
