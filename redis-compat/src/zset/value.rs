//! The handle of sorted sets.
//!
//! A set is packed into the record of its key (`packed.rs`) until that is longer than 8 KiB; then
//! each member is an element of its own (`spread.rs`). Commands do not see which.
//!
//! A handle changes in memory, or its elements in the entry; [`Txn::put_zset`] stores it.

use bytes::Bytes;
use coterie_types::UnixMillis;

use super::order::Item;
use super::packed::{self, Packed};
use super::span::{Selection, Span};
use super::spread::{Spread, Visit};
use crate::errors::{COLLECTION_TOO_LARGE, TOO_MANY_REMOVED, WRONG_TYPE};
use crate::txn::spread::{COPY_BYTES_MAX, PACKED_BYTES_MAX, SpreadHeader};
use crate::{Encoding, EvalError, Fault, Kind, Record, Txn};

/// The members up to which Redis keeps a sorted set packed: `zset-max-listpack-entries`.
const LISTPACK_MEMBERS_MAX: u64 = 128;
/// The longest member of a packed sorted set: `zset-max-listpack-value`.
const LISTPACK_BYTES_MAX: usize = 64;

/// A sorted set, and the expiry of its key. Without members it is not stored.
#[derive(Debug, Default)]
pub(crate) struct SortedSet {
    /// The key it is under: the elements of a large set are found by it.
    key: Bytes,
    /// The key is known: the set was not made by a command or a payload.
    is_placed: bool,
    form: Form,
    /// Redis would keep it in a skip list. A set that was large stays there.
    is_skiplist: bool,
    expires_at: Option<UnixMillis>,
    /// The key holds it already.
    exists: bool,
}

#[derive(Debug)]
enum Form {
    /// As stored.
    Raw(Bytes),
    Packed(Packed),
    Header(SpreadHeader),
    Spread(Spread),
}

impl Default for Form {
    fn default() -> Self {
        Self::Packed(Packed::default())
    }
}

impl SortedSet {
    /// The sorted set of a record. [`SortedSet::under`] says where it is.
    pub(crate) fn of(record: &Record) -> Result<Self, Fault> {
        debug_assert_eq!(record.kind, Kind::SortedSet);
        let form = if record.is_spread {
            Form::Header(SpreadHeader::decode(&record.value)?)
        } else {
            Form::Raw(record.value.clone())
        };
        Ok(Self {
            form,
            is_skiplist: record.encoding() == Encoding::Skiplist,
            expires_at: record.expires_at,
            exists: true,
            ..Self::default()
        })
    }

    /// The same, under this key of the command's table.
    pub(crate) fn under(mut self, txn: &Txn<'_>, key: &Bytes) -> Result<Self, Fault> {
        (self.key, self.is_placed) = (key.clone(), true);
        if let Form::Header(header) = &self.form {
            self.form = Form::Spread(Spread::of(header, header.of(txn.table(), key))?);
        }
        Ok(self)
    }

    /// A new set of these items, in any order; `None` if a member is there twice. Redis packs it if
    /// it is small.
    pub(crate) fn of_items(items: Vec<Item>) -> Option<Self> {
        let longest = items.iter().map(|item| item.member.len()).max();
        let is_short = longest.unwrap_or(0) <= LISTPACK_BYTES_MAX;
        let is_skiplist = items.len() as u64 > LISTPACK_MEMBERS_MAX || !is_short;
        Self::of_kept_items(items, is_skiplist)
    }

    /// The same, for a set that Redis keeps in a skip list or not.
    pub(super) fn of_kept_items(mut items: Vec<Item>, is_skiplist: bool) -> Option<Self> {
        if !is_skiplist {
            items
                .iter_mut()
                .for_each(|item| item.score = packed_score(item.score));
        }
        Some(Self {
            form: Form::Packed(Packed::of_items(items)?),
            is_skiplist,
            ..Self::default()
        })
    }

