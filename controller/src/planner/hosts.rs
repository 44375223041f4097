//! The hosts of the nodes, as far as the nodes name them. Nodes on a host share its CPU, and fail
//! together.

use std::collections::BTreeMap;

use coterie_protocol::catalog::Catalog;
use coterie_types::{NodeId, NodeState};

/// See the module's head.
pub(super) struct Hosts {
    /// The index of each node's host.
    of: BTreeMap<NodeId, usize>,
    /// The number of nodes on each host that are up.
    up: Vec<u64>,
}

impl Hosts {
    /// The hosts of a catalog. A node that names no host is alone on a host of its own.
    pub(super) fn of(catalog: &Catalog) -> Self {
        let mut named: BTreeMap<&str, usize> = BTreeMap::new();
        let mut hosts = Self {
            of: BTreeMap::new(),
            up: Vec::new(),
        };
        for node in catalog.nodes.values() {
            let known = named.get(node.host.as_str()).copied();
            let host = known.unwrap_or(hosts.up.len());
            if known.is_none() {
                hosts.up.push(0);
                if !node.host.is_empty() {
                    named.insert(&node.host, host);
                }
            }
            hosts.of.insert(node.node_id, host);
            hosts.up[host] += u64::from(node.state == NodeState::Up);
        }
        hosts
    }

    /// The index of a node's host.
    pub(super) fn number(&self, node_id: NodeId) -> Option<usize> {
        self.of.get(&node_id).copied()
    }

    /// The number of hosts.
    pub(super) fn count(&self) -> usize {
        self.up.len()
    }

    /// How many nodes share the CPU of a host: at least 1.
    pub(super) fn nodes_on(&self, host: usize) -> u64 {
        self.up.get(host).copied().unwrap_or(0).max(1)
    }

    /// Whether two nodes share a host.
    pub(super) fn are_together(&self, a: NodeId, b: NodeId) -> bool {
        a == b || self.number(a).is_some() && self.number(a) == self.number(b)
    }

    /// Whether a node that is up is on another host than this node.
    pub(super) fn has_another(&self, node_id: NodeId) -> bool {
        let own = self.number(node_id);
        let mut hosts = self.up.iter().enumerate();
        hosts.any(|(host, up)| *up > 0 && Some(host) != own)
    }
}
