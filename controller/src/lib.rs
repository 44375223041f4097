//! The controller: keeps the cluster as it is wanted.
//!
//! A pure planner looks at a view (meta's catalog and what nodes say of themselves) and decides,
//! with reasons. An executor drives what takes several steps as jobs: each step is written to meta
//! before it is taken, and each may be taken twice, so that the controller may die at any line and
//! another goes on. Of several controllers one is active, by a lease in meta whose number goes
//! with everything it asks, and is refused once another holds it.
//!
//! It keeps nothing that it cannot lose. What it does not do: elections, which are Raft's alone.

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
