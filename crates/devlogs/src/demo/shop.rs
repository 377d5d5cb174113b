//! What happens in the simulated shop: visitors, sign-ins, orders, and now and then an incident.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// One line of one application.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) app: App,
    /// Nanoseconds since the Unix epoch.
    pub(super) time: i64,
    pub(super) level: &'static str,
    pub(super) host: String,
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) message: String,
    pub(super) attributes: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum App {
    ShopWeb,
    AuthApi,
    Payments,
}

impl App {
    pub(super) fn name(self) -> &'static str {
        match self {
            App::ShopWeb => "shop-web",
            App::AuthApi => "auth-api",
            App::Payments => "payments",
        }
    }
}

const PAGES: [&str; 8] =
    ["/", "/search", "/product/{id}", "/product/{id}", "/product/{id}", "/cart", "/category/shoes", "/account"];
const USERS: [&str; 10] = ["amara", "bjorn", "chen", "dilnoza", "elif", "farid", "grace", "hiroshi", "imani", "jonas"];
const PROVIDERS: [&str; 3] = ["stripe", "adyen", "paypal"];

/// The state of the shop.
#[derive(Debug)]
pub(super) struct Shop {
    rng: Rng,
    order: u64,
    /// Ticks that the running incident still lasts.
    incident: u32,
}

/// What one visitor does; all lines of a visit share its trace.
struct Visit<'a> {
    trace: u128,
    time: i64,
    user: &'static str,
    lines: &'a mut Vec<Line>,
}