    pub(super) fn is_skiplist(&self) -> bool {
        self.is_skiplist
    }

    /// A new set of items that Redis adds one by one in this order, knowing how many come if
    /// `is_counted`; `None` if a member is there twice.
    pub(super) fn of_added_items(mut items: Vec<Item>, is_counted: bool) -> Option<Self> {
        let is_many = |count: usize| count as u64 > LISTPACK_MEMBERS_MAX;
        let mut is_skiplist = is_counted && is_many(items.len());
        for (before, item) in items.iter_mut().enumerate() {
            is_skiplist |= is_many(before + 1) || item.member.len() > LISTPACK_BYTES_MAX;
            if !is_skiplist {
                item.score = packed_score(item.score);
            }
        }
        Self::of_kept_items(items, is_skiplist)
    }

    /// How Redis would keep it.
    pub(crate) fn encoding(&self) -> Encoding {
        if self.is_skiplist {
            Encoding::Skiplist
        } else {
            Encoding::Listpack
        }
    }

    /// The same with this expiry.
    pub(crate) fn expiring(mut self, expires_at: Option<UnixMillis>) -> Self {
        self.expires_at = expires_at;
        self
    }

    /// How many members it has.
    pub(crate) fn len(&self) -> Result<u64, Fault> {
        Ok(match &self.form {
            Form::Raw(value) => packed::count_of(&mut &value[..])? as u64,
            Form::Packed(packed) => packed.items().len() as u64,
            Form::Header(header) => header.count,
            Form::Spread(spread) => spread.len(),
        })
    }

    /// The score of a member.
    pub(crate) fn score(&self, txn: &Txn<'_>, member: &[u8]) -> Result<Option<f64>, Fault> {
        match &self.form {
            Form::Raw(value) => Packed::find(value, member),
            Form::Packed(packed) => Ok(packed.score(member)),
            Form::Spread(spread) => spread.score(txn, member),
            Form::Header(_) => Err(nowhere()),
        }
    }

    /// So many members are going to be added, the first of which has this length. Redis takes them
    /// all for new ones (`t_zset.c`, `zsetTypeCreate` and `zsetTypeMaybeConvert`).
    pub(crate) fn expect_members(&mut self, count: usize, first_len: usize) {
        let is_long = !self.exists && first_len > LISTPACK_BYTES_MAX;
        self.is_skiplist |= is_long || count as u64 > LISTPACK_MEMBERS_MAX;
    }

    /// Adds a member, or changes its score. `before` is the score that it has. Errors:
    /// `STRING_TOO_LONG`.
    pub(crate) fn put(
        &mut self,
        txn: &mut Txn<'_>,
        member: &Bytes,
        before: Option<f64>,
        score: f64,
    ) -> Result<(), EvalError> {
        if before.is_none() {
            txn.check_len(member.len())?;
            let is_many = self.len()? + 1 > LISTPACK_MEMBERS_MAX;
            self.is_skiplist |= is_many || member.len() > LISTPACK_BYTES_MAX;
        }
        let is_skiplist = self.is_skiplist;
        let of = |score| Item {
            score,
            member: member.clone(),
        };
        let item = of(if is_skiplist {
            score
        } else {
            packed_score(score)
        });
        match (self.loaded()?, before.map(of)) {
            (Form::Spread(spread), None) => spread.insert(txn, &item)?,
            (Form::Spread(spread), Some(before)) => spread.change(txn, &before, item.score)?,
            (Form::Packed(packed), before) => {
                if let Some(before) = before {
                    packed.remove(&before);
                }
                packed.insert(item);
                self.spread_if_long(txn)?;
            }
            (Form::Raw(_) | Form::Header(_), _) => return Err(nowhere().into()),
        }
        Ok(())
    }

