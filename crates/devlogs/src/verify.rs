//! `devlogs verify`: proves that what was acknowledged is stored exactly once.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::Value;

use crate::cli::Verify;
use crate::client::{Connection, Output, print};

/// Exit code 1 when something is wrong.
///
/// # Errors
/// The directory or the server can't be read at all.
pub async fn run(args: Verify) -> anyhow::Result<ExitCode> {
    let answer = args.node.with(ask).await?;
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

async fn ask(connection: &Connection) -> anyhow::Result<Value> {
    let connection = connection.patient()?;
    connection.json(connection.request(Method::POST, "/api/v1/verify")).await
}
