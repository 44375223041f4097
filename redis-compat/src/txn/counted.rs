//! An ordered collection of items, counted: the items of a range of keys, ranks, and the item of a
//! rank are all found in O(log n), by reading whole nodes.
//!
//! A tree of nodes, each an element of a spread collection. Level 0 has the leaves, with the items
//! in their order; a node of a level above has the nodes below it, with the number of items of
//! each. Level `l` is a family of its own:
//!
//! ```text
//! key       the node's first item; empty for the first node of a level
//! value     the entries of the node (`run.rs`)
//! ```
//!
//! A keyed hash says which items begin a node: an item begins a leaf if the hash ends in 4 zero
//! bits, and a node of level `l` if it ends in 4 + 6 l zero bits. So a leaf has about 16 items, and
//! a node 64 nodes. The key is the collection's own chance: nobody can choose items that make large
//! nodes. The highest level has a single node, of up to about 256 entries.
//!
//! So the records are a function of the items and of the key, whatever the history: replicas agree,
//! and a fresh build equals what is stored. A skip list drawn as a tree, as in the ranked set of
//! the FoundationDB Record Layer and in prolly trees. Nothing walks over the store: a queue never
//! meets its removals. The layout is on disk: pinned by the tests, described in
//! `docs/disk-format.md`.
//!
//! Costs at a million items: a rank or an insertion reads four nodes, an insertion writes them.

mod change;
mod later;
mod path;
mod run;
#[cfg(test)]
mod tests;

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

pub(crate) use path::Path;

use super::Txn;
use crate::{Collection, Fault};

/// The first level with nodes of nodes begins at so many bits.
const LEAF_BITS: u32 = 4;
/// A node has about 2 to this power nodes of the level below.
const FAN_BITS: u32 = 6;
/// About how many entries the highest node has at most.
const TOP_MAX: u64 = 256;
/// The highest level. With four, the highest
/// node outgrows [`TOP_MAX`] behind a billion items.
const LEVELS_MAX: u8 = 4;
/// The name of the first node of each level. No item is empty.
const START: &[u8] = &[];

/// The counted order of a spread collection: where it is, and how many items it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted<'c> {
    pub(crate) of: &'c Collection,
    /// The family of the leaves; those of the higher levels follow.
    pub(crate) family: u8,
    /// The key of the hash that chooses the first items of nodes.
    pub(crate) seed: u64,
    /// How many items there are; how many there were, for a change.
    pub(crate) count: u64,
}

impl Counted<'_> {
    /// How many items there are before `item`, whether it is there or not.
    pub(crate) fn rank(&self, txn: &Txn<'_>, item: &[u8]) -> Result<u64, Fault> {
        Ok(self.seek(txn, item)?.rank())
    }

    /// Of how many levels the item begins a node: of those below this number.
    fn height(&self, item: &[u8]) -> u8 {
        let mut hasher = SipHasher13::new_with_keys(self.seed, 0);
        hasher.write(item);
        let zeros = hasher.finish().trailing_zeros();
        match zeros.checked_sub(LEAF_BITS) {
            None => 0,
            Some(more) => (more / FAN_BITS) as u8 + 1,
        }
    }

    fn top(&self) -> u8 {
        top(self.count)
    }
}

/// The highest level for so many items: the least whose node has about 256 entries at most.
fn top(count: u64) -> u8 {
    let bits = |level: u8| LEAF_BITS + FAN_BITS * u32::from(level - 1);
    let is_enough = |level: &u8| count <= TOP_MAX << bits(*level);
    (1..LEVELS_MAX).find(is_enough).unwrap_or(LEVELS_MAX)
}

fn corrupt() -> Fault {
    Fault::corrupt("the nodes of a counted order do not fit together")
}
