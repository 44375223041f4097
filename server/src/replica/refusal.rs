//! Refusals: the answers to frames that this replica does not execute.

use coterie_protocol::{FrameReply, Refusal};
use coterie_raft::ProposeError;
use coterie_rpc::Responder;
use coterie_types::Term;

/// Answers a frame with a refusal.
pub(crate) fn refuse(responder: Responder, refusal: Refusal) {
    responder.send(FrameReply::Refused(refusal).encode());
}

/// The refusal that a proxy gets for a failed proposal.
pub(super) fn refusal_of(error: ProposeError) -> Refusal {
    match error {
        ProposeError::NotLeader { leader, term } => Refusal::NotLeader { leader, term },
        ProposeError::Unknown => Refusal::FateUnknown,
        ProposeError::Stopped(_) => Refusal::NotLeader {
            leader: None,
            term: Term(0),
        },
    }
}
