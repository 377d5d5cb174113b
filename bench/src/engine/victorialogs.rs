//! VictoriaLogs: LogsQL.

use std::ops::Range;

use anyhow::Context;
use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;

use super::nanos;
use crate::corpus::NEWEST;
use crate::queries::{Answer, What};

pub(super) fn request(client: &Client, url: &str, what: &What, range: &Range<i64>) -> anyhow::Result<RequestBuilder> {
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let limit = NEWEST.to_string();
    let (path, query, more): (_, _, Vec<(&str, &str)>) = match what {
        What::Needle(text) => ("query", quoted(text), vec![("limit", &limit)]),
        What::Trace(id) => ("query", format!("trace_id:={}", quoted(id)), vec![("limit", &limit)]),
        What::CountWords(text) => ("query", format!("{} | count() n", quoted(text)), vec![]),
        What::CountSubstring(text) => ("query", format!("~{} | count() n", quoted(text)), vec![]),
        What::CountRegex(regex) => ("query", format!("~{} | count() n", quoted(regex)), vec![]),
        What::NewestErrors => ("query", "level:=\"error\"".to_owned(), vec![("limit", &limit)]),
        What::Newest => ("query", "*".to_owned(), vec![("limit", &limit)]),
        What::PerMinute => ("hits", "*".to_owned(), vec![("step", "1m")]),
        What::PerMinuteByLevel => ("hits", "*".to_owned(), vec![("step", "1m"), ("field", "level")]),
        What::TopServices => {
            ("query", "* | stats by (service) count() n | sort by (n desc) limit 10".to_owned(), vec![])
        }
        What::TopFailingPaths => {
            let by_path = "\"http.status_code\":>=500 | stats by (\"http.path\") count() n | sort by (n desc) limit 10";
            ("query", by_path.to_owned(), vec![])
        }
        What::P95ByService => {
            ("query", "duration_ms:* | stats by (service) quantile(0.95, duration_ms) p95".to_owned(), vec![])
        }
    };
    // Both ends are included there.
    let (start, end) = (range.start.to_string(), (range.end - 1).to_string());
    let mut form = vec![("query", query.as_str()), ("start", start.as_str()), ("end", end.as_str())];
    form.extend(more);
    Ok(client.get(Url::parse_with_params(&format!("{url}/select/logsql/{path}"), form)?))
}

pub(super) fn answer(what: &What, text: &[u8]) -> anyhow::Result<Answer> {
    if matches!(what, What::PerMinute | What::PerMinuteByLevel) {
        return minutes(&serde_json::from_slice(text)?);
    }
    let rows: Vec<Value> = serde_json::Deserializer::from_slice(text).into_iter().collect::<Result<_, _>>()?;
    let texts = |name: &str| rows.iter().map(|row| Some(row[name].as_str()?.to_owned())).collect::<Option<Vec<_>>>();
    Ok(match what {
        What::Needle(_) => Answer::Texts(texts("_msg").context("messages")?),
        What::Trace(_) => Answer::Texts(texts("trace_id").context("trace ids")?),
        What::CountWords(_) | What::CountSubstring(_) | What::CountRegex(_) => {
            Answer::Count(number(rows.first().context("a row")?, "n")? as u64)
        }
        What::NewestErrors | What::Newest => {
            // It promises which, not in which order.
            let mut times: Vec<_> = rows.iter().map(|row| nanos(&row["_time"])).collect::<Result<_, _>>()?;
            times.sort_unstable_by(|a, b| b.cmp(a));
            Answer::Times(times)
        }
        What::TopServices => Answer::Ranking(ranking(&rows, "service")?),
        What::TopFailingPaths => Answer::Ranking(ranking(&rows, "http.path")?),
        What::P95ByService => {
            let value = |row: &Value| anyhow::Ok((name(row, "service")?, number(row, "p95")?));
            Answer::Values(rows.iter().map(value).collect::<Result<_, _>>()?)
        }
        What::PerMinute | What::PerMinuteByLevel => unreachable!("answered above"),
    })
}

fn minutes(answer: &Value) -> anyhow::Result<Answer> {
    let mut minutes = std::collections::BTreeMap::new();
    for group in answer["hits"].as_array().context("no hits")? {
        let level = group["fields"]["level"].as_str().unwrap_or_default();
        let (times, values) = (group["timestamps"].as_array(), group["values"].as_array());
        for (time, count) in times.into_iter().flatten().zip(values.into_iter().flatten()) {
            *minutes.entry((nanos(time)?, level.to_owned())).or_default() += count.as_u64().context("a count")?;
        }
    }
    minutes.retain(|_, count| *count > 0);
    Ok(Answer::Minutes(minutes))
}

fn ranking(rows: &[Value], field: &str) -> anyhow::Result<Vec<(String, u64)>> {
    rows.iter().map(|row| Ok((name(row, field)?, number(row, "n")? as u64))).collect()
}

fn name(row: &Value, field: &str) -> anyhow::Result<String> {
    Ok(row[field].as_str().with_context(|| format!("no {field} in {row}"))?.to_owned())
}

/// It writes numbers as text.
fn number(row: &Value, field: &str) -> anyhow::Result<f64> {
    row[field].as_str().and_then(|text| text.parse().ok()).with_context(|| format!("no number {field} in {row}"))
}

/// From its metrics.
pub(super) fn disk_bytes(metrics: &str) -> Option<u64> {
    let lines = metrics.lines().filter(|line| line.starts_with("vl_data_size_bytes"));
    let sizes: Vec<f64> = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
    (!sizes.is_empty()).then(|| sizes.iter().sum::<f64>() as u64)
}
