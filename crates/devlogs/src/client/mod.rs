//! Commands that talk to a running server over HTTP.
//!
//! - [`send`], [`run`]: ship logs, by [`ship`], which tries again until the server has them;
//! - [`search`], [`tail`], [`sql`]: the API's answers in a terminal, printed by [`print`];
//! - [`keys`], [`dead_letters`], [`replay`], [`queue`]: administration;
//! - [`node`]: whom administration talks to; [`http`]: the connection, and errors as the server tells them; [`socket`]: a WebSocket on it.

pub mod dead_letters;
pub mod http;
pub mod keys;
pub mod node;
pub mod print;
pub mod queue;
pub mod replay;
pub mod run;
pub mod search;
pub mod send;
mod ship;
mod socket;
pub mod sql;
pub mod tail;

pub use http::{Connection, ConnectionArgs};
pub use node::NodeArgs;

use std::io;
use std::process::ExitCode;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON value a line.
    Json,
}

/// Success also when the reader of the output has gone away, as `head` does.
pub fn finished(done: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    match done {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}
