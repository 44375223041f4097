//! The metadata service: nodes, groups, tables, ranges, jobs, settings and objects, in a Raft
//! group.
//!
//! It has three or five members, each with the whole catalog in memory; the log and a snapshot are
//! on disk. A command is committed, applied by the pure `catalog`, and answered; watchers of the
//! catalog receive the change of rows. Liveness is in the leader's memory alone.
//!
//! `start` runs a member inside a process, `run` until a shutdown; `restore` makes a directory from
//! a backup. The data path does not need meta: while meta is away the catalog does not change, and
//! data is served as before.

pub mod backup;
mod birth;
pub mod catalog;
mod config;
mod directory;
mod error;
#[cfg(test)]
mod fuzz;
mod held;
mod joining;
mod machine;
mod members;
mod metrics;
mod run;
mod service;
mod snapshot;

pub use backup::{rebuild, restore};
pub use config::{Config, Peer};
pub use error::RunError;
pub use run::{Handle, run, start, start_with};
