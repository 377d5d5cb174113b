//! Whose project a request looks at, and whether it may.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::FromRequestParts;
use http::request::Parts;
use metadata::{Metadata, Scope as KeyScope};

use crate::auth::{self, Keys, Principal, Scope};
use crate::error::{ApiError, Code};
use crate::query::ApiState;

/// Names the project in a header; the parameter `project` does the same.
pub(crate) const PROJECT_HEADER: &str = "x-devlogs-project";
/// Asks an operator's page for all projects.
pub(crate) const ALL_PROJECTS: &str = "*";

/// A caller with the scope `query`, who sees one project.
#[derive(Debug)]
pub struct Reader(pub Principal);

impl FromRequestParts<ApiState> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let principal = state.server.auth.require(parts, Scope::Query).await?;
        match asked_project(parts) {
            Some(asked) if asked != *principal.project => Err(foreign_project(&asked)),
            _ => Ok(Self(principal)),
        }
    }
}

/// A caller with the scope `admin`. Who may make keys for every project may look at the operation of every project,
/// but must ask for it: `project=NAME`, or `project=*` for all.
#[derive(Debug)]
pub struct Operator {
    pub principal: Principal,
    /// None: all projects.
    pub project: Option<Arc<str>>,
}

impl FromRequestParts<ApiState> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let principal = state.server.auth.require(parts, Scope::Admin).await?;
        let project = match asked_project(parts) {
            None => Some(Arc::clone(&principal.project)),
            Some(all) if all == ALL_PROJECTS => None,
            Some(asked) => Some(asked.into()),
        };
        Ok(Self { principal, project })
    }
}

/// The project that a request names, if it names one.
pub(crate) fn asked_project(parts: &Parts) -> Option<String> {
    if let Some(name) = parts.headers.get(PROJECT_HEADER) {
        return Some(name.to_str().unwrap_or_default().to_owned());
    }
    url_pairs(parts.uri.query().unwrap_or_default()).find(|(name, _)| name == "project").map(|(_, value)| value)
}

/// The name-value pairs of a query string, decoded.
pub(crate) fn url_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (url_decode(name), url_decode(value))
    })
}

fn url_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 3).and_then(|digits| hex::decode(digits).ok());
        match (byte, escaped.as_deref()) {
            (b'%', Some([value])) => {
                decoded.push(*value);
                at += 3;
                continue;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

pub(crate) fn foreign_project(name: &str) -> ApiError {
    ApiError::new(Code::Forbidden, format!("these credentials have no access to a project `{name}`"))
        .with_hint("a key belongs to one project; leave `project` out")
}

#[async_trait]
impl Keys for Metadata {
    async fn authenticate(&self, key: &str) -> Result<Option<Principal>, ApiError> {
        let found = self.authenticate_key(key).await.map_err(auth::keys_unavailable)?;
        Ok(found.map(|found| Principal {
            id: found.key_id,
            project: found.project,
            scopes: found.scopes.iter().map(scope).collect(),
            service: None,
            confirmed: found.confirmed,
        }))
    }
}

fn scope(scope: KeyScope) -> Scope {
    match scope {
        KeyScope::Ingest => Scope::Ingest,
        KeyScope::Query => Scope::Query,
        KeyScope::Admin => Scope::Admin,
    }
}
