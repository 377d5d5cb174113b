//! What is said when all is ready: one line of JSON for programs on standard output, a few friendly ones for people on
//! standard error.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::listeners::Addresses;

/// # Errors
/// Standard output is closed.
pub fn say(addresses: &Addresses, secrets_file: Option<&Path>, dev: bool) -> anyhow::Result<()> {
    let mut ready = json!(addresses);
    ready["ready"] = json!(true);
    if let Some(file) = secrets_file {
        ready["secrets_file"] = json!(file);
    }
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    drop(stdout);

    anstream::eprintln!("\n  Instant Dev Logs is ready.\n");
    let line = |title: &str, text: &str| anstream::eprintln!("  {title:<11} {text}");
    if let Some(api) = addresses.get("api") {
        line("Dashboard", api);
    }
    if let (Some(collector), Some(grpc)) = (addresses.get("collector"), addresses.get("grpc")) {
        line("Send logs", &format!("{collector}  (OTLP/HTTP and JSON), {grpc}  (OTLP/gRPC)"));
    }
    if let Some(ops) = addresses.get("ops") {
        line("Metrics", &format!("{ops}/metrics"));
    }
    if let Some(file) = secrets_file {
        line("Keys", &format!("{}  (this file is the only copy)", file.display()));
    }
    if let Some(collector) = addresses.get("collector") {
        let key = if dev { "" } else { " -H 'x-api-key: KEY'" };
        let body = r#"{"service":"hello","level":"info","message":"it works"}"#;
        anstream::eprintln!(
            "\n  Try it:\n  curl {collector}/v1/ingest{key} -H 'content-type: application/json' -d '{body}'\n"
        );
    }
    Ok(())
}
