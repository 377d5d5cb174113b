//! SQL of users: through the guard, and the fences behind it alone (the role's rights, the read-only transaction, the
//! limits).

use std::time::Duration;

use serde_json::json;
use store::{QueryLimits, SqlAnswer, Store, StoreError};
use store_sql::{Param, Statement};

use super::{PostgresStore, psql, range, store};
use crate::sql::run;

async fn ask(store: &PostgresStore, sql: &str) -> Result<SqlAnswer, StoreError> {
    let limits = QueryLimits { time: Duration::from_secs(2), rows: 100, ..QueryLimits::default() };
    let statement = Statement { sql: sql.to_owned(), params: Vec::new() };
    run(&store.pools, store.sql_role.as_deref(), &statement, limits).await
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_names_and_types() {
    let (store, _) = store().await;
    store.write(range("p", 0, 0, 10)).await.expect("written");
    let statement = Statement {
        sql: "SELECT count(*) AS n, sum(1.5) AS n, max(project) AS project, true AS yes, NULL::int AS none, \
              '{\"a\": [1]}'::jsonb AS doc FROM (SELECT * FROM logs WHERE project = $1::text) AS logs"
            .to_owned(),
        params: vec![Param::Text("p".to_owned())],
    };
    let role = store.sql_role.as_deref();
    assert_eq!(role, Some("devlogs_sql"), "the migration makes the role");
    let answer = run(&store.pools, role, &statement, QueryLimits::default()).await.expect("an answer");
    let columns: Vec<(&str, &str)> = answer.columns.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    let expected =
        [("n", "int8"), ("n", "numeric"), ("project", "text"), ("yes", "bool"), ("none", "int4"), ("doc", "jsonb")];
    assert_eq!(columns, expected);
    assert_eq!(answer.rows, [vec![json!(10), json!(15.0), json!("p"), json!(true), json!(null), json!({"a": [1]})]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_guard_might_miss_is_refused_by_the_server() {
    let (store, url) = store().await;
    store.write(range("p", 0, 0, 10)).await.expect("written");
    let refused = [
        "SELECT * FROM devlogs_keys",
        "SELECT * FROM devlogs_positions",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_export(1, '/tmp/devlogs-never')",
        "SELECT pg_reload_conf()",
        "SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t (n int)",
        "COPY logs TO '/tmp/devlogs-never'",
        "COPY logs TO PROGRAM 'true'",
        "DO $$ BEGIN END $$",
        "SELECT 1; DELETE FROM logs",
        "SELECT 1) AS answer; DELETE FROM devlogs_keys; SELECT (1",
        "DELETE FROM devlogs_records RETURNING project",
        "WITH gone AS (DELETE FROM devlogs_records RETURNING 1) SELECT * FROM gone",
        "CREATE TABLE mine (n int)",
        "RESET ROLE",
        "SELECT nextval('none')",
        "SELECT 1 / 0",
    ];
    for sql in refused {
        let answer = ask(&store, sql).await;
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{sql}: {answer:?}");
    }
    for sql in ["SELECT pg_sleep(60)", "SELECT n FROM generate_series(1, 1000) AS n"] {
        let answer = ask(&store, sql).await;
        assert!(matches!(answer, Err(StoreError::Limit(_))), "{sql}: {answer:?}");
    }
    // What one statement sets is gone with it.
    let _ = ask(&store, "SELECT set_config('role', 'postgres', false)").await;
    assert!(ask(&store, "SELECT * FROM devlogs_keys").await.is_err());
    assert_eq!(psql(&url, "SELECT count(*) FROM logs"), "10");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_sees_its_own_records_only() {
    let (store, url) = store().await;
    store.write(range("p", 0, 0, 10)).await.expect("written");
    store.write(range("q", 1, 0, 7)).await.expect("written");
    let sql = async |sql: &str| store.sql("p".into(), sql, QueryLimits::default()).await;
    for (statement, count) in [
        ("SELECT count(*) FROM logs", 10),
        ("SELECT count(*) FROM logs AS a, logs AS b", 100),
        ("SELECT count(*) FROM (SELECT id FROM logs UNION ALL SELECT id FROM logs) AS both_of_them", 20),
        ("WITH mine AS (SELECT * FROM logs) SELECT count(*) FROM mine", 10),
        ("SELECT count(*) FROM logs WHERE id IN (SELECT id FROM logs)", 10),
    ] {
        let answer = sql(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert_eq!(answer.rows, [[json!(count)]], "{statement}");
    }
    let refused = [
        "SELECT * FROM devlogs_records",
        "SELECT * FROM public.logs",
        "WITH logs AS (SELECT * FROM devlogs_records) SELECT count(*) FROM logs",
        "SELECT * FROM pg_catalog.pg_class",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM pg_stat_activity",
        "SELECT pg_sleep(1)",
        "SELECT set_config('role', 'postgres', false)",
        "SELECT current_setting('data_directory')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT query_to_xml('SELECT * FROM devlogs_records', true, true, '')",
        "SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t (n int)",
        "SELECT lo_import('/etc/passwd')",
        "COPY logs TO STDOUT",
        "DO $$ BEGIN END $$",
        "SELECT 1; SELECT 2",
        "DELETE FROM logs",
        "SET ROLE postgres",
        "EXPLAIN SELECT * FROM logs",
        "TABLE devlogs_records",
    ];
    for statement in refused {
        let answer = sql(statement).await;
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{statement}: {answer:?}");
    }
    assert_eq!(psql(&url, "SELECT count(*) FROM logs"), "17");
}
