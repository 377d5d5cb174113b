//! Who logs what: the lines of a web shop's services, in the words of their kind.

use std::fmt::Write;

use fastrand::Rng;

/// One record before it is written.
#[derive(Debug, Default)]
pub struct Line {
    pub service: &'static str,
    pub level: &'static str,
    pub host: u8,
    pub message: String,
    /// 32 hexadecimal digits, or empty.
    pub trace: String,
    pub http: Option<Http>,
    pub logger: Option<&'static str>,
    pub user: Option<u32>,
}

#[derive(Debug)]
pub struct Http {
    pub method: &'static str,
    pub path: String,
    pub status: u16,
    /// Tenths of a millisecond.
    pub duration: u32,
}

impl Line {
    /// Appends the record as a line of JSON; `micros` since midnight.
    pub fn write(&self, micros: i64, out: &mut String) {
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let _ = write!(
            out,
            "{{\"ts\":\"2026-01-15T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z\",\"service\":\"{}\",\"level\":\"{}\",\
             \"host\":\"{}-{:02}\",\"message\":\"",
            self.service, self.level, self.service, self.host
        );
        escape(&self.message, out);
        out.push('"');
        if !self.trace.is_empty() {
            let _ = write!(out, ",\"trace_id\":\"{}\"", self.trace);
        }
        if let Some(logger) = self.logger {
            let _ = write!(out, ",\"logger\":\"{logger}\"");
        }
        if let Some(http) = &self.http {
            let _ = write!(
                out,
                ",\"http.method\":\"{}\",\"http.path\":\"{}\",\"http.status_code\":{},\"duration_ms\":{}.{}",
                http.method,
                http.path,
                http.status,
                http.duration / 10,
                http.duration % 10
            );
        }
        if let Some(user) = self.user {
            let _ = write!(out, ",\"user_id\":\"u{user:05}\"");
        }
        out.push_str("}\n");
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
}

/// Service, hosts, share of the records, kind of lines.
const SERVICES: [(&str, u8, u32, Kind); 12] = [
    ("edge", 6, 240, Kind::Access),
    ("storefront", 8, 180, Kind::Access),
    ("checkout", 5, 110, Kind::Payment),
    ("catalog", 4, 95, Kind::Query),
    ("auth", 3, 90, Kind::Auth),
    ("search", 4, 70, Kind::Query),
    ("inventory", 3, 60, Kind::Query),
    ("payments", 3, 50, Kind::Payment),
    ("mailer", 2, 40, Kind::Job),
    ("recommender", 2, 30, Kind::Job),
    ("scheduler", 1, 20, Kind::Job),
    ("billing", 2, 15, Kind::Trace),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Access,
    Payment,
    Query,
    Auth,
    Job,
    Trace,
}

/// Recent traces are used again, so that a trace has some records over several services.
const TRACES: usize = 256;

#[derive(Debug)]
pub struct Services {
    traces: Vec<String>,
    paths: Vec<String>,
    weight: u32,
}

const AREAS: [&str; 8] = ["products", "cart", "orders", "users", "search", "reviews", "images", "checkout"];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "curl/8.16.0",
];

impl Services {
    pub fn new(random: &mut Rng) -> Self {
        let traces = (0..TRACES).map(|_| trace(random)).collect();
        let paths = (0..1_200).map(|n| format!("/api/{}/{}", AREAS[n % AREAS.len()], random.u32(1..40_000))).collect();
        Self { traces, paths, weight: SERVICES.iter().map(|service| service.2).sum() }
    }

    /// The next record, written over `line`.
    pub fn next(&mut self, random: &mut Rng, line: &mut Line) {
        let mut at = random.u32(0..self.weight);
        let (service, hosts, _, kind) = SERVICES
            .into_iter()
            .find(|service| {
                let found = at < service.2;
                at = at.saturating_sub(service.2);
                found
            })
            .unwrap_or(SERVICES[0]);
        line.message.clear();
        line.trace.clear();
        line.service = service;
        line.host = random.u8(1..=hosts);
        line.http = None;
        line.logger = None;
        line.user = (random.u8(..) < 150).then(|| random.u32(0..50_000).min(random.u32(0..50_000)));
        if random.u8(..) < 166 {
            let slot = random.usize(..TRACES);
            line.trace.push_str(&self.traces[slot]);
            if random.u8(..) < 32 {
                self.traces[slot] = trace(random);
            }
        }
        match kind {
            Kind::Access => self.access(random, line),
            Kind::Payment => payment(random, line),
            Kind::Query => query(random, line),
            Kind::Auth => auth(random, line),
            Kind::Job => job(random, line),
            Kind::Trace => stack_trace(random, line),
        }
    }

    fn access(&self, random: &mut Rng, line: &mut Line) {
        let method = ["GET", "GET", "GET", "GET", "POST", "PUT", "DELETE"][random.usize(..7)];
        let path = &self.paths[random.usize(..self.paths.len()).min(random.usize(..self.paths.len()))];
        let status = match random.u32(0..1000) {
            0..6 => 500,
            6..12 => 503,
            12..15 => 502,
            15..60 => 404,
            60..85 => 401,
            85..200 => 304,
            _ => 200,
        };
        let mut spread = 4;
        while spread < 17 && random.u8(..) < 115 {
            spread += 1;
        }
        let duration = (1 << spread) + random.u32(0..1 << spread);
        line.level = if status >= 500 {
            "error"
        } else if status >= 400 {
            "warn"
        } else {
            "info"
        };
        let _ = write!(
            line.message,
            "{}.{}.{}.{} - - \"{method} {path} HTTP/2.0\" {status} {} \"-\" \"{}\" rt={}.{:04}",
            [10, 81, 93, 172][random.usize(..4)],
            random.u8(..),
            random.u8(..),
            random.u8(1..),
            random.u32(120..90_000),
            AGENTS[random.usize(..AGENTS.len())],
            duration / 10_000,
            duration % 10_000,
        );
        line.http = Some(Http { method, path: path.clone(), status, duration });
    }
}