impl Shop {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), order: 48_000, incident: 0 }
    }

    /// Appends what happens in the `length` before `now`.
    pub(super) fn tick(&mut self, now: i64, length: Duration, lines: &mut Vec<Line>) {
        if self.incident > 0 {
            self.incident -= 1;
        } else if self.rng.u32(..900) == 0 {
            self.incident = self.rng.u32(40..120);
        }
        // Traffic rises and falls over some minutes, so that the histogram has a shape.
        let phase = (now / 1_000_000_000 % 780) as f64 / 780.0 * std::f64::consts::TAU;
        let visits = 1 + (2.0 + 1.6 * phase.sin()) as u32 + self.rng.u32(..2);
        for _ in 0..visits {
            let offset = self.rng.i64(0..length.as_nanos() as i64);
            let user = USERS[self.rng.usize(..USERS.len())];
            let trace = self.rng.u128(1..);
            self.visit(Visit { trace, time: now - offset, user, lines });
        }
        if self.rng.u32(..25) == 0 {
            self.housekeeping(now, lines);
        }
    }

    fn visit(&mut self, mut visit: Visit<'_>) {
        match self.rng.u32(..100) {
            0..70 => self.page(&mut visit),
            70..86 => self.sign_in(&mut visit),
            _ => self.checkout(&mut visit),
        }
    }

    fn page(&mut self, visit: &mut Visit<'_>) {
        let page = PAGES[self.rng.usize(..PAGES.len())].replace("{id}", &self.rng.u32(1_000..9_999).to_string());
        let status = match self.rng.u32(..100) {
            0..92 => 200,
            92..95 => 304,
            95..99 => 404,
            _ => 500,
        };
        let ms = self.latency(18.0);
        self.request(visit, "GET", &page, status, ms);
        if status == 500 {
            let message = format!(
                "Unhandled error while rendering {page}\nTypeError: Cannot read properties of undefined (reading 'price')\n    at ProductView (/srv/shop/dist/product-view.js:{}:17)\n    at renderWithHooks (/srv/shop/node_modules/react-dom/server.js:5462:16)\n    at async handler (/srv/shop/dist/server.js:88:5)",
                self.rng.u32(40..400)
            );
            self.line(visit, App::ShopWeb, "error", message, json!({ "error.type": "TypeError", "http.route": page }));
        }
    }

    fn request(&mut self, visit: &mut Visit<'_>, method: &str, path: &str, status: u16, ms: f64) {
        let level = match status {
            500.. => "error",
            400.. => "warn",
            _ => "info",
        };
        let attributes = json!({
            "http.method": method, "http.path": path, "http.status_code": status, "duration_ms": ms, "user": visit.user,
        });
        self.line(visit, App::ShopWeb, level, format!("{method} {path} {status} {ms:.1}ms"), attributes);
    }

    fn sign_in(&mut self, visit: &mut Visit<'_>) {
        let ip = format!("203.0.113.{}", self.rng.u32(2..250));
        let user = visit.user;
        if self.rng.u32(..6) == 0 {
            let message = format!("login failed for user {user} from {ip}: wrong password");
            let attributes = json!({ "user": user, "client.ip": ip, "attempt": self.rng.u32(1..5) });
            self.line(visit, App::AuthApi, "warn", message, attributes);
            self.request(visit, "POST", "/login", 401, 90.0);
        } else {
            let ms = self.latency(85.0);
            let message = format!("user {user} signed in from {ip} in {ms:.0} ms");
            self.line(
                visit,
                App::AuthApi,
                "info",
                message,
                json!({ "user": user, "client.ip": ip, "duration_ms": ms }),
            );
            let message = format!("issued session token ttl=3600 scopes=shop,account for {user}");
            self.line(visit, App::AuthApi, "debug", message, json!({ "user": user }));
            self.request(visit, "POST", "/login", 200, ms + 6.0);
        }
    }

    fn checkout(&mut self, visit: &mut Visit<'_>) {
        self.order += 1;
        let order = format!("ORD-{}", self.order);
        let amount = f64::from(self.rng.u32(900..25_000)) / 100.0;
        let provider = PROVIDERS[self.rng.usize(..PROVIDERS.len())];
        let broken = self.incident > 0 && provider == "adyen";
        let ms = if broken { 5_000.0 } else { self.latency(240.0) };
        let common = json!({
            "order.id": order, "payment.provider": provider, "payment.amount": amount, "payment.currency": "EUR",
            "duration_ms": ms, "user": visit.user,
        });
        self.line(
            visit,
            App::Payments,
            "info",
            format!("authorizing {amount:.2} EUR for {order} with {provider}"),
            common.clone(),
        );
        if broken {
            let message = format!("payment of {order} failed: {provider} did not answer within 5000 ms (timeout)");
            self.line(visit, App::Payments, "error", message, common);
            self.request(visit, "POST", "/checkout", 502, ms + 12.0);
        } else if self.rng.u32(..14) == 0 {
            let message = format!("payment of {order} declined by {provider}: insufficient_funds");
            self.line(visit, App::Payments, "warn", message, common);
            self.request(visit, "POST", "/checkout", 402, ms + 9.0);
        } else {
            self.line(visit, App::Payments, "info", format!("captured {amount:.2} EUR for {order}"), common);
            self.request(visit, "POST", "/checkout", 201, ms + 15.0);
        }
    }

    fn housekeeping(&mut self, now: i64, lines: &mut Vec<Line>) {
        let mut visit = Visit { trace: 0, time: now, user: "", lines };
        match self.rng.u32(..3) {
            0 => {
                let hits = self.rng.u32(9_000..9_990);
                let message = format!("cache stats: {hits} hits, {} misses, 412 evictions", 10_000 - hits);
                self.line(&mut visit, App::ShopWeb, "debug", message, json!({ "cache.hits": hits }));
            }
            1 => {
                let message = "connection pool to postgres is 92% used (46/50)".to_owned();
                self.line(&mut visit, App::AuthApi, "warn", message, json!({ "pool.used": 46, "pool.size": 50 }));
            }
            _ => {
                let count = self.rng.u32(20..400);
                let message = format!("settlement batch done: {count} payments in {} ms", count * 7);
                self.line(&mut visit, App::Payments, "info", message, json!({ "settlement.count": count }));
            }
        }
    }

    fn line(&mut self, visit: &mut Visit<'_>, app: App, level: &'static str, message: String, attributes: Value) {
        // Lines of one visit follow each other.
        visit.time += self.rng.i64(200_000..4_000_000);
        visit.lines.push(Line {
            app,
            time: visit.time,
            level,
            host: format!("{}-{}", app.name(), self.rng.u32(1..4)),
            trace: visit.trace,
            span: self.rng.u64(1..),
            message,
            attributes: match attributes {
                Value::Object(map) => map,
                _ => Map::new(),
            },
        });
    }

    /// Milliseconds with a long tail.
    fn latency(&mut self, typical: f64) -> f64 {
        let spread = 0.5 + self.rng.f64() + if self.rng.u32(..40) == 0 { 8.0 * self.rng.f64() } else { 0.0 };
        (typical * spread * 10.0).round() / 10.0
    }
}
