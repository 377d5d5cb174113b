//! What is let through, what is refused, and how it is printed.

use super::{Guarded, guard};
use crate::dialect::{ClickHouse, Postgres};
use crate::statement::Param;

const ROWS: usize = 1_000;

fn passed<D: Guarded>(sql: &str) -> String {
    let statement = match guard::<D>(sql, "p'1", ROWS) {
        Ok(statement) => statement,
        Err(refused) => panic!("{sql}: {refused}"),
    };
    assert_eq!(statement.params, [Param::Text("p'1".to_owned())], "{sql}");
    let view = D::view(&D::placeholder(0, &statement.params[0]));
    statement.sql.strip_prefix(&format!("WITH logs AS {view}")).expect("the view comes first").to_owned()
}

fn both(sql: &str) -> String {
    let (clickhouse, postgres) = (passed::<ClickHouse>(sql), passed::<Postgres>(sql));
    assert_eq!(clickhouse, postgres);
    clickhouse
}

fn refused<D: Guarded>(sql: &str) {
    if let Ok(statement) = guard::<D>(sql, "p", ROWS) {
        panic!("{sql} became {}", statement.sql);
    }
}

#[test]
fn plain_statements_pass_and_get_a_limit() {
    for (sql, printed) in [
        ("select * from logs", " SELECT * FROM logs LIMIT 1001"),
        ("SELECT message FROM logs LIMIT 5;", " SELECT message FROM logs LIMIT 5"),
        ("SELECT message FROM logs LIMIT 5000 OFFSET 3", " SELECT message FROM logs LIMIT 1001 OFFSET 3"),
        (
            "SELECT service, count(*) AS n FROM logs WHERE level = 'error' -- why\n GROUP BY service ORDER BY n DESC",
            " SELECT service, count(*) AS n FROM logs WHERE level = 'error' GROUP BY service ORDER BY n DESC LIMIT 1001",
        ),
        (
            "WITH a AS (SELECT * FROM logs), b AS (SELECT * FROM a) SELECT x.id FROM b AS x JOIN a ON a.id = x.id",
            ", a AS (SELECT * FROM logs), b AS (SELECT * FROM a) SELECT x.id FROM b AS x JOIN a ON a.id = x.id LIMIT 1001",
        ),
        // What a database may read as a keyword is written as the name that it was read as.
        ("SELECT 1 FROM logs FINAL", " SELECT 1 FROM logs AS FINAL LIMIT 1001"),
        ("SELECT \"http status\" FROM logs", " SELECT \"http status\" FROM logs LIMIT 1001"),
    ] {
        assert_eq!(both(sql), printed);
    }
    let union = "SELECT id FROM (SELECT id FROM logs) AS s UNION ALL SELECT id FROM logs";
    assert_eq!(passed::<Postgres>(union), format!(" {union} LIMIT 1001"));
    // ClickHouse takes a LIMIT for that of the last part.
    let whole = format!(" SELECT * FROM ({union} LIMIT 1001) AS answer LIMIT 1001");
    assert_eq!(passed::<ClickHouse>(union), whole);
    passed::<Postgres>("SELECT attributes ->> 'a.b', (attributes -> 'n')::numeric FROM logs WHERE attributes ? 'a.b'");
    passed::<Postgres>("SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY severity_number) FROM logs");
    passed::<Postgres>("SELECT date_bin(INTERVAL '5 minutes', timestamp, TIMESTAMP '2026-01-01') FROM logs");
    passed::<Postgres>("SELECT rank() OVER (PARTITION BY service ORDER BY timestamp) FROM logs WHERE message ~ '\\d+'");
    passed::<ClickHouse>(
        "SELECT attributes['a.b'], quantile(0.9)(severity_number) FROM logs WHERE level IN ('a', 'b')",
    );
    passed::<ClickHouse>(
        "SELECT toStartOfInterval(timestamp, INTERVAL 5 MINUTE) AS t, countIf(level = 'error') FROM logs GROUP BY t",
    );
}

