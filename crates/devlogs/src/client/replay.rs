//! `devlogs replay`: processes what the queue still holds again.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Connection, NodeArgs, Output, finished, print};

/// Process the queue's messages of a time again (needs an admin key)
///
/// Records that the store has are left alone; only missing ones are stored. The times are those of receipt. It is done by
/// a running server, or with `--data-dir` in the directory of a stopped one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  devlogs replay --from 2026-11-22T10:00:00Z --to 2026-11-22T11:00:00Z")]
pub struct Args {
    /// Where to begin: a time (RFC 3339, epoch milliseconds) or how long ago (-15m, -7d)
    #[arg(long, allow_hyphen_values = true)]
    pub from: String,
    /// Where to end, not included
    #[arg(long, default_value = "now", allow_hyphen_values = true)]
    pub to: String,
    /// Replay what the queue still holds of a time of which it no longer holds all
    #[arg(long)]
    pub partial: bool,
    /// text for people, json for programs
    #[arg(long, short, default_value = "text")]
    pub output: Output,
    #[command(flatten)]
    pub node: NodeArgs,
}

/// Asks the server for it and prints what came of it.
///
/// # Errors
/// No connection, or an error of the server.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    finished(args.node.with(async |connection| replay(&args, connection).await).await)
}

async fn replay(args: &Args, connection: &Connection) -> anyhow::Result<()> {
    let connection = connection.patient()?;
    let body = json!({"from": args.from, "to": args.to, "partial": args.partial});
    let answer: Value = connection.json(connection.request(Method::POST, "/api/v1/replay").json(&body)).await?;
    match args.output {
        Output::Json => print::json_lines([&answer])?,
        Output::Text => {
            let members = answer.as_object().into_iter().flatten();
            let rows: Vec<_> = members.map(|(name, value)| vec![name.clone(), print::cell(Some(value))]).collect();
            print::table(&["", ""], &rows)?;
        }
    }
    Ok(())
}
