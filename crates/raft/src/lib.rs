//! Raft groups of one node: log, network, membership. The only crate that names openraft.