#[test]
fn strings_are_written_anew_by_the_rules_of_the_dialect() {
    let tail = |text: &str| format!(" SELECT 1 FROM logs WHERE message = {text} LIMIT 1001");
    let sql = |text: &str| format!("SELECT 1 FROM logs WHERE message = {text}");
    // In PostgreSQL a backslash is itself, in ClickHouse it escapes.
    assert_eq!(passed::<Postgres>(&sql(r"'a\''; DROP'")), tail(r"E'a\\''; DROP'"));
    assert_eq!(passed::<ClickHouse>(&sql(r"'a\'; DROP'")), tail(r"'a\'; DROP'"));
    assert_eq!(passed::<ClickHouse>(&sql(r"'a\\'")), tail(r"'a\\'"));
    assert_eq!(passed::<ClickHouse>(&sql("'it''s'")), tail(r"'it\'s'"));
    assert_eq!(passed::<Postgres>(&sql("'it''s {p0:String} $1'")), tail("'it''s {p0:String} $1'"));
    assert_eq!(passed::<Postgres>(&sql("'string 1'")), tail("'string 1'"));
    for sql in [r"SELECT 1 AS 'a\\'", "SELECT 1 AS 'x' FROM logs", "SELECT * FROM 'logs'", "SELECT 1 FROM logs AS 'x'"]
    {
        refused::<ClickHouse>(sql);
        refused::<Postgres>(sql);
    }
}

#[test]
fn nothing_but_one_query_passes() {
    for sql in [
        "",
        ";",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE logs",
        "DROP TABLE logs",
        "INSERT INTO logs VALUES (1)",
        "DELETE FROM logs",
        "UPDATE logs SET message = 'x'",
        "TRUNCATE TABLE logs",
        "CREATE TABLE x AS SELECT * FROM logs",
        "ALTER TABLE logs ADD COLUMN x int",
        "SET search_path = x",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "COPY logs TO '/tmp/x'",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "DO $$ BEGIN END $$",
        "LISTEN x",
        "VACUUM",
        "CALL f()",
        "BEGIN",
        "GRANT ALL ON logs TO x",
        "SYSTEM SHUTDOWN",
        "KILL QUERY WHERE 1",
        "ATTACH TABLE x",
        "TABLE logs",
        "SELECT * INTO x FROM logs",
        "WITH a AS (DELETE FROM logs RETURNING *) SELECT * FROM a",
        "WITH a AS (INSERT INTO logs VALUES (1) RETURNING 1) SELECT * FROM a",
        "SELECT * FROM logs FOR UPDATE",
        "SELECT 1 FROM logs WHERE message = $1",
        "SELECT {p0:String}",
        "SELECT $$x$$",
        "SELECT ?",
        "FROM logs",
    ] {
        refused::<ClickHouse>(sql);
        refused::<Postgres>(sql);
    }
}

#[test]
fn no_other_table_can_be_reached() {
    for sql in [
        "SELECT * FROM otel_logs",
        "SELECT * FROM pg_shadow",
        "SELECT * FROM system.tables",
        "SELECT * FROM system.users",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM pg_catalog.pg_authid",
        "SELECT * FROM public.logs",
        "SELECT * FROM devlogs.otel_logs",
        "SELECT * FROM devlogs.logs",
        "SELECT * FROM logs, positions",
        "SELECT * FROM logs JOIN system.one ON 1 = 1",
        "SELECT (SELECT count(*) FROM pg_user)",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM system.one)",
        "SELECT 1 FROM logs WHERE id IN (SELECT name FROM system.tables)",
        "SELECT * FROM (SELECT * FROM (SELECT * FROM pg_settings) AS a) AS b",
        "SELECT 1 UNION ALL SELECT name FROM system.tables",
        // A name of a WITH that is not known yet, or only elsewhere, would mean a table.
        "WITH a AS (SELECT * FROM pg_user), pg_user AS (SELECT 1) SELECT * FROM a",
        "WITH pg_user AS (SELECT * FROM pg_user) SELECT * FROM pg_user",
        "SELECT * FROM (WITH pg_user AS (SELECT 1) SELECT * FROM pg_user) AS x, pg_user",
        "WITH logs AS (SELECT 1) SELECT * FROM logs",
        "WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT * FROM a) SELECT * FROM a",
        "SELECT * FROM \"pg_user\"",
        "SELECT * FROM \"lo\\gs\"",
    ] {
        refused::<ClickHouse>(sql);
        refused::<Postgres>(sql);
    }
    refused::<ClickHouse>("SELECT 1 FROM logs WHERE service IN (otel_logs)");
    refused::<ClickHouse>("SELECT 1 FROM logs WHERE service IN ((system.one))");
    refused::<ClickHouse>("SELECT 1 FROM logs WHERE service IN otel_logs");
    refused::<ClickHouse>("SELECT * FROM LOGS");
    refused::<Postgres>("SELECT * FROM \"LOGS\"");
    passed::<Postgres>("SELECT * FROM LOGS");
}

