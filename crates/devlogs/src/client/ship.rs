//! Lines to records, and batches of them to the collector, again and again until it has them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::bail;
use bytes::Bytes;
use reqwest::{Method, header};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Connection;
use super::http::{Problem, Rejected};

/// Rejected records of a batch that are told one by one.
const TOLD_MAX: usize = 10;

const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// An object's members, their values as they were written.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// What every record of a source gets.
#[derive(Debug, Clone, Default)]
pub(super) struct Tags {
    pub(super) service: Option<String>,
    /// Names and JSON values; what the record has of its own wins.
    pub(super) attributes: Vec<(&'static str, Value)>,
    /// Nanoseconds since the Unix epoch, for messages; JSON records bring their own time.
    pub(super) timestamp: Option<i64>,
}

/// Appends a line to a body as a record and a line break: a JSON object as it stands, with what it lacks, anything else
/// as a message. A blank line is no record; says whether there was one.
pub(super) fn push_line(body: &mut Vec<u8>, line: &[u8], tags: &Tags) -> bool {
    let line = line.trim_ascii_end();
    if line.is_empty() {
        return false;
    }
    let object = std::str::from_utf8(line)
        .ok()
        .map(str::trim_ascii_start)
        .filter(|text| text.starts_with('{'))
        .and_then(|text| Some((text, serde_json::from_str::<Members<'_>>(text).ok()?)))
        .filter(|(_, members)| !members.is_empty());
    body.push(b'{');
    match object {
        Some((text, members)) => {
            let has_service = ["service", "service.name", "app"].iter().any(|name| members.contains_key(*name));
            push_tags(body, tags, !has_service);
            body.extend_from_slice(&text.as_bytes()[1..]);
        }
        None => {
            push_tags(body, tags, true);
            if let Some(time) = tags.timestamp {
                push_member(body, "timestamp", &time.into());
                body.push(b',');
            }
            push_member(body, "message", &String::from_utf8_lossy(line).into());
            body.push(b'}');
        }
    }
    body.push(b'\n');
    true
}

fn push_tags(body: &mut Vec<u8>, tags: &Tags, with_service: bool) {
    if let (Some(service), true) = (&tags.service, with_service) {
        push_member(body, "service", &service.as_str().into());
        body.push(b',');
    }
    for (name, value) in &tags.attributes {
        push_member(body, name, value);
        body.push(b',');
    }
}

fn push_member(body: &mut Vec<u8>, name: &str, value: &Value) {
    body.extend_from_slice(Value::from(name).to_string().as_bytes());
    body.push(b':');
    body.extend_from_slice(value.to_string().as_bytes());
}

/// Nanoseconds since the Unix epoch.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}

/// Sends batches until the collector has them.
#[derive(Debug, Clone)]
pub(super) struct Shipper {
    connection: Connection,
    source: String,
}

#[derive(Debug, Deserialize)]
struct Accepted {
    accepted: u64,
    #[serde(default)]
    rejected: u64,
    #[serde(default)]
    errors: Vec<Rejected>,
}

impl Shipper {
    /// `source` names what is shipped, in messages.
    pub(super) fn new(connection: Connection, source: String) -> Self {
        Self { connection, source }
    }

    /// Sends a batch under an idempotency key; returns how many records were accepted. While the server is away or
    /// busy it is tried again, without end.
    ///
    /// # Errors
    /// An answer that trying again won't change: a refused key, a body that no server takes.
    pub(super) async fn ship(&self, body: Vec<u8>, idempotency_key: &str) -> anyhow::Result<u64> {
        let body = Bytes::from(body);
        let mut pause = PAUSE_MIN;
        let mut is_told = false;
        loop {
            let (why, asked) = match self.post(body.clone(), idempotency_key).await {
                Ok(accepted) => {
                    self.tell_rejected(accepted.rejected, &accepted.errors);
                    if is_told {
                        anstream::eprintln!("{}: {} takes records again", self.source, self.connection.url());
                    }
                    return Ok(accepted.accepted);
                }
                Err(error) => match error.downcast::<Problem>() {
                    Ok(problem) if problem.status == 400 && problem.rejected > 0 => {
                        self.tell_rejected(problem.rejected, &problem.errors);
                        return Ok(0);
                    }
                    Ok(problem) if matches!(problem.status, 408 | 429 | 500..) => {
                        (problem.to_string(), problem.retry_after)
                    }
                    Ok(problem) => bail!(problem),
                    Err(error) => (format!("{error:#}"), None),
                },
            };
            if !is_told {
                anstream::eprintln!("{}: {why}; trying again until it works", self.source);
                is_told = true;
            }
            tokio::time::sleep(asked.unwrap_or_else(|| jittered(pause))).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn post(&self, body: Bytes, idempotency_key: &str) -> anyhow::Result<Accepted> {
        let request = self
            .connection
            .request(Method::POST, "/v1/ingest")
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header("Idempotency-Key", idempotency_key)
            .body(body);
        self.connection.json(request).await
    }

    fn tell_rejected(&self, rejected: u64, errors: &[Rejected]) {
        for error in errors.iter().take(TOLD_MAX) {
            anstream::eprintln!("{}: record {} of its batch was rejected: {}", self.source, error.index, error.reason);
        }
        let untold = rejected.saturating_sub(errors.len().min(TOLD_MAX) as u64);
        if untold > 0 {
            anstream::eprintln!("{}: {untold} more records were rejected", self.source);
        }
    }
}

/// Between half of the pause and all of it, so that many clients don't come back at once.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    let share = if getrandom::fill(&mut byte).is_ok() { byte[0] } else { u8::MAX };
    pause / 2 + pause / 2 * u32::from(share) / 255
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pushed(line: &[u8], tags: &Tags) -> Value {
        let mut body = Vec::new();
        assert!(push_line(&mut body, line, tags));
        assert_eq!(body.iter().filter(|&&byte| byte == b'\n').count(), 1);
        serde_json::from_slice(&body).unwrap()
    }

    fn tags() -> Tags {
        let attributes = vec![("log.iostream", json!("stdout"))];
        Tags { service: Some("shop".to_owned()), attributes, timestamp: Some(7) }
    }

    #[test]
    fn a_message_gets_all_tags() {
        let expected = json!({"service": "shop", "log.iostream": "stdout", "timestamp": 7, "message": "say \"hi\""});
        assert_eq!(pushed(b"say \"hi\"\r\n", &tags()), expected);
        assert_eq!(pushed(b"\xff{", &Tags::default()), json!({"message": "\u{fffd}{"}));
    }

    #[test]
    fn an_object_keeps_what_it_has() {
        let mut body = Vec::new();
        push_line(&mut body, br#" {"n":12345678901234567890123,"app":"x"}"#, &tags());
        assert_eq!(
            std::str::from_utf8(&body),
            Ok("{\"log.iostream\":\"stdout\",\"n\":12345678901234567890123,\"app\":\"x\"}\n")
        );
        assert_eq!(pushed(br#"{"msg":"x"}"#, &tags())["service"], "shop");
    }

    #[test]
    fn what_is_no_object_is_a_message() {
        for line in [r#"{"a":1"#, "[1]", "{}", r#"{"a":1}{"b":2}"#] {
            assert_eq!(pushed(line.as_bytes(), &Tags::default()), json!({"message": line}));
        }
    }

    #[test]
    fn blank_lines_are_none() {
        let mut body = Vec::new();
        assert!(!push_line(&mut body, b" \t\r\n", &tags()));
        assert_eq!(body, b"");
    }
}
