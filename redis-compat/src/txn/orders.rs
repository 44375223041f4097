//! Changes of counted orders that wait: they are brought into the nodes together.
//!
//! Many commands of an entry change an order, and few read it. A change rewrites a leaf and the
//! nodes above it, and the higher nodes are the same for most changes. So changes wait here until a
//! command names their key that reads the order, or the entry ends (`counted/later.rs`); then each
//! node is written once.
//!
//! Savepoints know how many changes there were, and how many of these were in the nodes. Changes
//! that are in the nodes stay here while a savepoint may take the nodes back.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::Collection;

/// About how many bytes a change that waits will add to those that an entry changes.
const CHANGE_BYTES: usize = 256;

/// The changes of an entry.
#[derive(Debug, Default)]
pub(super) struct Orders {
    changes: Vec<Waiting>,
    /// How many of them are in the nodes.
    done: usize,
}

/// A place in the changes; see the module's head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    changes: usize,
    done: usize,
}

/// A change that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) of: Collection,
    pub(super) family: u8,
    pub(super) seed: u64,
    /// How many items there were before it.
    pub(super) count: u64,
    pub(super) change: Change,
}

/// A change of an order.
#[derive(Debug)]
pub(super) enum Change {
    /// An item that was not there, and its value.
    Put(Bytes, Bytes),
    /// An item that was there.
    Remove(Bytes),
    /// No header names the order any more.
    Forget,
}

/// The changes of an order, the last of each item.
pub(super) struct Together<'w> {
    pub(super) first: &'w Waiting,
    /// How many items there are after them.
    pub(super) count: u64,
    pub(super) changes: BTreeMap<Bytes, Option<Bytes>>,
}

impl Orders {
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.changes.push(waiting);
    }

    pub(super) fn mark(&self) -> Mark {
        let (changes, done) = (self.changes.len(), self.done);
        Mark { changes, done }
    }

    /// Takes back the changes since.
    pub(super) fn roll_back(&mut self, to: Mark) {
        self.changes.truncate(to.changes);
        self.done = to.done;
    }

    /// All changes are in the nodes; whether these may be taken back.
    pub(super) fn settled(&mut self, may_be_taken_back: bool) {
        if may_be_taken_back {
            self.done = self.changes.len();
        } else {
            *self = Self::default();
        }
    }

    /// The changes that are not in the nodes yet.
    pub(super) fn waiting(&self) -> &[Waiting] {
        &self.changes[self.done..]
    }

    /// Bytes that the changes that wait are counted as.
    pub(super) fn bytes(&self) -> usize {
        self.waiting().len() * CHANGE_BYTES
    }

    /// The changes that wait, by order.
    pub(super) fn together(&self) -> impl Iterator<Item = Together<'_>> {
        let mut by_order: BTreeMap<&Collection, Together<'_>> = BTreeMap::new();
        for waiting in self.waiting() {
            let together = by_order.entry(&waiting.of).or_insert_with(|| Together {
                first: waiting,
                count: waiting.count,
                changes: BTreeMap::new(),
            });
            together.add(waiting);
        }
        by_order.into_values()
    }
}

impl Together<'_> {
    fn add(&mut self, waiting: &Waiting) {
        match &waiting.change {
            Change::Put(item, value) => {
                self.changes.insert(item.clone(), Some(value.clone()));
                self.count = waiting.count.saturating_add(1);
            }
            Change::Remove(item) => {
                self.changes.insert(item.clone(), None);
                self.count = waiting.count.saturating_sub(1);
            }
            Change::Forget => self.changes.clear(),
        }
    }
}
