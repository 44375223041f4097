//! SCAN while, between its pages and at random, ranges are split and move, nodes forget their
//! copies, and proxies restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coterie_types::{Epoch, GroupId, RangeDescriptor, TableId};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::scans::{Seen, put, scan_page};
use crate::support::{Client, Cluster, range};

/// An event before a page.
#[derive(Debug, Clone)]
enum Event {
    Nothing,
    /// The range of a key is split there, and its right part goes to this group.
    Cut {
        key: usize,
        group: u64,
    },
    /// The range of a key moves to this group.
    Move {
        key: usize,
        group: u64,
    },
    /// A key outside the scanned set is written; or, by `Delete`, removed.
    Put(usize),
    Delete(usize),
    /// A node forgets its copies.
    Restart {
        node: u64,
    },
    /// Every node forgets its copies, and the proxies restart: only after this event may keys come
    /// again.
    Loss,
}

fn key_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,3}",
        "tenant:0123456789abcdef0123456789:[a-b]{1,8}",
        "tenant:0123456789abcdef0123456789:field:[0-9]{3}",
        "[xy]{30,32}",
        "user:[0-9]{1,4}",
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let (key, group) = (0..200usize, 1..4u64);
    prop_oneof![
        6 => Just(Event::Nothing),
        2 => (key.clone(), group.clone()).prop_map(|(key, group)| Event::Cut { key, group }),
        2 => (key.clone(), group).prop_map(|(key, group)| Event::Move { key, group }),
        1 => key.clone().prop_map(Event::Put),
        1 => key.prop_map(Event::Delete),
        1 => (1..4u64).prop_map(|node| Event::Restart { node }),
    ]
}

/// The current ranges, as the groups know them.
struct Ranges {
    all: Vec<RangeDescriptor>,
    last_id: u64,
    last_epoch: u64,
}

impl Ranges {
    fn holding(&self, key: &str) -> usize {
        let holds = |range: &RangeDescriptor| range.bounds.contains(TableId(0), key.as_bytes());
        self.all.iter().position(holds).expect("ranges tile")
    }

    fn change(&mut self, cluster: &Arc<Cluster>, event: &Event, keys: &[String]) {
        self.last_epoch += 1;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match event {
            Event::Cut { key, group } => {
                let at = &keys[key % keys.len()];
                let cut = self.holding(at);
                let before = self.all[cut].clone();
                let start = text(&before.bounds.start);
                if start == *at {
                    return;
                }
                let end = text(before.bounds.end.as_deref().unwrap_or_default());
                self.last_id += 1;
                let (id, owner) = (before.range_id.0, before.group_id.0);
                let left = range(id, self.last_epoch, &start, at, owner);
                let right = range(self.last_id, self.last_epoch, at, &end, owner);
                cluster.reshape(owner, &[id], vec![left.clone(), right.clone()]);
                self.all.splice(cut..=cut, [left.clone(), right.clone()]);
                cluster.republish(vec![left, right], &[], None);
                let again = Event::Move {
                    key: *key,
                    group: *group,
                };
                self.change(cluster, &again, keys);
            }
            Event::Move { key, group } => {
                let at = self.holding(&keys[key % keys.len()]);
                let range = &mut self.all[at];
                let from = range.group_id.0;
                if from != *group {
                    range.epoch = Epoch(self.last_epoch);
                    range.group_id = GroupId(*group);
                    cluster.move_range(from, range.clone());
                    cluster.republish(vec![range.clone()], &[], None);
                }
            }
            _ => {}
        }
    }
}

/// Scans page by page through two proxies, with an event before each page. Returns how often each
/// key that existed throughout was returned.
async fn scan_through(
    keys: &BTreeSet<String>,
    events: &[Event],
    counts: &[usize],
) -> BTreeMap<String, usize> {
    let cluster = Cluster::new(vec![range(1, 1, "", "", 1)]);
    let mut proxies = vec![cluster.proxy("").await, cluster.proxy("").await];
    let mut clients = Vec::new();
    for proxy in &proxies {
        clients.push(Client::connect(proxy.addr).await);
    }
    put(&mut clients[0], keys.iter().cloned()).await;
    let keys: Vec<String> = keys.iter().cloned().collect();
    let (mut last_id, last_epoch) = (1, 1);
    let all = vec![range(last_id, 1, "", "", 1)];
    last_id += 1;
    let mut ranges = Ranges {
        all,
        last_id,
        last_epoch,
    };
    let (mut cursor, mut seen) = ("0".to_owned(), Seen::default());
    for page in 0.. {
        let at = page % 2;
        let event = events.get(page).unwrap_or(&Event::Nothing);
        let passing = |at: &usize| format!("{}~", keys[at % keys.len()]);
        match event {
            Event::Put(key) => put(&mut clients[at], [passing(key)]).await,
            Event::Delete(key) => drop(clients[at].run(&format!("DEL {}", passing(key))).await),
            Event::Restart { node } => cluster.restart(*node, 60_000),
            Event::Loss => {
                for proxy in std::mem::take(&mut proxies) {
                    proxy.shutdown().await;
                }
                (1..=3).for_each(|node| cluster.restart(node, 60_000));
                for client in &mut clients {
                    let proxy = cluster.proxy("").await;
                    *client = Client::connect(proxy.addr).await;
                    proxies.push(proxy);
                }
            }
            event => ranges.change(&cluster, event, &keys),
        }
        let count = counts[page % counts.len()];
        let (next, page_keys) = scan_page(&mut clients[at], &cursor, count).await;
        assert!(page_keys.len() <= 2 * count);
        seen.add(page_keys);
        cursor = next;
        if cursor == "0" {
            break;
        }
        assert!(page < 10_000, "the scan does not end");
    }
    for proxy in proxies {
        proxy.shutdown().await;
    }
    seen.keys.retain(|key, _| !key.ends_with('~'));
    seen.keys
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_key_comes_once_whatever_happens_between_pages(
        keys in proptest::collection::btree_set(key_text(), 1..120),
        events in proptest::collection::vec(event(), 0..40),
        counts in proptest::collection::vec(1..6usize, 1..5),
    ) {
        let seen = Runtime::new().unwrap().block_on(scan_through(&keys, &events, &counts));
        let expected: BTreeMap<_, _> = keys.into_iter().map(|key| (key, 1)).collect();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn no_key_is_left_out_after_a_loss(
        keys in proptest::collection::btree_set(key_text(), 1..120),
        mut events in proptest::collection::vec(event(), 0..20),
        loss in 1..20usize,
        counts in proptest::collection::vec(1..6usize, 1..5),
    ) {
        events.insert(loss.min(events.len()), Event::Loss);
        let seen = Runtime::new().unwrap().block_on(scan_through(&keys, &events, &counts));
        let seen: BTreeSet<_> = seen.into_keys().collect();
        prop_assert_eq!(seen, keys);
    }
}
