//! The handle of sets.

use bytes::Bytes;
use coterie_types::{TableId, UnixMillis};

use crate::errors::WRONG_TYPE;
use crate::txn::members::{Cell, Members};
use crate::{Encoding, EvalError, Fault, Kind, Record, Txn, number};

/// The members up to which Redis keeps a set of integers as such: `set-max-intset-entries`.
pub(super) const INTSET_MEMBERS_MAX: u64 = 512;
/// The members up to which Redis keeps a set packed: `set-max-listpack-entries`.
const LISTPACK_MEMBERS_MAX: u64 = 128;
/// The longest member of a packed set: `set-max-listpack-value`.
const LISTPACK_BYTES_MAX: usize = 64;

/// A set. Without members it is not stored.
pub(crate) struct Set(pub(crate) Members);

impl Default for Set {
    fn default() -> Self {
        let mut members = Members::new(Kind::Set);
        // Until a member comes that is no integer.
        members.set_intset(true);
        Self(members)
    }
}

impl Set {
    /// The set in the record of a key.
    pub(crate) fn of(record: &Record, table: TableId, key: &Bytes) -> Result<Self, Fault> {
        debug_assert_eq!(record.kind, Kind::Set);
        Ok(Self(Members::of(record, table, key)?))
    }

    /// How Redis 7.2 would keep it.
    pub(crate) fn encoding(&self) -> Encoding {
        if self.0.is_hashtable() {
            Encoding::Hashtable
        } else if self.0.is_intset() {
            Encoding::Intset
        } else {
            Encoding::Listpack
        }
    }

    pub(crate) fn len(&self, txn: &mut Txn<'_>) -> Result<u64, Fault> {
        self.0.len(txn)
    }

    pub(crate) fn contains(&mut self, txn: &mut Txn<'_>, member: &[u8]) -> Result<bool, Fault> {
        Ok(self.0.get(txn, member)?.is_some())
    }

    /// Adds a member; returns whether it is new. A member that is there keeps its deadline.
    pub(crate) fn add(&mut self, txn: &mut Txn<'_>, member: &Bytes) -> Result<bool, EvalError> {
        self.add_until(txn, member, None)
    }

    /// Adds a member with a deadline; returns whether it is new.
    pub(crate) fn add_until(
        &mut self,
        txn: &mut Txn<'_>,
        member: &Bytes,
        deadline: Option<UnixMillis>,
    ) -> Result<bool, EvalError> {
        let count = self.0.stored_len();
        let value = Bytes::new();
        let is_new = self.0.put_new(txn, member, &Cell { value, deadline })?;
        if is_new {
            self.convert_for(member, count);
        }
        Ok(is_new)
    }

    /// Redis' conversions when a set of `count` members gets another (`t_set.c`,
    /// `setTypeAddAux`).
    fn convert_for(&mut self, member: &[u8], count: u64) {
        let is_long = member.len() > LISTPACK_BYTES_MAX || count >= LISTPACK_MEMBERS_MAX;
        match self.encoding() {
            Encoding::Intset if number::parse_int(member).is_some() => {
                if count >= INTSET_MEMBERS_MAX {
                    self.0.make_hashtable();
                }
            }
            Encoding::Intset | Encoding::Listpack if is_long => self.0.make_hashtable(),
            _ => self.0.set_intset(false),
        }
    }

    /// Adds a member of a set that came packed: Redis leaves it so, however long its members are.
    pub(crate) fn add_packed(
        &mut self,
        txn: &mut Txn<'_>,
        member: &Bytes,
    ) -> Result<bool, EvalError> {
        let (value, deadline) = (Bytes::new(), None);
        let is_new = self.0.put(txn, member, &Cell { value, deadline })?;
        self.0.set_intset(false);
        if self.0.stored_len() > LISTPACK_MEMBERS_MAX {
            self.0.make_hashtable();
        }
        Ok(is_new)
    }

    /// So many members are going to be added, of which this is the first. Redis takes them all for
    /// new ones (`t_set.c`, `setTypeCreate` and `setTypeMaybeConvert`).
    pub(crate) fn expect(&mut self, first: &[u8], count: usize) {
        let is_new = self.0.stored_len() == 0;
        let is_intset = self.0.is_intset() && (!is_new || number::parse_int(first).is_some());
        let max = if is_intset {
            INTSET_MEMBERS_MAX
        } else {
            LISTPACK_MEMBERS_MAX
        };
        self.0.set_intset(is_intset);
        if count as u64 > max {
            self.0.make_hashtable();
        }
    }

    /// Redis makes an `intset` of an intersection where it can (`t_set.c`,
    /// `maybeConvertToIntset`), though its members came into a table.
    pub(crate) fn make_intset(&mut self, txn: &mut Txn<'_>) -> Result<(), EvalError> {
        let mut is_intset = self.0.stored_len() <= INTSET_MEMBERS_MAX;
        self.0.each(txn, &mut |_, member| {
            is_intset &= number::parse_int(&member.name).is_some();
            Ok(is_intset)
        })?;
        if is_intset {
            self.0.make_intset();
        }
        Ok(())
    }

    /// Removes a member; returns whether it was there.
    pub(crate) fn remove(&mut self, txn: &mut Txn<'_>, member: &[u8]) -> Result<bool, Fault> {
        Ok(self.0.remove(txn, member)?.is_some())
    }

    /// All members, those of an `intset` in order. Errors: `ReplyTooLong`.
    pub(crate) fn for_reply(&self, txn: &mut Txn<'_>) -> Result<Vec<Bytes>, EvalError> {
        let mut members = Vec::new();
        self.0.each(txn, &mut |txn, member| {
            txn.take_reply_room(member.name.len())?;
            members.push(member.name);
            Ok(true)
        })?;
        if self.encoding() == Encoding::Intset {
            members.sort_by_cached_key(|member| number::parse_int(member));
        }
        Ok(members)
    }

    /// The same with this expiry.
    pub(crate) fn expiring(mut self, expires_at: Option<UnixMillis>) -> Self {
        self.0.set_expiry(expires_at);
        self
    }
}

impl Txn<'_> {
    /// The set under a key; without members if the key is absent. Errors: `WRONG_TYPE`,
    /// `UNDECLARED_KEY`.
    pub(crate) fn set(&mut self, key: &Bytes) -> Result<Set, EvalError> {
        let Some(record) = self.record(key)? else {
            return Ok(Set::default());
        };
        if record.kind == Kind::Set {
            Ok(Set::of(&record, self.table(), key)?)
        } else {
            Err(WRONG_TYPE.into())
        }
    }

    /// Stores a changed set; without any member, removes the key. Errors: `UNDECLARED_KEY`.
    pub(crate) fn put_set(&mut self, key: &Bytes, set: &mut Set) -> Result<(), EvalError> {
        set.0.store(self, key)
    }
}
