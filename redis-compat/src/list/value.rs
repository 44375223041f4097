//! The handle of lists: packed or spread, the commands do not see which.
//!
//! A packed list:
//!
//! ```text
//! varint      how many elements there are
//! varint      their weight
//! rest        the elements (`run.rs`)
//! ```
//!
//! A spread list is a header, and records of leaves and pages (`rope.rs`). A list is spread when
//! its packed value would be longer than `PACKED_BYTES_MAX`.
//!
//! The *weight* of an element is the bytes that it takes in a listpack of Redis. It decides which
//! encoding Redis would report: a list is a listpack of at most 8 KiB until it outgrows that, and
//! again when no more than half of that is left (`t_list.c`, `listTypeTryConversionRaw`).
//!
//! The layout is on disk: pinned by the tests in `tests.rs`, described in `docs/disk-format.md`.

use bytes::Bytes;
use coterie_types::{TableId, UnixMillis, varint};

use super::place::End;
use super::rope::{Rope, check_room};
use super::run::{Run, size};
use crate::errors::{COLLECTION_TOO_LARGE, WRONG_TYPE};
use crate::rdb::listpack;
use crate::txn::spread::{COPY_BYTES_MAX, PACKED_BYTES_MAX, SpreadHeader};
use crate::{CommandError, Encoding, EvalError, Fault, Kind, Record, Txn};

/// The longest listpack that Redis keeps a list in: `list-max-listpack-size` of -2.
pub(super) const LISTPACK_BYTES_MAX: u64 = 8 << 10;
/// A trim that leaves fewer elements than a quarter of those it removes makes the list anew, from
/// so many removed elements on.
const REBUILD_FROM: u64 = 1 << 10;

/// A list, and the expiry of its key. Without elements it is not stored.
pub(crate) struct List {
    key: Bytes,
    form: Form,
    /// Bytes that the elements take in a listpack.
    weight: u64,
    /// Redis would keep it in a quicklist.
    is_quicklist: bool,
    expires_at: Option<UnixMillis>,
    /// The key holds it already.
    exists: bool,
}

enum Form {
    Packed(Run),
    Spread(Rope),
}

impl List {
    fn empty(key: &Bytes) -> Self {
        Self {
            key: key.clone(),
            form: Form::Packed(Run::default()),
            weight: 0,
            is_quicklist: false,
            expires_at: None,
            exists: false,
        }
    }

    fn of(table: TableId, key: &Bytes, record: &Record) -> Result<Self, Fault> {
        let (form, weight) = if record.is_spread {
            let header = SpreadHeader::decode(&record.value)?;
            let (rope, weight) = Rope::of(header.of(table, key), &header)?;
            (Form::Spread(rope), weight)
        } else {
            let mut body = record.value.clone();
            let numbers = (varint::take(&mut body), varint::take(&mut body));
            let (Some(count), Some(weight)) = numbers else {
                return Err(Fault::corrupt("a packed list is cut short"));
            };
            (Form::Packed(Run::of(count, body)?), weight)
        };
        Ok(Self {
            key: key.clone(),
            form,
            weight,
            is_quicklist: record.encoding() == Encoding::Quicklist,
            expires_at: record.expires_at,
            exists: true,
        })
    }

    /// How many elements it has.
    pub(crate) fn len(&self) -> u64 {
        match &self.form {
            Form::Packed(run) => run.len() as u64,
            Form::Spread(rope) => rope.len(),
        }
    }

    /// The element at a place. O(log n).
    pub(crate) fn get(&self, txn: &Txn<'_>, at: u64) -> Result<Option<Bytes>, Fault> {
        match &self.form {
            Form::Packed(run) => usize::try_from(at).map_or(Ok(None), |at| run.get(at)),
            Form::Spread(rope) => rope.get(txn, at),
        }
    }

