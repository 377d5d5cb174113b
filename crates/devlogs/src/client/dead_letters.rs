//! `devlogs dead-letters`: records that could not be stored.

use std::process::ExitCode;

use anyhow::ensure;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::Value;

use super::keys::{path_segment, row};
use super::{Connection, NodeArgs, Output, finished, print};

/// Letters of a page.
const PAGE: usize = 500;

/// See, send again or drop records that could not be stored (needs an admin key)
///
/// Of a running server, or with `--data-dir` of a stopped one; what is sent again is then processed at its next start.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  devlogs dead-letters list
  devlogs dead-letters retry --all --data-dir /var/lib/devlogs")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// Only those of this project; all if not given
    #[arg(long, global = true, value_name = "NAME")]
    pub project: Option<String>,
    #[command(flatten)]
    pub node: NodeArgs,
    /// text for people, json for programs
    #[arg(long, short, default_value = "text", global = true)]
    pub output: Output,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List them, the latest first
    #[command(after_help = "Example:\n  devlogs dead-letters list --limit 20")]
    List {
        /// How many
        #[arg(long, short = 'n', default_value_t = 100)]
        limit: usize,
    },
    /// Show one with its record
    #[command(after_help = "Example:\n  devlogs dead-letters show 00c6…")]
    Show {
        /// The record's id, as `list` shows it
        id: String,
    },
    /// Send them through the processor again; records keep their ids
    #[command(after_help = "Examples:\n  devlogs dead-letters retry 00c6…\n  devlogs dead-letters retry --all")]
    Retry(Which),
    /// Delete them for good; the ledger keeps their count
    #[command(after_help = "Example:\n  devlogs dead-letters drop 00c6…")]
    Drop(Which),
}

/// Which letters.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Ids of records, as `list` shows them
    pub ids: Vec<String>,
    /// Every letter that there is now
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Deserialize)]
struct Page {
    dead_letters: Vec<Value>,
    next_cursor: Option<String>,
}

/// Does what the command says.
///
/// # Errors
/// No connection, or an error of the server.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = args.project.clone().unwrap_or_else(|| "*".to_owned());
    finished(args.node.with(async |connection| act(&args, &Letters { connection, project }).await).await)
}

async fn act(args: &Args, letters: &Letters<'_>) -> anyhow::Result<()> {
    const COLUMNS: [&str; 4] = ["id", "project", "at", "reason"];
    match &args.command {
        Command::List { limit } => {
            let letters = letters.list(*limit).await?;
            match args.output {
                Output::Json => print::json_lines(&letters)?,
                Output::Text => {
                    print::table(&COLUMNS, &letters.iter().map(|letter| row(letter, &COLUMNS)).collect::<Vec<_>>())?;
                }
            }
        }
        Command::Show { id } => {
            let letter: Value = letters.connection.json(letters.one(Method::GET, id, "")?).await?;
            match args.output {
                Output::Json => print::json_lines([&letter])?,
                Output::Text => {
                    let members = letter.as_object().into_iter().flatten();
                    let rows: Vec<_> =
                        members.map(|(name, value)| vec![name.clone(), print::cell(Some(value))]).collect();
                    print::table(&["", ""], &rows)?;
                }
            }
        }
        Command::Retry(which) => letters.each(which, Method::POST, "/retry", "sent again").await?,
        Command::Drop(which) => letters.each(which, Method::DELETE, "", "dropped").await?,
    }
    Ok(())
}

/// The letters of one project, or of all.
struct Letters<'c> {
    connection: &'c Connection,
    project: String,
}

impl Letters<'_> {
    async fn list(&self, limit: usize) -> anyhow::Result<Vec<Value>> {
        let mut letters = Vec::new();
        let mut cursor: Option<String> = None;
        while letters.len() < limit {
            let page = (limit - letters.len()).min(PAGE).to_string();
            let mut parameters = vec![("limit", page.as_str()), ("project", &self.project)];
            parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let request = self.connection.get("/api/v1/dead-letters", &parameters);
            let page: Page = self.connection.json(request).await?;
            let is_last = page.dead_letters.is_empty();
            letters.extend(page.dead_letters);
            cursor = page.next_cursor;
            if is_last || cursor.is_none() {
                break;
            }
        }
        letters.truncate(limit);
        Ok(letters)
    }

    /// A request about one letter.
    fn one(&self, method: Method, id: &str, end: &str) -> anyhow::Result<RequestBuilder> {
        let path = format!("/api/v1/dead-letters/{}{end}", path_segment(id)?);
        Ok(self.connection.request(method, &path).header("x-devlogs-project", &self.project))
    }

    /// Does the same to each letter; goes on behind failures and tells them at the end.
    async fn each(&self, which: &Which, method: Method, end: &str, done: &str) -> anyhow::Result<()> {
        let ids = if which.all {
            let letters = self.list(usize::MAX).await?;
            letters.iter().filter_map(|letter| Some(letter.get("id")?.as_str()?.to_owned())).collect()
        } else {
            which.ids.clone()
        };
        let mut failed = 0;
        for id in &ids {
            match self.connection.send(self.one(method.clone(), id, end)?).await {
                Ok(_) => anstream::eprintln!("{done} {id}"),
                Err(error) => {
                    failed += 1;
                    anstream::eprintln!("{id}: {error:#}");
                }
            }
        }
        ensure!(failed == 0, "{failed} of {} failed", ids.len());
        Ok(())
    }
}
