//! The real servers that tests run against, started by the tests themselves on free loopback ports.
//!
//! - [`install`]: what has to be downloaded is kept beside the build output, once for all tests;
//! - [`process`]: a child process that is killed when the test ends; [`scratch`]: its data, removed afterwards;
//! - one file for each server.
//!
//! A server that can't be had fails the test with what is missing and how to get it; nothing is skipped.

pub mod clickhouse;
pub mod install;
pub mod kafka;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod scratch;
pub mod timescale;

pub use process::{Server, free_port};
