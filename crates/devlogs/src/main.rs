//! `devlogs`: every role of the platform, and its client, in one program.
//!
//! - [`certs`]: a small certificate authority in a folder;
//! - [`cli`]: the command line;
//! - [`config`]: the configuration;
//! - [`serve`]: puts the roles together and runs them until a signal;
//! - [`demo`]: the simulated applications of `serve --demo`;
//! - [`client`]: commands that talk to a running server;
//! - [`verify`]: proves that what was acknowledged is stored, on a stopped data directory;
//! - [`maintenance`]: the same for a running server, and replay;
//! - [`telemetry`]: the program's own log.

mod certs;
mod cli;
mod client;
mod config;
mod config_command;
mod demo;
mod maintenance;
mod serve;
mod telemetry;
mod verify;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Wrong usage or configuration.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Fails only when a provider is set already, and nobody else sets one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::anyhow!(error).context("no runtime")),
    };
    let done = runtime.block_on(run(cli.command));
    // Readers of standard input can't be interrupted; nothing durable waits for them.
    runtime.shutdown_background();
    done.unwrap_or_else(|error| fail(&error))
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        // It opens every backend: too large for the stack of a task.
        Command::Serve(args) => Box::pin(serve::run(args)).await,
        Command::Send(args) => client::send::run(args).await,
        Command::Run(args) => client::run::run(args).await,
        Command::Search(args) => client::search::run(args).await,
        Command::Tail(args) => client::tail::run(args).await,
        Command::Sql(args) => client::sql::run(args).await,
        Command::Keys(args) => client::keys::run(args).await,
        Command::Certs(args) => certs::run(&args),
        Command::DeadLetters(args) => client::dead_letters::run(args).await,
        Command::Replay(args) => client::replay::run(args).await,
        Command::Queue(args) => client::queue::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Config(args) => config_command::run(args.command),
        Command::Openapi => print_openapi(),
    }
}

#[expect(clippy::print_stdout, reason = "the document is the output")]
fn print_openapi() -> anyhow::Result<ExitCode> {
    println!("{}", server::openapi::document().to_pretty_json()?);
    Ok(ExitCode::SUCCESS)
}

/// Shows an error and picks the exit code.
fn fail(error: &anyhow::Error) -> ExitCode {
    anstream::eprintln!("{}error{}: {}", ERROR.render(), ERROR.render_reset(), whole(error));
    if error.is::<config::ConfigError>() || error.is::<serve::Refused>() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::FAILURE
    }
}

/// The error and its causes, without those that the text before has told already.
fn whole(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

const ERROR: anstyle::Style = anstyle::AnsiColor::Red.on_default().effects(anstyle::Effects::BOLD);

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_tells_each_cause_once() {
        let cause = std::io::Error::other("no space");
        let error = Err::<(), _>(cause).context("writing: no space").context("the queue").context("it failed");
        assert_eq!(whole(&error.expect_err("an error")), "it failed: the queue: writing: no space");
    }
}
