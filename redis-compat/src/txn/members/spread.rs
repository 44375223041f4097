//! Members as elements of a spread collection.
//!
//! ```text
//! family 0    6 bytes of hash, big endian, and the member -> its cell (`cell.rs`)
//! family 1    the deadline in Unix ms, 8 bytes, big endian, and the key in family 0 -> nothing
//! ```
//!
//! The hash is the member's place (`place.rs`). The cursors of `HSCAN` and `SSCAN` are these
//! hashes, and random members come from a random place in their order.
//!
//! The layout is on disk: pinned by the tests of `members.rs`, described in `docs/disk-format.md`.

use bytes::Bytes;
use coterie_types::UnixMillis;

use super::cell::Cell;
use crate::txn::place::{self, PlaceKey};
use crate::{Collection, Fault, Txn};

/// The family of the members, in the order of their hashes.
pub(super) const MEMBERS: u8 = 0;
/// The family of the deadlines.
pub(super) const DEADLINES: u8 = 1;

/// Bytes of a hash.
pub(super) const HASH_BYTES: usize = place::PLACE_BYTES;
/// How many hashes there are.
pub(super) const HASHES: u64 = 1 << (8 * HASH_BYTES);

/// Bytes of a deadline in family 1.
const DEADLINE_BYTES: usize = 8;

/// The elements, and how many members there are.
pub(super) struct Spread {
    pub(super) of: Collection,
    pub(super) count: u64,
    pub(super) hash_key: PlaceKey,
}

impl Spread {
    /// The key of a member in family 0.
    pub(super) fn key_of(&self, member: &[u8]) -> Bytes {
        Bytes::from([&place::place(&self.hash_key, member)[..], member].concat())
    }

    pub(super) fn cell(&self, txn: &Txn<'_>, member: &[u8]) -> Result<Option<Cell>, Fault> {
        let raw = txn.element(&self.of, MEMBERS, &self.key_of(member))?;
        raw.map(Cell::decode).transpose()
    }

    /// Sets a member in the place of its old cell, if any.
    pub(super) fn put(&mut self, txn: &mut Txn<'_>, member: &[u8], old: Option<&Cell>, new: &Cell) {
        let key = self.key_of(member);
        let old_deadline = old.and_then(|old| old.deadline);
        self.change_deadline(txn, &key, old_deadline, new.deadline);
        txn.put_element(&self.of, MEMBERS, key, new.encode());
        self.count += u64::from(old.is_none());
    }

    /// Removes a member that is there, by its key in family 0.
    pub(super) fn remove(&mut self, txn: &mut Txn<'_>, key: Bytes, deadline: Option<UnixMillis>) {
        self.change_deadline(txn, &key, deadline, None);
        txn.remove_element(&self.of, MEMBERS, key);
        self.count -= 1;
    }

    fn change_deadline(
        &self,
        txn: &mut Txn<'_>,
        key: &[u8],
        old: Option<UnixMillis>,
        new: Option<UnixMillis>,
    ) {
        if old == new {
            return;
        }
        let place = |at: UnixMillis| [&at.0.to_be_bytes(), key].concat();
        if let Some(old) = old {
            txn.remove_element(&self.of, DEADLINES, place(old));
        }
        if let Some(new) = new {
            txn.put_element(&self.of, DEADLINES, place(new), Bytes::new());
        }
    }
}

/// The hash and the name in a key of family 0.
pub(super) fn split_key(key: &[u8]) -> Result<(u64, &[u8]), Fault> {
    let (hash, member) = key
        .split_first_chunk::<HASH_BYTES>()
        .ok_or_else(|| Fault::corrupt("the key of a member is cut short"))?;
    Ok((place::number(*hash), member))
}

/// The first key of family 0 with this hash, or a higher hash.
pub(super) fn first_key(hash: u64) -> [u8; HASH_BYTES] {
    let [_, _, bytes @ ..] = hash.to_be_bytes();
    bytes
}

/// The deadline and the key of family 0 in a key of family 1.
pub(super) fn split_deadline(key: &[u8]) -> Result<(UnixMillis, &[u8]), Fault> {
    let (at, key) = key
        .split_first_chunk::<DEADLINE_BYTES>()
        .ok_or_else(|| Fault::corrupt("the deadline of a member is cut short"))?;
    Ok((UnixMillis(u64::from_be_bytes(*at)), key))
}
