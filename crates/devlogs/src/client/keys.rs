//! `devlogs keys`: API keys of a project.

use std::process::ExitCode;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Connection, NodeArgs, Output, finished, print};

/// Make, list and revoke API keys (needs an admin key)
///
/// Of a running server, or with `--data-dir` of a stopped one, which helps who has lost the admin key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  devlogs keys list
  devlogs keys create --name ci --scope ingest
  devlogs keys create --name admin --scope admin --data-dir /var/lib/devlogs")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub node: NodeArgs,
    /// text for people, json for programs
    #[arg(long, short, default_value = "text", global = true)]
    pub output: Output,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a key; it is shown this one time
    #[command(after_help = "Example:\n  devlogs keys create --name ci --scope ingest --project default")]
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// The project whose records it sends or sees
        #[arg(long, default_value = "default")]
        project: String,
        /// What it may do: ingest, query, admin
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',',
            value_parser = ["ingest", "query", "admin"])]
        scopes: Vec<String>,
        /// When it ends (RFC 3339); never if not given
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// List keys, without their secrets
    #[command(after_help = "Example:\n  devlogs keys list")]
    List,
    /// Take a key out of force, at once and for good
    #[command(after_help = "Example:\n  devlogs keys revoke 3f9c1a")]
    Revoke {
        /// The key's id, as `list` shows it
        id: String,
    },
}

#[derive(Debug, Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

/// Does what the command says.
///
/// # Errors
/// No connection, or an error of the server.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    finished(args.node.with(async |connection| act(&args, connection).await).await)
}

async fn act(args: &Args, connection: &Connection) -> anyhow::Result<()> {
    const COLUMNS: [&str; 7] = ["id", "name", "project", "scopes", "created_at", "last_used_at", "expires_at"];
    match &args.command {
        Command::Create { name, project, scopes, expires_at } => {
            let mut body = json!({"name": name, "project": project, "scopes": scopes});
            if let Some(at) = expires_at {
                body["expires_at"] = at.as_str().into();
            }
            let made: Value = connection.json(connection.request(Method::POST, "/api/v1/keys").json(&body)).await?;
            match args.output {
                Output::Json => print::json_lines([&made])?,
                Output::Text => print::table(&["id", "key"], &[row(&made, &["id", "key"])])?,
            }
        }
        Command::List => {
            let list: Keys = connection.json(connection.request(Method::GET, "/api/v1/keys")).await?;
            match args.output {
                Output::Json => print::json_lines(&list.keys)?,
                Output::Text => {
                    let rows: Vec<_> = list.keys.iter().map(|key| row(key, &COLUMNS)).collect();
                    print::table(&COLUMNS, &rows)?;
                }
            }
        }
        Command::Revoke { id } => {
            let path = format!("/api/v1/keys/{}", path_segment(id)?);
            connection.send(connection.request(Method::DELETE, &path)).await?;
            anstream::eprintln!("revoked {id}");
        }
    }
    Ok(())
}

/// The named members of an object as cells.
pub(super) fn row(object: &Value, columns: &[&str]) -> Vec<String> {
    columns.iter().map(|column| print::cell(object.get(column))).collect()
}

/// An id that can stand in a path: letters, digits, `_` and `-`.
///
/// # Errors
/// Anything else.
pub(super) fn path_segment(id: &str) -> anyhow::Result<&str> {
    let fits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    anyhow::ensure!(fits, "`{id}` is no id");
    Ok(id)
}
