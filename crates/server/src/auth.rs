//! Who sends a request, and what may they do. Asked before anything else, so before a byte of the body is read.
//!
//! A key comes as `Authorization: Bearer KEY`, `Authorization: Splunk KEY`, HTTP Basic with the key as password,
//! `X-API-Key: KEY` or `DD-API-KEY: KEY`; the first of these that is there counts. Browsers have a session cookie
//! instead, which [`Sessions`] reads. A client certificate is a credential when a rule of [`Identities`] means it: alone,
//! or beside a key or a session, with which it must then agree. In `--dev` everybody is an admin of the project `default`, and
//! [`refuse_foreign`] keeps foreign web pages out.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use http::{HeaderMap, header};

use crate::error::{ApiError, Code};
use crate::session::check_origin;
use crate::tls::Peer;
use crate::tls::identity::Identities;

/// The project of `--dev`, and of what comes without another.
pub const DEFAULT_PROJECT: &str = "default";

/// Keys longer than this are not ours.
const KEY_BYTES_MAX: usize = 512;

/// Names of a certificate that a hint tells.
const NAMES_TOLD_MAX: usize = 4;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    Ingest,
    Query,
    Admin,
}

impl Scope {
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::Query => "query",
            Scope::Admin => "admin",
        }
    }
}

/// A set of scopes. `admin` does not imply the others: a key says what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    pub const ALL: Self = Self(0b111);

    pub fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | 1 << scope as u8))
    }
}

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Of the key or the user, for the audit; never the secret.
    pub id: Arc<str>,
    /// The only project that is seen and written.
    pub project: Arc<str>,
    pub scopes: Scopes,
    /// Of records that name no service themselves; a client certificate can say it.
    pub service: Option<Arc<str>>,
    /// False for a key that was good when it was last read and can't be checked now: good for sending only, so that
    /// collectors go on while the metadata is out of reach.
    pub confirmed: bool,
}

impl Principal {
    /// One request, two credentials: it may do what both allow, if they belong to one project.
    fn agree(self, certificate: Option<Self>) -> Result<Self, ApiError> {
        let Some(certificate) = certificate else { return Ok(self) };
        if certificate.project != self.project {
            let detail = "the client certificate and the key or session belong to different projects";
            return Err(ApiError::new(Code::CredentialsDisagree, detail)
                .with_hint("send a key of the certificate's project, or none"));
        }
        Ok(Self { scopes: self.scopes.intersection(certificate.scopes), service: certificate.service, ..self })
    }
}

/// Where keys are known.
#[async_trait]
pub trait Keys: Send + Sync + std::fmt::Debug {
    /// Whose key this is; None for an unknown, expired or revoked one. An error when it can't be told now.
    async fn authenticate(&self, key: &str) -> Result<Option<Principal>, ApiError>;
}

/// Where browser sessions are known.
#[async_trait]
pub trait Sessions: Send + Sync + std::fmt::Debug {
    /// Whose session cookie the request has; None without one. Checks the request's origin too, an error when it is
    /// foreign.
    async fn authenticate(&self, parts: &Parts) -> Result<Option<Principal>, ApiError>;
}

/// How requests are authenticated.
#[derive(Debug)]
pub enum Auth {
    /// `--dev`: everybody may do everything in [`DEFAULT_PROJECT`].
    Open,
    Required {
        keys: Arc<dyn Keys>,
        sessions: Option<Arc<dyn Sessions>>,
        /// What client certificates may do.
        identities: Identities,
    },
}

impl Auth {
    /// Who sends this request.
    ///
    /// # Errors
    /// 401 without valid credentials or with a certificate that is no longer good, 403 when a certificate and a key
    /// disagree, 503 when keys can't be read now.
    pub async fn identify(&self, parts: &Parts) -> Result<Principal, ApiError> {
        let Auth::Required { keys, sessions, identities } = self else {
            return Ok(Principal {
                id: "dev".into(),
                project: DEFAULT_PROJECT.into(),
                scopes: Scopes::ALL,
                service: None,
                confirmed: true,
            });
        };
        let peer = parts.extensions.get::<Arc<Peer>>();
        if let Some(peer) = peer {
            peer.check()?;
        }
        let certificate = peer.and_then(|peer| identities.principal(peer.names()));
        if let Some(key) = key_of(&parts.headers)? {
            let principal = keys.authenticate(&key).await?.ok_or_else(|| {
                ApiError::new(Code::Unauthenticated, "the key is unknown, expired or revoked")
                    .with_hint("`devlogs keys list` shows the keys, `devlogs keys create` makes one")
            })?;
            return principal.agree(certificate);
        }
        if let Some(sessions) = sessions
            && let Some(principal) = sessions.authenticate(parts).await?
        {
            return principal.agree(certificate);
        }
        if let Some(principal) = certificate {
            // A browser shows its certificate to whatever page asks it to.
            check_origin(&parts.headers, parts.uri.authority())?;
            return Ok(principal);
        }
        Err(without_credentials(peer))
    }

