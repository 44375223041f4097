//! The members of the service and their addresses.

use std::collections::BTreeMap;

use coterie_raft::AddressBook;
use coterie_types::NodeId;

use crate::config::Config;

/// The members and their addresses.
pub(crate) struct Members {
    own: NodeId,
    addrs: BTreeMap<NodeId, String>,
}

impl Members {
    /// The configured members; if none are configured, this member alone, which listens at `addr`.
    pub(crate) fn of(config: &Config, addr: &str) -> Self {
        let own = NodeId(config.id);
        let peers = config.peers.iter();
        let mut addrs: BTreeMap<NodeId, String> = peers
            .map(|peer| (NodeId(peer.id), peer.addr.clone()))
            .collect();
        addrs.entry(own).or_insert_with(|| addr.to_owned());
        Self { own, addrs }
    }

    /// Every member's id.
    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.addrs.keys().copied().collect()
    }

    pub(crate) fn own_id(&self) -> NodeId {
        self.own
    }

    pub(crate) fn addr(&self, member: NodeId) -> Option<String> {
        self.addrs.get(&member).cloned()
    }
}

impl AddressBook for Members {
    fn address(&self, node: NodeId) -> Option<String> {
        self.addr(node)
    }
}
