//! `devlogs search`: records that match a query, newest first.

use std::process::ExitCode;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::print::Printer;
use super::{ConnectionArgs, Output, finished, http};

/// Records of a page that the API gives.
const PAGE_MAX: u64 = 10_000;

/// Search records
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  devlogs search 'timeout payment'
  devlogs search 'level>=warn service:checkout' --from -1d
  devlogs search --output json --limit 50000 'status>=500' | jq .message")]
pub struct Args {
    /// The query; every record if not given
    #[arg(default_value = "")]
    pub query: String,
    /// Where to begin: a time (RFC 3339, epoch milliseconds) or how long ago (-15m, -7d)
    #[arg(long, default_value = "-1h", allow_hyphen_values = true)]
    pub from: String,
    /// Where to end, not included
    #[arg(long, default_value = "now", allow_hyphen_values = true)]
    pub to: String,
    /// How many records
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    /// desc: newest first; asc: oldest first
    #[arg(long, default_value = "desc", value_parser = ["asc", "desc"])]
    pub order: String,
    /// text for people, json for programs
    #[arg(long, short, default_value = "text")]
    pub output: Output,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Debug, Deserialize)]
struct Page {
    records: Vec<Value>,
    next_cursor: Option<String>,
}

/// Prints pages until the limit is reached or there are no more.
///
/// # Errors
/// No connection, or an error of the server; a query's mistake is pointed at.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    finished(print_pages(&args).await)
}

async fn print_pages(args: &Args) -> anyhow::Result<()> {
    let connection = args.connection.api()?;
    let printer = Printer::new(args.output);
    let mut left = args.limit;
    let mut cursor: Option<String> = None;
    loop {
        let mut body = json!({"q": args.query, "from": args.from, "to": args.to, "order": args.order});
        body["limit"] = left.min(PAGE_MAX).into();
        if let Some(cursor) = &cursor {
            body["cursor"] = cursor.as_str().into();
        }
        let request = connection.request(Method::POST, "/api/v1/search").json(&body);
        let page: Page = connection.json(request).await.map_err(|error| http::explain(error, &args.query))?;
        for record in &page.records {
            printer.record(record)?;
        }
        left = left.saturating_sub(page.records.len() as u64);
        cursor = page.next_cursor;
        if left == 0 || cursor.is_none() || page.records.is_empty() {
            return Ok(());
        }
    }
}