    /// Who sends this request, if they may do this.
    ///
    /// # Errors
    /// As [`Auth::identify`], 403 when the credentials lack the scope, and 503 for a key that can't be confirmed now, unless
    /// it is for sending.
    pub async fn require(&self, parts: &Parts, scope: Scope) -> Result<Principal, ApiError> {
        let principal = self.identify(parts).await?;
        if !principal.confirmed && scope != Scope::Ingest {
            return Err(keys_unavailable("the key is known from before only"));
        }
        if principal.scopes.contains(scope) {
            return Ok(principal);
        }
        Err(ApiError::new(Code::Forbidden, format!("the credentials lack the scope `{}`", scope.as_str())))
    }

    pub fn is_open(&self) -> bool {
        matches!(self, Auth::Open)
    }
}

fn without_credentials(peer: Option<&Arc<Peer>>) -> ApiError {
    let Some(peer) = peer else {
        return ApiError::new(Code::Unauthenticated, "the request has no key")
            .with_hint("send `Authorization: Bearer KEY` or `X-API-Key: KEY`");
    };
    let names: Vec<_> = peer.names().iter().take(NAMES_TOLD_MAX).map(|name| format!("`{name}`")).collect();
    let detail = "the request has no key, and no rule gives its client certificate a project";
    ApiError::new(Code::Unauthenticated, detail)
        .with_hint(format!("add a rule for {} to `tls.identities`, or send a key", names.join(" or ")))
}

/// Metadata did not answer whether a key is good: the client should come again.
pub fn keys_unavailable(cause: impl std::fmt::Display) -> ApiError {
    ApiError::unavailable("keys can't be checked now", Duration::from_secs(2)).with_internal(cause)
}

/// The key of a request, if it has one.
fn key_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let unreadable = || ApiError::new(Code::Unauthenticated, "the credentials can't be read");
    let key = if let Some(value) = headers.get(header::AUTHORIZATION) {
        let value = value.to_str().map_err(|_| unreadable())?;
        let (scheme, rest) = value.split_once(' ').ok_or_else(unreadable)?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            let pair = STANDARD.decode(rest).map_err(|_| unreadable())?;
            let pair = String::from_utf8(pair).map_err(|_| unreadable())?;
            pair.split_once(':').ok_or_else(unreadable)?.1.to_owned()
        } else if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("splunk") {
            rest.to_owned()
        } else {
            return Err(unreadable().with_hint("use the scheme `Bearer`, `Basic` or `Splunk`"));
        }
    } else {
        let Some(value) = headers.get("x-api-key").or_else(|| headers.get("dd-api-key")) else {
            return Ok(None);
        };
        value.to_str().map_err(|_| unreadable())?.trim().to_owned()
    };
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(unreadable());
    }
    Ok(Some(key))
}

/// Refuses, on every method, a `Host` that is not loopback (a rebound DNS name) and an `Origin` of a foreign page:
/// with no key asked for, any web site could otherwise read and write through the user's browser.
pub fn refuse_foreign(request: &Request) -> Option<ApiError> {
    let host = match request.headers().get(header::HOST) {
        Some(host) => Some(host.to_str().unwrap_or_default()),
        None => request.uri().authority().map(http::uri::Authority::as_str),
    };
    if host.is_some_and(|host| !is_loopback(host)) {
        let refused = ApiError::new(Code::Forbidden, "with --dev only loopback host names are served");
        return Some(refused.with_hint("open http://localhost with the same port, or start without --dev"));
    }
    let foreign = request.headers().get_all(header::ORIGIN).iter().any(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        !origin.split_once("://").is_some_and(|(_, host)| is_loopback(host))
    });
    foreign.then(|| ApiError::new(Code::Forbidden, "with --dev requests of foreign web pages are refused"))
}

/// Whether `host` or `host:port` names this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            return is_port(port) && address.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback());
        }
        None => match host.split_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            Some(_) => return false,
            None => host,
        },
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
