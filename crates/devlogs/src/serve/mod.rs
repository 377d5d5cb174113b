//! `devlogs serve`: opens what is durable, starts the roles, and stops them in the order in which records flow.
//!
//! - [`roles`]: what may run where;
//! - [`first_start`]: the first keys;
//! - [`parts`]: queue, store and metadata, open; [`backends`]: each of them from the settings; [`late_keys`]: what a
//!   collector alone has of the store;
//! - [`listeners`]: the ports and what answers on them;
//! - [`tls`]: whether they speak TLS, and with which certificates;
//! - [`greeting`]: what is said when all is ready.

mod backends;
mod first_start;
mod greeting;
mod late_keys;
mod listeners;
pub mod parts;
mod roles;
mod tls;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use metadata::{Metadata, NewKey, Scope};
use pipeline::Processor;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use transform::Transforms;

use crate::cli::{Role, Serve};
use crate::config::Settings;
use crate::{demo, telemetry};
use listeners::Listeners;
pub use listeners::api_of_stopped;
use parts::Parts;
pub use roles::Refused;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// What kept it from starting, or from stopping cleanly.
pub async fn run(args: Serve) -> anyhow::Result<ExitCode> {
    let (settings, warnings) = args.settings.load()?;
    roles::check(&args.roles, args.dev, &settings)?;
    tls::check(&args, &settings)?;
    telemetry::start(&settings.log)?;
    for warning in warnings {
        tracing::warn!(warning, "configuration");
    }
    let mut stop = Signals::new()?;

    let parts = tokio::select! {
        parts = Parts::open(&settings, &args.roles) => parts?,
        () = stop.received() => return Ok(ExitCode::SUCCESS),
    };
    let secrets_file = match args.dev {
        true => None,
        false => first_start::secrets(&parts.metadata, &settings.data_dir, args.print_secrets).await?,
    };
    let transforms = Arc::new(Transforms::default());
    let listeners = Listeners::bind(&settings, &args.roles).await?;
    let addresses = listeners.addresses(tls::scheme(&settings))?;
    tls::warn_of_unknown_projects(&settings, &parts.metadata).await;
    let stop_processor = CancellationToken::new();
    let processor = match args.roles.contains(&Role::Processor) {
        true => Some(start_processor(&parts, &settings, transforms.clone(), stop_processor.clone())?),
        false => None,
    };
    let serving = listeners.serve(&parts, &settings, args.dev, transforms)?;
    greeting::say(&addresses, secrets_file.as_deref(), args.dev)?;

    let stop_demo = CancellationToken::new();
    let demo = match addresses.get("collector").filter(|_| args.demo) {
        Some(collector) => Some(start_demo(&parts, collector, args.dev, stop_demo.clone()).await?),
        None => None,
    };

    stop.received().await;
    tracing::info!("stopping: taking no more requests, finishing those under way");
    stop_demo.cancel();
    serving.stop().await;
    stop_processor.cancel();
    if let Some(processor) = processor {
        processor.await.context("the processor failed")?;
    }
    if let Some(demo) = demo {
        demo.finish(&parts.metadata).await;
    }
    parts.close().await?;
    Ok(ExitCode::SUCCESS)
}

fn start_processor(
    parts: &Parts,
    settings: &Settings,
    transforms: Arc<Transforms>,
    stop: CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let context = pipeline::Context {
        config: Arc::new(pipeline::Config {
            batch_rows_max: settings.processor.batch_rows,
            batch_bytes_max: settings.processor.batch_size.bytes(),
            limits: settings.collector.limits(),
            ..pipeline::Config::default()
        }),
        queue: parts.queue.clone(),
        store: parts.store()?,
        dead_letters: Arc::new(parts.metadata.clone()),
        transforms: watch::Sender::new(transforms).subscribe(),
        pace: parts.pace.clone(),
        metrics: parts.pipeline_metrics.clone(),
    };
    Ok(tokio::spawn(Processor::new(context).run(stop)))
}

/// The simulated applications and the key that was made for them.
struct Demo {
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    key_id: Option<String>,
}

async fn start_demo(parts: &Parts, collector: &str, dev: bool, stop: CancellationToken) -> anyhow::Result<Demo> {
    let (key_id, key) = if dev {
        (None, None)
    } else {
        let key = NewKey {
            name: "demo".to_owned(),
            project: metadata::DEFAULT_PROJECT.to_owned(),
            scopes: std::iter::once(Scope::Ingest).collect(),
            expires_at: None,
        };
        let (info, key) = parts.metadata.create_key(&key).await.context("no key for the demo")?;
        (Some(info.id), Some(key))
    };
    let status = parts.store()?.status().await.context("the store does not tell its size")?;
    let target = demo::Target { collector: collector.to_owned(), key };
    Ok(Demo { task: tokio::spawn(demo::run(target, status.rows == 0, stop)), key_id })
}

impl Demo {
    async fn finish(self, metadata: &Metadata) {
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the demo ended early"),
            Err(error) => tracing::error!(%error, "the demo failed"),
        }
        if let Some(id) = self.key_id
            && let Err(error) = metadata.revoke_key(&id).await
        {
            tracing::warn!(%error, "the demo's key is not revoked");
        }
    }
}

/// What tells the process to stop.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("can't listen to signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
