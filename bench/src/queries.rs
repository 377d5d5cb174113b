//! The measured questions, each with its true answer.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::truth::Truth;

/// A question to the API.
#[derive(Debug)]
pub struct Question {
    pub name: &'static str,
    path: &'static str,
    body: Value,
    check: Check,
}

/// What makes an answer right.
#[derive(Debug)]
enum Check {
    /// So many records.
    Records(usize),
    /// `rows[0].metrics.count`.
    Count(u64),
    /// Counts by a field, in this order.
    Ranking(Vec<(String, u64)>),
    /// The sum of all buckets.
    Total(u64),
    /// A percentile by service, off by at most so much of its value: the truth is the nearest rank, answers may be one
    /// per cent of the ranks away.
    Percentiles(BTreeMap<String, f64>, f64),
}

impl Question {
    /// All questions over the day of the data set.
    pub fn all(truth: &Truth) -> Vec<Self> {
        let quoted = |text: &str| format!("\"{text}\"");
        let regex = truth.regex.value.replace('/', "\\/");
        let mut services: Vec<_> = truth.by_service.clone().into_iter().collect();
        services.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        services.truncate(10);
        let newest = |records: u64| Check::Records(records.min(100) as usize);
        let errors = truth.by_level.get("error").copied().unwrap_or_default();
        let day = Day(truth.day_start_unix);
        let p95 = truth.p95_duration_ms_by_service_nearest_rank.clone();
        vec![
            day.search(
                "needle UUID",
                &quoted(&truth.uuid_needle.value),
                Check::Records(truth.uuid_needle.count as usize),
            ),
            day.search(
                "trace_id = X",
                &format!("trace_id:{}", truth.trace_needle.value),
                Check::Records(truth.trace_needle.count as usize),
            ),
            day.count("count of a rare phrase", &quoted(&truth.rare_phrase.value), truth.rare_phrase.count),
            day.count("count of two words", &quoted(&truth.phrase.value), truth.phrase.whole_words_count),
            day.count("count of a substring", &format!("\"*{}*\"", truth.phrase.value), truth.phrase.substring_count),
            day.count("count of a regex", &format!("/{regex}/"), truth.regex.count),
            day.search("newest 100 errors", "level:error", newest(errors)),
            day.search("newest 100 of all", "", newest(truth.records)),
            day.histogram("count per minute", None, truth.records),
            day.histogram("count per minute by level", Some("level"), truth.records),
            day.aggregate("top 10 services", "", "service", &json!({"fn": "count"}), Check::Ranking(services)),
            day.aggregate(
                "status >= 500 by path, top 10",
                "http.status_code>=500",
                "http.path",
                &json!({"fn": "count"}),
                Check::Ranking(truth.status_ge_500_top10_paths.clone()),
            ),
            day.aggregate(
                "p95 duration by service",
                "duration_ms:*",
                "service",
                &json!({"fn": "p95", "field": "duration_ms"}),
                Check::Percentiles(p95, 0.1),
            ),
        ]
    }

    /// Asks and holds the answer against the truth.
    ///
    /// # Errors
    /// The server refuses, or the answer is wrong.
    pub async fn ask(&self, client: &reqwest::Client, api: &str) -> anyhow::Result<()> {
        let answer = client.post(format!("{api}{}", self.path)).json(&self.body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{}: {status}: {text}", self.name);
        let answer: Value = serde_json::from_str(&text)?;
        self.check.hold(&answer).with_context(|| format!("{}: the answer is wrong", self.name))
    }
}

/// Builds questions over one day.
struct Day(i64);

impl Day {
    fn question(&self, name: &'static str, path: &'static str, mut body: Value, check: Check) -> Question {
        body["from"] = json!(self.0 * 1_000);
        body["to"] = json!((self.0 + 86_400) * 1_000);
        Question { name, path, body, check }
    }

    fn search(&self, name: &'static str, q: &str, check: Check) -> Question {
        self.question(name, "/api/v1/search", json!({"q": q, "limit": 100}), check)
    }

    fn count(&self, name: &'static str, q: &str, count: u64) -> Question {
        let body = json!({"q": q, "metrics": [{"fn": "count"}]});
        self.question(name, "/api/v1/aggregate", body, Check::Count(count))
    }

    fn histogram(&self, name: &'static str, group_by: Option<&str>, total: u64) -> Question {
        let mut body = json!({"interval": "1m"});
        if let Some(field) = group_by {
            body["group_by"] = json!(field);
        }
        self.question(name, "/api/v1/histogram", body, Check::Total(total))
    }

    fn aggregate(&self, name: &'static str, q: &str, field: &str, metric: &Value, check: Check) -> Question {
        let limit = if matches!(check, Check::Percentiles(..)) { 1_000 } else { 10 };
        let body = json!({"q": q, "group_by": [field], "metrics": [metric], "limit": limit});
        self.question(name, "/api/v1/aggregate", body, check)
    }
}

impl Check {
    fn hold(&self, answer: &Value) -> anyhow::Result<()> {
        let rows = || answer["rows"].as_array().context("no rows");
        match self {
            Self::Records(count) => {
                let found = answer["records"].as_array().context("no records")?.len();
                ensure!(found == *count, "{found} records, not {count}");
            }
            Self::Count(count) => {
                let found = &rows()?.first().context("no row")?["metrics"]["count"];
                ensure!(found.as_u64() == Some(*count), "{found}, not {count}");
            }
            Self::Ranking(ranking) => {
                let found: Vec<(String, u64)> =
                    rows()?.iter().map(group_and_count).collect::<Option<_>>().context("rows")?;
                ensure!(found == *ranking, "{found:?}, not {ranking:?}");
            }
            Self::Total(total) => {
                let buckets = answer["buckets"].as_array().context("no buckets")?;
                let found: u64 = buckets.iter().filter_map(|bucket| bucket["count"].as_u64()).sum();
                ensure!(found == *total, "{found}, not {total}");
            }
            Self::Percentiles(truth, slack) => {
                let rows = rows()?;
                ensure!(rows.len() == truth.len(), "{} services, not {}", rows.len(), truth.len());
                for row in rows {
                    let (service, found) = (first(&row["group"]).as_str(), first(&row["metrics"]).as_f64());
                    let (Some(service), Some(found)) = (service, found) else { anyhow::bail!("a row {row}") };
                    let exact = truth.get(service).with_context(|| format!("no service {service}"))?;
                    ensure!((found - exact).abs() <= exact * slack, "{service}: {found}, not {exact}");
                }
            }
        }
        Ok(())
    }
}

fn first(object: &Value) -> &Value {
    object.as_object().and_then(|members| members.values().next()).unwrap_or(&Value::Null)
}

fn group_and_count(row: &Value) -> Option<(String, u64)> {
    Some((first(&row["group"]).as_str()?.to_owned(), row["metrics"]["count"].as_u64()?))
}
