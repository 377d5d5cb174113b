/** What to paste to send the first record: each snippet is complete and uses standard libraries only. */

export interface Snippet {
  id: string;
  title: string;
  /** What to run first, where the snippet is a file. */
  install: string | undefined;
  file: string | undefined;
  code: string;
}

export interface SnippetInput {
  /** The collector's address without a slash at its end: `http://127.0.0.1:4318`. */
  address: string;
  /** Undefined where no key is needed. */
  key: string | undefined;
}

export function snippets(input: SnippetInput): Snippet[] {
  return [curl(input), node(input), python(input), rust(input)];
}

function curl({ address, key }: SnippetInput): Snippet {
  const header = key === undefined ? '' : `\n  -H ${shellQuote(`Authorization: Bearer ${key}`)} \\`;
  return {
    id: 'curl',
    title: 'curl',
    install: undefined,
    file: undefined,
    code: `curl -sS ${shellQuote(`${address}/v1/ingest`)} \\${header}
  -H 'Content-Type: application/json' \\
  -d '{"service": "hello", "level": "info", "message": "my first record", "answer": 42}'`,
  };
}

function shellQuote(text: string): string {
  return `'${text.replace(/'/g, `'\\''`)}'`;
}

function node({ address, key }: SnippetInput): Snippet {
  const headers =
    key === undefined ? '' : `\n      headers: { Authorization: ${jsString(`Bearer ${key}`)} },`;
  return {
    id: 'node',
    title: 'Node.js',
    install:
      'npm install @opentelemetry/api-logs @opentelemetry/sdk-logs @opentelemetry/exporter-logs-otlp-http @opentelemetry/resources',
    file: 'hello.mjs',
    code: `import { SeverityNumber } from '@opentelemetry/api-logs';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';

const provider = new LoggerProvider({
  resource: resourceFromAttributes({ 'service.name': 'hello-node' }),
  processors: [
    new BatchLogRecordProcessor(new OTLPLogExporter({
      url: ${jsString(`${address}/v1/logs`)},${headers}
    })),
  ],
});

provider.getLogger('hello').emit({
  severityNumber: SeverityNumber.INFO,
  severityText: 'INFO',
  body: 'hello from Node.js',
  attributes: { answer: 42 },
});
await provider.shutdown();`,
  };
}

function jsString(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}

function python({ address, key }: SnippetInput): Snippet {
  const headers = key === undefined ? '' : `, headers={"Authorization": ${JSON.stringify(`Bearer ${key}`)}}`;
  return {
    id: 'python',
    title: 'Python',
    install: 'pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http',
    file: 'hello.py',
    code: `import logging

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

provider = LoggerProvider(resource=Resource.create({"service.name": "hello-python"}))
exporter = OTLPLogExporter(endpoint=${JSON.stringify(`${address}/v1/logs`)}${headers})
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
logging.basicConfig(level=logging.INFO, handlers=[LoggingHandler(logger_provider=provider)])

logging.info("hello from Python", extra={"answer": 42})
provider.shutdown()`,
  };
}

function rust({ address, key }: SnippetInput): Snippet {
  const headers =
    key === undefined
      ? ''
      : `\n        .with_headers([("authorization".into(), ${JSON.stringify(`Bearer ${key}`)}.into())].into())`;
  const traits = key === undefined ? 'WithExportConfig' : 'WithExportConfig, WithHttpConfig';
  return {
    id: 'rust',
    title: 'Rust',
    install: `cargo add tracing opentelemetry-appender-tracing
cargo add tracing-subscriber --features registry
cargo add opentelemetry_sdk --features logs
cargo add opentelemetry-otlp --no-default-features --features logs,http-proto,reqwest-blocking-client`,
    file: 'src/main.rs',
    code: `use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, ${traits}};
use opentelemetry_sdk::{logs::SdkLoggerProvider, Resource};
use tracing_subscriber::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let exporter = LogExporter::builder()
        .with_http()
        .with_endpoint(${JSON.stringify(`${address}/v1/logs`)})${headers}
        .build()?;
    let provider = SdkLoggerProvider::builder()
        .with_resource(Resource::builder().with_service_name("hello-rust").build())
        .with_batch_exporter(exporter)
        .build();
    tracing_subscriber::registry().with(OpenTelemetryTracingBridge::new(&provider)).init();

    tracing::info!(answer = 42, "hello from Rust");
    provider.shutdown()?;
    Ok(())
}`,
  };
}