    /// Visits the elements and their places from place `from` on, towards an end, until `visit`
    /// returns false. O(log n) for the first.
    pub(crate) fn scan(
        &self,
        txn: &mut Txn<'_>,
        from: u64,
        towards: End,
        visit: &mut dyn FnMut(&mut Txn<'_>, u64, Bytes) -> Result<bool, EvalError>,
    ) -> Result<(), EvalError> {
        let mut visit_run = |txn: &mut Txn<'_>, start: u64, run: &Run| {
            if towards == End::Right {
                let first = from.saturating_sub(start);
                let elements = run.iter_from(usize::try_from(first).unwrap_or(usize::MAX))?;
                for (at, element) in (start.max(from)..).zip(elements) {
                    if !visit(txn, at, element?)? {
                        return Ok(false);
                    }
                }
            } else {
                let elements = (start..=from).zip(run.to_vec()?);
                for (at, element) in elements.collect::<Vec<_>>().into_iter().rev() {
                    if !visit(txn, at, element)? {
                        return Ok(false);
                    }
                }
            }
            Ok(true)
        };
        match &self.form {
            Form::Packed(run) => visit_run(txn, 0, run).map(drop),
            Form::Spread(rope) => rope.walk(txn, from, towards, &mut visit_run),
        }
    }

    /// Pushes elements to an end, in turn. Errors: `STRING_TOO_LONG`.
    pub(crate) fn push(
        &mut self,
        txn: &mut Txn<'_>,
        end: End,
        elements: &[Bytes],
    ) -> Result<(), EvalError> {
        let mut bytes = 0;
        for element in elements {
            txn.check_len(element.len())?;
            bytes += size(element);
        }
        self.expect(elements);
        self.weight += weight_of(elements);
        self.make_room(txn, elements.len(), bytes)?;
        match &mut self.form {
            Form::Packed(run) => run.push(end, elements)?,
            Form::Spread(rope) => rope.push(txn, end, elements)?,
        }
        Ok(())
    }

    /// Pops up to `count` elements off an end. O(1) for each.
    pub(crate) fn pop(
        &mut self,
        txn: &mut Txn<'_>,
        end: End,
        count: u64,
    ) -> Result<Vec<Bytes>, Fault> {
        let count = count.min(self.len());
        let popped = match &mut self.form {
            Form::Packed(run) => run.take(end, count as usize)?,
            Form::Spread(rope) => rope.pop(txn, end, count)?,
        };
        self.lose(weight_of(&popped));
        Ok(popped)
    }

    /// Sets the element at a place; returns whether there is one. O(log n). Errors:
    /// `STRING_TOO_LONG`.
    pub(crate) fn set(
        &mut self,
        txn: &mut Txn<'_>,
        at: u64,
        element: &Bytes,
    ) -> Result<bool, EvalError> {
        txn.check_len(element.len())?;
        let Some(before) = self.get(txn, at)? else {
            return Ok(false);
        };
        let added = std::slice::from_ref(element);
        self.expect(added);
        self.weight += weight_of(added);
        self.lose(weight_of(std::slice::from_ref(&before)));
        self.make_room(txn, 0, size(element).saturating_sub(size(&before)))?;
        let mut put = |run: &mut Run, at: usize| run.splice(at..at + 1, std::iter::once(element));
        match &mut self.form {
            Form::Packed(run) => put(run, at as usize)?,
            Form::Spread(rope) => rope.edit_leaf(txn, at, &mut put)?,
        }
        Ok(true)
    }

    /// Inserts an element before that at a place; at the place behind the last, it becomes the
    /// last. O(log n). Errors: `STRING_TOO_LONG`.
    pub(crate) fn insert(
        &mut self,
        txn: &mut Txn<'_>,
        at: u64,
        element: &Bytes,
    ) -> Result<(), EvalError> {
        if at >= self.len() {
            return self.push(txn, End::Right, std::slice::from_ref(element));
        }
        txn.check_len(element.len())?;
        let added = std::slice::from_ref(element);
        self.expect(added);
        self.weight += weight_of(added);
        self.make_room(txn, 1, size(element))?;
        let mut put = |run: &mut Run, at: usize| run.splice(at..at, std::iter::once(element));
        match &mut self.form {
            Form::Packed(run) => put(run, at as usize)?,
            Form::Spread(rope) => rope.edit_leaf(txn, at, &mut put)?,
        }
        Ok(())
    }

