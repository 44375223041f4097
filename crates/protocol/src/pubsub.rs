//! Publish and subscribe, between proxies and servers.
//!
//! Each channel has a *home* and a *deputy*, live servers that everybody finds alike from the
//! catalog ([`homes`]). Proxies register there how many of their clients subscribe to a channel,
//! and at all servers how many subscribe to a pattern. A message is published at its channel's
//! home, which tells it to each interested proxy over its link ([`crate::news`]). The deputy stands
//! in when the home does not answer.

use bytes::Bytes;
use coterie_types::{NodeId, NodeState};
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::link::LinkId;

/// Bytes of the longest name of a channel or pattern.
pub const NAME_BYTES_MAX: usize = 64 << 10;
/// Bytes of the longest message.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Most names in a call.
pub const NAMES_PER_CALL_MAX: usize = 4096;
/// Bytes of names in a call; the last may exceed it.
pub const NAMES_BYTES_MAX: usize = 1 << 20;

/// A kind of names that clients subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Of `SUBSCRIBE`.
    Channel,
    /// Of `PSUBSCRIBE`.
    Pattern,
    /// Of `SSUBSCRIBE`.
    Shard,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who published it, for instance a client of a proxy: a random number.
    pub publisher: u64,
    /// Its number, which rises with each message of the publisher. A message that comes over two
    /// ways has the same number. 0 for a message that comes only once.
    pub number: u64,
    /// [`Kind::Channel`] or [`Kind::Shard`].
    pub kind: Kind,
    /// The channel.
    pub channel: Bytes,
    /// The message.
    pub payload: Bytes,
}

/// What a proxy asks of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PubSubRequest {
    /// From now on so many clients of the link's proxy subscribe to these names.
    Register {
        /// The link.
        link: LinkId,
        /// Kind, name, and number of subscribers; 0 when none is left.
        names: Vec<(Kind, Bytes, u32)>,
    },
    /// Publish a message.
    Publish(Message),
    /// The names that are registered: channels that match a pattern.
    Names {
        /// [`Kind::Channel`] or [`Kind::Shard`].
        kind: Kind,
        /// Only names that match this.
        pattern: Option<Bytes>,
        /// Only names behind this, in their order.
        after: Option<Bytes>,
    },
    /// How many clients subscribe to each of these.
    Subscribers {
        /// [`Kind::Channel`] or [`Kind::Shard`].
        kind: Kind,
        /// The names.
        names: Vec<Bytes>,
    },
    /// How many different patterns are registered.
    Patterns,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PubSubAnswer {
    /// Done.
    Ok,
    /// The link is in another epoch: nothing was registered.
    OtherEpoch,
    /// Too many names are registered for the link: nothing was registered.
    TooMany,
    /// A number: of clients that the message was sent to, or of patterns.
    Count(u64),
    /// Numbers, in the order of the names asked for.
    Counts(Vec<u64>),
    /// Names, sorted.
    Names {
        /// The names.
        names: Vec<Bytes>,
        /// There are more behind the last.
        more: bool,
    },
}

/// The home and the deputy of a channel: of the live servers ([`live`]) those with the highest
/// scores (rendezvous hashing), so that a server that comes or goes changes no other channel's
/// home.
#[must_use]
pub fn homes(
    live: impl Iterator<Item = NodeId>,
    kind: Kind,
    channel: &[u8],
) -> [Option<NodeId>; 2] {
    let hash = mix(hash(channel) ^ kind as u64);
    let mut best: [Option<(u64, NodeId)>; 2] = [None, None];
    for node in live {
        let scored = Some((mix(hash ^ mix(node.0)), node));
        if scored > best[0] {
            best = [scored, best[0]];
        } else if scored > best[1] {
            best[1] = scored;
        }
    }
    best.map(|scored| scored.map(|(_, node)| node))
}

/// The servers that serve, by the catalog.
pub fn live(catalog: &Catalog) -> impl Iterator<Item = NodeId> {
    let nodes = catalog.nodes.values();
    let serves = |state| matches!(state, NodeState::Up | NodeState::Draining);
    nodes
        .filter(move |node| serves(node.state) && !node.addr.is_empty())
        .map(|node| node.node_id)
}

/// Whether servers publish on this channel themselves (keyspace notifications). Interest in it is
/// registered at all servers, as for patterns, so that each can tell it at once.
#[must_use]
pub fn is_of_servers(channel: &[u8]) -> bool {
    channel.starts_with(b"__keyspace@") || channel.starts_with(b"__keyevent@")
}

/// FNV-1a: the same in every process, unlike the hashes of the standard library.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Spreads the bits of a number (the finalizer of SplitMix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use coterie_types::NodeDescriptor;

    use super::*;

    fn catalog(nodes: &[(u64, NodeState)]) -> Catalog {
        let node = |(id, state): &(u64, NodeState)| NodeDescriptor {
            node_id: NodeId(*id),
            addr: format!("10.0.0.{id}:7000"),
            zone: String::new(),
            host: String::new(),
            capacity_bytes: 0,
            state: *state,
        };
        Catalog {
            nodes: nodes.iter().map(|n| (NodeId(n.0), node(n))).collect(),
            ..Catalog::default()
        }
    }

    #[test]
    fn a_channels_home_is_a_live_server_and_the_deputy_becomes_home() {
        use NodeState::{Down, Draining, Joining, Removed, Up};
        let all = catalog(&[
            (1, Up),
            (2, Up),
            (3, Draining),
            (4, Down),
            (5, Removed),
            (6, Joining),
        ]);
        let mut counts = BTreeMap::new();
        for n in 0..3000 {
            let name = format!("channel-{n}");
            let [Some(home), Some(deputy)] = homes(live(&all), Kind::Channel, name.as_bytes())
            else {
                panic!("{name} has no home");
            };
            assert!(home != deputy && home.0 <= 3 && deputy.0 <= 3);
            *counts.entry(home).or_insert(0) += 1;
            let mut less = all.clone();
            less.nodes.remove(&home);
            let now = homes(live(&less), Kind::Channel, name.as_bytes());
            assert_eq!(now[0], Some(deputy));
        }
        assert!(
            counts.values().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
        let of = |nodes: &[(u64, NodeState)]| homes(live(&catalog(nodes)), Kind::Shard, b"x");
        assert_eq!(of(&[]), [None, None]);
        assert_eq!(of(&[(7, Up)]), [Some(NodeId(7)), None]);
    }

    #[test]
    fn a_home_does_not_change_with_the_version() {
        use NodeState::Up;
        let nodes = catalog(&[(1, Up), (2, Up), (3, Up), (4, Up), (5, Up)]);
        let of = |name: &str| {
            let homes = homes(live(&nodes), Kind::Channel, name.as_bytes());
            homes.map(|node| node.map_or(0, |node| node.0))
        };
        // Two versions of the program that differ here would not find one another's messages.
        assert_eq!([of("news"), of("chat"), of("")], [[5, 2], [2, 4], [2, 3]]);
    }

    #[test]
    fn channels_of_servers_are_told_by_their_names() {
        assert!(is_of_servers(b"__keyspace@0__:k") && is_of_servers(b"__keyevent@3__:del"));
        assert!(!is_of_servers(b"keyspace") && !is_of_servers(b"__key"));
    }
}
