//! End-to-end tests: the real binary, real clients, real files.
//!
//! - [`path`]: a line from a client to every way of reading it;
//! - [`ingest`]: what the collector does with what it should not get;
//! - [`crash`]: SIGKILL at random and at each named step, under load, then an exact count;
//! - [`disk`]: a full disk, a read-only directory, a torn or damaged queue;
//! - [`damage`]: a message of the queue that does not read; [`dead_letters`] and [`replay`];
//! - [`metrics`]: what is documented is what there is;
//! - [`limits`]: memory, start, stop;
//! - [`cli`]: the client commands;
//! - [`examples`]: the example applications;
//! - [`demo`]: the simulated shop;
//! - [`harness`]: starts and stops servers.

mod cli;
mod crash;
mod damage;
mod dead_letters;
mod demo;
mod disk;
mod examples;
mod harness;
mod ingest;
mod limits;
mod metrics;
mod path;
mod replay;
