//! The servers where a channel's messages are published, by the newest catalog here, and for a
//! while by earlier catalogs: proxies learn of a change at different times.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::pubsub::{Kind, homes, is_of_servers, live};
use coterie_types::NodeId;

/// How long an earlier catalog counts. By then every proxy that is connected has the newer.
pub(super) const KEPT: Duration = Duration::from_secs(5);
/// Earlier catalogs that count, at most.
const EARLIER_MAX: usize = 4;

/// The live servers and their addresses.
pub(super) type Live = BTreeMap<NodeId, Arc<str>>;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Homes(ArcSwap<Known>);

/// The live servers, as far as they are known.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) now: Arc<Live>,
    /// Those of earlier catalogs, and until when they count.
    earlier: Vec<(Arc<Live>, Instant)>,
}

impl Homes {
    pub(super) fn load(&self) -> Arc<Known> {
        self.0.load_full()
    }

    /// Takes a catalog; returns whether the live servers are others now. Called by a single task.
    pub(super) fn follow(&self, catalog: &Catalog, at: Instant) -> bool {
        let now: Live = live(catalog)
            .filter_map(|node| {
                let addr = &catalog.nodes.get(&node)?.addr;
                Some((node, addr.as_str().into()))
            })
            .collect();
        let known = self.load();
        if *known.now == now {
            return false;
        }
        let mut earlier = known.earlier.clone();
        if !known.now.is_empty() {
            earlier.push((Arc::clone(&known.now), at + KEPT));
        }
        let too_many = earlier.len().saturating_sub(EARLIER_MAX);
        earlier.drain(..too_many);
        self.0.store(Arc::new(Known {
            now: Arc::new(now),
            earlier,
        }));
        true
    }

    /// Forgets the catalogs that no longer count; returns whether there were any.
    pub(super) fn forget(&self, at: Instant) -> bool {
        let known = self.load();
        let is_over = known.earlier.iter().any(|(_, until)| *until <= at);
        if is_over {
            let mut known = (*known).clone();
            known.earlier.retain(|(_, until)| *until > at);
            self.0.store(Arc::new(known));
        }
        is_over
    }

    /// When an earlier catalog will no longer count.
    pub(super) fn next_end(&self) -> Option<Instant> {
        let known = self.load();
        known.earlier.iter().map(|(_, until)| *until).min()
    }
}

impl Known {
    /// The home of a channel and its deputy.
    pub(super) fn of(&self, kind: Kind, channel: &[u8]) -> impl Iterator<Item = NodeId> + use<> {
        homes(self.now.keys().copied(), kind, channel)
            .into_iter()
            .flatten()
    }

    /// The servers that were the channel's home by earlier catalogs, and are not now.
    pub(super) fn earlier_homes(&self, kind: Kind, channel: &[u8]) -> Vec<NodeId> {
        let now = self.of(kind, channel).next();
        let mut found = Vec::new();
        for (live, _) in &self.earlier {
            let [home, _] = homes(live.keys().copied(), kind, channel);
            if let Some(home) = home.filter(|home| Some(*home) != now && !found.contains(home)) {
                found.push(home);
            }
        }
        found
    }

    /// The address of a server, if it is known.
    pub(super) fn addr(&self, node: NodeId) -> Option<&Arc<str>> {
        let earlier = self.earlier.iter().rev().map(|(live, _)| live);
        std::iter::once(&self.now)
            .chain(earlier)
            .find_map(|live| live.get(&node))
    }

    /// The servers where interest in a name is to be registered now.
    pub(super) fn registers_at(&self, kind: Kind, name: &[u8]) -> Vec<NodeId> {
        places(&self.now, kind, name)
    }

    /// Whether interest in a name is to stay registered at a server.
    pub(super) fn keeps_at(&self, node: NodeId, kind: Kind, name: &[u8]) -> bool {
        let earlier = self.earlier.iter().map(|(live, _)| live);
        let mut all = std::iter::once(&self.now).chain(earlier);
        all.any(|live| places(live, kind, name).contains(&node))
    }
}

fn places(live: &Live, kind: Kind, name: &[u8]) -> Vec<NodeId> {
    if kind == Kind::Pattern || (kind == Kind::Channel && is_of_servers(name)) {
        return live.keys().copied().collect();
    }
    let homes = homes(live.keys().copied(), kind, name);
    homes.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use coterie_types::{NodeDescriptor, NodeState};

    use super::*;

    fn catalog(nodes: &[u64]) -> Catalog {
        let node = |id: &u64| NodeDescriptor {
            node_id: NodeId(*id),
            addr: format!("10.0.0.{id}:7000"),
            zone: String::new(),
            host: String::new(),
            capacity_bytes: 0,
            state: NodeState::Up,
        };
        Catalog {
            nodes: nodes.iter().map(|id| (NodeId(*id), node(id))).collect(),
            ..Catalog::default()
        }
    }

    #[test]
    fn an_earlier_home_counts_for_a_while() {
        let homes = Homes::default();
        let begin = Instant::now();
        assert!(homes.follow(&catalog(&[1, 2, 3]), begin));
        assert!(!homes.follow(&catalog(&[1, 2, 3]), begin), "the same");
        let known = homes.load();
        let [home, deputy] = [0, 1].map(|at| known.of(Kind::Channel, b"x").nth(at).unwrap());
        assert!(known.earlier_homes(Kind::Channel, b"x").is_empty());
        let others: Vec<u64> = (1..=3).filter(|id| NodeId(*id) != home).collect();
        assert!(homes.follow(&catalog(&others), begin));
        let known = homes.load();
        assert_eq!(known.of(Kind::Channel, b"x").next(), Some(deputy));
        assert_eq!(known.earlier_homes(Kind::Channel, b"x"), [home]);
        assert!(known.keeps_at(home, Kind::Channel, b"x"));
        assert!(!known.registers_at(Kind::Channel, b"x").contains(&home));
        assert!(known.addr(home).is_some());
        assert!(!homes.forget(begin));
        assert_eq!(homes.next_end(), Some(begin + KEPT));
        assert!(homes.forget(begin + KEPT));
        assert_eq!(homes.next_end(), None);
        let known = homes.load();
        assert!(!known.keeps_at(home, Kind::Channel, b"x") && known.addr(home).is_none());
    }

    #[test]
    fn patterns_and_notifications_are_registered_everywhere() {
        let homes = Homes::default();
        homes.follow(&catalog(&[1, 2, 3, 4]), Instant::now());
        let known = homes.load();
        let count = |kind, name: &str| known.registers_at(kind, name.as_bytes()).len();
        assert_eq!(count(Kind::Pattern, "x"), 4);
        assert_eq!(count(Kind::Channel, "__keyspace@0__:k"), 4);
        assert_eq!(count(Kind::Shard, "__keyspace@0__:k"), 2);
        assert_eq!(count(Kind::Channel, "x"), 2);
    }
}
