//! Whom the commands of administration talk to: a running server, or the data directory of a stopped one.
//!
//! The directory is opened as a server would, but nothing is processed. The API itself answers, on a socket in a folder
//! that only this user can enter, so that every command works the same both ways.

use anyhow::Context;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::{Connection, ConnectionArgs};
use crate::cli::{Role, SettingsArgs};
use crate::serve::{self, parts::Parts};

/// A running server, or a stopped one's data directory.
#[derive(Debug, Clone, clap::Args)]
pub struct NodeArgs {
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    pub settings: SettingsArgs,
}

impl NodeArgs {
    /// Does something with the API of the server or the directory.
    ///
    /// # Errors
    /// Those of `action`; a directory that is not there, in use, or can't be opened or closed.
    pub async fn with<T>(&self, action: impl AsyncFnOnce(&Connection) -> anyhow::Result<T>) -> anyhow::Result<T> {
        if !self.settings.is_given() {
            return action(&self.connection.api()?).await;
        }
        let (settings, _) = self.settings.load()?;
        anyhow::ensure!(settings.data_dir.is_dir(), "there is no data directory {}", settings.data_dir.display());
        let folder = tempfile::tempdir().context("no folder for the socket")?;
        let path = folder.path().join("api");
        let socket = UnixListener::bind(&path).with_context(|| format!("no socket {}", path.display()))?;
        let parts = Box::pin(Parts::open(&settings, &Role::ALL)).await?;
        let stop = CancellationToken::new();
        let serving = axum::serve(socket, serve::api_of_stopped(&parts, &settings)?)
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future();
        let serving = tokio::spawn(serving);
        let done = action(&Connection::to_socket(&path)?).await;
        stop.cancel();
        serving.await?.context("the API ended early")?;
        let closed = parts.close().await.context("closing");
        let done = done?;
        closed.map(|()| done)
    }
}
