//! Requests of a move to other groups: to the source for its frozen copy, to the destination to
//! serve.

use std::sync::Arc;
use std::time::Duration;

use coterie_group::Arriving;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::frozen::{FrozenAnswer, FrozenRead, FrozenRequest};
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_protocol::{decode, encode, method};
use coterie_raft::AddressBook as _;
use coterie_rpc::Client;
use coterie_types::{Epoch, GroupId, NodeId, RangeDescriptor, RangeId, UnixMillis};

use crate::addresses::Addresses;

/// How long a node may take for a few keys or a chunk, before the next node is asked.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// The same for walking a whole range, or a collection.
const DIGEST_TIMEOUT: Duration = Duration::from_secs(300);
const ACTIVATE_TIMEOUT: Duration = Duration::from_secs(2);

/// Other groups, on the nodes where the newest catalog places them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Peers {
    rpc: Client,
    addresses: Addresses,
}

/// A range that another group has frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FrozenRange {
    pub(crate) source: GroupId,
    pub(crate) range_id: RangeId,
    pub(crate) epoch: Epoch,
}

impl FrozenRange {
    /// The range that the source of an import has frozen.
    pub(crate) fn of(arriving: &Arriving) -> Self {
        Self {
            source: arriving.source,
            range_id: arriving.range.range_id,
            epoch: arriving.range.epoch,
        }
    }
}

impl Peers {
    pub(crate) fn new(rpc: Client, addresses: Addresses) -> Self {
        Self { rpc, addresses }
    }

    /// Reads the frozen copy from any replica of the source that has it. The error says why none
    /// has.
    pub(crate) async fn read_frozen(
        &self,
        range: FrozenRange,
        read: FrozenRead,
    ) -> Result<FrozenAnswer, String> {
        let timeout = match &read {
            FrozenRead::Digest | FrozenRead::ElementsDigest(_) => DIGEST_TIMEOUT,
            _ => READ_TIMEOUT,
        };
        let request = encode(&FrozenRequest {
            group_id: range.source,
            range_id: range.range_id,
            epoch: range.epoch,
            read,
        });
        let mut last = format!("group {} has no members", range.source);
        for (node_id, addr) in self.members(range.source) {
            let call = self
                .rpc
                .call(&addr, method::FROZEN, request.clone(), timeout);
            match call.await.map(|answer| decode::<FrozenAnswer>(&answer)) {
                Ok(Ok(FrozenAnswer::NotHere)) => {
                    last = format!(
                        "node {node_id} has no frozen copy of range {}",
                        range.range_id
                    );
                }
                Ok(Ok(FrozenAnswer::Failed(reason))) => last = format!("node {node_id}: {reason}"),
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => last = format!("node {node_id}: {error}"),
                Err(error) => last = format!("node {node_id}: {error}"),
            }
        }
        Err(last)
    }

    /// Tells the new owner of a range that it was handed off. The error says why it does not serve
    /// it yet.
    pub(crate) async fn activate(
        &self,
        range: &RangeDescriptor,
        clock: UnixMillis,
    ) -> Result<(), String> {
        let group_id = range.group_id;
        let request = encode(&ServerRequest::Activate {
            group_id,
            range_id: range.range_id,
            epoch: range.epoch,
            clock,
        });
        let mut turns = self.members(group_id);
        let mut hints = turns.len();
        let mut last = format!("group {group_id} has no members");
        while !turns.is_empty() {
            let (node_id, addr) = turns.remove(0);
            let call = self.rpc.call(
                &addr,
                method::SERVER_ADMIN,
                request.clone(),
                ACTIVATE_TIMEOUT,
            );
            match call.await.map(|answer| decode::<ServerAnswer>(&answer)) {
                Ok(Ok(ServerAnswer::Ok)) => return Ok(()),
                Ok(Ok(ServerAnswer::NotLeader { leader })) => {
                    last = format!("node {node_id} does not lead group {group_id}");
                    let hinted = turns.iter().position(|(id, _)| Some(*id) == leader);
                    if let Some(at) = hinted.filter(|_| hints > 0) {
                        hints -= 1;
                        let hinted = turns.remove(at);
                        turns.insert(0, hinted);
                    }
                }
                Ok(Ok(answer)) => last = format!("node {node_id}: {answer:?}"),
                Ok(Err(error)) => last = format!("node {node_id}: {error}"),
                Err(error) => last = format!("node {node_id}: {error}"),
            }
        }
        Err(last)
    }

    /// The newest catalog here.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.addresses.catalog()
    }

    /// Whether a node was removed from the cluster, by the newest catalog here.
    pub(crate) fn is_removed(&self, node: NodeId) -> bool {
        self.addresses.is_removed(node)
    }

    fn members(&self, group_id: GroupId) -> Vec<(NodeId, String)> {
        let catalog = self.addresses.catalog();
        let group = catalog.groups.get(&group_id);
        let members = group.into_iter().flat_map(|group| &group.replicas);
        members
            .filter_map(|replica| {
                let node = catalog.nodes.get(&replica.node_id)?;
                (!node.addr.is_empty()).then(|| (node.node_id, node.addr.clone()))
            })
            .collect()
    }
}
