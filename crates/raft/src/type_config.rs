//! openraft's type parameters: opaque payloads and answers, a single leader per term, nodes without
//! addresses (these come from the [`crate::AddressBook`], so that a node may move).

use bytes::Bytes;
use openraft::impls::leader_id_std;
use serde::{Deserialize, Serialize};

/// The payload of a proposal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Payload(pub(crate) Bytes);

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl std::fmt::Display for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// The result of applying a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Answer(pub(crate) Bytes);

openraft::declare_raft_types!(
    pub(crate) TypeConfig:
        D = Payload,
        R = Answer,
        NodeId = u64,
        Node = openraft::EmptyNode,
        LeaderId = leader_id_std::LeaderId<Self::Term, Self::NodeId>,
);

pub(crate) type Vote = openraft::alias::VoteOf<TypeConfig>;
pub(crate) type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub(crate) type LogEntry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;

/// The `applied` blob of [`crate::StateMachine`]: the last entry applied and the membership at that
/// entry, in postcard.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Applied {
    pub(crate) log_id: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

impl Applied {
    pub(crate) fn encode(&self) -> Bytes {
        coterie_protocol::encode(self)
    }

    pub(crate) fn decode(blob: &[u8]) -> std::io::Result<Self> {
        coterie_protocol::decode(blob).map_err(std::io::Error::other)
    }
}
