//! The HTTP edge: what comes in from web apps, and what goes out to people.
//!
//! A request passes [`edge`] (connections, limits, drain), [`auth`] (who is it, before a byte of the body is read) and
//! then a handler:
//!
//! - [`collect`]: log records in, one decoder a file; answered when the queue holds them durably;
//! - [`query`], [`tail`]: what is stored, and what comes in now; [`admin`]: what operators see and do;
//! - [`session`], `dashboard`: the browser's way in; [`openapi`]: the description of it all;
//! - [`tls`]: certificates of listeners and clients;
//! - [`ops`]: `/metrics`, `/healthz`, `/readyz`;
//! - [`error`]: every error is one [`error::ApiError`] with a stable code, rendered as `application/problem+json`;
//! - [`metrics`]: every metric of this crate, declared once.
//!
//! Everything that a listener serves shares one [`ServerState`].

pub mod admin;
pub mod auth;
pub mod collect;
mod dashboard;
pub mod edge;
pub mod error;
pub mod metrics;
pub mod openapi;
pub mod ops;
pub mod query;
pub mod session;
pub mod tail;
pub mod tls;

use std::sync::Arc;

use crate::auth::Auth;
use crate::metrics::Metrics;
use crate::ops::Health;

/// What all listeners of a process share.
#[derive(Debug, Clone)]
pub struct ServerState {
    pub auth: Arc<Auth>,
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
}
