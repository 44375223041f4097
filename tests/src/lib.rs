//! Whole-cluster tests: harness, workloads, histories, checker.
//!
//! The tests themselves are in `tests/tests/`. They run the real binary as real processes on
//! loopback, do what users and failures do, and judge by what clients saw. Everything here waits
//! for conditions under a deadline, never for a duration, and ends what it started.

pub mod checker;
pub mod history;
pub mod rng;
