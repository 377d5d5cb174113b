//! `devlogs run`: runs a program, passes its output through and ships it line by line.
//!
//! The program comes first: its output is passed on unchanged and at once, and it never waits for the server. Lines wait
//! in a bounded buffer while the server is away; what does not fit is left out and counted, in a record of its own.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};

use super::ConnectionArgs;
use super::ship::{Shipper, Tags, now, push_line};

/// Bytes of lines that wait to be sent.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// Lines that wait to be sent.
const WAITING_LINES_MAX: usize = 100_000;

/// A longer line is cut into several.
const LINE_BYTES_MAX: usize = 256 << 10;

const BATCH_BYTES_MAX: usize = 1 << 20;

/// How long lines gather before they are sent.
const BATCH_AGE: Duration = Duration::from_millis(100);

/// Run a program and ship its output
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  devlogs run --service shop-web -- node server.js")]
pub struct Args {
    /// The service of its records
    #[arg(long)]
    pub service: String,
    /// Seconds to wait, after the program ended, for a server that is away
    #[arg(long, default_value_t = 10)]
    pub wait: u64,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// A line of the program, or what became of it.
struct Line {
    bytes: Vec<u8>,
    /// `stdout`, `stderr`, or nothing for our own.
    stream: Option<&'static str>,
    at: i64,
    attributes: Vec<(&'static str, Value)>,
    level: Option<&'static str>,
    /// What it takes of the buffer; given back when it was sent.
    cost: u32,
}

/// Runs the program to its end and exits as it did.
///
/// # Errors
/// A program that can't be started.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let connection = args.connection.collector()?;
    let program = args.command[0].clone();
    let mut child = Command::new(&program)
        .args(&args.command[1..])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} can't be started", program.display()))?;
    let buffer = Buffer::new();
    let (sender, receiver) = mpsc::channel(WAITING_LINES_MAX);
    let shipper = Shipper::new(connection, "devlogs run".to_owned());
    let shipping = tokio::spawn(ship(shipper, args.service.clone(), receiver, buffer.clone()));
    let out = child.stdout.take().map(|from| pass(from, tokio::io::stdout(), "stdout", sender.clone(), buffer.clone()));
    let err = child.stderr.take().map(|from| pass(from, tokio::io::stderr(), "stderr", sender.clone(), buffer.clone()));
    let passing = async {
        tokio::join!(
            async {
                if let Some(out) = out {
                    out.await;
                }
            },
            async {
                if let Some(err) = err {
                    err.await;
                }
            }
        );
    };
    let (status, ()) = tokio::join!(wait(&mut child), passing);
    let status = status?;
    let _ = sender.send(last_line(&program.to_string_lossy(), status, &buffer)).await;
    drop(sender);
    match tokio::time::timeout(Duration::from_secs(args.wait), shipping).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => anstream::eprintln!("devlogs: the output was not shipped: {error:#}"),
        Ok(Err(error)) => anstream::eprintln!("devlogs: the output was not shipped: {error}"),
        Err(_) => anstream::eprintln!("devlogs: the server did not come back; the last lines were not shipped"),
    }
    Ok(ExitCode::from(exit_code(status)))
}

/// Waits for the program and passes on the signals that ask it to do something. What a terminal sends (Ctrl-C,
/// Ctrl-\), the program gets itself.
async fn wait(child: &mut Child) -> anyhow::Result<ExitStatus> {
    use rustix::process::Signal;
    let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut first_user = signal(SignalKind::user_defined1())?;
    let mut second_user = signal(SignalKind::user_defined2())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let from_terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
    loop {
        let passed = tokio::select! {
            status = child.wait() => return Ok(status?),
            _ = terminate.recv() => Signal::TERM,
            _ = hangup.recv() => Signal::HUP,
            _ = first_user.recv() => Signal::USR1,
            _ = second_user.recv() => Signal::USR2,
            _ = interrupt.recv() => if from_terminal { continue } else { Signal::INT },
            _ = quit.recv() => if from_terminal { continue } else { Signal::QUIT },
        };
        if let Some(pid) = pid {
            // Fails only when the program has just ended.
            let _ = rustix::process::kill_process(pid, passed);
        }
    }
}

/// Passes a stream on as it comes, and hands its lines over.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    stream: &'static str,
    lines: mpsc::Sender<Line>,
    buffer: Arc<Buffer>,
) {
    let mut chunk = vec![0; 64 << 10];
    let mut rest: Vec<u8> = Vec::new();
    let mut is_read = true;
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        let bytes = &chunk[..read];
        // A reader that has gone away must not end the program's log.
        is_read = is_read && to.write_all(bytes).await.is_ok() && to.flush().await.is_ok();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") || rest.len() >= LINE_BYTES_MAX {
                buffer.offer(&lines, std::mem::take(&mut rest), stream);
            }
        }
    }
    if !rest.is_empty() {
        buffer.offer(&lines, rest, stream);
    }
}

