//! Where other nodes are.

use coterie_types::NodeId;

/// The current addresses of other nodes. Looked up for every call, so it must be quick.
pub trait AddressBook: Send + Sync + 'static {
    /// `IP:PORT` of a node; `None` when it is not known.
    fn address(&self, node: NodeId) -> Option<String>;

    /// Whether the node was removed from the cluster permanently: its messages are refused.
    fn is_removed(&self, _node: NodeId) -> bool {
        false
    }
}
