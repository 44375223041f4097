//! The fencing number of a request.

use coterie_protocol::server::ServerRequest;

/// The fencing number of a request, if it carries a number.
pub(super) fn fence_of(request: &ServerRequest) -> Option<u64> {
    match request {
        ServerRequest::CreateReplica { fence, .. }
        | ServerRequest::InitGroup { fence, .. }
        | ServerRequest::TransferLeader { fence, .. }
        | ServerRequest::ChangeReplicas { fence, .. }
        | ServerRequest::DestroyReplica { fence, .. }
        | ServerRequest::AddRanges { fence, .. }
        | ServerRequest::DropRanges { fence, .. }
        | ServerRequest::SplitRange { fence, .. }
        | ServerRequest::MergeRanges { fence, .. }
        | ServerRequest::BeginImport { fence, .. }
        | ServerRequest::CancelImport { fence, .. }
        | ServerRequest::HandOff { fence, .. }
        | ServerRequest::DropFrozen { fence, .. }
        | ServerRequest::AddLearner { fence, .. }
        | ServerRequest::RecoverAlone { fence, .. }
        | ServerRequest::TakeDigest { fence, .. } => Some(*fence),
        ServerRequest::Status
        | ServerRequest::Witness
        | ServerRequest::Activate { .. }
        | ServerRequest::ImportState { .. }
        | ServerRequest::SplitPoint { .. }
        | ServerRequest::Digest { .. } => None,
    }
}
