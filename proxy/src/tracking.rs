//! Client-side caching: which clients of this proxy keep which keys, and how they are told.
//!
//! A client that tracks is noted for the keys of a read before the read is sent. The leader that
//! serves it notes this proxy (`coterie_protocol::tracking`), before it reads. When a key changes,
//! the leader tells the proxy, and the proxy its clients: behind the replies that the client waits
//! for, as a reply among them may have the old value. A client whose read is under way stays noted:
//! the leader may have served it after the change.
//!
//! [`wishes`] are the options of a client, [`table`] has the keys and their clients, [`message`]
//! the messages, [`servers`] the servers that tell this proxy.
//!
//! Where a word may have been missed, the clients that it may concern are told to forget
//! everything: when the link to a server breaks, and when a leader does not remember its readers.

mod message;
#[cfg(test)]
mod model;
mod servers;
mod table;
mod wishes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::news::{LinkId, News};
use coterie_protocol::tracking::Invalidation;
use coterie_redis_compat::CommandError;
use coterie_redis_compat::errors::TOO_MANY_PREFIXES;
use coterie_types::TableId;
use parking_lot::Mutex;
use tokio::sync::watch;

pub(crate) use wishes::{Options, Wishes};

use crate::clients::{Caching, Client, Clients};
use crate::metrics::Metrics;
use crate::router::{Following, NewsReader, Reader};
use crate::settings::Settings;
use message::Message;
use servers::{Servers, look_after};
use table::{Table, Totals, Tracked};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Tracking {
    clients: Arc<Clients>,
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    table: Mutex<Table>,
    servers: Arc<Servers>,
}

/// A link that was known before a read was sent.
#[derive(Debug)]
pub(crate) struct Known {
    following: Following,
    id: LinkId,
}

impl Known {
    /// Whether it still holds.
    fn holds(&self) -> bool {
        self.following.id() == Some(self.id)
    }
}

