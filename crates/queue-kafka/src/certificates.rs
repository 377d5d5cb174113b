//! The files that clients read when they are made: seen when they change.

use std::path::PathBuf;

use crate::config::KafkaConfig;

/// What the files held. One that does not read holds nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificates {
    held: Vec<Option<Vec<u8>>>,
}

impl Certificates {
    pub(crate) fn read(config: &KafkaConfig) -> Self {
        let files: [&Option<PathBuf>; 3] = match &config.tls {
            Some(tls) => [&tls.ca, &tls.cert, &tls.cert_key],
            None => [&None; 3],
        };
        Self { held: files.into_iter().flatten().map(|path| std::fs::read(path).ok()).collect() }
    }
}
