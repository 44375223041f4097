//! Copies of places of scans on servers, for other proxies (`places`).
//!
//! Three servers keep a copy of each place. The place's number and the nodes of the catalog
//! determine which (rendezvous hashing), so every proxy knows the servers to ask, and most copies
//! stay where they are when nodes come and go.
//!
//! Servers keep copies in memory. A server that has restarted, was silent, or is new among the
//! nodes may lack some: it is *stale*, and gets all its copies as soon as it answers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coterie_protocol::catalog::Catalog;
use coterie_protocol::places::{PLACES_PER_MESSAGE_MAX, Place, PlaceAnswer, PlaceId, PlaceRequest};
use coterie_protocol::{decode, encode, method};
use coterie_types::{NodeDescriptor, NodeId, NodeState};
use futures_util::future::join_all;
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use parking_lot::{Mutex, MutexGuard};

use super::cursor::floor;
use crate::router::Router;

/// Number of servers that keep a copy of a place.
const COPIES: usize = 3;
/// How long a page waits for a server to take its copy.
const SEND_TIMEOUT: Duration = Duration::from_millis(300);
/// How long pages do not wait for a server that was too slow to take its copy.
const SILENT_FOR: Duration = Duration::from_secs(5);
/// How long a server may take to find a copy, or to store many.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to look for a place while a server that should have it may still receive it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause before servers are asked again.
const PAUSE: Duration = Duration::from_millis(100);
/// A server that proxies have reached for this long has received all its copies again.
const SETTLED_MS: u64 = 5000;
/// Most servers that are renewed at the same time.
const CONCURRENT: usize = 8;
/// Most bytes of keys in a message of several keys.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Copies {
    servers: Mutex<BTreeMap<NodeId, Server>>,
}

/// The known state of a server.
#[derive(Debug, Default)]
struct Server {
    /// Identifies its process.
    start: Option<u64>,
    /// Down according to the catalog.
    is_down: bool,
    /// It may lack copies.
    is_stale: bool,
    silent_until: Option<Instant>,
}

impl Copies {
    /// Sends the copies of a new place, and waits for the servers that answer. Returns `false` if a
    /// server knows another place of this number.
    pub(super) async fn send(
        &self,
        router: &Router,
        place: Place,
        passed: Option<PlaceId>,
    ) -> bool {
        let map = router.cache.load();
        let mut nodes = holders(&map.catalog, place.id);
        nodes.retain(|node| !self.is_silent(node.node_id));
        let places = vec![place];
        let request = PlaceRequest::Keep { places, passed };
        let calls = nodes
            .iter()
            .map(|node| self.call(router, node, &request, SEND_TIMEOUT));
        let answers = join_all(calls).await;
        !answers.into_iter().flatten().any(|answer| answer.refused)
    }

    /// Asks the servers that should have a copy for the place's key.
    pub(super) async fn find(
        &self,
        router: &Router,
        id: PlaceId,
        deadline: Instant,
    ) -> Option<bytes::Bytes> {
        let until = deadline.min(Instant::now() + PATIENCE);
        loop {
            let map = router.cache.load();
            let nodes = holders(&map.catalog, id);
            let request = PlaceRequest::Find(id);
            let calls = nodes
                .iter()
                .map(|node| self.call(router, node, &request, CALL_TIMEOUT));
            let mut answers: FuturesUnordered<_> = calls.collect();
            let mut is_lost = !nodes.is_empty();
            while let Some(answer) = answers.next().await {
                is_lost &= answer
                    .as_ref()
                    .is_some_and(|answer| answer.up_ms >= SETTLED_MS);
                if let Some(key) = answer.and_then(|answer| answer.key) {
                    return Some(key);
                }
            }
            if is_lost || Instant::now() >= until {
                return None;
            }
            router.cache.newer_than(map.generation, PAUSE).await;
        }
    }

