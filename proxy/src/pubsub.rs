//! Publish and subscribe over all proxies (`coterie_protocol::pubsub`, `ARCHITECTURE.md`, *Life of
//! a message*).
//!
//! A client that subscribes is entered in the table of this proxy ([`table`]) once the homes of its
//! channels know that this proxy wants their messages ([`interest`]). A message goes to its
//! channel's home ([`publishing`]), comes back as news to each proxy that wants it, and is pushed
//! to its clients. A message is volatile: it comes once, or never.

mod homes;
mod interest;
mod lanes;
mod publishing;
mod questions;
mod seen;
mod subscriptions;
mod table;
mod telling;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::news::News;
use coterie_protocol::pubsub::{Kind, Message};
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::NodeId;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clients::{Client, Clients};
use crate::metrics::Metrics;
use crate::pushes::{Forms, Turn};
use crate::router::{NewsReader, Reader};
use interest::{Full, Interest, NAMES_MAX, Told};
use lanes::Lanes;
use seen::Seen;
use table::{Subscribers, Table};

pub(crate) use subscriptions::Subscriptions;

/// Names that a client may subscribe to.
pub(crate) const NAMES_PER_CLIENT_MAX: usize = 256 << 10;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct PubSub {
    clients: Arc<Clients>,
    metrics: Arc<Metrics>,
    table: Table,
    lanes: Lanes,
    interest: Arc<Interest>,
    seen: Mutex<Seen>,
    /// Servers that did not answer, and when.
    suspects: Mutex<HashMap<NodeId, Instant>>,
    /// Makes the publishers of this proxy others than those of other proxies.
    number: u64,
}

impl PubSub {
    /// Reads news, and calls servers with `rpc`, on the caller's runtime. So many threads serve
    /// clients.
    pub(crate) fn new(
        clients: Arc<Clients>,
        metrics: Arc<Metrics>,
        news: Arc<NewsReader>,
        rpc: coterie_rpc::Client,
        threads: usize,
    ) -> Arc<Self> {
        let number = news.link;
        Arc::new(Self {
            clients,
            table: Table::new(threads),
            lanes: Lanes::new(threads.max(1), Arc::clone(&metrics)),
            metrics,
            interest: Arc::new(Interest::new(news, rpc)),
            seen: Mutex::default(),
            suspects: Mutex::default(),
            number,
        })
    }

    /// Hands messages to the clients of a thread, on that thread.
    pub(crate) async fn serve(self: Arc<Self>, thread: usize) {
        self.lanes.serve(thread).await;
    }

    /// Follows the catalog until its source is gone.
    pub(crate) async fn follow(self: Arc<Self>, catalog: watch::Receiver<Arc<Catalog>>) {
        Arc::clone(&self.interest).follow(catalog).await;
    }

    /// Subscribes a client to names; returns when it gets their messages. The reply has a message
    /// for each name.
    pub(crate) async fn subscribe(
        &self,
        client: &Arc<Client>,
        kind: Kind,
        names: &[Bytes],
    ) -> Result<Vec<Reply>, CommandError> {
        let joining = self.join(client, kind, names)?;
        joining.told.clone().wait().await;
        // From here on nothing waits: the connection appends the reply before any message.
        let joined = joining.finish();
        let mut subscriptions = client.subscriptions.lock();
        let replies = names.iter().map(|name| {
            if let Some(name) = joined.get(name)
                && subscriptions.insert(kind, name.clone())
            {
                self.table.insert(kind, name, client);
            }
            confirmation(Verb::Subscribe, kind, Some(name), subscriptions.count(kind))
        });
        let replies = replies.collect();
        client.note_subscriptions(&subscriptions);
        Ok(replies)
    }

    /// Counts the client in where it does not subscribe yet, or refuses if that were too many.
    fn join(
        &self,
        client: &Arc<Client>,
        kind: Kind,
        names: &[Bytes],
    ) -> Result<Joining, CommandError> {
        if names
            .iter()
            .any(|name| name.len() > coterie_protocol::pubsub::NAME_BYTES_MAX)
        {
            return Err(name_too_long());
        }
        let (new, total) = {
            let subscriptions = client.subscriptions.lock();
            let known = subscriptions.of(kind);
            let new = names.iter().filter(|name| !known.contains(*name));
            let new: BTreeSet<Bytes> = new.map(copied).collect();
            (new, subscriptions.total())
        };
        if total + new.len() > NAMES_PER_CLIENT_MAX {
            return Err(CommandError::Other(format!(
                "ERR a client may subscribe to {NAMES_PER_CLIENT_MAX} channels and patterns"
            )));
        }
        let names: Vec<Bytes> = new.into_iter().collect();
        let told = self.interest.add(kind, &names).map_err(|Full| {
            CommandError::Other(format!(
                "ERR the clients of this proxy may subscribe to {NAMES_MAX} channels and patterns"
            ))
        })?;
        Ok(Joining {
            interest: Arc::clone(&self.interest),
            kind,
            names,
            told,
        })
    }

