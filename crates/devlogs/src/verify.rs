//! `devlogs verify`: proves that what was acknowledged is stored exactly once, on a stopped data directory or, through
//! the API, on a running server.

use std::process::ExitCode;

use anyhow::Context;
use reqwest::Method;
use serde_json::Value;
use server::admin::maintenance::Maintenance;

use crate::cli::{Role, Verify};
use crate::client::{Output, print};
use crate::config;
use crate::serve::parts::Parts;

/// Exit code 1 when something is wrong.
///
/// # Errors
/// The directory or the server can't be read at all.
pub async fn run(args: Verify) -> anyhow::Result<ExitCode> {
    let offline = args.settings.data_dir.is_some() || args.settings.config.is_some();
    let answer = if offline { stopped(&args).await? } else { running(&args).await? };
    match args.output {
        Output::Json => print::json_lines([&answer])?,
        Output::Text => {
            let members = answer.as_object().into_iter().flatten().filter(|(name, _)| *name != "problems");
            let rows: Vec<_> = members.map(|(name, value)| vec![name.clone(), print::cell(Some(value))]).collect();
            print::table(&["", ""], &rows)?;
            for problem in answer["problems"].as_array().into_iter().flatten() {
                anstream::eprintln!("problem: {}", problem.as_str().unwrap_or_default());
            }
        }
    }
    Ok(if answer["sound"] == true { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn running(args: &Verify) -> anyhow::Result<Value> {
    let connection = args.connection.api()?;
    connection.json(connection.request(Method::POST, "/api/v1/verify")).await
}

/// Opens the directory as a server would, but processes nothing.
async fn stopped(args: &Verify) -> anyhow::Result<Value> {
    let (mut settings, _) = config::load(args.settings.config.as_deref(), std::env::vars())?;
    if let Some(dir) = &args.settings.data_dir {
        settings.data_dir.clone_from(dir);
    }
    anyhow::ensure!(settings.data_dir.is_dir(), "there is no data directory {}", settings.data_dir.display());
    let parts = Parts::open(&settings, &Role::ALL).await?;
    let answer = parts.maintenance(&settings)?.verify().await.map_err(anyhow::Error::msg);
    parts.close().await.context("closing")?;
    Ok(serde_json::to_value(answer?)?)
}