    /// Asks every server whether it is still the process that got its copies, and sends all copies
    /// to the stale servers.
    pub(super) async fn renew(&self, router: &Router, places: &(dyn Fn() -> Vec<Place> + Sync)) {
        let map = router.cache.load();
        let catalog = &map.catalog;
        let nodes: Vec<&NodeDescriptor> = servers(catalog).collect();
        self.follow(&nodes);
        let renewed = stream::iter(nodes).for_each_concurrent(CONCURRENT, |node| async move {
            let none = PlaceRequest::Keep {
                places: Vec::new(),
                passed: None,
            };
            let answer = self.call(router, node, &none, CALL_TIMEOUT).await;
            // Before the places are listed: a page that ends later sends its copies itself.
            if answer.is_some() && self.take_stale(node.node_id) {
                let is_here = |place: &Place| {
                    let mut holders = holders(catalog, place.id).into_iter();
                    holders.any(|holder| holder.node_id == node.node_id)
                };
                let theirs = places().into_iter().filter(is_here);
                self.send_all(router, node, theirs).await;
            }
        });
        renewed.await;
    }

    /// Sends copies to a server. A failure leaves the server stale.
    async fn send_all(
        &self,
        router: &Router,
        node: &NodeDescriptor,
        places: impl Iterator<Item = Place>,
    ) {
        let mut places = places.peekable();
        while places.peek().is_some() {
            let (mut message, mut bytes) = (Vec::new(), 0);
            while message.len() < PLACES_PER_MESSAGE_MAX
                && let Some(place) = places
                    .next_if(|place| bytes == 0 || bytes + place.key.len() < MESSAGE_BYTES_MAX)
            {
                bytes += place.key.len();
                message.push(place);
            }
            let request = PlaceRequest::Keep {
                places: message,
                passed: None,
            };
            if self
                .call(router, node, &request, CALL_TIMEOUT)
                .await
                .is_none()
            {
                return;
            }
        }
    }

    async fn call(
        &self,
        router: &Router,
        node: &NodeDescriptor,
        request: &PlaceRequest,
        timeout: Duration,
    ) -> Option<PlaceAnswer> {
        let body = encode(request);
        let called = router
            .rpc
            .call(&node.addr, method::SCAN_PLACE, body, timeout);
        let answer = called.await.ok();
        let answer: Option<PlaceAnswer> = answer.and_then(|body| decode(&body).ok());
        let mut servers = self.lock();
        let server = servers.entry(node.node_id).or_default();
        match &answer {
            Some(answer) => {
                server.silent_until = None;
                let before = server.start.replace(answer.start);
                server.is_stale |= before.is_some_and(|before| before != answer.start);
            }
            None => {
                server.silent_until = Some(Instant::now() + SILENT_FOR);
                server.is_stale = true;
            }
        }
        answer
    }

    /// Adopts the current nodes. When they or their states change, copies belong on other servers,
    /// so all servers become stale.
    fn follow(&self, nodes: &[&NodeDescriptor]) {
        let mut servers = self.lock();
        let before = servers.len();
        servers.retain(|id, _| nodes.iter().any(|node| node.node_id == *id));
        let mut changed = servers.len() != before;
        for node in nodes {
            let server = servers.entry(node.node_id).or_insert_with(|| {
                changed = true;
                Server::default()
            });
            changed |= server.is_down != is_down(node);
            server.is_down = is_down(node);
        }
        for server in servers.values_mut() {
            server.is_stale |= changed;
        }
    }

    fn take_stale(&self, node: NodeId) -> bool {
        let mut servers = self.lock();
        let server = servers.get_mut(&node);
        server.is_some_and(|server| std::mem::take(&mut server.is_stale))
    }

    fn is_silent(&self, node: NodeId) -> bool {
        let mut servers = self.lock();
        let Some(server) = servers.get_mut(&node) else {
            return false;
        };
        let is_silent = server
            .silent_until
            .is_some_and(|until| Instant::now() < until);
        server.is_stale |= is_silent;
        is_silent
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Server>> {
        // Nothing panics while holding it.
        self.servers.lock()
    }
}

fn servers(catalog: &Catalog) -> impl Iterator<Item = &NodeDescriptor> {
    let nodes = catalog.nodes.values();
    nodes.filter(|node| node.state != NodeState::Removed)
}

fn is_down(node: &NodeDescriptor) -> bool {
    node.state == NodeState::Down
}

/// The servers that keep a copy of a place. Their numbers, mixed with the first bits of the place's
/// number, are the least; servers that are down come last. Successive places mostly have the same
/// servers.
fn holders(catalog: &Catalog, id: PlaceId) -> Vec<&NodeDescriptor> {
    let about = mix(floor(id.number) ^ u64::from(id.table.0));
    let mut nodes: Vec<_> = servers(catalog).collect();
    nodes.sort_by_key(|node| (is_down(node), mix(about ^ node.node_id.0), node.node_id));
    nodes.truncate(COPIES);
    nodes
}

/// The output function of SplitMix64: all proxies must mix alike, which hashers do not promise.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use coterie_protocol::catalog::{Change, Row};
    use coterie_types::{Revision, TableId};

