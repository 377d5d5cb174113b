//! The shape of statements: what is bound, what narrows, what is left out. That their answers are right is shown by the
//! stores' own tests, on the real databases.

use std::sync::Arc;

use model::RecordId;
use model::cursor::{Order, SortKey};
use model::query::{Field, Query, parse};
use store::{Aggregate, Histogram, Metric, MetricFn, QueryLimits, Scan, Search};

use super::Planner;
use crate::dialect::{ClickHouse, Dialect, Postgres};
use crate::statement::{Param, Statement};

fn scan(query: &str) -> Scan {
    let query = parse(query, 0).expect("the query can be read");
    Scan { project: Arc::from("shop"), range: 1_000..2_500, query: Arc::new(query), limits: QueryLimits::default() }
}

fn search<D: Dialect>(query: &str) -> Statement {
    let search = Search { scan: scan(query), order: Order::Descending, limit: 10, after: None };
    Planner::<D>::new().search(&search)
}

/// The condition of the query, behind those on project and time.
fn condition<D: Dialect>(query: &str) -> (String, Vec<Param>) {
    let Statement { sql, params } = search::<D>(query);
    let (_, behind) = sql.split_once(" WHERE ").expect("a condition");
    let (condition, _) = behind.split_once(" ORDER BY ").expect("an order");
    (condition.to_owned(), params)
}

fn text(text: &str) -> Param {
    Param::Text(text.to_owned())
}

#[test]
fn every_search_is_bounded_by_project_and_time_and_limit() {
    let clickhouse = search::<ClickHouse>("*");
    assert!(clickhouse.sql.ends_with(
        " FROM otel_logs WHERE (Project = {p0:String} AND (Timestamp >= fromUnixTimestamp64Nano({p1:Int64}) AND Timestamp \
         < fromUnixTimestamp64Nano({p2:Int64}))) ORDER BY Timestamp DESC, Origin DESC, RecordIndex DESC LIMIT {p3:Int64}"
    ));
    assert_eq!(clickhouse.params, [text("shop"), Param::Int(1_000), Param::Int(2_500), Param::Int(10)]);
    let postgres = search::<Postgres>("*");
    assert!(postgres.sql.ends_with(
        " FROM logs WHERE (project = $1::text AND (ts >= $2::timestamptz AND ts <= $3::timestamptz AND (ts < \
         $3::timestamptz OR ts_nanos < 500))) ORDER BY ts DESC, ts_nanos DESC, origin DESC, record_index DESC LIMIT \
         $4::bigint"
    ));
    assert_eq!(postgres.params, [text("shop"), Param::Microseconds(1), Param::Microseconds(2), Param::Int(10)]);
}

#[test]
fn a_page_begins_behind_a_key() {
    let after = Some(SortKey { timestamp: 2_001, id: RecordId { origin: 7, index: 3 } });
    let page = Search { scan: scan("*"), order: Order::Ascending, limit: 10, after };
    let postgres = Planner::postgres().search(&page);
    assert!(
        postgres
            .sql
            .contains("(ts, ts_nanos, origin, record_index) > ($3::timestamptz, $4::bigint, $5::bytea, $6::bigint)")
    );
    assert!(postgres.params.contains(&Param::Origin(7)));
    let clickhouse = Planner::clickhouse().search(&page);
    assert!(clickhouse.sql.contains("Timestamp >= fromUnixTimestamp64Nano({p3:Int64}) AND (Timestamp > "));
}

#[test]
fn no_text_of_a_query_stands_in_the_sql() {
    let needle = "zq'x\\y";
    for query in [
        format!("\"{needle}\""),
        "\"*zq'x*\"".to_owned(),
        "service:\"zq'x\"".to_owned(),
        "\"zq'x\":1".to_owned(),
        "zq:zqv*".to_owned(),
        "zq:/zq+/".to_owned(),
        "/zq'x/".to_owned(),
        "\"zq'x\">=5".to_owned(),
        "attributes.zq:true OR NOT resource.zq:*".to_owned(),
    ] {
        for statement in [search::<ClickHouse>(&query), search::<Postgres>(&query)] {
            assert!(!statement.sql.contains("zq"), "{query}: {}", statement.sql);
            assert!(statement.params.len() > 3, "{query}");
        }
    }
}

#[test]
fn words_narrow_by_an_index_and_are_checked_exactly() {
    let (clickhouse, params) = condition::<ClickHouse>("user_id reset");
    assert!(clickhouse.contains("hasToken(lower(Body), {p3:String}) AND hasToken(lower(Body), {p4:String})"));
    assert_eq!(params[3..5], [text("user"), text("id")]);
    assert_eq!(clickhouse.matches("match(lower(Body), ").count(), 2);
    let (postgres, params) = condition::<Postgres>("reset");
    assert!(postgres.contains("words @> $4::bigint[] AND lower(message) ~ $5::text"));
    assert_eq!(params[3], Param::Ints(vec![crate::words::word_hash(b"reset")]));
    // The first and the last word of a needle may be parts of longer ones.
    assert!(condition::<Postgres>("*n reset b*").0.contains("words @>"));
    assert!(!condition::<Postgres>("*n res*").0.contains("words @>"));
}

