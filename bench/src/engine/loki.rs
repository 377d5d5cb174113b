//! Loki: LogQL. Its labels are the service and the level; the line is the whole record as JSON.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::Context;
use bytes::Bytes;
use prost::Message;
use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::corpus::{MINUTE_NANOS, NEWEST};
use crate::queries::{Answer, What};

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Time>,
    #[prost(string, tag = "2")]
    line: String,
}

#[derive(Clone, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Deserialize)]
struct Labels<'a> {
    ts: Option<&'a str>,
    service: &'a str,
    level: Option<&'a str>,
}

/// A request of its push API: protobuf in a snappy block.
pub(super) fn body(lines: &[u8]) -> anyhow::Result<Bytes> {
    let mut streams = BTreeMap::<String, Vec<Entry>>::new();
    for line in std::str::from_utf8(lines)?.lines() {
        let labels: Labels<'_> = serde_json::from_str(line)?;
        let time = labels.ts.map_or_else(|| Ok(jiff::Timestamp::now()), str::parse)?;
        let timestamp = Some(Time { seconds: time.as_second(), nanos: time.subsec_nanosecond() });
        let level = labels.level.unwrap_or_default();
        let stream = streams.entry(format!("{{service=\"{}\",level=\"{level}\"}}", labels.service)).or_default();
        stream.push(Entry { timestamp, line: line.to_owned() });
    }
    let streams = streams.into_iter().map(|(labels, entries)| Stream { labels, entries }).collect();
    Ok(snap::raw::Encoder::new().compress_vec(&PushRequest { streams }.encode_to_vec())?.into())
}

pub(super) fn request(client: &Client, url: &str, what: &What, range: &Range<i64>) -> anyhow::Result<RequestBuilder> {
    const ALL: &str = "{service=~\".+\"}";
    let seconds = (range.end - range.start) / 1_000_000_000;
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let lines = |query: String| (query, None);
    let at_end = |query: String| (query, Some(None));
    let per_minute = |by: &str| (format!("sum{by} (count_over_time({ALL}[1m]))"), Some(Some("60")));
    let count = |filter: String| at_end(format!("sum(count_over_time({ALL} {filter} [{seconds}s]))"));
    let (query, metric): (String, Option<Option<&str>>) = match what {
        What::Needle(text) | What::Trace(text) => lines(format!("{ALL} |= {}", quoted(text))),
        What::CountSubstring(text) => count(format!("|= {}", quoted(text))),
        What::CountWords(text) => count(format!("|~ {}", quoted(&format!("\\b{text}\\b")))),
        What::CountRegex(regex) => count(format!("|~ {}", quoted(regex))),
        What::NewestErrors => lines("{level=\"error\"}".to_owned()),
        What::Newest => lines(ALL.to_owned()),
        What::PerMinute => per_minute(""),
        What::PerMinuteByLevel => per_minute(" by (level)"),
        What::TopServices => at_end(format!("topk(10, sum by (service) (count_over_time({ALL}[{seconds}s])))")),
        What::TopFailingPaths => at_end(format!(
            "topk(10, sum by (http_path) (count_over_time({ALL} |= \"\\\"http.status_code\\\":5\" | json \
             http_path=\"[\\\"http.path\\\"]\", status=\"[\\\"http.status_code\\\"]\" | status >= 500 [{seconds}s])))"
        )),
        What::P95ByService => at_end(format!(
            "quantile_over_time(0.95, {ALL} |= \"duration_ms\" | json duration_ms=\"duration_ms\" \
             | unwrap duration_ms [{seconds}s]) by (service)"
        )),
    };
    let (start, end, limit) = (range.start.to_string(), range.end.to_string(), NEWEST.to_string());
    let mut form = vec![("query", query.as_str())];
    let path = match metric {
        None => {
            form.extend([
                ("start", start.as_str()),
                ("end", end.as_str()),
                ("limit", &limit),
                ("direction", "backward"),
            ]);
            "query_range"
        }
        Some(Some(step)) => {
            form.extend([("start", start.as_str()), ("end", end.as_str()), ("step", step)]);
            "query_range"
        }
        Some(None) => {
            form.push(("time", end.as_str()));
            "query"
        }
    };
    Ok(client.get(Url::parse_with_params(&format!("{url}/loki/api/v1/{path}"), form)?))
}

pub(super) fn answer(what: &What, answer: &Value) -> anyhow::Result<Answer> {
    let results = answer["data"]["result"].as_array().context("no result")?;
    let entries = || results.iter().filter_map(|stream| stream["values"].as_array()).flatten();
    let named = |label: &str| -> anyhow::Result<Vec<(String, f64)>> {
        let row = |row: &Value| {
            let value = row["value"][1].as_str()?.parse().ok()?;
            Some((row["metric"][label].as_str()?.to_owned(), value))
        };
        results.iter().map(row).collect::<Option<_>>().context("values")
    };
    let ranking = |label: &str| -> anyhow::Result<Answer> {
        let mut ranking: Vec<_> = named(label)?.into_iter().map(|(name, count)| (name, count as u64)).collect();
        ranking.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Ok(Answer::Ranking(ranking))
    };
    Ok(match what {
        What::Needle(_) | What::Trace(_) => {
            Answer::Texts(entries().filter_map(|entry| Some(entry[1].as_str()?.to_owned())).collect())
        }
        What::CountWords(_) | What::CountSubstring(_) | What::CountRegex(_) => {
            let count = results.first().and_then(|row| row["value"][1].as_str()?.parse().ok());
            Answer::Count(count.unwrap_or_default())
        }
        What::NewestErrors | What::Newest => {
            let times = entries().map(|entry| entry[0].as_str()?.parse().ok());
            let mut times: Vec<i64> = times.collect::<Option<_>>().context("times")?;
            times.sort_unstable_by(|a, b| b.cmp(a));
            Answer::Times(times)
        }
        What::PerMinute | What::PerMinuteByLevel => minutes(results)?,
        What::TopServices => ranking("service")?,
        What::TopFailingPaths => ranking("http_path")?,
        What::P95ByService => Answer::Values(named("service")?.into_iter().collect()),
    })
}

fn minutes(results: &[Value]) -> anyhow::Result<Answer> {
    let mut minutes = BTreeMap::new();
    for series in results {
        let level = series["metric"]["level"].as_str().unwrap_or_default();
        for point in series["values"].as_array().into_iter().flatten() {
            let end = point[0].as_i64().context("a time")? * 1_000_000_000;
            let count: f64 = point[1].as_str().context("a value")?.parse()?;
            // A point counts the minute before it.
            minutes.insert((end - MINUTE_NANOS, level.to_owned()), count as u64);
        }
    }
    Ok(Answer::Minutes(minutes))
}
