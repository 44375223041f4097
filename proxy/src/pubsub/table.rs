//! The subscriptions of this proxy's clients: the receivers of a message.
//!
//! A name's subscribers have locks of their own, a lock for each thread that serves clients, so a
//! message to many clients holds up only those that join or leave the same name on the same thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use coterie_protocol::pubsub::Kind;
use coterie_redis_compat::glob;
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::clients::Client;

/// Clients by their ids.
type ById = BTreeMap<u64, Arc<Client>>;

/// The subscribers of a name, by the threads that serve them.
#[derive(Debug)]
pub(super) struct Subscribers(Box<[Mutex<ById>]>);

/// See the module's head.
#[derive(Debug)]
pub(super) struct Table {
    /// By [`Kind`].
    names: [RwLock<BTreeMap<Bytes, Arc<Subscribers>>>; 3],
    threads: usize,
}

impl Subscribers {
    fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| Mutex::default()).collect())
    }

    /// Those on a thread.
    pub(super) fn on(&self, thread: usize) -> MutexGuard<'_, ById> {
        // Nothing panics while holding it.
        self.0[thread % self.0.len()].lock()
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|on_thread| on_thread.lock().is_empty())
    }
}

impl Table {
    /// No subscriptions; so many threads serve clients.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            names: Default::default(),
            threads: threads.max(1),
        }
    }

    /// The client gets the messages of a name from now on.
    pub(super) fn insert(&self, kind: Kind, name: &Bytes, client: &Arc<Client>) {
        let mut names = self.names[kind as usize].write();
        let none = || Arc::new(Subscribers::new(self.threads));
        let subscribers = names.entry(name.clone()).or_insert_with(none);
        subscribers
            .on(client.thread)
            .insert(client.id, Arc::clone(client));
    }

    /// The client gets no more messages of a name.
    pub(super) fn remove(&self, kind: Kind, name: &[u8], client: &Client) {
        let mut names = self.names[kind as usize].write();
        let Some(subscribers) = names.get(name) else {
            return;
        };
        subscribers.on(client.thread).remove(&client.id);
        if subscribers.is_empty() {
            names.remove(name);
        }
    }

    /// The subscribers of a name.
    pub(super) fn of(&self, kind: Kind, name: &[u8]) -> Option<Arc<Subscribers>> {
        self.names[kind as usize].read().get(name).map(Arc::clone)
    }

    /// The patterns that a channel fits, and their subscribers.
    pub(super) fn fitting(&self, channel: &[u8]) -> Vec<(Bytes, Arc<Subscribers>)> {
        let patterns = self.names[Kind::Pattern as usize].read();
        let fitting = patterns
            .iter()
            .filter(|(pattern, _)| glob::matches(pattern, channel));
        fitting
            .map(|(pattern, subscribers)| (pattern.clone(), Arc::clone(subscribers)))
            .collect()
    }

    /// How many names of a kind have subscribers.
    pub(super) fn len(&self, kind: Kind) -> usize {
        self.names[kind as usize].read().len()
    }
}
