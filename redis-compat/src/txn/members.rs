//! A collection of members with a value each, in no order of their own: hashes and sets.
//!
//! ```text
//! packed      head (`members/head.rs`), then the members (`elements.rs`), each with its cell
//!             (`members/cell.rs`) for a value
//! spread      header (`spread.rs`); its rest is the head, then 16 bytes, the key of the hash;
//!             the elements are described in `members/spread.rs`
//! ```
//!
//! The handles of the types say what a change does to the encoding that Redis reports; everything
//! else they have in common is here. Readers and writers see neither form.
//!
//! A member may have a *deadline*. By the group clock it is absent from then on, as a key is from
//! its expiry on: a write takes its place, a sweep removes it (`members/deadlines.rs`).
//!
//! The layouts are on disk: pinned by the tests, described in `docs/disk-format.md`.

mod cell;
mod deadlines;
mod head;
mod random;
mod spread;
#[cfg(test)]
mod tests;
mod walk;

use bytes::Bytes;
use coterie_types::{TableId, UnixMillis};

pub(crate) use cell::Cell;
pub(crate) use head::Head;
pub(crate) use walk::Member;

use spread::Spread;

use super::Txn;
use super::elements::Elements;
use super::place::PlaceKey;
use super::spread::{PACKED_BYTES_MAX, SpreadHeader};
use crate::{Encoding, EvalError, Fault, Kind, Record};

/// Members past their deadline that a command removes on its way.
const PURGED_MAX: usize = 64;

/// The members of a key. Without members it is not stored.
pub(crate) struct Members {
    kind: Kind,
    form: Form,
    head: Head,
    /// Redis would keep it in a table. A collection that was large stays there.
    is_hashtable: bool,
    expires_at: Option<UnixMillis>,
    /// The key holds it already.
    exists: bool,
    /// The lowest deadline went away, and the next is not known yet.
    is_lowest_gone: bool,
}

enum Form {
    Packed(Elements),
    Spread(Spread),
}

impl Members {
    /// No members yet.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            form: Form::Packed(Elements::default()),
            head: Head::default(),
            is_hashtable: false,
            expires_at: None,
            exists: false,
            is_lowest_gone: false,
        }
    }

    /// The members in the record of a key.
    pub(crate) fn of(record: &Record, table: TableId, key: &Bytes) -> Result<Self, Fault> {
        let (form, head) = if record.is_spread {
            let header = SpreadHeader::decode(&record.value)?;
            let (head, hash_key) = split_rest(header.rest.clone())?;
            let spread = Spread {
                of: header.of(table, key),
                count: header.count,
                hash_key,
            };
            (Form::Spread(spread), head)
        } else {
            let mut value = record.value.clone();
            let head = Head::take(&mut value)?;
            (Form::Packed(Elements::of(&value)?), head)
        };
        Ok(Self {
            form,
            head,
            is_hashtable: record.kept == Some(Encoding::Hashtable),
            expires_at: record.expires_at,
            exists: true,
            ..Self::new(record.kind)
        })
    }

    pub(crate) fn is_intset(&self) -> bool {
        self.head.is_intset
    }

    pub(crate) fn set_intset(&mut self, is_intset: bool) {
        self.head.is_intset = is_intset;
    }

    pub(crate) fn is_hashtable(&self) -> bool {
        self.is_hashtable
    }

    /// Redis keeps it as a set of integers, though it kept it in a table.
    pub(crate) fn make_intset(&mut self) {
        self.is_hashtable = false;
        self.head.is_intset = true;
    }

    /// From here on Redis keeps it in a table.
    pub(crate) fn make_hashtable(&mut self) {
        self.is_hashtable = true;
        self.head.is_intset = false;
    }

    pub(crate) fn set_expiry(&mut self, expires_at: Option<UnixMillis>) {
        self.expires_at = expires_at;
    }

    /// How many members are stored: those past their deadline, too.
    pub(crate) fn stored_len(&self) -> u64 {
        match &self.form {
            Form::Packed(elements) => elements.count() as u64,
            Form::Spread(spread) => spread.count,
        }
    }

    /// How many members there are. O(1), and O(1) for each that is past its deadline.
    pub(crate) fn len(&self, txn: &mut Txn<'_>) -> Result<u64, Fault> {
        Ok(self.stored_len() - self.count_ended(txn)?)
    }

    /// The value and the deadline of a member.
    pub(crate) fn get(&mut self, txn: &mut Txn<'_>, member: &[u8]) -> Result<Option<Cell>, Fault> {
        let cell = self.stored_cell(txn, member)?;
        Ok(cell.filter(|cell| txn.is_before_deadline(cell.deadline)))
    }

    fn stored_cell(&mut self, txn: &Txn<'_>, member: &[u8]) -> Result<Option<Cell>, Fault> {
        match &mut self.form {
            Form::Packed(elements) => elements.get(member)?.map(Cell::decode).transpose(),
            Form::Spread(spread) => spread.cell(txn, member),
        }
    }

    /// Sets a member; returns whether it is new. Errors: `STRING_TOO_LONG`.
    pub(crate) fn put(
        &mut self,
        txn: &mut Txn<'_>,
        member: &Bytes,
        new: &Cell,
    ) -> Result<bool, EvalError> {
        let old = self.stored_cell(txn, member)?;
        let was_there = is_there(txn, old.as_ref());
        self.put_over(txn, member, old.as_ref(), new)?;
        Ok(!was_there)
    }

    /// Sets a member unless it is there; returns whether it is new. Errors: `STRING_TOO_LONG`.
    pub(crate) fn put_new(
        &mut self,
        txn: &mut Txn<'_>,
        member: &Bytes,
        new: &Cell,
    ) -> Result<bool, EvalError> {
        let old = self.stored_cell(txn, member)?;
        let is_new = !is_there(txn, old.as_ref());
        if is_new {
            self.put_over(txn, member, old.as_ref(), new)?;
        }
        Ok(is_new)
    }

    /// Sets a member in the place of the cell that is stored.
    fn put_over(
        &mut self,
        txn: &mut Txn<'_>,
        member: &Bytes,
        old: Option<&Cell>,
        new: &Cell,
    ) -> Result<(), EvalError> {
        txn.check_len(member.len().max(new.value.len()))?;
        let old_deadline = old.and_then(|old| old.deadline);
        self.is_lowest_gone |= self.head.change(old_deadline, new.deadline);
        match &mut self.form {
            Form::Packed(elements) => {
                elements.put(member, &new.encode())?;
            }
            Form::Spread(spread) => spread.put(txn, member, old, new),
        }
        Ok(())
    }

    /// Removes a member; returns the cell that it had.
    pub(crate) fn remove(
        &mut self,
        txn: &mut Txn<'_>,
        member: &[u8],
    ) -> Result<Option<Cell>, Fault> {
        let cell = self.get(txn, member)?;
        if let Some(cell) = &cell {
            self.drop_stored(txn, member, cell.deadline)?;
        }
        Ok(cell)
    }

    /// Removes a stored member, before its deadline or not.
    fn drop_stored(
        &mut self,
        txn: &mut Txn<'_>,
        member: &[u8],
        deadline: Option<UnixMillis>,
    ) -> Result<(), Fault> {
        self.is_lowest_gone |= self.head.change(deadline, None);
        match &mut self.form {
            Form::Packed(elements) => drop(elements.remove(member)?),
            Form::Spread(spread) => {
                let key = spread.key_of(member);
                spread.remove(txn, key, deadline);
            }
        }
        Ok(())
    }

    /// Stores changed members under a key of the command's table; without any, removes the key.
    /// Spreads them if they have outgrown a record. Errors: `UNDECLARED_KEY`.
    pub(crate) fn store(&mut self, txn: &mut Txn<'_>, key: &Bytes) -> Result<(), EvalError> {
        self.purge(txn, PURGED_MAX)?;
        self.find_lowest(txn)?;
        if self.stored_len() == 0 {
            if self.exists {
                txn.remove(key.clone())?;
                self.exists = false;
            }
            return Ok(());
        }
        self.exists = true;
        let kept = self.is_hashtable.then_some(Encoding::Hashtable);
        if let Form::Packed(elements) = &self.form {
            let packed = elements.pack();
            if packed.len() <= PACKED_BYTES_MAX {
                let mut value = Vec::with_capacity(packed.len() + 20);
                self.head.encode(&mut value);
                value.extend_from_slice(&packed);
                txn.put_new(key.clone(), self.kind, value.into(), kept, self.expires_at)?;
                return Ok(());
            }
            self.form = Form::Spread(spread_out(txn, key, elements)?);
        }
        if let Form::Spread(spread) = &self.form {
            let header = SpreadHeader {
                incarnation: spread.of.incarnation,
                count: spread.count,
                rest: encode_rest(&self.head, &spread.hash_key),
            };
            txn.put_header(key.clone(), self.kind, &header, kept, self.expires_at)?;
        }
        Ok(())
    }
}

