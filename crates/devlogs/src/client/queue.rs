//! `devlogs queue`: what the queue can't give any more.

use std::process::ExitCode;

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Connection, NodeArgs, finished};

/// Go on behind messages of the queue that do not read (needs an admin key)
///
/// Of a running server, or with `--data-dir` of a stopped one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  devlogs queue skip --partition 0")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub node: NodeArgs,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Give up damaged messages that a partition stands still before
    ///
    /// Without `--to` it shows them and changes nothing. What is given up is gone for good; the ledger counts it as
    /// lost. If there is a copy of the damaged file, restore that instead.
    #[command(after_help = "Examples:
  devlogs queue skip --partition 0            what is damaged
  devlogs queue skip --partition 0 --to 1234  give it up")]
    Skip {
        /// Which partition stands still
        #[arg(long)]
        partition: u32,
        /// The end of the damage, as shown: your word that these messages may be lost
        #[arg(long, value_name = "POSITION")]
        to: Option<u64>,
    },
}

/// Shows the damage, or has the server go on behind it.
///
/// # Errors
/// No connection, or an error of the server; damage, where it was only shown.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Command::Skip { partition, to } = args.command;
    let act = async |connection: &Connection| match to {
        None => show(connection, partition).await,
        Some(to) => skip(connection, partition, to).await,
    };
    finished(args.node.with(act).await)
}

async fn show(connection: &Connection, partition: u32) -> anyhow::Result<()> {
    let status: Value = connection.json(connection.get("/api/v1/status", &[])).await?;
    let partitions = status["queue"]["partitions"].as_array().context("the status names no partitions")?;
    let found = partitions.iter().find(|found| found["partition"] == partition);
    let damage = &found.with_context(|| format!("there is no partition {partition}"))?["damage"];
    if damage.is_null() {
        anstream::eprintln!("partition {partition} reads; there is nothing to go on behind");
        return Ok(());
    }
    let (from, reason) = (&damage["from"], damage["reason"].as_str().unwrap_or_default());
    let Some(to) = damage["to"].as_u64() else {
        bail!("nobody can tell where reading could go on; restore the queue: {reason}");
    };
    bail!(
        "partition {partition} stands still at {from}: {reason}\n\
         To give up {} messages, which are then lost for good:\n\
         devlogs queue skip --partition {partition} --to {to}",
        to.saturating_sub(from.as_u64().unwrap_or(to))
    );
}

async fn skip(connection: &Connection, partition: u32, to: u64) -> anyhow::Result<()> {
    let body = json!({"partition": partition, "to": to});
    let given_up: Value = connection.json(connection.request(Method::POST, "/api/v1/queue/skip").json(&body)).await?;
    anstream::eprintln!("gave up positions from {} to before {to} of partition {partition}", given_up["from"]);
    Ok(())
}
