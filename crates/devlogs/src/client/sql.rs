//! `devlogs sql`: one read-only statement over the project's own `logs`.

use std::process::ExitCode;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ConnectionArgs, Output, finished, http, print};

/// Ask in SQL
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  devlogs sql 'SELECT level, count(*) FROM logs GROUP BY level'
  devlogs sql --output json \"SELECT message FROM logs WHERE service = 'shop-web' LIMIT 10\"")]
pub struct Args {
    /// One SELECT over the view `logs`
    pub sql: String,
    /// text for people, json for programs (an object a row)
    #[arg(long, short, default_value = "text")]
    pub output: Output,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Debug, Deserialize)]
struct Answer {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
}

/// Prints the answer as a table, or as an object a row.
///
/// # Errors
/// No connection, or an error of the server.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    finished(print_answer(&args).await)
}

async fn print_answer(args: &Args) -> anyhow::Result<()> {
    let connection = args.connection.api()?;
    let request = connection.request(Method::POST, "/api/v1/sql").json(&json!({"sql": args.sql}));
    let answer: Answer = connection.json(request).await.map_err(|error| http::explain(error, &args.sql))?;
    let names: Vec<&str> = answer.columns.iter().map(|column| column.name.as_str()).collect();
    match args.output {
        Output::Text => {
            let cells = |row: &Vec<Value>| row.iter().map(|value| print::cell(Some(value))).collect();
            print::table(&names, &answer.rows.iter().map(cells).collect::<Vec<_>>())?;
        }
        Output::Json => {
            let object = |row: Vec<Value>| {
                Value::Object(names.iter().map(ToString::to_string).zip(row).collect::<Map<String, Value>>())
            };
            print::json_lines(&answer.rows.into_iter().map(object).collect::<Vec<_>>())?;
        }
    }
    Ok(())
}
