//! Items on their way into a reply or a stored set.

use super::order::Item;
use crate::errors::COLLECTION_TOO_LARGE;
use crate::txn::spread::COPY_BYTES_MAX;
use crate::{EvalError, Reply, Txn};

/// About the bytes that a score takes in a reply.
pub(super) const SCORE_BYTES: usize = 24;
/// Bytes that a stored item takes beside its member.
const ITEM_BYTES: usize = 24;

/// Items that a command gathers, and the room that they have.
pub(super) struct Listing {
    room: Room,
    items: Vec<Item>,
}

/// Where the items go.
enum Room {
    Reply {
        with_scores: bool,
    },
    /// Into the entry, which has to hold them all: so many bytes are left.
    Store(usize),
}

impl Listing {
    /// Items for a reply.
    pub(super) fn of_reply(with_scores: bool) -> Self {
        Self {
            room: Room::Reply { with_scores },
            items: Vec::new(),
        }
    }

    /// Items to be stored.
    pub(super) fn of_store() -> Self {
        Self {
            room: Room::Store(COPY_BYTES_MAX),
            items: Vec::new(),
        }
    }

    /// Takes room for a member. Errors: `ReplyTooLong`, `COLLECTION_TOO_LARGE`.
    pub(super) fn take_room(&mut self, txn: &mut Txn<'_>, member: &[u8]) -> Result<(), EvalError> {
        match &mut self.room {
            Room::Reply { with_scores } => {
                txn.take_reply_room(member.len())?;
                if *with_scores {
                    txn.take_reply_room(SCORE_BYTES)?;
                }
            }
            Room::Store(left) => {
                let bytes = member.len() + ITEM_BYTES;
                *left = left.checked_sub(bytes).ok_or(COLLECTION_TOO_LARGE)?;
            }
        }
        Ok(())
    }

    /// Adds an item. Errors: as [`Listing::take_room`].
    pub(super) fn add(&mut self, txn: &mut Txn<'_>, item: Item) -> Result<(), EvalError> {
        self.take_room(txn, &item.member)?;
        self.items.push(item);
        Ok(())
    }

    /// Adds items whose room is taken.
    pub(super) fn extend(&mut self, items: impl Iterator<Item = Item>) {
        self.items.extend(items);
    }

    /// Puts the items in order.
    pub(super) fn sort(&mut self) {
        self.items.sort_unstable_by(Item::order);
    }

    pub(super) fn into_items(self) -> Vec<Item> {
        self.items
    }

    /// Members; with scores a flat list in RESP2, a list of lists of two in RESP3.
    pub(super) fn reply(self) -> Reply {
        let items = self.items.into_iter();
        match self.room {
            Room::Reply { with_scores: true } => {
                let pair = |item: Item| (Reply::Bulk(item.member), Reply::Double(item.score));
                Reply::Pairs(items.map(pair).collect())
            }
            _ => Reply::Array(items.map(|item| Reply::Bulk(item.member)).collect()),
        }
    }
}
