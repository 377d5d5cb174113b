//! `devlogs tail`: records that match a query, as they come.

use std::collections::{HashSet, VecDeque};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::http::Problem;
use super::print::Printer;
use super::socket::{self, OpenError};
use super::{Connection, ConnectionArgs, Output, finished, http};

/// Ids that are remembered, so that a record that comes twice is printed once.
const IDS_MAX: usize = 20_000;

/// The largest message of the server.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Show records as they come
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  devlogs tail
  devlogs tail 'service:checkout level>=warn'
  devlogs tail --output json | jq .message")]
pub struct Args {
    /// The query; every record if not given
    #[arg(default_value = "")]
    pub query: String,
    /// text for people, json for programs
    #[arg(long, short, default_value = "text")]
    pub output: Output,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    Ready,
    Records {
        records: Vec<Value>,
    },
    Dropped {
        count: u64,
    },
    Error(Problem),
    #[serde(other)]
    Unknown,
}

/// Prints records until it is stopped; connects again when the connection is lost.
///
/// # Errors
/// A query with a mistake, a refused key, or a server that was never there.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let followed = tokio::select! {
        followed = follow(&args) => followed,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    finished(followed)
}

async fn follow(args: &Args) -> anyhow::Result<()> {
    let connection = args.connection.api()?;
    let mut seen = Seen::default();
    let mut was_connected = false;
    let mut pause = PAUSE_MIN;
    loop {
        let lost = match follow_once(&connection, args, &mut seen).await? {
            Ended::AfterConnecting(lost) => {
                was_connected = true;
                pause = PAUSE_MIN;
                lost
            }
            Ended::BeforeConnecting(error) if was_connected => format!("{error:#}"),
            Ended::BeforeConnecting(error) => {
                let url = connection.url();
                return Err(error).with_context(|| format!("{url} can't be reached; is `devlogs serve` running?"));
            }
        };
        anstream::eprintln!("connection lost ({lost}), connecting again; records of the meantime are not shown");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// How a connection ended that may be made again.
enum Ended {
    BeforeConnecting(anyhow::Error),
    AfterConnecting(String),
}

async fn follow_once(connection: &Connection, args: &Args, seen: &mut Seen) -> anyhow::Result<Ended> {
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = match socket::open(connection, "/api/v1/tail", config).await {
        Ok(socket) => socket,
        Err(OpenError::Refused(problem)) => bail!(*problem),
        Err(OpenError::Unreachable(error)) => return Ok(Ended::BeforeConnecting(error)),
    };
    if let Err(error) = socket.send(Message::text(json!({"q": args.query}).to_string())).await {
        return Ok(Ended::AfterConnecting(error.to_string()));
    }
    let printer = Printer::new(args.output);
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Text(text)) => show(&text, printer, seen, &args.query)?,
            Ok(Message::Close(_)) => break,
            Ok(_) => {}
            Err(error) => return Ok(Ended::AfterConnecting(error.to_string())),
        }
    }
    Ok(Ended::AfterConnecting("closed by the server".to_owned()))
}

fn show(text: &str, printer: Printer, seen: &mut Seen, query: &str) -> anyhow::Result<()> {
    match serde_json::from_str(text).context("the server did not answer as a devlogs server does")? {
        Event::Records { records } => {
            for record in &records {
                if record.get("id").and_then(Value::as_str).is_none_or(|id| seen.is_new(id)) {
                    printer.record(record)?;
                }
            }
        }
        Event::Dropped { count } => {
            anstream::eprintln!("{count} records left out: they came faster than they were read");
        }
        Event::Error(problem) => return Err(http::explain(problem.into(), query)),
        Event::Ready | Event::Unknown => {}
    }
    Ok(())
}

/// The ids of the latest records.
#[derive(Debug, Default)]
struct Seen {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    fn is_new(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_new_once_and_memory_is_bounded() {
        let mut seen = Seen::default();
        assert!(seen.is_new("a"));
        assert!(!seen.is_new("a"));
        for n in 0..IDS_MAX {
            assert!(seen.is_new(&n.to_string()));
        }
        assert_eq!((seen.ids.len(), seen.order.len()), (IDS_MAX, IDS_MAX));
        assert!(seen.is_new("a"), "forgotten");
    }

    #[test]
    fn events_are_read() {
        let ready: Event = serde_json::from_str(r#"{"type":"ready","q":"x"}"#).unwrap();
        assert!(matches!(ready, Event::Ready));
        let unknown: Event = serde_json::from_str(r#"{"type":"later","x":1}"#).unwrap();
        assert!(matches!(unknown, Event::Unknown));
    }
}
