//! The names that a client subscribes to, as its replies count them.

use std::collections::BTreeSet;

use bytes::Bytes;
use coterie_protocol::pubsub::Kind;

/// The subscriptions of a client.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    /// By [`Kind`].
    names: [BTreeSet<Bytes>; 3],
    bytes: usize,
}

impl Subscriptions {
    /// The names of a kind.
    pub(crate) fn of(&self, kind: Kind) -> &BTreeSet<Bytes> {
        &self.names[kind as usize]
    }

    /// How many names there are, as replies tell them: channels and patterns together.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Shard => self.of(Kind::Shard).len(),
            Kind::Channel | Kind::Pattern => {
                self.of(Kind::Channel).len() + self.of(Kind::Pattern).len()
            }
        }
    }

    /// Bytes of all names.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many names there are of all kinds.
    pub(crate) fn total(&self) -> usize {
        self.names.iter().map(BTreeSet::len).sum()
    }

    /// Adds a name; returns whether it is new.
    pub(super) fn insert(&mut self, kind: Kind, name: Bytes) -> bool {
        let bytes = name.len();
        let is_new = self.names[kind as usize].insert(name);
        if is_new {
            self.bytes += bytes;
        }
        is_new
    }

    /// Removes a name; returns whether it was there.
    pub(super) fn remove(&mut self, kind: Kind, name: &[u8]) -> bool {
        let was_there = self.names[kind as usize].remove(name);
        if was_there {
            self.bytes -= name.len();
        }
        was_there
    }
}
