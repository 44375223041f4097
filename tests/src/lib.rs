//! Whole-cluster tests: harness, workloads, histories, checker.
//!
//! The tests themselves are in `tests/tests/`. They run the real binary as real processes on
//! loopback, do what users and failures do, and judge by what clients saw. Everything here waits
//! for conditions under a deadline, never for a duration, and ends what it started.
//!
//! The harness is blocking: a test's own thread starts, kills and waits, while the clients of a
//! [`workload`] run on threads of their own.

pub mod binary;
pub mod checker;
pub mod cluster;
pub mod compat;
pub mod connection;
pub mod foreign;
pub mod history;
pub mod liar;
pub mod nemesis;
pub mod ports;
pub mod process;
pub mod redis_server;
pub mod resp;
pub mod rng;
pub mod small_disk;
mod spawn;
pub mod wait;
pub mod workload;