    /// Removes a member; returns the score that it had.
    pub(crate) fn remove(
        &mut self,
        txn: &mut Txn<'_>,
        member: &Bytes,
    ) -> Result<Option<f64>, Fault> {
        let Some(score) = self.score(txn, member)? else {
            return Ok(None);
        };
        let item = Item {
            score,
            member: member.clone(),
        };
        match self.loaded()? {
            Form::Packed(packed) => packed.remove(&item),
            Form::Spread(spread) => spread.remove(txn, &item)?,
            Form::Raw(_) | Form::Header(_) => return Err(nowhere()),
        }
        Ok(Some(score))
    }

    /// Removes the items of a selection; returns how many. Errors: `TOO_MANY_REMOVED`.
    pub(crate) fn remove_all(
        &mut self,
        txn: &mut Txn<'_>,
        selection: &Selection,
    ) -> Result<u64, EvalError> {
        let len = self.len()?;
        if self.selected(txn, selection)? == len {
            self.form = Form::default();
            return Ok(len);
        }
        let removed = self.collect(txn, selection, &mut |_, _| Ok(()))?;
        self.remove_run(txn, &removed)?;
        Ok(removed.len() as u64)
    }

    /// Removes the first items, or the last from the last on; returns them. Errors:
    /// `TOO_MANY_REMOVED`, `ReplyTooLong`.
    pub(crate) fn pop(
        &mut self,
        txn: &mut Txn<'_>,
        down: bool,
        count: u64,
    ) -> Result<Vec<Item>, EvalError> {
        let selection = Selection::end(down, count);
        let popped = self.collect(txn, &selection, &mut |txn, item| {
            Ok(txn.take_reply_room(item.member.len() + size_of::<f64>())?)
        })?;
        if popped.len() as u64 == self.len()? {
            self.form = Form::default();
        } else {
            self.remove_run(txn, &popped)?;
        }
        Ok(popped)
    }

    /// How many items a selection has.
    fn selected(&mut self, txn: &Txn<'_>, selection: &Selection) -> Result<u64, Fault> {
        let of_span = self.count(txn, &selection.span)?;
        Ok(of_span
            .saturating_sub(selection.offset)
            .min(selection.count))
    }

