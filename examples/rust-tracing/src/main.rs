//! A small web application that logs with `tracing` and ships its logs with the OpenTelemetry SDK over OTLP/gRPC.
//!
//! Where to is OpenTelemetry's own setting, `OTEL_EXPORTER_OTLP_ENDPOINT` (default `http://127.0.0.1:4317`), a key goes
//! into `OTEL_EXPORTER_OTLP_HEADERS` (`x-api-key=…`). `PORT` is where the application listens.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::LogExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use serde_json::{Value, json};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "the application has no other configuration than its port")]
async fn main() -> anyhow::Result<()> {
    let exporter = LogExporter::builder().with_tonic().build()?;
    let provider = SdkLoggerProvider::builder()
        .with_resource(Resource::builder().with_service_name("inventory").build())
        .with_batch_exporter(exporter)
        .build();
    // Only the application's own lines: the exporter's HTTP client logs too, and would feed itself.
    let own = Targets::new().with_target("example_rust_tracing", LevelFilter::DEBUG);
    tracing_subscriber::registry()
        .with(OpenTelemetryTracingBridge::new(&provider).with_filter(own))
        .with(tracing_subscriber::fmt::layer().with_filter(LevelFilter::INFO))
        .init();

    let port = std::env::var("PORT").unwrap_or_else(|_| "3003".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    tracing::info!(address = %listener.local_addr()?, "inventory listens");
    let app = Router::new().route("/items/{id}", get(item)).route("/items/{id}/reserve", post(reserve));
    axum::serve(listener, app).with_graceful_shutdown(shutdown()).await?;

    // Sends what still waits.
    provider.shutdown()?;
    Ok(())
}

async fn item(Path(id): Path<u32>) -> Result<Json<Value>, StatusCode> {
    if id > 1_000 {
        tracing::warn!(item.id = id, http.status_code = 404, "no such item");
        return Err(StatusCode::NOT_FOUND);
    }
    tracing::info!(item.id = id, http.status_code = 200, "item served");
    Ok(Json(json!({ "id": id, "in_stock": id % 7 })))
}

async fn reserve(Path(id): Path<u32>) -> Result<StatusCode, StatusCode> {
    if id.is_multiple_of(7) {
        tracing::error!(item.id = id, http.status_code = 409, "reservation failed: out of stock");
        return Err(StatusCode::CONFLICT);
    }
    tracing::info!(item.id = id, quantity = 1, "reserved");
    Ok(StatusCode::CREATED)
}

async fn shutdown() {
    // Without the signal the application simply runs on.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
