//! The answer of a server, from which the catalog is made anew.

use coterie_protocol::server::{ReplicaStatus, Witness};

/// A server that answered.
pub(super) struct Heard {
    pub(super) witness: Witness,
    pub(super) replicas: Vec<ReplicaStatus>,
}
