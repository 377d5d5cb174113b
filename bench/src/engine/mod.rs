//! The servers that can be asked: ours, and peers by address. Each has a file with its language.

mod devlogs;
mod loki;
mod victorialogs;

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use reqwest::RequestBuilder;
use serde_json::Value;

use crate::corpus::{Corpus, Form};
use crate::load::Endpoint;
use crate::queries::{Answer, What};

/// A server that takes and finds logs.
#[derive(Debug, Clone)]
pub struct Engine {
    pub kind: Kind,
    /// Where questions go.
    pub url: String,
    client: reqwest::Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Devlogs,
    VictoriaLogs,
    Loki,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Devlogs => "devlogs",
            Self::VictoriaLogs => "VictoriaLogs",
            Self::Loki => "Loki",
        }
    }
}

/// `victorialogs=URL` or `loki=URL`.
#[derive(Debug, Clone)]
pub struct PeerAddress {
    pub kind: Kind,
    pub url: String,
}

impl FromStr for PeerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, url) = text.split_once('=').ok_or("write victorialogs=URL or loki=URL")?;
        let kind = match kind {
            "victorialogs" => Kind::VictoriaLogs,
            "loki" => Kind::Loki,
            _ => return Err(format!("`{kind}` is not victorialogs or loki")),
        };
        Ok(Self { kind, url: url.trim_end_matches('/').to_owned() })
    }
}

impl Engine {
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(kind: Kind, url: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { kind, url: url.to_owned(), client })
    }

    /// Asks; the time is until the last byte of the answer.
    ///
    /// # Errors
    /// The server refuses, or its answer can't be read.
    pub async fn ask(&self, what: &What, range: &Range<i64>) -> anyhow::Result<(Duration, Answer)> {
        let request = match self.kind {
            Kind::Devlogs => devlogs::request(&self.client, &self.url, what, range)?,
            Kind::VictoriaLogs => victorialogs::request(&self.client, &self.url, what, range)?,
            Kind::Loki => loki::request(&self.client, &self.url, what, range)?,
        };
        let (took, text) = fetch(request).await?;
        let answer = match self.kind {
            Kind::Devlogs => devlogs::answer(what, &serde_json::from_slice(&text)?),
            Kind::VictoriaLogs => victorialogs::answer(what, &text),
            Kind::Loki => loki::answer(what, &serde_json::from_slice(&text)?),
        };
        Ok((took, answer.with_context(|| format!("{what:?} to {}", self.kind.name()))?))
    }

    /// Whether a record with this word in its message can be found; it is younger than five minutes.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn finds(&self, word: &str) -> anyhow::Result<bool> {
        let now = jiff::Timestamp::now().as_nanosecond() as i64;
        let range = now - 300_000_000_000..now + 60_000_000_000;
        let (_, answer) = self.ask(&What::Needle(word.to_owned()), &range).await?;
        Ok(matches!(answer, Answer::Texts(texts) if !texts.is_empty()))
    }

    /// Where a peer takes records.
    ///
    /// # Errors
    /// Its address is not plain HTTP.
    pub fn ingest(&self, collector: &str, form: Form) -> anyhow::Result<Endpoint> {
        match self.kind {
            Kind::Devlogs => {
                let path = if form.is_otlp() { "/v1/logs" } else { "/v1/ingest" };
                Endpoint::new(&format!("{collector}{path}"), form.content_type(), form.content_encoding())
            }
            Kind::VictoriaLogs => Endpoint::new(
                &format!("{collector}/insert/jsonline?_stream_fields=service,host&_time_field=ts&_msg_field=message"),
                "application/stream+json",
                None,
            ),
            Kind::Loki => Endpoint::new(&format!("{collector}/loki/api/v1/push"), "application/x-protobuf", None),
        }
    }

    /// The records as this server takes them, in requests of about `bytes`.
    ///
    /// # Errors
    /// They can't be turned into its form.
    pub fn bodies(&self, corpus: &Corpus, bytes: usize) -> anyhow::Result<Arc<Vec<Bytes>>> {
        self.own_form(corpus.bodies(bytes, Form::Json)?)
    }

    /// Lines of JSON as this server takes them.
    ///
    /// # Errors
    /// They can't be turned into its form.
    pub fn own_form(&self, bodies: Arc<Vec<Bytes>>) -> anyhow::Result<Arc<Vec<Bytes>>> {
        match self.kind {
            Kind::Devlogs | Kind::VictoriaLogs => Ok(bodies),
            Kind::Loki => Ok(Arc::new(bodies.iter().map(|body| loki::body(body)).collect::<anyhow::Result<_>>()?)),
        }
    }

    /// How many records of a time it has.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn count(&self, range: &Range<i64>) -> anyhow::Result<u64> {
        match self.ask(&What::PerMinute, range).await?.1 {
            Answer::Minutes(minutes) => Ok(minutes.values().sum()),
            other => bail!("{other:?} is no count per minute"),
        }
    }

    /// What it says to take on disk.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn disk_bytes(&self) -> anyhow::Result<Option<u64>> {
        if self.kind != Kind::VictoriaLogs {
            return Ok(None);
        }
        let (_, text) = fetch(self.client.get(format!("{}/metrics", self.url))).await?;
        Ok(victorialogs::disk_bytes(&String::from_utf8_lossy(&text)))
    }
}

async fn fetch(request: RequestBuilder) -> anyhow::Result<(Duration, Bytes)> {
    let since = Instant::now();
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.bytes().await?;
    let took = since.elapsed();
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&text[..text.len().min(1_000)]));
    Ok((took, text))
}

/// RFC 3339 to nanoseconds since the Unix epoch.
fn nanos(time: &Value) -> anyhow::Result<i64> {
    Ok(time.as_str().context("a time")?.parse::<jiff::Timestamp>()?.as_nanosecond() as i64)
}
