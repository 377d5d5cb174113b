//! How fast writing is, beside PostgreSQL's own COPY of the same rows. Run it by name:
//! `cargo test -p devlogs-store-postgres -- --ignored --nocapture measure`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use model::position::{Partition, Position};
use model::{Batch, Record, RecordId, Severity, Value};
use store::{Store, WriteBatch};
use test_backends::postgres::{Postgres, PostgresOptions};

use super::{INCARNATION, config, open};

const BATCHES: u64 = 20;
const BATCH_ROWS: u64 = 10_000;

/// What a web application logs for a request.
fn record(index: u64, now: i64) -> Record<'static> {
    let text = |text: String| Value::String(Cow::Owned(text));
    Record {
        id: RecordId {
            origin: u128::from(index / 100).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
            index: (index % 100) as u32,
        },
        timestamp: now + index as i64 * 1_000_000,
        observed: now,
        project: Cow::Borrowed("shop"),
        service: Cow::Borrowed(["shop-web", "auth-api", "payments"][index as usize % 3]),
        host: Some(Cow::Borrowed("web-1")),
        severity: Severity::new(9),
        message: Cow::Owned(format!(
            "GET /api/orders/{index} answered 200 in {} ms for user user_{} from 10.0.{}.{}",
            index % 977,
            index % 5_003,
            index % 251,
            index % 241
        )),
        trace_id: None,
        span_id: None,
        attributes: vec![
            (Cow::Borrowed("http.method"), text("GET".to_owned())),
            (Cow::Borrowed("http.status_code"), Value::Int(200)),
            (Cow::Borrowed("duration_ms"), Value::Double((index % 977) as f64 / 8.0)),
            (Cow::Borrowed("user_id"), text(format!("user_{}", index % 5_003))),
        ],
        resource: vec![(Cow::Borrowed("k8s.pod.name"), text("shop-web-7d9f".to_owned()))],
    }
}

fn range(from: u64, now: i64) -> WriteBatch {
    let mut batch = Batch::new(Arc::from("shop"));
    (from * BATCH_ROWS..(from + 1) * BATCH_ROWS).for_each(|index| batch.push(&record(index, now)));
    WriteBatch {
        incarnation: INCARNATION,
        partition: Partition(0),
        from: Position(from),
        next: Position(from + 1),
        batches: vec![batch],
        keys: Vec::new(),
        counts: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a test"]
async fn measure() {
    let options = PostgresOptions { settings: vec!["fsync=on".to_owned()], ..PostgresOptions::default() };
    let server = Postgres::start(options);
    let url = server.database();
    let (_, database) = url.rsplit_once('/').expect("a database");
    let store = open(config(url.clone())).await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_nanos() as i64;
    let rows = BATCHES * BATCH_ROWS;
    let batches: Vec<_> = (0..BATCHES).map(|from| range(from, now)).collect();
    let begun = Instant::now();
    for batch in batches {
        store.write(batch).await.expect("written");
    }
    let rate = |seconds: f64| (rows as f64 / seconds) as u64;
    eprintln!("write: {} rows/s", rate(begun.elapsed().as_secs_f64()));
    let file = "/tmp/devlogs-measure.copy";
    server.psql(database, &format!("COPY (SELECT * FROM logs) TO '{file}' BINARY"));
    let indexes = [
        ("none", ""),
        ("(project, ts, …)", "CREATE INDEX ON plain (project, ts, ts_nanos, origin, record_index)"),
        ("(project, origin)", "CREATE INDEX ON plain (project, origin)"),
        ("gin (words)", "CREATE INDEX ON plain USING gin (words)"),
        ("gin (attributes)", "CREATE INDEX ON plain USING gin (attributes jsonb_path_ops)"),
        ("gin (attribute_texts)", "CREATE INDEX ON plain USING gin (attribute_texts jsonb_path_ops)"),
        ("gin (resource)", "CREATE INDEX ON plain USING gin (resource jsonb_path_ops)"),
    ];
    for (name, index) in indexes {
        server.psql(
            database,
            &format!("DROP TABLE IF EXISTS plain; CREATE TABLE plain AS SELECT * FROM logs LIMIT 0; {index}"),
        );
        let begun = Instant::now();
        server.psql(database, &format!("COPY plain FROM '{file}' BINARY"));
        eprintln!("COPY with index {name}: {} rows/s", rate(begun.elapsed().as_secs_f64()));
    }
    server.psql(database, "DROP TABLE plain; CREATE TABLE plain (LIKE devlogs_records INCLUDING ALL)");
    let begun = Instant::now();
    server.psql(database, &format!("COPY plain FROM '{file}' BINARY"));
    eprintln!("COPY with all indexes: {} rows/s", rate(begun.elapsed().as_secs_f64()));
}
