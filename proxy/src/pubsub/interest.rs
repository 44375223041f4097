//! Tells servers how many clients of this proxy subscribe to which names.
//!
//! Counts change at once, and are told by a task per server, many in a call. Whoever must know that
//! servers have heard of a change waits for its [`Told`]. What a server was told ends with the
//! epoch of this proxy's link there (`router::news`); then everything is told anew. A server that
//! does not answer holds up nobody for long: it is told when it is back.
//!
//! Without subscribers, no server is asked for anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::pubsub::{Kind, NAMES_BYTES_MAX, NAMES_PER_CALL_MAX};
use coterie_types::NodeId;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::homes::Homes;
use crate::router::{Following, NewsReader};

/// How long a change waits for servers that do not answer.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// Names of a proxy, and their bytes, each with [`NAME_BYTES`].
pub(super) const NAMES_MAX: usize = 1 << 20;
pub(super) const NAMES_TOTAL_BYTES_MAX: usize = 192 << 20;
/// Approximate memory of a name besides its bytes.
const NAME_BYTES: usize = 96;

/// A kind and a name.
pub(super) type Name = (Kind, Bytes);

/// See the module's head.
#[derive(Debug)]
pub(super) struct Interest {
    pub(super) homes: Homes,
    pub(super) rpc: coterie_rpc::Client,
    news: Arc<NewsReader>,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many clients subscribe to each name.
    counts: HashMap<Name, u32>,
    bytes: usize,
    servers: BTreeMap<NodeId, Arc<Server>>,
}

/// A server that is told.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) node: NodeId,
    pub(super) following: Following,
    pending: Mutex<Pending>,
    /// Wakes the task that tells it.
    pub(super) wake: Notify,
    /// Changes up to this number were told.
    told: watch::Sender<u64>,
    /// The server is told nothing any more.
    pub(super) stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Pending {
    /// Names whose count is to be told.
    changed: BTreeSet<Name>,
    /// The number of the last change.
    number: u64,
    /// Names that the server was told, with a count above 0.
    registered: BTreeSet<Name>,
}

/// Changes that servers are being told.
#[derive(Debug, Clone, Default)]
pub(super) struct Told(Vec<(Arc<Server>, u64)>);

