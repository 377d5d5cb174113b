//! Our own API.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::Context;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::nanos;
use crate::corpus::{DAY_NANOS, NEWEST};
use crate::queries::{Answer, What};

pub(super) fn request(client: &Client, url: &str, what: &What, range: &Range<i64>) -> anyhow::Result<RequestBuilder> {
    let quoted = |text: &str| format!("\"{text}\"");
    let search = |q: String| ("search", json!({"q": q, "limit": NEWEST}));
    let count = |q: String| ("aggregate", json!({"q": q, "metrics": [{"fn": "count"}]}));
    let top = |q: &str, field: &str| {
        ("aggregate", json!({"q": q, "group_by": [field], "metrics": [{"fn": "count"}], "limit": 10}))
    };
    let interval = format!("{}m", (range.end - range.start) / DAY_NANOS);
    let (path, mut body) = match what {
        What::Needle(text) => search(quoted(text)),
        What::Trace(id) => search(format!("trace_id:{id}")),
        What::CountWords(text) => count(quoted(text)),
        What::CountSubstring(text) => count(format!("\"*{text}*\"")),
        What::CountRegex(regex) => count(format!("/{}/", regex.replace('/', "\\/"))),
        What::NewestErrors => search("level:error".to_owned()),
        What::Newest => search(String::new()),
        What::PerMinute => ("histogram", json!({"interval": interval})),
        What::PerMinuteByLevel => ("histogram", json!({"interval": interval, "group_by": "level"})),
        What::TopServices => top("", "service"),
        What::TopFailingPaths => top("http.status_code>=500", "http.path"),
        What::P95ByService => {
            let metric = json!([{"fn": "p95", "field": "duration_ms"}]);
            ("aggregate", json!({"q": "duration_ms:*", "group_by": ["service"], "metrics": metric, "limit": 1000}))
        }
    };
    let time = |nanos: i64| anyhow::Ok(jiff::Timestamp::from_nanosecond(nanos.into())?.to_string());
    body["from"] = json!(time(range.start)?);
    body["to"] = json!(time(range.end)?);
    Ok(client.post(format!("{url}/api/v1/{path}")).json(&body))
}

pub(super) fn answer(what: &What, answer: &Value) -> anyhow::Result<Answer> {
    let list = |name: &str| answer[name].as_array().with_context(|| format!("no {name} in {answer}"));
    let texts = |name: &str| -> anyhow::Result<Answer> {
        let texts = list("records")?.iter().map(|record| Some(record[name].as_str()?.to_owned()));
        Ok(Answer::Texts(texts.collect::<Option<_>>().context("a record without it")?))
    };
    Ok(match what {
        What::Needle(_) => texts("message")?,
        What::Trace(_) => texts("trace_id")?,
        What::CountWords(_) | What::CountSubstring(_) | What::CountRegex(_) => {
            Answer::Count(list("rows")?.first().and_then(|row| row["metrics"]["count"].as_u64()).context("a count")?)
        }
        What::NewestErrors | What::Newest => {
            Answer::Times(list("records")?.iter().map(|record| nanos(&record["timestamp"])).collect::<Result<_, _>>()?)
        }
        What::PerMinute | What::PerMinuteByLevel => Answer::Minutes(minutes(list("buckets")?)?),
        What::TopServices | What::TopFailingPaths => {
            let row =
                |row: &Value| Some((only(&row["group"])?.as_str()?.to_owned(), row["metrics"]["count"].as_u64()?));
            Answer::Ranking(list("rows")?.iter().map(row).collect::<Option<_>>().context("rows")?)
        }
        What::P95ByService => {
            let row = |row: &Value| Some((only(&row["group"])?.as_str()?.to_owned(), only(&row["metrics"])?.as_f64()?));
            Answer::Values(list("rows")?.iter().map(row).collect::<Option<_>>().context("rows")?)
        }
    })
}

fn minutes(buckets: &[Value]) -> anyhow::Result<BTreeMap<(i64, String), u64>> {
    let mut minutes = BTreeMap::new();
    for bucket in buckets {
        let start = nanos(&bucket["start"])?;
        match bucket["groups"].as_object() {
            Some(groups) => {
                for (level, count) in groups {
                    minutes.insert((start, level.clone()), count.as_u64().context("a count")?);
                }
            }
            None => {
                minutes.insert((start, String::new()), bucket["count"].as_u64().context("a count")?);
            }
        }
    }
    minutes.retain(|_, count| *count > 0);
    Ok(minutes)
}

fn only(object: &Value) -> Option<&Value> {
    object.as_object()?.values().next()
}
