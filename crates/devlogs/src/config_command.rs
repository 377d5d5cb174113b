//! `devlogs config`: check, print, schema.

use std::process::ExitCode;

use crate::cli::{ConfigCommand, ConfigFile};
use crate::config::{self, Settings};

/// # Errors
/// The mistakes of the configuration.
#[expect(clippy::print_stdout, reason = "the answer is the output")]
pub fn run(command: ConfigCommand) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Check(file) => {
            load(file)?;
            println!("the configuration is valid");
        }
        ConfigCommand::Print(file) => print!("{}", toml::to_string(&load(file)?)?),
        ConfigCommand::Schema => {
            println!("{}", serde_json::to_string_pretty(&schemars::schema_for!(Settings))?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn load(file: ConfigFile) -> anyhow::Result<Settings> {
    let (settings, warnings) = config::load(file.file.or(file.config).as_deref(), std::env::vars())?;
    for warning in warnings {
        anstream::eprintln!("warning: {warning}");
    }
    Ok(settings)
}
