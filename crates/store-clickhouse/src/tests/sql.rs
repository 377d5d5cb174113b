//! What the server lets a user's statement do, even if the guard had let it through.

use store::{QueryLimits, Store, StoreError};
use store_sql::Statement;
use test_backends::clickhouse::{ClickHouse, READER};

use super::rig::{open, range};
use crate::ClickHouseStore;

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_a_second_fence() {
    let (owner, mut config) = open().await;
    let mut other = range(1, 0, 5);
    other.batches[0].project = "other".into();
    owner.write(range(0, 0, 7)).await.expect("a write");
    owner.write(other).await.expect("a write of another project");
    config.sql_user = Some(READER.0.to_owned());
    config.sql_password = READER.1.to_owned();
    let store = ClickHouseStore::open(config.clone()).await.expect("a store with a reader");
    let run = async |sql: &str| {
        let statement = Statement { sql: sql.to_owned(), params: Vec::new() };
        store.run_checked_sql("p", &statement, QueryLimits::default()).await
    };
    for count in ["SELECT count() AS n FROM logs", "SELECT count() AS n FROM otel_logs"] {
        let answer = run(count).await.expect("an answer");
        assert_eq!(answer.columns, [("n".to_owned(), "UInt64".to_owned())]);
        assert_eq!(answer.rows, [[serde_json::json!(7)]], "{count}: the other project stays hidden");
    }
    for hidden in ["devlogs_positions", "devlogs_claims", "devlogs_keys"] {
        let answer = run(&format!("SELECT * FROM {hidden}")).await.expect("an answer");
        assert!(answer.rows.is_empty(), "{hidden}: {answer:?}");
    }
    for refused in [
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'x String')",
        "SELECT * FROM file('/etc/passwd', 'CSV', 'x String')",
        "SELECT * FROM remote('127.0.0.1', system.one)",
        "SELECT * FROM system.processes",
        "SELECT count() FROM logs SETTINGS additional_table_filters = {}",
        "SELECT count() FROM logs SETTINGS max_execution_time = 0",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "INSERT INTO otel_logs (Body) VALUES ('x')",
        "DROP TABLE otel_logs",
        "SELECT 1; SELECT 2",
        "SELEC",
    ] {
        let answer = run(refused).await;
        let said = format!("{refused}: {answer:?}");
        assert!(matches!(answer, Err(StoreError::Invalid(_) | StoreError::Unavailable(_))), "{said}");
        assert!(!said.contains(READER.1), "{said}");
    }
    let asked =
        store.sql("p".into(), "SELECT count(*) AS n FROM logs WHERE service = 'shop-web'", QueryLimits::default());
    assert_eq!(asked.await.expect("an answer").rows, [[serde_json::json!(7)]]);
    for refused in
        ["SELECT * FROM otel_logs", "SELECT * FROM url('http://127.0.0.1/')", "DROP TABLE logs", "SELECT sleep(3)"]
    {
        let answer = store.sql("p".into(), refused, QueryLimits::default()).await;
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{refused}: {answer:?}");
    }
    let few = QueryLimits { rows: 3, ..QueryLimits::default() };
    let statement = Statement { sql: "SELECT message FROM logs".to_owned(), params: Vec::new() };
    let many = store.run_checked_sql("p", &statement, few).await;
    assert!(matches!(many, Err(StoreError::Limit(_))), "{many:?}");
    let rows = format!("SELECT count() FROM {}.otel_logs", config.database);
    assert_eq!(ClickHouse::shared().query(&rows), "12");
}