/// There is no room for more names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Interest {
    /// Tells over connections of the caller's runtime.
    pub(super) fn new(news: Arc<NewsReader>, rpc: coterie_rpc::Client) -> Self {
        Self {
            homes: Homes::default(),
            rpc,
            news,
            runtime: Handle::current(),
            state: Mutex::default(),
        }
    }

    /// Another client subscribes to each of these names: all of them, or none if there is no room.
    pub(super) fn add(self: &Arc<Self>, kind: Kind, names: &[Bytes]) -> Result<Told, Full> {
        let mut state = self.lock();
        let is_new = |name: &&Bytes| !state.counts.contains_key(&(kind, (*name).clone()));
        let new: Vec<&Bytes> = names.iter().filter(is_new).collect();
        let bytes: usize = new.iter().map(|name| name.len() + NAME_BYTES).sum();
        if state.counts.len() + new.len() > NAMES_MAX || state.bytes + bytes > NAMES_TOTAL_BYTES_MAX
        {
            return Err(Full);
        }
        let mut told = Told::default();
        for name in names {
            let name = (kind, Bytes::copy_from_slice(name));
            match state.counts.get_mut(&name) {
                Some(count) => *count += 1,
                None => {
                    state.bytes += name.1.len() + NAME_BYTES;
                    state.counts.insert(name.clone(), 1);
                }
            }
            self.changed(&mut state, name, &mut told);
        }
        Ok(told)
    }

    /// A client subscribes to each of these names no more.
    pub(super) fn remove(self: &Arc<Self>, kind: Kind, names: &[Bytes]) -> Told {
        let mut state = self.lock();
        let mut told = Told::default();
        for name in names {
            let name = (kind, name.clone());
            let Some(count) = state.counts.get_mut(&name) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                state.counts.remove(&name);
                state.bytes -= name.1.len() + NAME_BYTES;
            }
            self.changed(&mut state, name, &mut told);
        }
        told
    }

    /// Lets the servers of a name be told its count.
    fn changed(self: &Arc<Self>, state: &mut State, name: Name, told: &mut Told) {
        let known = self.homes.load();
        for node in known.registers_at(name.0, &name.1) {
            let Some(addr) = known.now.get(&node) else {
                continue;
            };
            let server = self.server(state, node, addr);
            let number = server.mark([name.clone()]);
            told.add(&server, number);
        }
    }

    /// The server of this id, which is followed from now on.
    fn server(self: &Arc<Self>, state: &mut State, node: NodeId, addr: &str) -> Arc<Server> {
        if let Some(server) = state.servers.get(&node) {
            if server.following.addr() == addr {
                return Arc::clone(server);
            }
            server.stop.cancel();
        }
        let server = Arc::new(Server {
            node,
            following: self.news.follow(addr),
            pending: Mutex::default(),
            wake: Notify::new(),
            told: watch::Sender::new(0),
            stop: CancellationToken::new(),
        });
        state.servers.insert(node, Arc::clone(&server));
        let (interest, told) = (Arc::clone(self), Arc::clone(&server));
        self.runtime
            .spawn(async move { interest.keep(&told).await });
        server
    }

    /// Lets a server be told everything that it should know: its epoch is new.
    pub(super) fn mark_all(&self, server: &Server) {
        let state = self.lock();
        let known = self.homes.load();
        let names = state
            .counts
            .keys()
            .filter(|(kind, name)| known.registers_at(*kind, name).contains(&server.node));
        server.pending().registered = BTreeSet::new();
        server.mark(names.cloned());
    }

    /// The counts to tell next; none if everything was told. Then it is noted so.
    pub(super) fn next(&self, server: &Server) -> Vec<(Kind, Bytes, u32)> {
        let state = self.lock();
        let known = self.homes.load();
        let mut pending = server.pending();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < NAMES_PER_CALL_MAX
            && bytes < NAMES_BYTES_MAX
            && let Some((kind, name)) = pending.changed.pop_first()
        {
            bytes += name.len();
            let is_here = known.keeps_at(server.node, kind, &name);
            let count = state.counts.get(&(kind, name.clone()));
            let count = count.copied().filter(|_| is_here).unwrap_or(0);
            batch.push((kind, name, count));
        }
        if batch.is_empty() {
            server.told.send_replace(pending.number);
        }
        batch
    }

    /// Forgets a server that has nothing to be told, and nothing to forget, while nobody
    /// subscribes; returns whether it did.
    pub(super) fn ends(&self, server: &Server) -> bool {
        let mut state = self.lock();
        let is_over = {
            let pending = server.pending();
            let is_done = pending.changed.is_empty() && pending.registered.is_empty();
            state.counts.is_empty() && is_done
        };
        if is_over {
            state.servers.remove(&server.node);
        }
        is_over
    }

    /// The live servers have changed: names are registered at their new homes.
    pub(super) fn rehome(self: &Arc<Self>) {
        let mut state = self.lock();
        let known = self.homes.load();
        let names: Vec<Name> = state.counts.keys().cloned().collect();
        for name in names {
            for node in known.registers_at(name.0, &name.1) {
                let Some(addr) = known.now.get(&node) else {
                    continue;
                };
                let server = self.server(&mut state, node, addr);
                if !server.pending().registered.contains(&name) {
                    server.mark([name.clone()]);
                }
            }
        }
    }

    /// Earlier catalogs count no more: servers forget the names whose homes they were.
    pub(super) fn leave_earlier(&self) {
        let mut state = self.lock();
        let known = self.homes.load();
        state.servers.retain(|node, server| {
            let is_live = known.addr(*node).is_some();
            if !is_live {
                server.stop.cancel();
            }
            is_live
        });
        for server in state.servers.values() {
            let leaves = |(kind, name): &&Name| !known.keeps_at(server.node, *kind, name);
            let left: Vec<Name> = {
                let pending = server.pending();
                pending.registered.iter().filter(leaves).cloned().collect()
            };
            server.mark(left);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it.
        self.state.lock()
    }
}

impl Server {
    /// Lets the counts of these names be told; returns the number of the change.
    fn mark(&self, names: impl IntoIterator<Item = Name>) -> u64 {
        let mut pending = self.pending();
        pending.changed.extend(names);
        pending.number += 1;
        let number = pending.number;
        drop(pending);
        self.wake.notify_one();
        number
    }

    /// These counts were told.
    pub(super) fn was_told(&self, batch: Vec<(Kind, Bytes, u32)>) {
        let mut pending = self.pending();
        for (kind, name, count) in batch {
            if count > 0 {
                pending.registered.insert((kind, name));
            } else {
                pending.registered.remove(&(kind, name));
            }
        }
    }

    /// These counts were not told: they are to be told later.
    pub(super) fn was_not_told(&self, batch: Vec<(Kind, Bytes, u32)>) {
        let names = batch.into_iter().map(|(kind, name, _)| (kind, name));
        self.pending().changed.extend(names);
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Nothing panics while holding it.
        self.pending.lock()
    }

    /// Waits until the server was told a change; gives up if it cannot be reached.
    async fn is_told(&self, number: u64) {
        let (mut told, mut epochs) = (self.told.subscribe(), self.following.epochs());
        while *told.borrow_and_update() < number && !self.following.is_failing() {
            let changed = tokio::select! {
                changed = told.changed() => changed,
                changed = epochs.changed() => changed,
                () = self.stop.cancelled() => return,
            };
            if changed.is_err() {
                return;
            }
        }
    }
}

impl Told {
    fn add(&mut self, server: &Arc<Server>, number: u64) {
        match self
            .0
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, server))
        {
            Some((_, last)) => *last = number,
            None => self.0.push((Arc::clone(server), number)),
        }
    }

    /// Waits until the servers were told, but not long for servers that do not answer.
    pub(super) async fn wait(self) {
        let end = Instant::now() + TOLD_WITHIN;
        for (server, number) in self.0 {
            let told = server.is_told(number);
            if tokio::time::timeout_at(end.into(), told).await.is_err() {
                tracing::warn!(node = %server.node, "a server does not take subscriptions");
            }
        }
    }
}