    /// Removes up to `max` elements that are equal to `element`, searched from an end; returns how
    /// many there were. O(n), and O(log n) for each leaf that changes. Errors:
    /// `COLLECTION_TOO_LARGE`.
    pub(crate) fn remove_equal(
        &mut self,
        txn: &mut Txn<'_>,
        element: &Bytes,
        max: u64,
        from: End,
    ) -> Result<u64, EvalError> {
        let removed = match &mut self.form {
            Form::Packed(run) => {
                let max = usize::try_from(max).unwrap_or(usize::MAX);
                let places = run.places_of(element, max, from)?;
                run.remove(&places)?;
                places.len() as u64
            }
            Form::Spread(rope) => rope.remove_equal(txn, element, max, from)?,
        };
        self.lose(removed * weight_of(std::slice::from_ref(element)));
        Ok(removed)
    }

    /// Keeps the elements of these places, which are there, and no others. O(elements removed), or
    /// O(elements kept) where these are far fewer. Errors: `COLLECTION_TOO_LARGE`.
    pub(crate) fn trim(
        &mut self,
        txn: &mut Txn<'_>,
        kept: std::ops::Range<u64>,
    ) -> Result<(), EvalError> {
        let (len, count) = (self.len(), kept.end - kept.start);
        if count == 0 {
            (self.form, self.weight) = (Form::Packed(Run::default()), 0);
            return Ok(());
        }
        let is_small = (len - count) >= REBUILD_FROM && count < (len - count) / 4;
        if matches!(self.form, Form::Spread(_)) && is_small && self.rebuild(txn, &kept)? {
            self.shrink();
            return Ok(());
        }
        let mut lost = 0;
        match &mut self.form {
            Form::Packed(run) => {
                let (before, after) = (kept.start as usize, (len - kept.end) as usize);
                lost += weight_of(&run.take(End::Left, before)?);
                lost += weight_of(&run.take(End::Right, after)?);
            }
            Form::Spread(rope) => {
                let before = txn.changed_bytes();
                let mut lose = |run: &Run| {
                    lost += weight_of(&run.to_vec()?);
                    Ok(())
                };
                rope.drop_some(txn, End::Left, kept.start, &mut lose)?;
                rope.drop_some(txn, End::Right, len - kept.end, &mut lose)?;
                check_room(txn, before)?;
            }
        }
        self.lose(lost);
        Ok(())
    }

    /// Makes a spread list anew of the elements of these places. Returns false if they are too many
    /// bytes.
    fn rebuild(
        &mut self,
        txn: &mut Txn<'_>,
        kept: &std::ops::Range<u64>,
    ) -> Result<bool, EvalError> {
        let (mut elements, mut room) = (Vec::new(), COPY_BYTES_MAX);
        self.scan(txn, kept.start, End::Right, &mut |_, at, element| {
            let Some(left) = room.checked_sub(size(&element)) else {
                room = 0;
                return Ok(false);
            };
            room = left;
            elements.push(element);
            Ok(at + 1 < kept.end)
        })?;
        if elements.len() as u64 != kept.end - kept.start {
            return Ok(false);
        }
        let mut rope = Rope::new(txn.begin_collection(&self.key));
        rope.push(txn, End::Right, &elements)?;
        (self.form, self.weight) = (Form::Spread(rope), weight_of(&elements));
        Ok(true)
    }

