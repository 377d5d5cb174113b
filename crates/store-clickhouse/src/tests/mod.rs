//! Against the real server.

mod crashes;
mod queries;
mod races;
mod rig;
mod sql;
