//! End-to-end tests: the real binary, real clients, real files.
//!
//! - [`path`]: a line from a client to every way of reading it;
//! - [`ingest`]: what the collector does with what it should not get;
//! - [`crash`]: SIGKILL at random and at each named step, under load, then an exact count;
//! - [`failures`]: roles apart on real servers that are killed and frozen under load; [`fleet`]: starts them;
//! - [`cuts`]: the same while the network between each pair is cut; [`proxy`]: cuts it;
//! - [`roles`]: what one node takes or changes, the others show;
//! - [`disk`]: a full disk, a read-only directory, a torn or damaged queue;
//! - [`damage`]: a message of the queue that does not read; [`dead_letters`] and [`replay`];
//! - [`servers`]: dead letters and replay where queue and store are servers;
//! - [`kafka`]: requests larger than a message, and dead letters in their topic;
//! - [`metrics`]: what is documented is what there is;
//! - [`limits`]: memory, start, stop;
//! - [`cli`]: the client commands;
//! - [`examples`]: the example applications;
//! - [`demo`]: the simulated shop;
//! - [`load`]: clients that repeat until they are acknowledged, and the exact count;
//! - [`tls`]: certificates from the first to the revoked one;
//! - [`harness`]: starts and stops servers.

mod cli;
mod crash;
mod cuts;
mod damage;
mod dead_letters;
mod demo;
mod disk;
mod examples;
mod failures;
mod fleet;
mod harness;
mod ingest;
mod kafka;
mod limits;
mod load;
mod metrics;
mod path;
mod proxy;
mod replay;
mod roles;
mod servers;
mod tls;
