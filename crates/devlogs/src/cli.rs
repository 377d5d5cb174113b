//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{self, ConfigError, Settings};
use crate::{certs, client};

/// Instant Dev Logs: every log line of your web apps, instantly, and none lost.
#[derive(Debug, Parser)]
#[command(
    name = "devlogs",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Examples:
  devlogs serve --dev --demo                          try it, then open http://127.0.0.1:8080
  devlogs send -f --service shop-web /var/log/shop/*.log
  devlogs search 'level>=warn timeout' --from -1d"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(Serve),
    Send(client::send::Args),
    Run(client::run::Args),
    Search(client::search::Args),
    Tail(client::tail::Args),
    Sql(client::sql::Args),
    Keys(client::keys::Args),
    Certs(certs::Args),
    DeadLetters(client::dead_letters::Args),
    Replay(client::replay::Args),
    Queue(client::queue::Args),
    Verify(Verify),
    Config(Config),
    /// Print the OpenAPI document
    #[command(after_help = "Example:\n  devlogs openapi > openapi.json")]
    Openapi,
}

/// Run the platform, or some of its roles
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  devlogs serve --dev --demo              try it: no keys, simulated applications
  devlogs serve --data-dir /var/lib/devlogs
  devlogs serve --config devlogs.toml")]
pub struct Serve {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Roles to run in this process
    #[arg(long, value_delimiter = ',', default_value = "collector,processor,api")]
    pub roles: Vec<Role>,
    /// Loopback only, no login, no keys
    #[arg(long)]
    pub dev: bool,
    /// Run three simulated web applications that send logs
    #[arg(long)]
    pub demo: bool,
    /// Show the keys made on the first start also when standard error is no terminal
    #[arg(long)]
    pub print_secrets: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    Collector,
    Processor,
    Api,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Collector, Self::Processor, Self::Api];
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
pub struct SettingsArgs {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where everything durable lives; wins over the configuration
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl SettingsArgs {
    /// Whether the command line names any.
    pub fn is_given(&self) -> bool {
        self.config.is_some() || self.data_dir.is_some()
    }

    /// The settings in force, and warnings.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn load(&self) -> Result<(Settings, Vec<String>), ConfigError> {
        let (mut settings, warnings) = config::load(self.config.as_deref(), std::env::vars())?;
        if let Some(dir) = &self.data_dir {
            settings.data_dir.clone_from(dir);
        }
        Ok((settings, warnings))
    }
}

/// Prove that what was acknowledged is stored exactly once
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  devlogs verify --data-dir /var/lib/devlogs      a stopped server's data
  devlogs verify --url http://127.0.0.1:8080      a running server")]
pub struct Verify {
    #[command(flatten)]
    pub node: client::NodeArgs,
    /// text for people, json for programs
    #[arg(long, default_value = "text")]
    pub output: client::Output,
}

/// Look at the configuration
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  devlogs config check devlogs.toml
  devlogs config print")]
pub struct Config {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Name every mistake by line and key
    #[command(after_help = "Example:\n  devlogs config check devlogs.toml")]
    Check(ConfigFile),
    /// Print every key with the value in force
    #[command(after_help = "Example:\n  DEVLOGS_DATA_DIR=/data devlogs config print")]
    Print(ConfigFile),
    /// Print the JSON schema of the configuration
    #[command(after_help = "Example:\n  devlogs config schema > devlogs.schema.json")]
    Schema,
}

#[derive(Debug, Args)]
pub struct ConfigFile {
    /// Configuration file
    #[arg(value_name = "FILE", conflicts_with = "config")]
    pub file: Option<PathBuf>,
    /// The same
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