    /// The items of a selection, to be removed.
    fn collect(
        &mut self,
        txn: &mut Txn<'_>,
        selection: &Selection,
        check: &mut dyn FnMut(&mut Txn<'_>, &Item) -> Result<(), EvalError>,
    ) -> Result<Vec<Item>, EvalError> {
        let (mut found, mut room, key) = (Vec::new(), COPY_BYTES_MAX, self.key.clone());
        self.walk(txn, selection, &mut |txn, item| {
            check(txn, &item)?;
            let bytes = Spread::entry_bytes(&key, &item);
            room = room.checked_sub(bytes).ok_or(TOO_MANY_REMOVED)?;
            found.push(item);
            Ok(true)
        })?;
        Ok(found)
    }

    fn remove_run(&mut self, txn: &mut Txn<'_>, run: &[Item]) -> Result<(), Fault> {
        match self.loaded()? {
            Form::Packed(packed) => run.iter().for_each(|item| packed.remove(item)),
            Form::Spread(spread) => spread.remove_run(txn, run)?,
            Form::Raw(_) | Form::Header(_) => return Err(nowhere()),
        }
        Ok(())
    }

    /// How many items there are before a member with this score.
    pub(crate) fn rank(&mut self, txn: &Txn<'_>, member: &Bytes, score: f64) -> Result<u64, Fault> {
        let item = Item {
            score,
            member: member.clone(),
        };
        match self.loaded()? {
            Form::Packed(packed) => Ok(packed.rank(&item) as u64),
            Form::Spread(spread) => spread.rank(txn, &item),
            Form::Raw(_) | Form::Header(_) => Err(nowhere()),
        }
    }

    /// The item with so many before it.
    pub(crate) fn select(&mut self, txn: &Txn<'_>, nth: u64) -> Result<Option<Item>, Fault> {
        match self.loaded()? {
            Form::Packed(packed) => {
                let nth = usize::try_from(nth).ok();
                Ok(nth.and_then(|nth| packed.items().get(nth).cloned()))
            }
            Form::Spread(spread) => spread.select(txn, nth),
            Form::Raw(_) | Form::Header(_) => Err(nowhere()),
        }
    }

    /// How many items a span has.
    pub(crate) fn count(&mut self, txn: &Txn<'_>, span: &Span) -> Result<u64, Fault> {
        match self.loaded()? {
            Form::Packed(packed) => Ok(span.places(packed.items()).len() as u64),
            Form::Spread(spread) => spread.count(txn, span),
            Form::Raw(_) | Form::Header(_) => Err(nowhere()),
        }
    }

    /// Visits the items of a selection in its order, until `visit` returns false.
    pub(crate) fn walk(
        &mut self,
        txn: &mut Txn<'_>,
        selection: &Selection,
        visit: &mut Visit<'_>,
    ) -> Result<(), EvalError> {
        match self.loaded()? {
            Form::Packed(packed) => {
                let items = packed.items()[selection.places(packed.items())].iter();
                if selection.down {
                    visit_all(txn, items.rev(), visit)
                } else {
                    visit_all(txn, items, visit)
                }
            }
            Form::Spread(spread) => spread.walk(txn, selection, visit),
            Form::Raw(_) | Form::Header(_) => Err(nowhere().into()),
        }
    }

    /// A page of a scan: about `max` items from a cursor on, and the cursor of the next page, 0 at
    /// the end. A small set is a page of its own.
    pub(crate) fn scan(
        &mut self,
        txn: &Txn<'_>,
        cursor: u64,
        max: usize,
    ) -> Result<(u64, Vec<Item>), Fault> {
        match self.loaded()? {
            Form::Packed(packed) => Ok((0, packed.items().to_vec())),
            Form::Spread(spread) => spread.scan(txn, cursor, max),
            Form::Raw(_) | Form::Header(_) => Err(nowhere()),
        }
    }

    /// The form with its items at hand.
    fn loaded(&mut self) -> Result<&mut Form, Fault> {
        if let Form::Raw(value) = &self.form {
            self.form = Form::Packed(Packed::of(value)?);
        }
        Ok(&mut self.form)
    }

    /// Gives the members elements of their own if they have outgrown a record.
    fn spread_if_long(&mut self, txn: &mut Txn<'_>) -> Result<(), Fault> {
        if let Form::Packed(packed) = &self.form
            && packed.packed_len() > PACKED_BYTES_MAX
        {
            self.form = Form::Spread(Spread::new(txn, &self.key, packed.items())?);
        }
        Ok(())
    }
}

/// Redis' listpacks do not hold -0.
fn packed_score(score: f64) -> f64 {
    score + 0.0
}

fn visit_all<'i>(
    txn: &mut Txn<'_>,
    items: impl Iterator<Item = &'i Item>,
    visit: &mut Visit<'_>,
) -> Result<(), EvalError> {
    for item in items {
        if !visit(txn, item.clone())? {
            break;
        }
    }
    Ok(())
}

fn nowhere() -> Fault {
    Fault::corrupt("a sorted set was used without its key")
}

