//! The metadata service: nodes, groups, tables, ranges, jobs and settings, in one Raft group.
//!
//! Three or five members, each with the whole catalog in memory; the log and a snapshot of it are
//! on disk. A command is committed, applied by the pure `catalog`, and answered; those who follow
//! the catalog are told the change of rows. Liveness is the leader's memory alone.
//!
//! `start` runs a member inside a process, `run` until it is told to stop; `restore` makes a
//! directory from a backup. The data path does not need meta: while it is away, nothing changes,
//! and what is known goes on.

pub mod backup;
mod birth;
pub mod catalog;
mod config;
mod directory;
mod door;
mod error;
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