fn trace(random: &mut Rng) -> String {
    format!("{:032x}", random.u128(1..))
}

fn payment(random: &mut Rng, line: &mut Line) {
    line.logger = Some("shop.payments.gateway");
    line.level = "info";
    let (order, millis) = (random.u32(100_000..9_999_999), random.u32(20..400));
    let what = ["order", "invoice"][random.usize(..2)];
    match random.u8(..100) {
        0..4 => {
            line.level = "warn";
            let _ = write!(line.message, "card declined for {what} {order} after {millis}ms: insufficient_funds");
        }
        4..6 => {
            line.level = "error";
            let _ =
                write!(line.message, "gateway timeout for {what} {order}: no answer from acquirer after {millis}0ms");
        }
        6..50 => {
            let _ = write!(
                line.message,
                "authorized {what} {order} amount={}.{:02} currency=EUR in {millis}ms",
                random.u32(3..900),
                random.u8(..100)
            );
        }
        _ => {
            let _ = write!(
                line.message,
                "{{\"event\":\"capture\",\"{what}\":{order},\"attempt\":{},\"took_ms\":{millis}}}",
                random.u8(1..4)
            );
        }
    }
}

fn query(random: &mut Rng, line: &mut Line) {
    line.logger = Some("db.pool");
    line.level = "debug";
    let (rows, micros) = (random.u32(0..500), random.u32(80..90_000));
    match random.u8(..100) {
        0..3 => {
            line.level = "warn";
            let _ = write!(
                line.message,
                "slow query: SELECT * FROM items WHERE sku = ? took {}ms, {rows} rows",
                micros / 10
            );
        }
        3..60 => {
            let _ = write!(
                line.message,
                "SELECT id, name, price FROM items WHERE id IN (?, ?, ?) -> {rows} rows in {micros}us"
            );
        }
        _ => {
            let _ = write!(
                line.message,
                "cache {} key=item:{} ttl={}s",
                ["hit", "hit", "miss"][random.usize(..3)],
                random.u32(1..200_000),
                random.u32(1..600)
            );
        }
    }
}

fn auth(random: &mut Rng, line: &mut Line) {
    line.logger = Some("auth.session");
    line.level = "info";
    let user = random.u32(0..50_000);
    match random.u8(..100) {
        0..30 => {
            line.level = "warn";
            let _ = write!(line.message, "session expired for user u{user:05}, token {:016x}", random.u64(..));
        }
        30..31 => {
            line.level = "warn";
            let _ = write!(line.message, "presession expired_at missing for user u{user:05}");
        }
        31..40 => {
            line.level = "warn";
            let _ = write!(
                line.message,
                "Failed password for u{user:05} from 10.{}.{}.{} port {} ssh2",
                random.u8(..),
                random.u8(..),
                random.u8(..),
                random.u16(1024..)
            );
        }
        _ => {
            let _ = write!(
                line.message,
                "signed in u{user:05} by {} from device {:08x}",
                ["password", "passkey", "oauth"][random.usize(..3)],
                random.u32(..)
            );
        }
    }
}

fn job(random: &mut Rng, line: &mut Line) {
    line.logger = Some("worker");
    line.level = "info";
    let id = random.u64(..);
    match random.u8(..100) {
        0..5 => {
            line.level = "error";
            let _ = write!(
                line.message,
                "job {id:016x} failed: connection reset by peer (attempt {} of 5)",
                random.u8(1..6)
            );
        }
        5..50 => {
            let _ = write!(
                line.message,
                "job {id:016x} finished in {}ms, {} items",
                random.u32(2..9_000),
                random.u32(0..300)
            );
        }
        _ => {
            let _ = write!(
                line.message,
                "job {id:016x} queued on {} at depth {}",
                ["mail", "thumbs", "reindex"][random.usize(..3)],
                random.u32(0..4_000)
            );
        }
    }
}

fn stack_trace(random: &mut Rng, line: &mut Line) {
    line.logger = Some("com.shop.billing.InvoiceService");
    if random.u8(..100) < 70 {
        line.level = "info";
        let _ =
            write!(line.message, "Invoice {} rendered for tenant {}", random.u32(1_000..900_000), random.u32(1..400));
        return;
    }
    line.level = "error";
    let _ = write!(line.message, "java.lang.IllegalStateException: invoice {} is locked", random.u32(1_000..900_000));
    for frame in 0..random.usize(4..14) {
        let _ = write!(
            line.message,
            "\n\tat com.shop.billing.{}.step{frame}({}.java:{})",
            ["InvoiceService", "LedgerRepository", "TaxRules"][frame % 3],
            ["InvoiceService", "LedgerRepository", "TaxRules"][frame % 3],
            random.u32(20..900)
        );
    }
}