impl Record {
    /// The next time at which something of it is over, the key itself or one of its members: then
    /// `_EXPIRED` has something to remove.
    #[must_use]
    pub fn wake_at(&self) -> Option<UnixMillis> {
        let ends = self.expires_at.into_iter().chain(lowest_deadline(self));
        ends.min()
    }
}

/// The lowest deadline of the members in a record; of other types there is none.
fn lowest_deadline(record: &Record) -> Option<UnixMillis> {
    if !matches!(record.kind, Kind::Hash | Kind::Set) {
        return None;
    }
    let mut value = match record.is_spread {
        true => SpreadHeader::decode(&record.value).ok()?.rest,
        false => record.value.clone(),
    };
    Some(Head::take(&mut value).ok()?.deadlines?.lowest)
}

fn is_there(txn: &mut Txn<'_>, stored: Option<&Cell>) -> bool {
    stored.is_some_and(|cell| txn.is_before_deadline(cell.deadline))
}

/// Gives packed members elements of their own.
fn spread_out(txn: &mut Txn<'_>, key: &Bytes, packed: &Elements) -> Result<Spread, Fault> {
    let of = txn.begin_collection(key);
    let halves = [txn.random(), txn.random()];
    let mut hash_key = [0; 16];
    hash_key[..8].copy_from_slice(&halves[0].to_le_bytes());
    hash_key[8..].copy_from_slice(&halves[1].to_le_bytes());
    let mut spread = Spread {
        of,
        count: 0,
        hash_key,
    };
    for (member, cell) in packed.to_vec()? {
        spread.put(txn, &member, None, &Cell::decode(cell)?);
    }
    Ok(spread)
}

/// The rest of the header of a spread collection.
fn encode_rest(head: &Head, hash_key: &PlaceKey) -> Bytes {
    let mut rest = Vec::with_capacity(32);
    head.encode(&mut rest);
    rest.extend_from_slice(hash_key);
    Bytes::from(rest)
}

fn split_rest(mut rest: Bytes) -> Result<(Head, PlaceKey), Fault> {
    let head = Head::take(&mut rest)?;
    let hash_key = PlaceKey::try_from(&rest[..])
        .map_err(|_| Fault::corrupt("the hash key of a collection does not fit"))?;
    Ok((head, hash_key))
}
