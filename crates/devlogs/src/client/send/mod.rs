//! `devlogs send`: ships files or standard input.
//!
//! - [`chunk`]: whole lines of a file from an offset on;
//! - [`place`]: how far a file was shipped, kept in the user's state directory.
//!
//! A batch is a range of a file. Its end is written down before it is sent, and its idempotency key is made of the
//! file, the range and the content: after a crash the same range is sent again under the same key, and the server
//! stores nothing twice.

mod chunk;
mod place;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join_all;
use model::origin::body_hash;
use tokio::sync::mpsc;

use self::chunk::Chunk;
use self::place::{Identity, Place};
use super::ship::{Shipper, Tags, push_line};
use super::{Connection, ConnectionArgs};

/// Bytes of a file that a batch may have; a longer line is cut.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// How often a followed file is looked at.
const POLL: Duration = Duration::from_millis(200);

/// How long lines of standard input gather.
const STDIN_BATCH_AGE: Duration = Duration::from_millis(200);

/// Lines of standard input that wait to be sent.
const STDIN_LINES_MAX: usize = 10_000;

/// Ship files or standard input; JSON lines become records, others messages
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  devlogs send --service shop-web access.log
  devlogs send -f --service shop-web /var/log/shop/*.log
  journalctl -f -o json | devlogs send --service host-1")]
pub struct Args {
    /// Files; standard input if none or `-`. A file that was shipped before goes on where it stopped
    pub files: Vec<PathBuf>,
    /// Go on as the files grow, are rotated or truncated
    #[arg(long, short)]
    pub follow: bool,
    /// Service of records that name none
    #[arg(long)]
    pub service: Option<String>,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Ships everything; with `--follow` until it is stopped.
///
/// # Errors
/// A file that can't be read, or an answer of the server that trying again won't change.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let connection = args.connection.collector()?;
    let progress = Arc::new(AtomicU64::new(0));
    let shipped = async {
        if args.files.is_empty() || args.files.iter().any(|file| file.as_os_str() == "-") {
            return ship_stdin(&connection, &args, &progress).await;
        }
        let files: Vec<FileShip> = args
            .files
            .iter()
            .map(|path| FileShip::new(&connection, &args, path, &progress))
            .collect::<Result<_, _>>()?;
        if args.follow {
            try_join_all(files.into_iter().map(FileShip::follow)).await?;
        } else {
            for mut file in files {
                file.ship_to_end().await?;
            }
        }
        Ok(())
    };
    tokio::select! {
        shipped = shipped => shipped?,
        () = show_progress(&progress) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    anstream::eprintln!("{} records sent", progress.load(Ordering::Relaxed));
    Ok(ExitCode::SUCCESS)
}

/// Counts on a terminal's last line; never ends.
async fn show_progress(progress: &AtomicU64) {
    if !std::io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    let mut shown = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let sent = progress.load(Ordering::Relaxed);
        if sent != shown {
            shown = sent;
            anstream::eprint!("{sent} records sent\r");
        }
    }
}

/// A file on its way.
struct FileShip {
    path: PathBuf,
    shipper: Shipper,
    tags: Tags,
    place: Place,
    progress: Arc<AtomicU64>,
}

impl FileShip {
    fn new(connection: &Connection, args: &Args, path: &Path, progress: &Arc<AtomicU64>) -> anyhow::Result<Self> {
        let shipper = Shipper::new(connection.clone(), path.display().to_string());
        let tags = Tags { service: args.service.clone(), ..Tags::default() };
        let place = Place::load(connection.url().as_str(), path)?;
        Ok(Self { path: path.to_owned(), shipper, tags, place, progress: progress.clone() })
    }

    /// Ships what the file has now, its last line also when no line break ends it.
    async fn ship_to_end(&mut self) -> anyhow::Result<()> {
        self.ship_rotated().await?;
        let file = open(&self.path)?;
        self.begin(&file)?;
        while self.ship_chunk(&file, true).await? {}
        Ok(())
    }

    /// Ships the file as it grows, and the one that takes its place when it is rotated.
    async fn follow(mut self) -> anyhow::Result<()> {
        self.ship_rotated().await?;
        loop {
            let Ok(file) = open(&self.path) else {
                tokio::time::sleep(POLL).await;
                continue;
            };
            self.begin(&file)?;
            while !self.is_replaced(&file) {
                if !self.ship_chunk(&file, false).await? {
                    if file.metadata()?.len() < self.place.offset() {
                        anstream::eprintln!("{}: truncated, beginning again", self.path.display());
                        self.place.restart();
                    }
                    tokio::time::sleep(POLL).await;
                }
            }
            while self.ship_chunk(&file, true).await? {}
        }
    }

    /// Ships the rest of the file that stood here when `send` ran last, if it was renamed since.
    async fn ship_rotated(&mut self) -> anyhow::Result<()> {
        let Some(rotated) = self.place.renamed_to(&self.path) else { return Ok(()) };
        let Ok(file) = open(&rotated) else { return Ok(()) };
        if self.place.resumes(&file)? {
            anstream::eprintln!("{}: going on with {}", self.path.display(), rotated.display());
            while self.ship_chunk(&file, true).await? {}
        }
        Ok(())
    }

    fn begin(&mut self, file: &Arc<File>) -> anyhow::Result<()> {
        if !self.place.resumes(file)? {
            self.place.begin(file)?;
        }
        Ok(())
    }

    /// Whether another file stands at the path now. Nothing at the path is not another file: rotation is under way.
    fn is_replaced(&self, file: &File) -> bool {
        let identity = |data: &fs::Metadata| Identity { device: data.dev(), inode: data.ino() };
        match (fs::metadata(&self.path), file.metadata()) {
            (Ok(there), Ok(here)) => identity(&there) != identity(&here),
            _ => false,
        }
    }

    /// Ships the next lines; false when there are none. `is_end`: a last line without a line break is one too.
    async fn ship_chunk(&mut self, file: &Arc<File>, is_end: bool) -> anyhow::Result<bool> {
        let (start, end) = (self.place.offset(), self.place.pending());
        let file = file.clone();
        let read_from = file.clone();
        let chunk: Chunk =
            tokio::task::spawn_blocking(move || chunk::read(&read_from, start, end, is_end, BATCH_BYTES_MAX))
                .await?
                .with_context(|| format!("{} can't be read", self.path.display()))?;
        if chunk.end == start {
            return Ok(false);
        }
        let mut body = Vec::with_capacity(chunk.bytes.len() + chunk.bytes.len() / 4);
        for line in chunk.bytes.split(|&byte| byte == b'\n') {
            push_line(&mut body, line, &self.tags);
        }
        if !body.is_empty() {
            self.place.sending(chunk.end)?;
            let key = self.place.idempotency_key(start, chunk.end, body_hash(&body));
            let accepted = self.shipper.ship(body, &key).await?;
            self.progress.fetch_add(accepted, Ordering::Relaxed);
        }
        self.place.sent(chunk.end, &file)?;
        Ok(true)
    }
}

fn open(path: &Path) -> anyhow::Result<Arc<File>> {
    let file = File::open(path).with_context(|| format!("{} can't be opened", path.display()))?;
    anyhow::ensure!(file.metadata()?.is_file(), "{} is no file", path.display());
    Ok(Arc::new(file))
}

/// Ships lines of standard input as they come. There is no way back in a pipe, so a batch's key is random: it makes
/// only the tries of this run harmless.
async fn ship_stdin(connection: &Connection, args: &Args, progress: &AtomicU64) -> anyhow::Result<()> {
    let shipper = Shipper::new(connection.clone(), "standard input".to_owned());
    let tags = Tags { service: args.service.clone(), ..Tags::default() };
    let (lines, mut waiting) = mpsc::channel::<Vec<u8>>(STDIN_LINES_MAX);
    // A thread of its own: reading standard input can't be interrupted.
    std::thread::spawn(move || {
        let mut input = BufReader::new(std::io::stdin().lock());
        loop {
            let mut line = Vec::new();
            match input.by_ref().take(BATCH_BYTES_MAX as u64 / 2).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if lines.blocking_send(line).is_err() => return,
                Ok(_) => {}
            }
        }
    });
    let mut run = [0; 16];
    getrandom::fill(&mut run).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let mut batch: u64 = 0;
    while let Some(first) = waiting.recv().await {
        let mut body = Vec::new();
        push_line(&mut body, &first, &tags);
        let due = tokio::time::Instant::now() + STDIN_BATCH_AGE;
        while body.len() < BATCH_BYTES_MAX
            && let Ok(Some(line)) = tokio::time::timeout_at(due, waiting.recv()).await
        {
            push_line(&mut body, &line, &tags);
        }
        if !body.is_empty() {
            let key = format!("send-{}-{batch}", hex::encode(run));
            progress.fetch_add(shipper.ship(body, &key).await?, Ordering::Relaxed);
            batch += 1;
        }
    }
    Ok(())
}
