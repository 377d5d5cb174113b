//! Hashing passwords with Argon2id, off the async threads and a few at a time.

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::MetadataError;

/// Each takes 19 MiB and a core for some 20 ms; more at once would starve everything else.
const AT_ONCE: usize = 2;
const WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Passwords {
    pub(crate) async fn hash(&self, password: &str) -> Result<String, MetadataError> {
        let password = password.to_owned();
        self.run(move || {
            Argon2::default()
                .hash_password(password.as_bytes())
                .map(|hash| hash.to_string())
                .map_err(|error| MetadataError::Hash(error.to_string()))
        })
        .await?
    }

    /// Without a hash (an unknown user) it takes as long as with one, so that time tells nothing.
    pub(crate) async fn verify(&self, password: &str, hash: Option<String>) -> Result<bool, MetadataError> {
        let password = password.to_owned();
        self.run(move || match hash {
            Some(hash) => {
                let hash = PasswordHash::new(&hash).map_err(|error| MetadataError::Hash(error.to_string()))?;
                Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
            }
            None => {
                Argon2::default()
                    .hash_password(password.as_bytes())
                    .map_err(|error| MetadataError::Hash(error.to_string()))?;
                Ok(false)
            }
        })
        .await?
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, MetadataError> {
        let busy = || MetadataError::TooManySignIns { retry_after: WAIT_MAX };
        let permit = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        // The permit goes along: a caller that leaves does not free a core that is still in use.
        tokio::task::spawn_blocking(move || {
            let answer = work();
            drop(permit);
            answer
        })
        .await
        .map_err(|error| MetadataError::Hash(error.to_string()))
    }
}
