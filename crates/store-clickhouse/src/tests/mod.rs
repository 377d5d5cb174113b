//! Against the real server.

mod aging;
mod cluster;
mod crashes;
mod measure;
mod queries;
mod races;
mod refusals;
mod rig;
mod sql;
mod tls;
