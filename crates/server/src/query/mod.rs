//! What people and programs ask of the stored records.
//!
//! Each endpoint is a file. A request passes [`caller`] (whose project is looked at), [`params`] (what is asked, strict
//! about unknown names), [`gate`] (how many queries run at once, and for how long) and then the store. Handlers await
//! the store directly, so that a client that closes its connection drops the query's future, which cancels it.

#![allow(unused_qualifications, reason = "the macros of utoipa write them")]

pub mod aggregate;
pub mod caller;
pub mod context;
mod csv;
pub(crate) mod cursor;
pub mod export;
pub mod fields;
pub mod gate;
pub mod histogram;
mod params;
mod parquet;
pub mod search;
pub mod shapes;
pub mod sql;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use metadata::Metadata;
use queue::Queue;
use store::{QueryLimits, Store};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admin::maintenance::Maintenance;
use crate::error::{ApiError, Code};
use crate::tail::{TailHub, socket};
use crate::{ServerState, admin, openapi, session};
pub use gate::Gate;

pub(crate) use params::{Params, now, parse_query};

/// Bodies of this API are queries and names.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What the API's handlers share.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub server: ServerState,
    pub store: Arc<dyn Store>,
    pub queue: Arc<dyn Queue>,
    pub metadata: Metadata,
    pub gate: Arc<Gate>,
    pub tail: Arc<TailHub>,
    pub maintenance: Arc<dyn Maintenance>,
    /// Where this node listens, by role, for the pages that show how to send.
    pub addresses: Arc<BTreeMap<&'static str, String>>,
    pub limits: QueryLimits,
    /// Whether browsers reach the API over TLS: cookies are then marked so.
    pub secure_cookies: bool,
}

/// Every path under `/api/v1`, and the dashboard for all others.
pub fn api_router(state: ApiState) -> axum::Router {
    let (router, _) = api_routes().split_for_parts();
    router
        .route("/api/v1/openapi.json", get(openapi::serve))
        .fallback(crate::dashboard::serve)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(state)
}

/// The documented routes.
pub(crate) fn api_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(search::search, search::search_by_post))
        .routes(routes!(histogram::histogram, histogram::histogram_by_post))
        .routes(routes!(aggregate::aggregate, aggregate::aggregate_by_post))
        .routes(routes!(fields::fields))
        .routes(routes!(fields::values))
        .routes(routes!(context::context))
        .routes(routes!(sql::sql))
        .routes(routes!(export::export))
        .routes(routes!(socket::tail))
        .routes(routes!(session::current, session::sign_in, session::sign_out))
        .routes(routes!(admin::projects::list, admin::projects::create))
        .routes(routes!(admin::keys::list, admin::keys::create))
        .routes(routes!(admin::keys::revoke))
        .routes(routes!(admin::dead_letters::list))
        .routes(routes!(admin::dead_letters::show, admin::dead_letters::discard))
        .routes(routes!(admin::dead_letters::retry))
        .routes(routes!(admin::ledger::ledger))
        .routes(routes!(admin::status::status))
        .routes(routes!(admin::maintenance::verify))
        .routes(routes!(admin::maintenance::replay))
        .routes(routes!(admin::maintenance::skip))
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(Code::MethodNotAllowed, "this path does not take this method")
}

#[cfg(test)]
pub(crate) mod tests;
