//! What is said when all is ready: one line of JSON for programs on standard output, a few friendly ones for people on
//! standard error.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::listeners::Addresses;

/// # Errors
/// Standard output is closed.
pub fn say(addresses: &Addresses, secrets_file: Option<&Path>, dev: bool) -> anyhow::Result<()> {
    let Addresses { collector, grpc, api, ops } = addresses;
    let mut ready = json!({ "ready": true, "collector": collector, "grpc": grpc, "api": api, "ops": ops });
    if let Some(file) = secrets_file {
        ready["secrets_file"] = json!(file);
    }
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    drop(stdout);

    let key = if dev { "" } else { " -H 'x-api-key: KEY'" };
    anstream::eprintln!("\n  Instant Dev Logs is ready.\n");
    anstream::eprintln!("  Dashboard   {api}");
    anstream::eprintln!("  Send logs   {collector}  (OTLP/HTTP and JSON), {grpc}  (OTLP/gRPC)");
    anstream::eprintln!("  Metrics     {ops}/metrics");
    if let Some(file) = secrets_file {
        anstream::eprintln!("  Keys        {}  (this file is the only copy)", file.display());
    }
    anstream::eprintln!(
        "\n  Try it:\n  curl {collector}/v1/ingest{key} -d '{{\"service\":\"hello\",\"level\":\"info\",\"message\":\"it works\"}}'\n"
    );
    Ok(())
}
