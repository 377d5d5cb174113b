//! The configuration: one TOML file, then the environment, then the command line.
//!
//! - [`settings`]: every key with its default and its documentation, the one list that the schema, the reference page
//!   and the check of unknown keys are made from;
//! - [`read`]: reads the file and the environment and names each mistake by line and key;
//! - [`secret`]: passwords, hidden wherever settings are shown;
//! - [`tls`]: certificates of listeners and clients;
//! - [`units`]: sizes and durations as people write them.

pub mod read;
pub mod secret;
pub mod settings;
pub mod tls;
pub mod units;

pub use read::{ConfigError, load};
pub use settings::Settings;
