//! Signing in from a browser, and what guards a session against other web pages.
//!
//! The cookie is `HttpOnly` and `SameSite=Strict`. A request that comes with it and is not a plain read must carry the
//! session's token in `X-CSRF-Token` and come from our own pages; a WebSocket must come from them too, since browsers
//! let any page open one.

use std::net::SocketAddr;

use async_trait::async_trait;
use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use metadata::users::SESSION_LIFETIME;
use metadata::{DEFAULT_PROJECT, Metadata, MetadataError, Session};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::{IntoParams, ToSchema};

use crate::admin::metadata_error;
use crate::auth::{Principal, Scope, Sessions};
use crate::error::{ApiError, Code, Problem};
use crate::query::caller::{ALL_PROJECTS, asked_project, foreign_project};
use crate::query::{ApiState, Params};

const COOKIE: &str = "devlogs_session";
const CSRF_HEADER: &str = "x-csrf-token";
/// With `--dev` there is no session to protect; pages get a token all the same, so that they need no second way.
const DEV_TOKEN: &str = "dev";

#[derive(Debug, Deserialize, IntoParams, ToSchema)]
pub struct SignIn {
    pub user: String,
    pub password: String,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionBody {
    /// True when the server runs with `--dev`: no sign-in, no key needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub dev: Option<bool>,
    pub user: String,
    /// For the header `X-CSRF-Token` of every request that changes something.
    pub csrf_token: String,
    /// What the user may look at, chosen by the header `X-Devlogs-Project` or the parameter `project`.
    pub projects: Vec<String>,
}

/// The session of this browser
#[utoipa::path(get, path = "/api/v1/session", operation_id = "current_session", tag = "session",
    responses((status = 200, body = SessionBody), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn current(State(state): State<ApiState>, request: Request) -> Result<Response, ApiError> {
    if state.server.auth.is_open() {
        let body = SessionBody {
            dev: Some(true),
            user: "dev".into(),
            csrf_token: DEV_TOKEN.into(),
            projects: vec![DEFAULT_PROJECT.into()],
        };
        return Ok(Json(body).into_response());
    }
    match session_of(&state.metadata, request.headers()).await? {
        Some(session) => Ok(Json(body(&state.metadata, session).await?).into_response()),
        None => Err(ApiError::new(Code::Unauthenticated, "nobody is signed in")),
    }
}

/// Signs in and sets the session's cookie
#[utoipa::path(post, path = "/api/v1/session", tag = "session", request_body = SignIn,
    responses((status = 200, body = SessionBody), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn sign_in(
    State(state): State<ApiState>,
    client: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    params: Params<SignIn>,
) -> Result<Response, ApiError> {
    // Another page must not sign a visitor in as somebody else.
    check_origin(&headers, None)?;
    let missing = |name: &str| ApiError::malformed(format!("`{name}` is missing"));
    let user = params.text("user")?.ok_or_else(|| missing("user"))?;
    let password = params.text("password")?.ok_or_else(|| missing("password"))?;
    let from = client.map(|client| client.0.0.ip().to_string()).unwrap_or_default();
    let new = state.metadata.sign_in(&user, &password, &from).await.map_err(|error| match error {
        MetadataError::WrongPassword => ApiError::new(Code::Unauthenticated, "user or password is wrong"),
        other => metadata_error(other),
    })?;
    let cookie = cookie(&new.token, SESSION_LIFETIME.as_secs(), state.secure_cookies)?;
    let body = body(&state.metadata, new.session).await?;
    Ok(([(header::SET_COOKIE, cookie)], Json(body)).into_response())
}

/// Ends the session
#[utoipa::path(delete, path = "/api/v1/session", tag = "session",
    responses((status = 204, description = "Signed out"), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn sign_out(State(state): State<ApiState>, request: Request) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    if let Some(token) = token(&parts.headers)
        && let Some(session) = state.metadata.session(token).await.map_err(metadata_error)?
    {
        check_change(&parts, &session)?;
        state.metadata.sign_out(token).await.map_err(metadata_error)?;
    }
    let cookie = cookie("", 0, state.secure_cookies)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

async fn body(metadata: &Metadata, session: Session) -> Result<SessionBody, ApiError> {
    let mut projects: Vec<_> =
        metadata.projects().await.map_err(metadata_error)?.into_iter().map(|project| project.name).collect();
    projects.retain(|name| may_look_at(&session, name));
    Ok(SessionBody { dev: None, user: session.user, csrf_token: session.csrf_token, projects })
}

/// Admins look at every project, other users at the default one.
fn may_look_at(session: &Session, project: &str) -> bool {
    session.admin || project == DEFAULT_PROJECT
}

#[async_trait]
impl Sessions for Metadata {
    async fn authenticate(&self, parts: &Parts) -> Result<Option<Principal>, ApiError> {
        let Some(session) = session_of(self, &parts.headers).await? else { return Ok(None) };
        check_origin(&parts.headers, parts.uri.authority())?;
        let safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let web_socket = parts.headers.contains_key(header::UPGRADE) || parts.method == Method::CONNECT;
        if web_socket && !parts.headers.contains_key(header::ORIGIN) {
            return Err(ApiError::new(Code::Forbidden, "a WebSocket with a session cookie needs an `Origin`")
                .with_hint("programs send a key in a header instead"));
        }
        if !safe && !web_socket {
            check_change(parts, &session)?;
        }
        let project = match asked_project(parts) {
            Some(name) if name != ALL_PROJECTS => {
                let known = self.project(&name).await.map_err(metadata_error)?.is_some();
                if !known || !may_look_at(&session, &name) {
                    return Err(foreign_project(&name));
                }
                name
            }
            _ => DEFAULT_PROJECT.to_owned(),
        };
        let scopes: &[Scope] = if session.admin { &[Scope::Query, Scope::Admin] } else { &[Scope::Query] };
        Ok(Some(Principal {
            id: session.user.into(),
            project: project.into(),
            scopes: scopes.iter().copied().collect(),
            service: None,
            confirmed: true,
        }))
    }
}

async fn session_of(metadata: &Metadata, headers: &HeaderMap) -> Result<Option<Session>, ApiError> {
    match token(headers) {
        Some(token) => metadata.session(token).await.map_err(metadata_error),
        None => Ok(None),
    }
}

fn token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, token)| token)
        .filter(|token| !token.is_empty())
}

fn cookie(token: &str, max_age_seconds: u64, secure: bool) -> Result<HeaderValue, ApiError> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_seconds}{secure}");
    HeaderValue::try_from(text).map_err(ApiError::internal)
}

