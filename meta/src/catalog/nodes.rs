//! Nodes: registration, addresses, states.

use coterie_protocol::catalog::Row;
use coterie_protocol::meta::{Outcome, Rejection};
use coterie_types::{NodeDescriptor, NodeId, NodeState};

use super::edit::{Edit, invalid};

const ADDR_BYTES_MAX: usize = 256;
const ZONE_BYTES_MAX: usize = 128;
const HOST_BYTES_MAX: usize = 256;

/// The properties that a node registers with.
pub(super) struct Card {
    pub(super) addr: String,
    pub(super) zone: String,
    pub(super) host: String,
    pub(super) capacity_bytes: u64,
}

impl Edit<'_> {
    /// The same token always gets the same id. A new token gets a new id, even at a known address:
    /// the disk was wiped, and the node there is another.
    pub(super) fn register_node(&mut self, token: u128, card: Card) -> Result<Outcome, Rejection> {
        check_card(&card)?;
        let Card {
            addr,
            zone,
            host,
            capacity_bytes,
        } = card;
        let node = match self.registered(token) {
            Some(node_id) => NodeDescriptor {
                addr,
                zone,
                host,
                capacity_bytes,
                ..self.node(node_id)?
            },
            None => {
                let node_id = NodeId(self.next().node);
                self.next().node += 1;
                self.register(token, node_id);
                NodeDescriptor {
                    node_id,
                    addr,
                    zone,
                    host,
                    capacity_bytes,
                    state: NodeState::Joining,
                }
            }
        };
        if node.state == NodeState::Removed {
            return Err(Rejection::Removed(node.node_id));
        }
        let node_id = node.node_id;
        self.claim_addr(&node);
        self.put(Row::Node(node));
        Ok(Outcome::Registered {
            node_id,
            cluster_id: self.catalog().cluster_id,
        })
    }

    pub(super) fn set_node_addr(&mut self, node_id: NodeId, addr: String) -> Result<(), Rejection> {
        check_addr(&addr)?;
        let node = NodeDescriptor {
            addr,
            ..self.node(node_id)?
        };
        if node.state == NodeState::Removed {
            return Err(Rejection::Removed(node_id));
        }
        self.claim_addr(&node);
        self.put(Row::Node(node));
        Ok(())
    }

    pub(super) fn set_node_state(
        &mut self,
        node_id: NodeId,
        state: NodeState,
        fence: u64,
    ) -> Result<(), Rejection> {
        if fence != 0 {
            self.check_fence(fence)?;
        }
        let node = self.node(node_id)?;
        if node.state == state {
            return Ok(());
        }
        if node.state == NodeState::Removed {
            return Err(Rejection::Removed(node_id));
        }
        let may_operator = match state {
            NodeState::Draining | NodeState::Removed => true,
            NodeState::Up => node.state == NodeState::Draining,
            NodeState::Joining | NodeState::Down => false,
        };
        if fence == 0 && !may_operator {
            let from = node.state;
            return Err(invalid(format!(
                "an operator does not take node {node_id} from {from:?} to {state:?}"
            )));
        }
        if state == NodeState::Removed
            && let Some(group_id) = self.a_group_on(node_id)
        {
            return Err(invalid(format!(
                "node {node_id} holds a replica of group {group_id}: drain it first"
            )));
        }
        self.put(Row::Node(NodeDescriptor { state, ..node }));
        Ok(())
    }

    /// Removes a node even if it holds replicas. The node hears of it if it ever comes back.
    pub(super) fn lose_node(&mut self, node_id: NodeId) -> Result<(), Rejection> {
        let node = self.node(node_id)?;
        let state = NodeState::Removed;
        self.put(Row::Node(NodeDescriptor { state, ..node }));
        Ok(())
    }

    pub(super) fn node(&self, node_id: NodeId) -> Result<NodeDescriptor, Rejection> {
        let node = self.catalog().nodes.get(&node_id).cloned();
        node.ok_or_else(|| Rejection::NotFound(format!("node {node_id}")))
    }

    /// Assigns an address to a single node. Another node that had it has none until it reports its
    /// own, so that neither is taken for the other.
    fn claim_addr(&mut self, claimant: &NodeDescriptor) {
        let before: Vec<NodeDescriptor> = self
            .catalog()
            .nodes
            .values()
            .filter(|node| node.addr == claimant.addr && node.node_id != claimant.node_id)
            .cloned()
            .collect();
        for node in before {
            self.put(Row::Node(NodeDescriptor {
                addr: String::new(),
                ..node
            }));
        }
    }

    fn a_group_on(&self, node_id: NodeId) -> Option<coterie_types::GroupId> {
        let mut groups = self.catalog().groups.values();
        groups
            .find(|group| group.replicas.iter().any(|r| r.node_id == node_id))
            .map(|group| group.group_id)
    }
}

fn check_card(card: &Card) -> Result<(), Rejection> {
    check_addr(&card.addr)?;
    let texts = [
        ("zone", &card.zone, ZONE_BYTES_MAX),
        ("host", &card.host, HOST_BYTES_MAX),
    ];
    for (name, text, bytes_max) in texts {
        if text.len() > bytes_max {
            return Err(invalid(format!("a {name} of more than {bytes_max} bytes")));
        }
    }
    Ok(())
}

fn check_addr(addr: &str) -> Result<(), Rejection> {
    if addr.is_empty() || addr.len() > ADDR_BYTES_MAX {
        return Err(invalid(format!(
            "an address has 1 to {ADDR_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}