    /// Spreads a packed list that has no room for so many elements and bytes more.
    fn make_room(&mut self, txn: &mut Txn<'_>, count: usize, bytes: usize) -> Result<(), Fault> {
        if let Form::Packed(run) = &self.form {
            let heads = varint::len((run.len() + count) as u64) + varint::len(self.weight);
            if heads + run.body().len() + bytes > PACKED_BYTES_MAX {
                let mut rope = Rope::new(txn.begin_collection(&self.key));
                rope.push(txn, End::Right, &run.to_vec()?)?;
                self.form = Form::Spread(rope);
            }
        }
        Ok(())
    }

    /// Redis looks at the bytes that are to come, as they are in the request.
    fn expect(&mut self, elements: &[Bytes]) {
        let bytes: u64 = elements.iter().map(|element| element.len() as u64).sum();
        self.is_quicklist |= self.listpack_bytes() + bytes > LISTPACK_BYTES_MAX;
    }

    /// Elements of this weight are gone.
    fn lose(&mut self, weight: u64) {
        self.weight = self.weight.saturating_sub(weight);
        self.shrink();
    }

    fn shrink(&mut self) {
        self.is_quicklist &= self.listpack_bytes() > LISTPACK_BYTES_MAX / 2;
    }

    fn listpack_bytes(&self) -> u64 {
        listpack::EMPTY_BYTES as u64 + self.weight
    }

    /// The value of a packed record.
    fn pack(weight: u64, run: &Run) -> Bytes {
        let mut out = Vec::with_capacity(run.body().len() + 6);
        varint::put(&mut out, run.len() as u64);
        varint::put(&mut out, weight);
        out.extend_from_slice(run.body());
        Bytes::from(out)
    }
}

fn weight_of(elements: &[Bytes]) -> u64 {
    let bytes = elements
        .iter()
        .map(|element| listpack::entry_bytes(element) as u64);
    bytes.sum()
}

impl Txn<'_> {
    /// The list under a key; without elements if the key is absent. Errors: `WRONG_TYPE`,
    /// `UNDECLARED_KEY`.
    pub(crate) fn list(&mut self, key: &Bytes) -> Result<List, EvalError> {
        let Some(record) = self.record(key)? else {
            return Ok(List::empty(key));
        };
        if record.kind == Kind::List {
            Ok(List::of(self.table(), key, &record)?)
        } else {
            Err(WRONG_TYPE.into())
        }
    }

    /// Stores a changed list under its key; without elements, removes the key. Errors:
    /// `UNDECLARED_KEY`.
    pub(crate) fn put_list(&mut self, list: &List) -> Result<(), CommandError> {
        let key = list.key.clone();
        if list.len() == 0 {
            return if list.exists {
                self.remove(key)
            } else {
                Ok(())
            };
        }
        let (kept, expires_at) = (
            list.is_quicklist.then_some(Encoding::Quicklist),
            list.expires_at,
        );
        match &list.form {
            Form::Packed(run) => {
                let value = List::pack(list.weight, run);
                self.put_new(key, Kind::List, value, kept, expires_at)
            }
            Form::Spread(rope) => {
                let header = rope.header(list.weight);
                self.put_header(key, Kind::List, &header, kept, expires_at)
            }
        }
    }

    /// Stores the elements that a payload brought. Errors: `COLLECTION_TOO_LARGE`,
    /// `UNDECLARED_KEY`.
    pub(crate) fn restore_list(
        &mut self,
        key: &Bytes,
        elements: &[Bytes],
        expires_at: Option<UnixMillis>,
    ) -> Result<(), EvalError> {
        let bytes: usize = elements.iter().map(|element| size(element)).sum();
        if bytes > COPY_BYTES_MAX {
            return Err(COLLECTION_TOO_LARGE.into());
        }
        let mut list = List::empty(key);
        list.push(self, End::Right, elements)?;
        list.is_quicklist = list.listpack_bytes() > LISTPACK_BYTES_MAX;
        list.expires_at = expires_at;
        Ok(self.put_list(&list)?)
    }
}