/// Counts what waits, and what did not fit.
#[derive(Debug)]
struct Buffer {
    room: Semaphore,
    left_out: AtomicU64,
}

impl Buffer {
    fn new() -> Arc<Self> {
        Arc::new(Self { room: Semaphore::new(WAITING_BYTES_MAX), left_out: AtomicU64::new(0) })
    }

    fn offer(&self, lines: &mpsc::Sender<Line>, bytes: Vec<u8>, stream: &'static str) {
        // Of a line that is cut a little late, within a chunk of reading: still far below the whole room.
        let cost = bytes.len() as u32;
        let line = Line { bytes, stream: Some(stream), at: now(), attributes: Vec::new(), level: None, cost };
        match self.room.try_acquire_many(cost) {
            Ok(room) if lines.try_send(line).is_ok() => room.forget(),
            _ => {
                self.left_out.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn give_back(&self, bytes: usize) {
        self.room.add_permits(bytes);
    }
}

async fn ship(
    shipper: Shipper,
    service: String,
    mut lines: mpsc::Receiver<Line>,
    buffer: Arc<Buffer>,
) -> anyhow::Result<()> {
    let mut run = [0; 16];
    getrandom::fill(&mut run).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let mut batch: u64 = 0;
    while let Some(first) = lines.recv().await {
        let mut body = Vec::new();
        let mut cost = first.cost as usize;
        push(&mut body, &first, &service);
        let due = tokio::time::Instant::now() + BATCH_AGE;
        while body.len() < BATCH_BYTES_MAX
            && let Ok(Some(line)) = tokio::time::timeout_at(due, lines.recv()).await
        {
            cost += line.cost as usize;
            push(&mut body, &line, &service);
        }
        if !body.is_empty() {
            shipper.ship(body, &format!("run-{}-{batch}", hex::encode(run))).await?;
            batch += 1;
        }
        buffer.give_back(cost);
    }
    Ok(())
}

fn push(body: &mut Vec<u8>, line: &Line, service: &str) {
    let mut attributes = line.attributes.clone();
    attributes.extend(line.stream.map(|stream| ("log.iostream", json!(stream))));
    attributes.extend(line.level.map(|level| ("level", json!(level))));
    let tags = Tags { service: Some(service.to_owned()), attributes, timestamp: Some(line.at) };
    push_line(body, &line.bytes, &tags);
}

/// How the program ended, and how many of its lines were left out.
fn last_line(program: &str, status: ExitStatus, buffer: &Buffer) -> Line {
    let mut attributes = vec![("process.exit_code", json!(exit_code(status))), ("process.command", json!(program))];
    let mut message = match status.signal() {
        Some(signal) => format!("{program} was ended by signal {signal}"),
        None => format!("{program} exited with code {}", exit_code(status)),
    };
    let left_out = buffer.left_out.load(Ordering::Relaxed);
    if left_out > 0 {
        message.push_str(&format!("; {left_out} lines were not shipped, the server was too slow or away"));
        attributes.push(("devlogs.lines_left_out", json!(left_out)));
    }
    let level = if status.success() { "info" } else { "error" };
    Line { bytes: message.into_bytes(), stream: None, at: now(), attributes, level: Some(level), cost: 0 }
}

/// As a shell tells it: the program's code, or 128 and the signal.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    code as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn passed(text: &[u8]) -> (Vec<u8>, Vec<String>) {
        let (sender, mut receiver) = mpsc::channel(WAITING_LINES_MAX);
        let mut out = Vec::new();
        pass(text, &mut out, "stdout", sender, Buffer::new()).await;
        let mut lines = Vec::new();
        while let Some(line) = receiver.recv().await {
            lines.push(String::from_utf8_lossy(&line.bytes).into_owned());
        }
        (out, lines)
    }

    #[tokio::test]
    async fn output_is_unchanged_and_cut_at_line_breaks() {
        let (out, lines) = passed(b"a\n\xffb\r\n\nlast").await;
        assert_eq!(out, b"a\n\xffb\r\n\nlast");
        assert_eq!(lines, ["a\n", "\u{fffd}b\r\n", "\n", "last"]);
    }

    #[tokio::test]
    async fn a_full_buffer_leaves_lines_out_and_counts_them() {
        let (sender, _receiver) = mpsc::channel(2);
        let buffer = Buffer::new();
        for _ in 0..5 {
            buffer.offer(&sender, b"line".to_vec(), "stdout");
        }
        assert_eq!(buffer.left_out.load(Ordering::Relaxed), 3);
        assert_eq!(buffer.room.available_permits(), WAITING_BYTES_MAX - 8);
        let status = ExitStatus::from_raw(9);
        let last = last_line("shop", status, &buffer);
        assert_eq!(String::from_utf8(last.bytes).unwrap().split(';').next(), Some("shop was ended by signal 9"));
        assert_eq!(exit_code(status), 137);
    }
}
