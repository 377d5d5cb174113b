//! `devlogs certs`: a small certificate authority in a folder, for those who have none.
//!
//! - [`folder`]: the files, and the index of what was issued;
//! - [`make`]: the certificates and the revocation list themselves.

mod folder;
mod make;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use serde_json::json;

use crate::client::{Output, finished, print};
use folder::{Authority, Entry, Folder};
use make::{Purpose, Span, Subject};

/// Make and revoke certificates for TLS, without a PKI of your own
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  devlogs certs init
  devlogs certs issue --server --name logs --san logs.example.org --san 10.0.0.5
  devlogs certs issue --client --name web-1 --san web-1.shop.example.org --days 90
  devlogs certs list
  devlogs certs revoke devlogs-certs/web-1.pem")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// Where the certificates, their keys and the index are
    #[arg(long, value_name = "DIR", default_value = "devlogs-certs", global = true)]
    pub dir: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make the authority: ca.pem, its key and an empty revocation list
    #[command(after_help = "Example:\n  devlogs certs init --name 'Example Org logs' --dir /etc/devlogs/certs")]
    Init {
        /// What it is called in the certificates
        #[arg(long, default_value = "Instant Dev Logs CA")]
        name: String,
        /// How long it is good
        #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    Issue(Issue),
    /// Take a certificate out of force: it is entered into crl.pem
    #[command(after_help = "Examples:
  devlogs certs revoke devlogs-certs/web-1.pem
  devlogs certs revoke 5f3a90c2d1e4b7a60812

A server whose `tls.crl` is this crl.pem notices within seconds.")]
    Revoke {
        /// Its serial number, as `list` shows it, or its file
        #[arg(value_name = "SERIAL|FILE")]
        certificate: String,
    },
    /// List what was issued
    #[command(after_help = "Example:\n  devlogs certs list --output json")]
    List {
        /// text for people, json for programs
        #[arg(long, short, default_value = "text")]
        output: Output,
    },
}

/// Issue a certificate: NAME.pem and NAME-key.pem
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("use").args(["server", "client"]).required(true).multiple(true))]
#[command(after_help = "Examples:
  devlogs certs issue --server --name logs --san logs.example.org --san 10.0.0.5
  devlogs certs issue --client --name web-1 --san spiffe://example.org/shop/web
  devlogs certs issue --client --name web-1 --san spiffe://example.org/shop/web --renew")]
pub struct Issue {
    /// What the files are called, and the common name
    #[arg(long)]
    pub name: String,
    /// A name that it vouches for: DNS name, IP address, URI or mail address. A server needs those that its clients
    /// write, a client those that the rules in `tls.identities` mean
    #[arg(long = "san", value_name = "NAME", value_delimiter = ',')]
    pub names: Vec<String>,
    /// For a server
    #[arg(long)]
    pub server: bool,
    /// For a client
    #[arg(long)]
    pub client: bool,
    /// How long it is good
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,
    /// Replace the files of this name; the certificate before stays good until it is revoked or expires
    #[arg(long)]
    pub renew: bool,
}

/// Does what the command says.
///
/// # Errors
/// A file that can't be read or written, or what the folder's state does not allow.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    finished(act(args))
}

fn act(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Init { name, days } => init(&Folder::create(&args.dir)?, name, *days),
        Command::Issue(issue) => self::issue(&Folder::open(&args.dir)?, issue),
        Command::Revoke { certificate } => revoke(&Folder::open(&args.dir)?, certificate),
        Command::List { output } => list(&Folder::open(&args.dir)?, *output),
    }
}

