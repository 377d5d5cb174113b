//! How fast writing is, beside PostgreSQL's own COPY of the same rows. Run it by name:
//! `cargo test -p devlogs-store-postgres -- --ignored --nocapture measure`.

use std::time::{Instant, SystemTime};

use store::conformance::generate;
use store::{Store, WriteBatch};
use test_backends::postgres::{Postgres, PostgresOptions};

use super::{INCARNATION, config, open};

const BATCHES: u64 = 20;
const BATCH_ROWS: u64 = 10_000;

fn range(from: u64, now: i64) -> WriteBatch {
    generate::requests(INCARNATION, from, from * BATCH_ROWS..(from + 1) * BATCH_ROWS, now)
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