    use super::*;

    fn catalog(nodes: impl Iterator<Item = u64>) -> Catalog {
        let node = |id| {
            Row::Node(NodeDescriptor {
                node_id: NodeId(id),
                addr: format!("10.0.0.{id}:7000"),
                zone: String::new(),
                host: String::new(),
                capacity_bytes: 0,
                state: NodeState::Up,
            })
        };
        let mut catalog = Catalog::default();
        catalog.apply(&Change {
            revision: Revision(1),
            deletes: vec![],
            upserts: nodes.map(node).collect(),
        });
        catalog
    }

    fn holding(catalog: &Catalog, about: u64) -> Vec<u64> {
        let id = PlaceId {
            table: TableId(0),
            number: about << 36,
        };
        let holders = holders(catalog, id).into_iter();
        holders.map(|node| node.node_id.0).collect()
    }

    #[test]
    fn copies_are_spread_and_mostly_stay_when_a_node_comes() {
        let (ten, eleven) = (catalog(1..=10), catalog(1..=11));
        let mut load = [0; 12];
        let mut moved = 0;
        for about in 0..1000 {
            let before = holding(&ten, about);
            assert_eq!(before.len(), COPIES);
            let after = holding(&eleven, about);
            let new: Vec<_> = after.iter().filter(|node| !before.contains(node)).collect();
            assert!(new.is_empty() || new == [&11], "{before:?} {after:?}");
            moved += new.len();
            before.iter().for_each(|node| load[*node as usize] += 1);
        }
        assert!(
            load[1..=10]
                .iter()
                .all(|copies| (200..400).contains(copies)),
            "{load:?}"
        );
        assert!((200..400).contains(&moved), "{moved}");
        assert_eq!(holding(&catalog(4..=5), 7).len(), 2, "as many as there are");
    }

    #[test]
    fn a_node_that_is_down_holds_copies_only_where_there_is_no_other() {
        let mut four = catalog(1..=4);
        let all = |catalog: &Catalog| -> BTreeSet<u64> {
            (0..100).flat_map(|about| holding(catalog, about)).collect()
        };
        let set_state = |catalog: &mut Catalog, node, state| {
            let node = catalog.nodes.get_mut(&NodeId(node));
            node.expect("a node").state = state;
        };
        set_state(&mut four, 2, NodeState::Down);
        assert_eq!(all(&four), BTreeSet::from([1, 3, 4]));
        set_state(&mut four, 3, NodeState::Removed);
        assert_eq!(all(&four), BTreeSet::from([1, 2, 4]));
        let copies = Copies::default();
        copies.follow(&servers(&four).collect::<Vec<_>>());
        assert!(copies.take_stale(NodeId(1)));
        set_state(&mut four, 2, NodeState::Up);
        copies.follow(&servers(&four).collect::<Vec<_>>());
        assert!(copies.take_stale(NodeId(1)), "copies belong elsewhere");
    }

    #[test]
    fn holders_are_pinned_as_all_proxies_must_agree() {
        assert_eq!(holding(&catalog(1..=10), 1), PINNED);
    }

    const PINNED: [u64; 3] = [10, 5, 7];

    #[test]
    fn a_server_is_stale_when_the_nodes_change() {
        let copies = Copies::default();
        let (two, three) = (catalog(1..=2), catalog(1..=3));
        let stale = || [1, 2, 3].map(|node| copies.take_stale(NodeId(node)));
        copies.follow(&servers(&two).collect::<Vec<_>>());
        assert_eq!(stale(), [true, true, false]);
        copies.follow(&servers(&two).collect::<Vec<_>>());
        assert_eq!(stale(), [false; 3]);
        copies.follow(&servers(&three).collect::<Vec<_>>());
        assert_eq!(stale(), [true; 3]);
    }
}