#[test]
fn no_function_beyond_the_list_can_be_called() {
    for call in [
        "file('/etc/passwd')",
        "url('http://127.0.0.1/')",
        "remote('127.0.0.1', 'system', 'one')",
        "remoteSecure('127.0.0.1', 'a', 'b')",
        "s3('x')",
        "mysql('a', 'b', 'c', 'd', 'e')",
        "postgresql('a', 'b', 'c', 'd', 'e')",
        "executable('x', 'y', 'z')",
        "numbers(1000000000)",
        "generate_series(1, 1000000000)",
        "dictGet('a', 'b', 1)",
        "joinGet('a', 'b', 1)",
        "hostName()",
        "currentUser()",
        "getSetting('max_threads')",
        "sleep(3)",
        "sleepEachRow(3)",
        "pg_sleep(10)",
        "set_config('x', 'y', false)",
        "current_setting('x')",
        "pg_read_file('/etc/passwd')",
        "pg_ls_dir('.')",
        "lo_import('/etc/passwd')",
        "dblink('x', 'y')",
        "query_to_xml('SELECT 1', true, true, '')",
        "pg_terminate_backend(1)",
        "pg_catalog.pg_sleep(1)",
        "pg_catalog.lower('X')",
        "repeat('x', 1000000000)",
        "version()",
        "\"pg_sleep\"(1)",
        "nextval('x')",
        "has_table_privilege('x', 'y')",
        "COLUMNS('x')",
    ] {
        for sql in
            [format!("SELECT {call}"), format!("SELECT * FROM {call}"), format!("SELECT 1 FROM logs ORDER BY {call}")]
        {
            refused::<ClickHouse>(&sql);
            refused::<Postgres>(&sql);
        }
    }
    for sql in [
        "SELECT sum(pg_sleep(1)) OVER (ORDER BY lower(version())) FROM logs",
        "SELECT count(*) FILTER (WHERE version() = '') FROM logs",
        "SELECT 1 FROM logs GROUP BY version()",
        "SELECT 1 FROM logs HAVING version() = ''",
        "SELECT 1 FROM logs LIMIT pg_sleep(1)",
        "SELECT 1 FROM logs LIMIT 1 OFFSET pg_sleep(1)",
        "SELECT CASE WHEN version() = '' THEN 1 END",
        "SELECT 'pg_authid'::regclass",
        "SELECT CAST('a' AS my_type)",
        "SELECT 1 OPERATOR(pg_catalog.+) 2",
        "SELECT * FROM LATERAL (SELECT 1) AS x",
        "SELECT DISTINCT ON (version()) 1 FROM logs",
        "VALUES (version())",
        "SELECT current_user",
    ] {
        refused::<Postgres>(sql);
    }
}

#[test]
fn clauses_of_one_database_are_refused() {
    for sql in [
        "SELECT 1 FROM logs SETTINGS max_threads = 1",
        "SELECT * FROM (SELECT 1 FROM logs SETTINGS readonly = 0) AS x",
        "SELECT 1 FROM logs FORMAT Native",
        "SELECT 1 FROM logs INTO OUTFILE '/tmp/x'",
        "SELECT * APPLY(toString) FROM logs",
        "SELECT * EXCEPT (id) FROM logs",
        "SELECT 1 FROM logs ARRAY JOIN attributes",
        "SELECT 1 FROM logs PREWHERE 1",
        "SELECT 1 FROM logs SAMPLE 0.1",
        "SELECT severity_number FROM logs ORDER BY severity_number WITH FILL FROM 0 TO 1000000000",
        "SELECT 1 FROM logs LIMIT 1 BY service",
        "SELECT 1 FROM logs GLOBAL JOIN logs AS b ON 1 = 1",
        "SELECT map('a', 1)",
        "SELECT arrayMap(x -> x, [1])",
    ] {
        refused::<ClickHouse>(sql);
    }
    for sql in [
        "SELECT 1 FROM logs TABLESAMPLE SYSTEM (1)",
        "SELECT 1 FROM ONLY logs",
        "SELECT 1 FROM logs FETCH FIRST 5 ROWS ONLY",
        "SELECT message COLLATE \"x\" FROM logs",
        "SELECT * FROM ROWS FROM (generate_series(1, 2)) AS x",
        "SELECT U&'x'",
        "SELECT E'x\\''",
        "SELECT B'1'",
    ] {
        refused::<Postgres>(sql);
    }
}

#[test]
fn a_deep_or_a_long_statement_is_refused_and_does_no_harm() {
    refused::<Postgres>(&format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)));
    refused::<ClickHouse>(&format!("SELECT {}", "1 + ".repeat(20_000)));
    refused::<ClickHouse>(&format!("SELECT '{}'", "x".repeat(70_000)));
}
