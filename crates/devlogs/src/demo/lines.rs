//! How each simulated application writes its lines: three formats that the collector takes.

use serde_json::{Map, Value, json};

use super::shop::{App, Line};

/// The requests that carry the lines: path, content type, body.
pub(super) fn requests(lines: &[Line]) -> Vec<(&'static str, &'static str, String)> {
    let of = |app: App| lines.iter().filter(move |line| line.app == app);
    let mut requests = Vec::new();
    for (app, format) in [(App::ShopWeb, pino as fn(&Line) -> Value), (App::AuthApi, plain)] {
        let body: String = of(app).map(|line| format!("{}\n", format(line))).collect();
        if !body.is_empty() {
            requests.push(("/v1/ingest", "application/x-ndjson", body));
        }
    }
    if of(App::Payments).next().is_some() {
        requests.push(("/v1/logs", "application/json", otlp(of(App::Payments))));
    }
    requests
}

/// As the Node logger pino writes: numbers for levels, milliseconds for times.
fn pino(line: &Line) -> Value {
    let mut object = Map::new();
    object.insert("level".to_owned(), json!(pino_level(line.level)));
    object.insert("time".to_owned(), json!(line.time / 1_000_000));
    object.insert("hostname".to_owned(), json!(line.host));
    object.insert("service".to_owned(), json!(line.app.name()));
    object.insert("msg".to_owned(), json!(line.message));
    if line.trace != 0 {
        object.insert("trace_id".to_owned(), json!(format!("{:032x}", line.trace)));
        object.insert("span_id".to_owned(), json!(format!("{:016x}", line.span)));
    }
    object.extend(line.attributes.clone());
    Value::Object(object)
}

fn pino_level(level: &str) -> u8 {
    match level {
        "debug" => 20,
        "warn" => 40,
        "error" => 50,
        _ => 30,
    }
}

/// A plain text line with its level in front, as many services print it.
fn plain(line: &Line) -> Value {
    let mut object = json!({
        "@timestamp": model::time::format(line.time),
        "host": line.host,
        "app": line.app.name(),
        "message": format!("[{}] {}", line.level.to_uppercase(), line.message),
        "attributes": line.attributes,
    });
    if line.trace != 0 {
        object["traceId"] = json!(format!("{:032x}", line.trace));
    }
    object
}

/// OTLP/JSON, as an OpenTelemetry SDK sends it.
fn otlp<'a>(lines: impl Iterator<Item = &'a Line>) -> String {
    let records: Vec<Value> = lines
        .map(|line| {
            json!({
                "timeUnixNano": line.time.to_string(),
                "severityText": line.level.to_uppercase(),
                "severityNumber": severity_number(line.level),
                "body": { "stringValue": line.message },
                "traceId": if line.trace == 0 { String::new() } else { format!("{:032x}", line.trace) },
                "spanId": if line.trace == 0 { String::new() } else { format!("{:016x}", line.span) },
                "attributes": line.attributes.iter().map(|(key, value)| json!({ "key": key, "value": any(value) })).collect::<Vec<_>>(),
            })
        })
        .collect();
    let resource = json!([
        { "key": "service.name", "value": { "stringValue": App::Payments.name() } },
        { "key": "host.name", "value": { "stringValue": "payments-1" } },
        { "key": "deployment.environment", "value": { "stringValue": "production" } },
        { "key": "service.version", "value": { "stringValue": "2.14.1" } },
    ]);
    json!({ "resourceLogs": [{
        "resource": { "attributes": resource },
        "scopeLogs": [{ "scope": { "name": "payments.checkout" }, "logRecords": records }],
    }] })
    .to_string()
}

fn severity_number(level: &str) -> u8 {
    match level {
        "debug" => 5,
        "warn" => 13,
        "error" => 17,
        _ => 9,
    }
}

fn any(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => json!({ "intValue": number.to_string() }),
        Value::Number(number) => json!({ "doubleValue": number }),
        Value::Bool(flag) => json!({ "boolValue": flag }),
        Value::String(text) => json!({ "stringValue": text }),
        other => json!({ "stringValue": other.to_string() }),
    }
}
