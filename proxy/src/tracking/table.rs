//! The clients that track, the keys that they have read, and their prefixes.
//!
//! A key is noted with the number of the reply that brings its value. While that reply is not on
//! its way to the client, the read is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use coterie_protocol::readers::{Key, Readers};
use coterie_protocol::tracking::{ChangedKey, PREFIX_BYTES_MAX, PREFIXES_MAX};
use coterie_types::TableId;
use parking_lot::Mutex;

use super::message::Message;
use crate::clients::{Caching, Client};

/// Bytes of all keys, about, at most.
const BYTES_MAX: usize = 256 << 20;

/// A client that tracks. It is replaced when the client changes its options.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) client: Arc<Client>,
    pub(super) caching: Arc<Caching>,
    pub(super) noloop: bool,
    /// Of BCAST.
    pub(super) prefixes: Vec<Bytes>,
    /// It has been told to forget the keys of all replies before this one.
    pub(super) since: AtomicU64,
    /// Addresses of the servers that it has read from since it was told to forget everything.
    pub(super) asked: Mutex<BTreeSet<Box<str>>>,
    /// The reply behind the last for which it reads anything.
    pub(super) noted_below: AtomicU64,
    /// The servers know its prefixes.
    pub(super) is_named: AtomicBool,
}

impl Tracked {
    fn is_void(&self, slot: u64) -> bool {
        slot < self.since.load(Ordering::Relaxed)
    }
}

/// Numbers for INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) clients: usize,
    pub(crate) keys: usize,
    pub(crate) items: usize,
    pub(crate) prefixes: usize,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By the numbers of clients, with the number of the reply.
    keys: Readers<u64>,
    clients: BTreeMap<u64, Arc<Tracked>>,
    prefixes: BTreeMap<Bytes, BTreeSet<u64>>,
    prefix_bytes: usize,
}

impl Table {
    /// Adds a client.
    pub(super) fn insert(&mut self, tracked: Arc<Tracked>) {
        let id = tracked.client.id;
        for prefix in &tracked.prefixes {
            let ids = self.prefixes.entry(prefix.clone()).or_insert_with(|| {
                self.prefix_bytes += prefix.len();
                BTreeSet::new()
            });
            ids.insert(id);
        }
        self.clients.insert(id, tracked);
    }

    /// Removes a client. Its keys are forgotten as they change or have to go.
    pub(super) fn remove(&mut self, client: u64) -> Option<Arc<Tracked>> {
        let tracked = self.clients.remove(&client)?;
        for prefix in &tracked.prefixes {
            let Some(ids) = self.prefixes.get_mut(prefix) else {
                continue;
            };
            ids.remove(&client);
            if ids.is_empty() {
                self.prefixes.remove(prefix);
                self.prefix_bytes -= prefix.len();
            }
        }
        Some(tracked)
    }

    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        self.keys = Readers::default();
    }

    /// Whether these prefixes may be added.
    pub(super) fn has_room_for(&self, prefixes: &[Bytes]) -> bool {
        let new = prefixes.iter();
        let new: Vec<&Bytes> = new.filter(|p| !self.prefixes.contains_key(*p)).collect();
        let bytes = new.iter().map(|prefix| prefix.len()).sum::<usize>();
        self.prefixes.len() + new.len() <= PREFIXES_MAX
            && self.prefix_bytes + bytes <= PREFIX_BYTES_MAX
    }

    /// A client that tracks.
    pub(super) fn get(&self, client: u64) -> Option<Arc<Tracked>> {
        self.clients.get(&client).map(Arc::clone)
    }

    /// All clients that track.
    pub(super) fn clients(&self) -> Vec<Arc<Tracked>> {
        self.clients.values().map(Arc::clone).collect()
    }

    /// Whether no client tracks.
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// All prefixes.
    pub(super) fn prefixes(&self) -> Vec<Bytes> {
        self.prefixes.keys().cloned().collect()
    }

    /// Notes that a client reads a key for the reply with this number.
    pub(super) fn note(&mut self, client: u64, slot: u64, table: TableId, key: &Bytes) {
        if let Some(tracked) = self.clients.get(&client) {
            let below = slot.saturating_add(1);
            tracked.noted_below.fetch_max(below, Ordering::Relaxed);
            self.keys.add(table, key, client, slot);
        }
    }

    /// A key has changed: the clients that are to be told. Those whose read is under way stay
    /// noted.
    pub(super) fn changed(&mut self, table: TableId, key: &Bytes) -> Vec<Arc<Tracked>> {
        let mut told = Vec::new();
        let clients = &self.clients;
        let gone = self.keys.take_unless(table, key, |id, slot| {
            let Some(tracked) = wants(clients, id, *slot) else {
                return false;
            };
            told.push(Arc::clone(tracked));
            *slot >= tracked.client.answered_below()
        });
        drop(gone);
        told
    }

    /// Takes a key out if there are more than `most`, or too many bytes; 0 is no bound.
    pub(super) fn evict(&mut self, most: usize) -> Option<(Key, Vec<Arc<Tracked>>)> {
        let is_over = (most > 0 && self.keys.keys() > most) || self.keys.bytes() > BYTES_MAX;
        if !is_over {
            return None;
        }
        let (key, holders) = self.keys.pop_first()?;
        let told = holders.into_iter();
        let told = told.filter_map(|(id, slot)| wants(&self.clients, id, slot).map(Arc::clone));
        Some((key, told.collect()))
    }

    /// Forgets what clients have been told to forget.
    pub(super) fn sweep(&mut self) {
        let clients = &self.clients;
        let keeps = |_: &Key, id: u64, slot: &u64| wants(clients, id, *slot).is_some();
        drop(self.keys.take_all_unless(keeps));
    }

    /// Tells the clients that have a prefix of these keys: once for each prefix, of all its keys.
    pub(super) fn with_prefixes(
        &self,
        keys: &[ChangedKey],
        tell: &mut dyn FnMut(&Tracked, &Message),
    ) {
        for (prefix, ids) in &self.prefixes {
            let changed = keys
                .iter()
                .filter(|changed| changed.key.starts_with(prefix));
            let changed: Vec<&ChangedKey> = changed.collect();
            if changed.is_empty() {
                continue;
            }
            let all = Message::keys(changed.iter().map(|changed| &changed.key));
            for id in ids {
                let Some(tracked) = self.clients.get(id) else {
                    continue;
                };
                let is_own = |changed: &&&ChangedKey| changed.by == Some(*id);
                if !(tracked.noloop && changed.iter().any(|changed| is_own(&changed))) {
                    tell(tracked, &all);
                    continue;
                }
                let others = changed.iter().filter(|changed| !is_own(changed));
                let others: Vec<&Bytes> = others.map(|changed| &changed.key).collect();
                if !others.is_empty() {
                    tell(tracked, &Message::keys(others));
                }
            }
        }
    }

    /// Numbers for INFO.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            clients: self.clients.len(),
            keys: self.keys.keys(),
            items: self.keys.pairs(),
            prefixes: self.prefixes.len(),
        }
    }
}

/// The client, if it is to be told of a key that it read for this reply: not if it tracks otherwise
/// now, or was told to forget everything since.
fn wants(clients: &BTreeMap<u64, Arc<Tracked>>, id: u64, slot: u64) -> Option<&Arc<Tracked>> {
    let tracked = clients.get(&id)?;
    (!tracked.caching.bcast && !tracked.is_void(slot)).then_some(tracked)
}
