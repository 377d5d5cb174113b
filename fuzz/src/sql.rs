//! The guard of users' SQL: what it lets through stands behind the view of the project.

use store_sql::Param;
use store_sql::dialect::{ClickHouse, Postgres};
use store_sql::guard::{Guarded, guard};

pub fn sql(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check::<ClickHouse>(text);
    check::<Postgres>(text);
}

fn check<D: Guarded>(text: &str) {
    let Ok(statement) = guard::<D>(text, "p'1", 10) else { return };
    assert_eq!(statement.params, [Param::Text("p'1".to_owned())], "the project is a parameter");
    let view = D::view(&D::placeholder(0, &statement.params[0]));
    assert!(statement.sql.starts_with(&format!("WITH logs AS {view}")), "{}", statement.sql);
}