fn init(folder: &Folder, name: &str, days: u32) -> anyhow::Result<()> {
    ensure!(!name.trim().is_empty(), "the authority needs a name");
    let span = Span::days(days)?;
    let made = make::authority(name, span)?;
    let authority = Authority { name: name.to_owned(), not_after: span.to };
    folder.write_authority(&made, &authority)?;
    let path = |file: &str| folder.path(file).display().to_string();
    anstream::eprintln!("made {}; keep {} where nobody else can read it\n", path("ca.pem"), path("ca-key.pem"));
    anstream::eprintln!("Next, a certificate for the server, by the names that its clients write:");
    anstream::eprintln!(
        "  devlogs certs issue --server --name server --san localhost --dir {}\n",
        folder.dir().display()
    );
    anstream::eprintln!("and in the configuration:");
    anstream::eprintln!(
        "  [tls]\n  cert = \"{}\"\n  key = \"{}\"\n  client_ca = \"{}\"\n  crl = \"{}\"\n  client_auth = \"optional\"",
        path("server.pem"),
        path("server-key.pem"),
        path("ca.pem"),
        path("crl.pem")
    );
    Ok(())
}

fn issue(folder: &Folder, issue: &Issue) -> anyhow::Result<()> {
    folder::check_name(&issue.name)?;
    ensure!(
        !issue.server || !issue.names.is_empty(),
        "clients look for the name that they connect to: give it with --san, such as --san logs.example.org"
    );
    let mut index = folder.index()?;
    let file = format!("{}.pem", issue.name);
    ensure!(
        issue.renew || !folder.path(&file).exists(),
        "{} is there already: take another --name, or --renew to replace it",
        folder.path(&file).display()
    );
    let span = Span::days(issue.days)?;
    ensure!(
        span.to <= index.authority.not_after,
        "the authority itself is good until {}: give fewer --days, or make a new one",
        index.authority.not_after
    );
    let uses: Vec<Purpose> = [(issue.server, Purpose::Server), (issue.client, Purpose::Client)]
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, purpose)| *purpose)
        .collect();
    let subject = Subject { name: &issue.name, names: &issue.names, uses: &uses };
    let made = make::certificate(&folder.signer()?, &subject, span)?;
    // First the index: a certificate that nobody knows of could not be revoked.
    index.certificates.push(Entry {
        serial: made.serial.clone(),
        name: issue.name.clone(),
        names: issue.names.clone(),
        uses,
        not_after: span.to,
        revoked_at: None,
    });
    folder.write_index(&index)?;
    folder.write_issued(&issue.name, &made)?;
    anstream::eprintln!("issued {} (serial {}, good until {})", folder.path(&file).display(), made.serial, span.to);
    anstream::eprintln!("its key is {}", folder.path(&format!("{}-key.pem", issue.name)).display());
    Ok(())
}

fn revoke(folder: &Folder, certificate: &str) -> anyhow::Result<()> {
    let mut index = folder.index()?;
    let is_file = std::path::Path::new(certificate).is_file();
    let serial = if is_file {
        let pem = std::fs::read(certificate).with_context(|| format!("{certificate} can't be read"))?;
        server::tls::certificate_serial(&pem).map_err(anyhow::Error::msg).with_context(|| certificate.to_owned())?
    } else {
        certificate.replace(':', "").to_ascii_lowercase()
    };
    let Some(entry) = index.certificates.iter_mut().find(|entry| entry.serial == serial) else {
        bail!("no certificate with the serial number {serial} was issued here; `devlogs certs list` shows them all");
    };
    if let Some(at) = entry.revoked_at {
        anstream::eprintln!("{} ({serial}) is revoked since {at}", entry.name);
    } else {
        entry.revoked_at = Some(Timestamp::now());
        anstream::eprintln!("revoked {} ({serial})", entry.name);
    }
    index.crl_number += 1;
    let crl = make::revocation_list(&folder.signer()?, &index)?;
    // First the list, which is what counts.
    folder.write_crl(&crl)?;
    folder.write_index(&index)
}

fn list(folder: &Folder, output: Output) -> anyhow::Result<()> {
    let index = folder.index()?;
    if output == Output::Json {
        let entries: Vec<_> = index.certificates.iter().map(|entry| json!(entry)).collect();
        return Ok(print::json_lines(&entries)?);
    }
    let now = Timestamp::now();
    let rows: Vec<Vec<String>> = index.certificates.iter().map(|entry| entry.row(now)).collect();
    Ok(print::table(&["serial", "name", "use", "names", "good until", "state"], &rows)?)
}

#[cfg(test)]
mod tests;