impl Txn<'_> {
    /// The sorted set under a key; without members if the key is absent. Errors: `WRONG_TYPE`,
    /// `UNDECLARED_KEY`.
    pub(crate) fn zset(&mut self, key: &Bytes) -> Result<SortedSet, EvalError> {
        match self.record(key)? {
            None => Ok(SortedSet::default().under(self, key)?),
            Some(record) if record.kind == Kind::SortedSet => {
                Ok(SortedSet::of(&record)?.under(self, key)?)
            }
            Some(_) => Err(WRONG_TYPE.into()),
        }
    }

    /// Stores a changed sorted set under a key; without members, removes the key if it held the
    /// set. Errors: `UNDECLARED_KEY`, `COLLECTION_TOO_LARGE` for a new set.
    pub(crate) fn put_zset(&mut self, key: Bytes, set: SortedSet) -> Result<(), EvalError> {
        let mut set = set;
        if set.len()? == 0 {
            if let Form::Spread(spread) = &set.form {
                spread.forget(self)?;
            }
            if set.exists {
                self.remove(key)?;
            }
            return Ok(());
        }
        if !set.is_placed {
            set.check_copy(&key)?;
            set.key = key.clone();
        }
        set.spread_if_long(self)?;
        let kept = set.is_skiplist.then_some(Encoding::Skiplist);
        match set.form {
            Form::Raw(value) => {
                self.put_new(key, Kind::SortedSet, value, kept, set.expires_at)?;
            }
            Form::Packed(packed) => {
                self.put_new(key, Kind::SortedSet, packed.pack(), kept, set.expires_at)?;
            }
            Form::Spread(spread) => {
                let header = spread.header();
                self.put_header(key, Kind::SortedSet, &header, kept, set.expires_at)?;
            }
            Form::Header(_) => return Err(nowhere().into()),
        }
        Ok(())
    }
}

impl SortedSet {
    /// Refuses a set whose elements would be more than an entry may bring. Errors:
    /// `COLLECTION_TOO_LARGE`.
    fn check_copy(&self, key: &Bytes) -> Result<(), EvalError> {
        let Form::Packed(packed) = &self.form else {
            return Ok(());
        };
        let mut room = COPY_BYTES_MAX;
        for item in packed.items() {
            let bytes = Spread::entry_bytes(key, item);
            room = room.checked_sub(bytes).ok_or(COLLECTION_TOO_LARGE)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use coterie_types::{KeyRange, TableId};

    use super::super::tests::{Fixture, in_order, member};
    use super::*;
    use crate::txn::tests::{b, ctx};
    use crate::{Collection, Context, Header, MemView, View, Walk};

    /// A store that refuses walks over the order.
    struct Strict<'v> {
        view: &'v MemView,
    }

    impl View for Strict<'_> {
        fn record(&self, table: TableId, key: &[u8]) -> Result<Option<Record>, Fault> {
            self.view.record(table, key)
        }

        fn scan_keys(
            &self,
            bounds: &KeyRange,
            visit: &mut dyn FnMut(&[u8], Header) -> bool,
        ) -> Result<(), Fault> {
            self.view.scan_keys(bounds, visit)
        }

        fn element(&self, of: &Collection, family: u8, at: &[u8]) -> Result<Option<Bytes>, Fault> {
            self.view.element(of, family, at)
        }

        fn scan_elements(
            &self,
            of: &Collection,
            family: u8,
            walk: Walk<'_>,
            visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
        ) -> Result<(), Fault> {
            assert_eq!(family, 0, "a walk: it could meet what was removed");
            self.view.scan_elements(of, family, walk, visit)
        }
    }

    #[test]
    fn nothing_passes_over_what_was_removed_from_the_front() {
        let mut fixture = Fixture::default();
        for number in 0..1_000 {
            fixture.put(&member(number, 16), f64::from(number));
        }
        fixture.remove_some(false, 0, 300);
        let items = in_order(&fixture.model);
        let strict = Strict {
            view: &fixture.view,
        };
        let context = Context {
            next_change: fixture.next_change,
            ..ctx(1)
        };
        let mut txn = Txn::new(&strict, context);
        let mut set = txn.zset(&b("z")).unwrap();
        for (rank, item) in items.iter().enumerate().take(200) {
            assert_eq!(
                set.rank(&txn, &item.member, item.score).unwrap(),
                rank as u64
            );
            assert_eq!(set.select(&txn, rank as u64).unwrap().as_ref(), Some(item));
        }
        assert_eq!(set.count(&txn, &Span::All).unwrap(), items.len() as u64);
        let popped = set.pop(&mut txn, false, 3).unwrap();
        assert_eq!(popped, items[..3]);
        txn.put_zset(b("z"), set).unwrap();
    }
}