#[test]
fn levels_are_found_before() {
    assert!(condition::<ClickHouse>("level>=error").0.ends_with("SeverityNumber IN (17, 18, 19, 20, 21, 22, 23, 24))"));
    assert!(condition::<Postgres>("level:warn").0.ends_with("severity IN (13, 14, 15, 16))"));
    assert!(condition::<Postgres>("-level:*").0.contains(") IS NOT TRUE"));
    assert_eq!(condition::<Postgres>("level:nonsense").0, "FALSE");
}

#[test]
fn what_a_condition_no_longer_needs_is_not_bound() {
    let statement = search::<Postgres>("service:shop level:nonsense");
    assert_eq!(statement.params, [Param::Int(10)]);
    assert!(statement.sql.contains("WHERE FALSE ORDER BY"));
}

#[test]
fn equality_in_maps_uses_the_indexes_of_jsonb() {
    let (_, params) = condition::<Postgres>("attributes.status:500");
    for bound in [
        r#"{"status":"500"}"#,
        r#"{"status":500}"#,
        r#"{"status":{"items":[[1,"500"]]}}"#,
        r#"{"status":{"items":[[2,"500"]]}}"#,
        r#"{"status":{"items":[[3,"500.0"]]}}"#,
    ] {
        assert!(params.contains(&text(bound)), "{bound}: {params:?}");
    }
    // Beyond 2^53 several integers equal one double.
    assert!(condition::<Postgres>("attributes.status:9007199254740993").0.contains("BETWEEN"));
}

#[test]
fn queries_with_nul_match_nothing_and_are_not_sent() {
    let nul = Query::Field(Field::Any("a\0".to_owned()), model::query::Test::Exists);
    let scan = Scan { query: Arc::new(nul), ..scan("*") };
    let search = Search { scan, order: Order::Descending, limit: 10, after: None };
    assert!(Planner::postgres().search(&search).sql.contains("WHERE FALSE"));
}

#[test]
fn groups_and_metrics_share_the_columns_of_a_field() {
    let field = |name: &str| Field::from_name(name);
    let metric = |function, name: &str| Metric { function, field: Some(field(name)) };
    let aggregate = Aggregate {
        scan: scan("*"),
        group_by: vec![field("service"), field("status")],
        interval: None,
        metrics: vec![
            Metric { function: MetricFn::Count, field: None },
            metric(MetricFn::Sum, "status"),
            metric(MetricFn::Percentile(95), "duration_ms"),
        ],
        order: None,
        limit: 10,
    };
    for sql in [Planner::clickhouse().aggregate(&aggregate).sql, Planner::postgres().aggregate(&aggregate).sql] {
        assert!(sql.contains(" AS x2 ") && !sql.contains(" AS x3"), "{sql}");
        assert!(sql.contains(" GROUP BY t0, x0, t1, x1 LIMIT "), "{sql}");
    }
    let whole = Aggregate { group_by: Vec::new(), ..aggregate };
    assert!(!Planner::clickhouse().aggregate(&whole).sql.contains("GROUP BY"));
}

#[test]
fn a_histogram_ranks_its_groups_in_the_database() {
    let histogram = Histogram { scan: scan("*"), interval: 60, group_by: Some(Field::Level), groups_max: 3 };
    for statement in [Planner::clickhouse().histogram(&histogram), Planner::postgres().histogram(&histogram)] {
        assert!(statement.sql.contains("dense_rank() OVER (ORDER BY total DESC"), "{}", statement.sql);
        assert!(statement.params.contains(&Param::Int(3)) && statement.params.contains(&Param::Int(60)));
    }
    let plain = Histogram { group_by: None, ..histogram };
    assert!(!Planner::postgres().histogram(&plain).sql.contains("OVER"));
}

#[test]
fn values_of_clickhouse_parameters_are_escaped() {
    for (param, expected) in [
        (text("a\tb\n\\'"), "a\\tb\\n\\\\'"),
        (Param::Texts(vec!["it's".to_owned(), "a\\b".to_owned()]), "['it\\\\'s','a\\\\\\\\b']"),
        (Param::Origins(vec![1, u128::MAX]), "[1,340282366920938463463374607431768211455]"),
        (Param::Int(-5), "-5"),
        (Param::Double(0.1), "0.1"),
    ] {
        assert_eq!(param.to_clickhouse(), expected, "{param:?}");
    }
}
