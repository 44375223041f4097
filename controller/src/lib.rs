//! The controller: keeps the cluster in the wanted shape.
//!
//! A pure planner takes a view (meta's catalog and the nodes' heartbeats) and returns actions, with
//! reasons. An executor carries the actions out. An action of several steps is a job. Each step is
//! written to meta before it is taken, and may be taken twice, so the controller may die at any
//! line and another goes on. Of several controllers, the holder of the lease in meta is active. The
//! lease's number goes with every request, and is refused once another controller holds the lease.
//!
//! The controller stores nothing that it cannot lose. It holds no elections: those are Raft's
//! alone.

mod config;
mod error;
mod executor;
pub mod job;
mod keys;
mod lease;
mod metrics;
pub mod planner;
mod ports;
mod refusals;
mod run;
#[cfg(test)]
mod sim;
pub mod view;

pub use config::Config;
pub use error::RunError;
pub use run::{Handle, run, start, start_with};
