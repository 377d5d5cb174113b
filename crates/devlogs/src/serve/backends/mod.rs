//! Each backend from its settings.
//!
//! A server that is out of reach is waited for, so that the parts of a fleet may be started in any order. What waiting
//! does not mend (a wrong password, a topic with unsafe settings) ends the start.

mod queues;
mod stores;

use std::time::Duration;

use anyhow::Context;
use metadata::{Metadata, MetadataError};

use crate::config::Settings;
pub use queues::open_queue;
pub use stores::open_store;

/// Between tries to reach a server.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// # Errors
/// The database can't be opened.
pub async fn open_metadata(settings: &Settings) -> anyhow::Result<Metadata> {
    let Some(url) = &settings.metadata.url else {
        let file = settings.data_dir.join("metadata.sqlite").display().to_string();
        return Metadata::open(&file).await.with_context(|| in_data_dir(settings));
    };
    let open = || Metadata::open(url.reveal());
    let metadata = patiently("the metadata (`metadata.url`)", MetadataError::is_out_of_reach, open).await?;
    Ok(metadata.with_key_grace(settings.metadata.key_grace.0))
}

/// Tries until the server can be reached.
async fn patiently<T, E, F>(
    what: &'static str,
    out_of_reach: impl Fn(&E) -> bool,
    mut open: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
    F: Future<Output = Result<T, E>>,
{
    loop {
        match open().await {
            Ok(opened) => return Ok(opened),
            Err(error) if out_of_reach(&error) => {
                tracing::warn!(%error, server = what, "waiting for a server");
                tokio::time::sleep(RETRY_DELAY).await;
            }
            Err(error) => return Err(anyhow::Error::new(error).context(what)),
        }
    }
}

fn in_data_dir(settings: &Settings) -> String {
    format!("the data directory {}", settings.data_dir.display())
}
