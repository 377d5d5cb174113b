//! Every metric of this crate: declared here, recorded by a function for each fact.
//!
//! Names: `devlogs_` (the registry's prefix), a noun, the unit (`seconds`, `bytes`) and `_total` for counters, which
//! the text format appends. Labels have few values, never what a client can choose.

use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Which decoder a request went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    Ingest,
    OtlpHttp,
    OtlpGrpc,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Ingest => "ingest",
            Protocol::OtlpHttp => "otlp_http",
            Protocol::OtlpGrpc => "otlp_grpc",
        }
    }
}

/// How a TLS handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Handshake {
    Done,
    /// Also where the client did not like our certificate, or we did not like its.
    Failed,
    TimedOut,
    /// Too many were under way; the oldest made room.
    Displaced,
}

impl Handshake {
    fn as_str(self) -> &'static str {
        match self {
            Handshake::Done => "done",
            Handshake::Failed => "failed",
            Handshake::TimedOut => "timed_out",
            Handshake::Displaced => "displaced",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ByOutcome(&'static str);

impl EncodeLabelSet for ByOutcome {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        label(encoder, "outcome", self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ByProtocol(Protocol);

impl EncodeLabelSet for ByProtocol {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        label(encoder, "protocol", self.0.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ByStatus(Protocol, u16);

impl EncodeLabelSet for ByStatus {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        label(encoder, "protocol", self.0.as_str())?;
        let mut status = String::new();
        write!(status, "{}", self.1)?;
        label(encoder, "status", &status)
    }
}

fn label(encoder: &mut LabelSetEncoder<'_>, name: &str, value: &str) -> Result<(), std::fmt::Error> {
    EncodeLabelSet::encode(&[(name, value)], encoder)
}

/// The collector's and the listeners' metrics.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<ByStatus, Counter>,
    request_seconds: Family<ByProtocol, Histogram, fn() -> Histogram>,
    received_bytes: Family<ByProtocol, Counter>,
    decoded_bytes: Family<ByProtocol, Counter>,
    accepted: Family<ByProtocol, Counter>,
    rejected: Family<ByProtocol, Counter>,
    repeated: Counter,
    paced: Counter,
    unconfirmed_keys: Counter,
    in_flight_bytes: Gauge,
    connections: Gauge,
    refused_connections: Counter,
    handshakes: Family<ByOutcome, Counter>,
    tls_reloads: Family<ByOutcome, Counter>,
    certificate_expiry: Gauge,
    crl_next_update: Gauge,
}

fn request_buckets() -> Histogram {
    // 0.5 ms to 16 s.
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

impl Metrics {
    /// Declares the metrics in a registry whose prefix is `devlogs`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(request_buckets),
            received_bytes: Family::default(),
            decoded_bytes: Family::default(),
            accepted: Family::default(),
            rejected: Family::default(),
            repeated: Counter::default(),
            paced: Counter::default(),
            unconfirmed_keys: Counter::default(),
            in_flight_bytes: Gauge::default(),
            connections: Gauge::default(),
            refused_connections: Counter::default(),
            handshakes: Family::default(),
            tls_reloads: Family::default(),
            certificate_expiry: Gauge::default(),
            crl_next_update: Gauge::default(),
        };
        registry.register("collector_requests", "Requests answered, by protocol and status", metrics.requests.clone());
        registry.register(
            "collector_request_seconds",
            "From a request's head to its answer, which waits for durability",
            metrics.request_seconds.clone(),
        );
        registry.register("collector_received_bytes", "Bodies as sent", metrics.received_bytes.clone());
        registry.register("collector_decoded_bytes", "Bodies after decompression", metrics.decoded_bytes.clone());
        registry.register("collector_accepted_records", "Records made durable", metrics.accepted.clone());
        registry.register("collector_rejected_records", "Records named in an answer", metrics.rejected.clone());
        registry.register(
            "collector_repeated_requests",
            "Requests whose idempotency key was known, and which were answered without storing",
            metrics.repeated.clone(),
        );
        registry.register(
            "collector_paced_requests",
            "Requests that waited until the processor of this process had stored more",
            metrics.paced.clone(),
        );
        registry.register(
            "collector_unconfirmed_keys",
            "Requests taken with a key that was good when it was last read, while the metadata did not answer",
            metrics.unconfirmed_keys.clone(),
        );
        registry.register(
            "collector_in_flight_bytes",
            "Memory reserved for requests that are not answered yet",
            metrics.in_flight_bytes.clone(),
        );
        registry.register("connections", "Open connections of all listeners", metrics.connections.clone());
        registry.register(
            "connections_refused",
            "Connections closed at once because the limit was reached",
            metrics.refused_connections.clone(),
        );
        metrics.register_tls(registry);
        metrics
    }

    fn register_tls(&self, registry: &mut Registry) {
        registry.register("tls_handshakes", "TLS handshakes ended, by outcome", self.handshakes.clone());
        registry.register("tls_reloads", "Changed TLS files, by whether they could be used", self.tls_reloads.clone());
        registry.register(
            "tls_certificate_expiry_timestamp_seconds",
            "When the listeners' certificate ends; 0 without TLS",
            self.certificate_expiry.clone(),
        );
        registry.register(
            "tls_crl_next_update_timestamp_seconds",
            "When the first revocation list should be replaced; 0 without lists",
            self.crl_next_update.clone(),
        );
    }

    /// A collector request was answered.
    pub fn answered(&self, protocol: Protocol, status: StatusCode, took: Duration) {
        self.requests.get_or_create(&ByStatus(protocol, status.as_u16())).inc();
        self.request_seconds.get_or_create(&ByProtocol(protocol)).observe(took.as_secs_f64());
    }

    /// A body arrived whole and was decompressed.
    pub fn body(&self, protocol: Protocol, sent_bytes: usize, decoded_bytes: usize) {
        self.received_bytes.get_or_create(&ByProtocol(protocol)).inc_by(sent_bytes as u64);
        self.decoded_bytes.get_or_create(&ByProtocol(protocol)).inc_by(decoded_bytes as u64);
    }

    /// The accepted records of a request are durable.
    pub fn records(&self, protocol: Protocol, accepted: u32, rejected: u32) {
        self.accepted.get_or_create(&ByProtocol(protocol)).inc_by(u64::from(accepted));
        self.rejected.get_or_create(&ByProtocol(protocol)).inc_by(u64::from(rejected));
    }

    /// A request's idempotency key was known, and nothing was stored.
    pub fn repeated(&self) {
        self.repeated.inc();
    }

    /// A request waited for the processor of this process.
    pub fn paced(&self) {
        self.paced.inc();
    }

    /// A key can't be checked now and was good lately.
    pub fn unconfirmed_key(&self) {
        self.unconfirmed_keys.inc();
    }

    /// Memory was reserved (positive) or given back (negative).
    pub fn in_flight(&self, bytes: i64) {
        self.in_flight_bytes.inc_by(bytes);
    }

    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    pub fn connection_refused(&self) {
        self.refused_connections.inc();
    }

    pub fn handshake(&self, outcome: Handshake) {
        self.handshakes.get_or_create(&ByOutcome(outcome.as_str())).inc();
    }

    /// TLS files changed, and could be used or not.
    pub fn tls_reloaded(&self, used: bool) {
        self.tls_reloads.get_or_create(&ByOutcome(if used { "ok" } else { "failed" })).inc();
    }

    /// Seconds since the Unix epoch.
    pub fn tls_expires(&self, certificate: i64, crl_next_update: Option<i64>) {
        self.certificate_expiry.set(certificate);
        self.crl_next_update.set(crl_next_update.unwrap_or_default());
    }
}
