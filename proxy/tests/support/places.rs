//! The nodes' copies of scan places, in the same table that servers use.

use std::collections::BTreeMap;

use coterie_protocol::places::{PlaceAnswer, PlaceRequest, Places};
use coterie_protocol::{decode, encode};
use coterie_rpc::Responder;

use super::cluster::{Cluster, NODES};

/// The copies of a node.
pub(crate) struct NodePlaces {
    pub(crate) places: Places,
    start: u64,
    /// The uptime that it reports.
    pub(crate) up_ms: u64,
    /// It fails every call.
    pub(crate) is_down: bool,
}

impl NodePlaces {
    /// The copies of all nodes, which have been up for long.
    pub(super) fn of_all() -> BTreeMap<u64, NodePlaces> {
        let node = |node| {
            let places = NodePlaces {
                places: Places::default(),
                start: node,
                up_ms: 60_000,
                is_down: false,
            };
            (node, places)
        };
        (1..=NODES).map(node).collect()
    }

    pub(super) fn answer(&mut self, body: &[u8], responder: Responder) {
        if self.is_down {
            return responder.fail("the node is down");
        }
        let mut answer = PlaceAnswer {
            start: self.start,
            up_ms: self.up_ms,
            key: None,
            refused: false,
        };
        match decode(body).expect("the proxy's requests decode") {
            PlaceRequest::Find(id) => answer.key = self.places.find(id),
            PlaceRequest::Keep { places, passed } => {
                for place in &places {
                    answer.refused |= !self.places.keep(place);
                }
                if let Some(passed) = passed {
                    self.places.pass(passed);
                }
            }
        }
        responder.send(encode(&answer));
    }
}

impl Cluster {
    /// Reads or changes the copies of a node.
    pub(crate) fn places<R>(&self, node: u64, with: impl FnOnce(&mut NodePlaces) -> R) -> R {
        with(self.places.lock().unwrap().get_mut(&node).unwrap())
    }

    /// The number of copies.
    pub(crate) fn copies(&self) -> usize {
        let nodes = self.places.lock().unwrap();
        nodes.values().map(|node| node.places.len()).sum()
    }

    /// A node starts again, `up_ms` ago.
    pub(crate) fn restart(&self, node: u64, up_ms: u64) {
        self.places(node, |node| {
            node.places = Places::default();
            node.start += NODES;
            node.up_ms = up_ms;
        });
    }
}
