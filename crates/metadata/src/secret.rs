//! Random secrets and their hashes.

use sha2::{Digest, Sha256};

use crate::MetadataError;

/// `N` random bytes as hexadecimal digits.
pub(crate) fn random_hex<const N: usize>() -> Result<String, MetadataError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(MetadataError::Random)?;
    Ok(hex::encode(bytes))
}

/// What is stored of a secret. Secrets are 256 random bits, so a plain hash can't be guessed back.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
