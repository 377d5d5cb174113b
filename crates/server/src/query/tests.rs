//! Every endpoint through the router: real metadata, a real queue, the reference store.

mod admin;
mod answers;
pub(crate) mod bench;
mod exports;
mod sessions;