    /// Ends subscriptions of a client, of all names of the kind if none is given; returns when its
    /// servers know. The reply has a message for each name.
    pub(crate) async fn unsubscribe(
        &self,
        client: &Arc<Client>,
        kind: Kind,
        names: &[Bytes],
    ) -> Vec<Reply> {
        let (replies, told) = self.leave(client, kind, names);
        told.wait().await;
        replies
    }

    fn leave(&self, client: &Client, kind: Kind, names: &[Bytes]) -> (Vec<Reply>, Told) {
        let mut subscriptions = client.subscriptions.lock();
        let all: Vec<Bytes>;
        let names = if names.is_empty() {
            all = subscriptions.of(kind).iter().cloned().collect();
            &all
        } else {
            names
        };
        let (mut replies, mut left) = (Vec::new(), Vec::new());
        for name in names {
            if subscriptions.remove(kind, name) {
                self.table.remove(kind, name, client);
                left.push(name.clone());
            }
            let count = subscriptions.count(kind);
            replies.push(confirmation(Verb::Unsubscribe, kind, Some(name), count));
        }
        if names.is_empty() {
            let count = subscriptions.count(kind);
            replies.push(confirmation(Verb::Unsubscribe, kind, None, count));
        }
        client.note_subscriptions(&subscriptions);
        drop(subscriptions);
        (replies, self.interest.remove(kind, &left))
    }

    /// Ends all subscriptions of a client that leaves, or resets its connection. Its servers learn
    /// of it soon.
    pub(crate) fn forget(&self, client: &Client) {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            if !client.subscriptions.lock().of(kind).is_empty() {
                self.leave(client, kind, &[]);
            }
        }
    }

    /// How many names of a kind the clients of this proxy subscribe to.
    pub(crate) fn names(&self, kind: Kind) -> usize {
        self.table.len(kind)
    }

    /// Pushes a message to the clients that subscribe to its channel, or to a pattern that the
    /// channel fits.
    fn deliver(&self, message: &Message) {
        if !self.seen.lock().is_new(message) {
            self.metrics.messages_doubled.inc();
            return;
        }
        self.metrics.messages_received.inc();
        let (channel, payload) = (&message.channel, &message.payload);
        let bulk = |bytes: &Bytes| Reply::Bulk(bytes.clone());
        if let Some(subscribers) = self.table.of(message.kind, channel) {
            let word = match message.kind {
                Kind::Shard => "smessage",
                Kind::Channel | Kind::Pattern => "message",
            };
            self.push(
                &subscribers,
                vec![Reply::text(word), bulk(channel), bulk(payload)],
            );
        }
        if message.kind == Kind::Channel {
            for (pattern, subscribers) in self.table.fitting(channel) {
                let word = Reply::text("pmessage");
                let items = vec![word, bulk(&pattern), bulk(channel), bulk(payload)];
                self.push(&subscribers, items);
            }
        }
    }

    fn push(&self, subscribers: &Arc<Subscribers>, items: Vec<Reply>) {
        let forms = Forms::of(&Reply::Push(items));
        let push = self.clients.push_of(forms, Turn::Next);
        self.lanes.put(&push, subscribers);
    }
}

impl Reader for PubSub {
    fn take(&self, _: &str, news: &[News]) {
        for item in news {
            if let News::Published(message) = item {
                self.deliver(message);
            }
        }
        self.lanes.wake();
    }

    fn missed(&self, _: &str) {
        // Messages that were missed are lost. `telling` registers anew.
    }
}

/// A client that is about to subscribe. Dropped before it has finished, it is counted out.
struct Joining {
    interest: Arc<Interest>,
    kind: Kind,
    names: Vec<Bytes>,
    told: Told,
}

impl Joining {
    /// Ends the joining; returns its names, which are counted in.
    fn finish(mut self) -> BTreeSet<Bytes> {
        std::mem::take(&mut self.names).into_iter().collect()
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        if !self.names.is_empty() {
            self.interest.remove(self.kind, &self.names);
        }
    }
}

/// The direction of a confirmation.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Subscribe,
    Unsubscribe,
}

/// Tells a client of a subscription that has begun or ended, and how many it has.
fn confirmation(verb: Verb, kind: Kind, name: Option<&Bytes>, count: usize) -> Reply {
    let word = match (verb, kind) {
        (Verb::Subscribe, Kind::Channel) => "subscribe",
        (Verb::Subscribe, Kind::Pattern) => "psubscribe",
        (Verb::Subscribe, Kind::Shard) => "ssubscribe",
        (Verb::Unsubscribe, Kind::Channel) => "unsubscribe",
        (Verb::Unsubscribe, Kind::Pattern) => "punsubscribe",
        (Verb::Unsubscribe, Kind::Shard) => "sunsubscribe",
    };
    let name = name.map_or(Reply::Null, |name| Reply::Bulk(name.clone()));
    let count = Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX));
    Reply::Push(vec![Reply::text(word), name, count])
}

/// A copy: a slice would keep the whole read buffer in memory.
fn copied(name: &Bytes) -> Bytes {
    Bytes::copy_from_slice(name)
}

/// The error of a channel or pattern whose name is too long.
fn name_too_long() -> CommandError {
    let max = coterie_protocol::pubsub::NAME_BYTES_MAX;
    CommandError::Other(format!(
        "ERR the name of a channel or pattern is limited to {max} bytes"
    ))
}
