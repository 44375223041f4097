//! A process of a cluster with its place.

use std::path::PathBuf;

use super::role::Role;
use crate::ports::Port;
use crate::process::Process;

/// A process of a cluster.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) role: Role,
    pub(super) number: usize,
    pub(super) dir: PathBuf,
    pub(super) port: Port,
    /// The port of its metrics; a controller serves them at `port`.
    pub(super) http: Option<Port>,
    pub(super) process: Process,
}