/// A request that changes something: the session's token, and an origin that is ours and is told.
fn check_change(parts: &Parts, session: &Session) -> Result<(), ApiError> {
    let sent = parts.headers.get(CSRF_HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
    if !bool::from(sent.ct_eq(session.csrf_token.as_bytes())) {
        return Err(ApiError::new(Code::Forbidden, "the header `X-CSRF-Token` is missing or wrong")
            .with_hint("`GET /api/v1/session` tells the session's token"));
    }
    if !parts.headers.contains_key(header::ORIGIN) {
        return Err(ApiError::new(Code::Forbidden, "a change with a session cookie needs an `Origin`"));
    }
    check_origin(&parts.headers, parts.uri.authority())
}

/// Every `Origin` that is there must be ours: the host and port that the request was sent to.
pub(crate) fn check_origin(headers: &HeaderMap, authority: Option<&http::uri::Authority>) -> Result<(), ApiError> {
    let host = match headers.get(header::HOST) {
        Some(host) => host.to_str().unwrap_or_default(),
        None => authority.map_or("", http::uri::Authority::as_str),
    };
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let ours = origin.split_once("://").is_some_and(|(scheme, from)| {
            let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
            let plain = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
            !from.is_empty() && plain(from) == plain(host)
        });
        if !ours {
            return Err(ApiError::new(Code::Forbidden, "requests of foreign web pages are refused"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::tests::bench::Bench;

    #[tokio::test]
    async fn only_admins_are_told_of_other_projects() {
        let bench = Bench::new().await;
        for (admin, projects) in [(true, vec!["bank", "default", "shop"]), (false, vec!["default"])] {
            let session = Session { user: "ann".into(), admin, csrf_token: String::new(), expires_at: i64::MAX };
            assert_eq!(body(&bench.state.metadata, session).await.unwrap().projects, projects);
        }
        bench.close().await;
    }
}
