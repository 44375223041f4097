//! The answers to requests that Raft refused or failed.

use coterie_protocol::server::ServerAnswer;
use coterie_raft::{ProposeError, RaftError};

use crate::error::chain;

pub(super) fn propose_error(error: &ProposeError) -> ServerAnswer {
    match error {
        ProposeError::NotLeader { leader, .. } => ServerAnswer::NotLeader { leader: *leader },
        other => ServerAnswer::Failed(other.to_string()),
    }
}

pub(super) fn raft_error(error: &RaftError) -> ServerAnswer {
    match error {
        RaftError::NotLeader { leader } => ServerAnswer::NotLeader { leader: *leader },
        other => ServerAnswer::Failed(chain(other)),
    }
}