impl Tracking {
    /// Tracks for these clients; `reader` reads the news of servers.
    pub(crate) fn new(
        clients: Arc<Clients>,
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
        rpc: coterie_rpc::Client,
        reader: Arc<NewsReader>,
        catalog: watch::Receiver<Arc<Catalog>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            clients,
            settings,
            metrics,
            table: Mutex::default(),
            servers: Arc::new(Servers::new(rpc, reader, catalog)),
        })
    }

    /// The number of this proxy's link.
    pub(crate) fn link(&self) -> u64 {
        self.servers.link()
    }

    /// Turns tracking on for a client. Servers have to know new prefixes before the client is told
    /// so: then the result is to be waited for.
    pub(crate) fn turn_on(
        self: &Arc<Self>,
        client: &Arc<Client>,
        options: &Options,
    ) -> Result<Option<impl Future<Output = ()> + use<>>, CommandError> {
        let mut table = self.table.lock();
        let before = table.remove(client.id);
        let tracked = Arc::new(Tracked {
            client: Arc::clone(client),
            caching: Arc::new(Caching {
                redirect: options.redirect,
                bcast: options.bcast,
                is_broken: AtomicBool::new(false),
            }),
            noloop: options.noloop,
            prefixes: options.prefixes.clone(),
            since: AtomicU64::new(match &before {
                Some(before) => before.since.load(Ordering::Relaxed),
                None => client.answered_below(),
            }),
            asked: Mutex::new(match &before {
                Some(before) => before.asked.lock().clone(),
                None => BTreeSet::new(),
            }),
            noted_below: AtomicU64::new(match &before {
                Some(before) => before.noted_below.load(Ordering::Relaxed),
                None => 0,
            }),
            is_named: AtomicBool::new(before.as_ref().is_some_and(|b| b.caching.bcast)),
        });
        let had = before.as_ref().map_or(&[][..], |before| &before.prefixes);
        let is_new = tracked.prefixes != had;
        if is_new && !table.has_room_for(&tracked.prefixes) {
            if let Some(before) = before {
                table.insert(before);
            }
            return Err(TOO_MANY_PREFIXES);
        }
        client.set_caching(Some(Arc::clone(&tracked.caching)));
        table.insert(Arc::clone(&tracked));
        drop(table);
        if !is_new {
            return Ok(None);
        }
        let version = self.servers.prefixes_changed();
        let tracking = Arc::clone(self);
        Ok(Some(async move {
            tracking.servers.wait_named(version).await;
            tracked.is_named.store(true, Ordering::Relaxed);
        }))
    }

    /// Turns tracking off for a client, also when it leaves.
    pub(crate) fn turn_off(&self, client: &Client) {
        if client.caching().is_none() {
            return;
        }
        client.set_caching(None);
        let mut table = self.table.lock();
        let before = table.remove(client.id);
        if table.is_empty() {
            // Under the lock: the next client that tracks follows servers anew.
            table.clear();
            self.servers.leave();
        }
        drop(table);
        if before.is_some_and(|before| before.caching.bcast) {
            self.servers.prefixes_changed();
        }
    }

    /// Notes a client for keys that it is about to read for the reply with this number.
    pub(crate) fn note<'a>(
        &self,
        client: u64,
        slot: u64,
        keys: impl Iterator<Item = (TableId, &'a Bytes)>,
    ) {
        let mut table = self.table.lock();
        for (table_id, key) in keys {
            table.note(client, slot, table_id, key);
        }
        self.trim_with(&mut table);
    }

    /// Forgets keys until there are no more than `tracking-table-max-keys`.
    pub(crate) fn trim(&self) {
        self.trim_with(&mut self.table.lock());
    }

    fn trim_with(&self, table: &mut Table) {
        let most = self
            .settings
            .tracking_table_max_keys
            .load(Ordering::Relaxed);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        while let Some((key, told)) = table.evict(most) {
            self.metrics.tracking_evicted.inc();
            for tracked in told {
                self.tell(&tracked, &Message::keys([&key.1]));
            }
        }
    }

    /// Before a client reads from the server at this address: the link over which the server will
    /// tell of changes; `None` if there is none by the deadline.
    pub(crate) async fn before(&self, client: u64, addr: &str, deadline: Instant) -> Option<Known> {
        let tracked = self.table.lock().get(client);
        if let Some(tracked) = tracked {
            let mut asked = tracked.asked.lock();
            if !asked.contains(addr) {
                asked.insert(addr.into());
            }
        }
        let (following, left) = self.servers.follow(addr);
        for gone in left {
            self.forget_server(&gone);
        }
        if let Some(id) = following.id() {
            return Some(Known { following, id });
        }
        let mut epochs = following.epochs();
        let known = epochs.wait_for(|epoch| *epoch != 0);
        let known = tokio::time::timeout_at(deadline.into(), known).await;
        known.ok()?.ok()?;
        let id = following.id()?;
        Some(Known { following, id })
    }

    /// After a client has read: if the link has changed meanwhile, the server may not know it.
    pub(crate) fn after(&self, client: u64, known: &Known) {
        if known.holds() {
            return;
        }
        let tracked = self.table.lock().get(client);
        if let Some(tracked) = tracked {
            self.tell(&tracked, &Message::all());
        }
    }

    /// Everything is gone, by a command of this proxy: clients that keep anything are told.
    pub(crate) fn flushed(&self) {
        let mut table = self.table.lock();
        for tracked in table.clients() {
            if !tracked.caching.bcast && !tracked.asked.lock().is_empty() {
                self.forget_all(&tracked);
            }
        }
        table.sweep();
    }

    /// Numbers for INFO.
    pub(crate) fn totals(&self) -> Totals {
        self.table.lock().totals()
    }

    /// Tells servers the prefixes of clients, for as long as the proxy runs.
    pub(crate) async fn look_after(self: Arc<Self>) {
        let (of, anew) = (Arc::clone(&self), Arc::clone(&self));
        let prefixes = Arc::new(move || of.table.lock().prefixes());
        let named_anew = Arc::new(move || anew.named_anew());
        look_after(Arc::clone(&self.servers), prefixes, named_anew).await
    }

    /// A server knows the prefixes in an epoch that begins: clients that were told that it does may
    /// have missed changes.
    fn named_anew(&self) {
        for tracked in self.table.lock().clients() {
            if tracked.caching.bcast && tracked.is_named.load(Ordering::Relaxed) {
                self.forget_all(&tracked);
            }
        }
    }

    /// Whatever was read from a server, or has a prefix, may have changed.
    fn forget_server(&self, addr: &str) {
        let mut table = self.table.lock();
        for tracked in table.clients() {
            let is_named = tracked.caching.bcast && tracked.is_named.load(Ordering::Relaxed);
            if is_named || tracked.asked.lock().contains(addr) {
                self.forget_all(&tracked);
            }
        }
        table.sweep();
    }

    /// Tells a client to forget everything.
    fn forget_all(&self, tracked: &Tracked) {
        let answered = tracked.client.answered_below();
        tracked.since.fetch_max(answered, Ordering::Relaxed);
        if answered >= tracked.noted_below.load(Ordering::Relaxed) {
            // No read of it is under way.
            tracked.asked.lock().clear();
        }
        self.metrics.tracking_forgotten.inc();
        self.tell(tracked, &Message::all());
    }

    fn take(&self, addr: &str, invalidation: &Invalidation) {
        match invalidation {
            Invalidation::All => self.forget_server(addr),
            Invalidation::Forgotten(keys) => {
                let mut table = self.table.lock();
                for (table_id, key) in keys {
                    for tracked in table.changed(*table_id, key) {
                        self.tell(&tracked, &Message::keys([key]));
                    }
                }
            }
            Invalidation::Changed(keys) => {
                let mut table = self.table.lock();
                for changed in keys {
                    let told = table.changed(changed.table, &changed.key);
                    if told.is_empty() {
                        continue;
                    }
                    let message = Message::keys([&changed.key]).shared(&self.clients);
                    for tracked in told {
                        if !(tracked.noloop && changed.by == Some(tracked.client.id)) {
                            self.tell(&tracked, &message);
                        }
                    }
                }
                table.with_prefixes(keys, &mut |tracked, message| {
                    self.tell(tracked, message);
                });
            }
        }
    }

    /// Tells a client, or the client that is told in its place.
    fn tell(&self, tracked: &Tracked, message: &Message) {
        self.metrics.invalidations.inc();
        let Some(redirect) = tracked.caching.redirect else {
            return message.send(&self.clients, &tracked.client);
        };
        match self.clients.get(redirect) {
            Some(target) => message.send_for_another(&self.clients, &target),
            None => {
                tracked.caching.is_broken.store(true, Ordering::Relaxed);
                Message::broken(redirect).send(&self.clients, &tracked.client);
            }
        }
    }
}

impl Reader for Tracking {
    fn take(&self, addr: &str, news: &[News]) {
        for item in news {
            if let News::Invalidation(invalidation) = item {
                self.take(addr, invalidation);
            }
        }
    }

    fn missed(&self, addr: &str) {
        self.forget_server(addr);
    }
}
