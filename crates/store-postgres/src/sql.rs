//! Statements of users, after the guard checked and bound them.
//!
//! They run read-only, in limits, as a role that may read the records and nothing else. The statement is wrapped, so
//! that every value comes as text, whatever its type.

use std::sync::Arc;

use futures::{TryStreamExt, pin_mut};
use serde_json::Value as Json;
use store::{QueryLimits, SqlAnswer, Stats, StoreError};
use store_sql::Statement;
use tokio_postgres::types::Type;

use crate::connect::Pools;
use crate::error::{query_error, sql_error};
use crate::query::{Budget, Session, bound, column, in_time};

/// Runs a statement of the guard.
pub(crate) async fn run(
    pools: &Pools,
    role: Option<&str>,
    statement: &Statement,
    limits: QueryLimits,
) -> Result<SqlAnswer, StoreError> {
    in_time(limits, async {
        let session = Session::begin(pools, limits, role).await?;
        match read(&session, statement, limits).await {
            // The transaction failed, but nothing runs any more.
            Err(StoreError::Invalid(reason)) => {
                session.end(limits).await?;
                Err(StoreError::Invalid(reason))
            }
            Err(error) => Err(error),
            Ok(answer) => {
                session.end(limits).await?;
                Ok(answer)
            }
        }
    })
    .await
}

async fn read(session: &Session, statement: &Statement, limits: QueryLimits) -> Result<SqlAnswer, StoreError> {
    let types: Vec<Type> = statement.params.iter().map(|param| bound(param).1).collect();
    let failed = |error| sql_error(&error, limits.time);
    let prepared = session.lease.prepare_typed(&statement.sql, &types).await.map_err(failed)?;
    let columns: Vec<(String, Type)> =
        prepared.columns().iter().map(|column| (column.name().to_owned(), column.type_().clone())).collect();
    if columns.is_empty() {
        return Err(StoreError::Invalid("the statement has no columns".to_owned()));
    }
    let names: Vec<String> = (0..columns.len()).map(|index| format!("c{index}")).collect();
    let texts: Vec<String> = names.iter().map(|name| format!("{name}::text")).collect();
    let wrapped = format!("SELECT {} FROM ({}\n) AS answer ({})", texts.join(", "), statement.sql, names.join(", "));
    let values = statement.params.iter().map(bound);
    let stream = session.lease.query_typed_raw(&wrapped, values).await.map_err(failed)?;
    pin_mut!(stream);
    let mut budget = Budget::new(limits);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await.map_err(failed)? {
        if rows.len() == limits.rows {
            return Err(StoreError::Limit(format!(
                "the answer has more than {} rows; aggregate, filter or add a LIMIT",
                limits.rows
            )));
        }
        budget.take(row.raw_size_bytes() + columns.len() * size_of::<Json>())?;
        let cells = columns.iter().enumerate().map(|(index, (_, of))| {
            let text: Option<&str> = column(&row, index)?;
            Ok(text.map_or(Json::Null, |text| json(text, of)))
        });
        rows.push(cells.collect::<Result<Vec<Json>, StoreError>>()?);
    }
    let stats = Stats { scanned_rows: rows.len() as u64, ..Stats::default() };
    let columns = columns.into_iter().map(|(name, of)| (name, of.name().to_owned())).collect();
    Ok(SqlAnswer { columns, rows, stats })
}

/// A value in JSON's own type where it has one, else its text.
fn json(text: &str, of: &Type) -> Json {
    let own = match *of {
        Type::BOOL => text.parse().ok().map(Json::Bool),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => text.parse::<i64>().ok().map(Json::from),
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => number(text),
        Type::JSON | Type::JSONB => serde_json::from_str(text).ok(),
        _ => None,
    };
    own.unwrap_or_else(|| Json::from(text))
}

/// None for NaN and infinities, which JSON has not.
fn number(text: &str) -> Option<Json> {
    match text.parse::<i64>() {
        Ok(number) => Some(Json::from(number)),
        Err(_) => serde_json::Number::from_f64(text.parse().ok()?).map(Json::Number),
    }
}

/// The role that user-written statements run as.
///
/// # Errors
/// [`StoreError::Invalid`] when the operator's role can't be used.
pub(crate) async fn role(pools: &Pools, configured: Option<&str>) -> Result<Option<Arc<str>>, StoreError> {
    let name = configured.unwrap_or(crate::migrate::SQL_ROLE);
    let lease = crate::lease::Lease::of(&pools.query).await.map_err(StoreError::Unavailable)?;
    let usable = "SELECT pg_has_role(current_user, oid, 'MEMBER') AND has_table_privilege(oid, 'logs', 'SELECT') \
                  FROM pg_roles WHERE rolname = $1";
    let row = lease.query_opt(usable, &[&name]).await.map_err(|error| query_error(&error, Default::default()))?;
    let usable = row.is_some_and(|row| row.get::<_, Option<bool>>(0) == Some(true));
    match (usable, configured) {
        (true, _) => Ok(Some(Arc::from(name))),
        (false, None) => {
            tracing::warn!(
                "the role {name} can't be used, so SQL of users runs with the rights of the login; make it with: \
                 CREATE ROLE {name} NOLOGIN; GRANT {name} TO the login role; GRANT SELECT ON logs TO {name}"
            );
            Ok(None)
        }
        (false, Some(name)) => Err(StoreError::Invalid(format!(
            "the role `{name}` for SQL of users can't be used: it must exist, the login role must be a member of it, \
             and it needs SELECT on `logs`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_get_the_types_of_json() {
        assert_eq!(json("t", &Type::BOOL), Json::from("t"));
        assert_eq!(json("true", &Type::BOOL), Json::from(true));
        assert_eq!(json("-3", &Type::INT8), Json::from(-3));
        assert_eq!(json("2.50", &Type::NUMERIC), Json::from(2.5));
        assert_eq!(json("NaN", &Type::FLOAT8), Json::from("NaN"));
        assert_eq!(json("{\"a\": 1}", &Type::JSONB), serde_json::json!({"a": 1}));
        assert_eq!(json("12", &Type::TEXT), Json::from("12"));
    }
}
