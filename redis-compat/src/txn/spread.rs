//! Elements of spread collections: get, put, remove, walks.
//!
//! A collection that outgrows the record of its key is spread ([`crate::ElementPlace`]): the record
//! becomes a header, and each element a record of its own. The value of the header:
//!
//! ```text
//! varint      incarnation: group
//! varint      incarnation: change
//! varint      how many elements there are
//! rest        the type's own
//! ```
//!
//! Each change of an element also stores the header again, under a new version: `WATCH` and the
//! validation of reads rest on it. Removing or replacing the header removes all elements at once.
//! A spread collection is never packed again.
//!
//! The layout is on disk: pinned by the tests below, described in `docs/disk-format.md`.
//!
//! The functions here take a [`Collection`] that was read from a header, or begun, in the same
//! command: so the scope was checked with the key.

use bytes::Bytes;
use coterie_types::{GroupId, KeyRange, TableId, Version, varint};

use super::Txn;
use super::state::State;
use crate::element::{AsPlace, in_family};
use crate::errors::COLLECTION_TOO_LARGE;
use crate::{Collection, ElementPlace, EvalError, Fault, Header, Record, Walk};

/// The families that collections have: 0 to this number, excluded.
pub(crate) const FAMILIES: u8 = 8;

/// The longest packed value of a collection. One that outgrows it is spread.
pub(crate) const PACKED_BYTES_MAX: usize = 8 << 10;

/// The most bytes of elements that a command copies. A log entry has to hold them all, and applying
/// it holds up the other keys of its group.
pub(crate) const COPY_BYTES_MAX: usize = 16 << 20;

/// The header of a spread collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpreadHeader {
    /// The version at which the elements began.
    pub(crate) incarnation: Version,
    /// How many elements there are.
    pub(crate) count: u64,
    /// The type's own part: hints, seeds, counters.
    pub(crate) rest: Bytes,
}

impl SpreadHeader {
    /// The header in the value of a spread record.
    pub(crate) fn decode(value: &Bytes) -> Result<Self, Fault> {
        let mut rest = value.clone();
        let cut = || Fault::corrupt("the header of a spread collection is cut short");
        let group = GroupId(varint::take(&mut rest).ok_or_else(cut)?);
        let change = varint::take(&mut rest).ok_or_else(cut)?;
        let count = varint::take(&mut rest).ok_or_else(cut)?;
        Ok(Self {
            incarnation: Version { group, change },
            count,
            rest,
        })
    }

    /// The value of the record.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.rest.len() + 16);
        varint::put(&mut out, self.incarnation.group.0);
        varint::put(&mut out, self.incarnation.change);
        varint::put(&mut out, self.count);
        out.extend_from_slice(&self.rest);
        Bytes::from(out)
    }

    /// The collection of this header, under its key.
    pub(crate) fn of(&self, table: TableId, key: &Bytes) -> Collection {
        Collection {
            table,
            key: key.clone(),
            incarnation: self.incarnation,
        }
    }
}

impl Record {
    /// The incarnation of the elements of a spread collection; `None` for other records.
    pub fn incarnation(&self) -> Result<Option<Version>, Fault> {
        if !self.is_spread {
            return Ok(None);
        }
        SpreadHeader::decode(&self.value).map(|header| Some(header.incarnation))
    }

    /// The same of a record as it is stored.
    pub fn incarnation_of(raw: &[u8]) -> Result<Option<Version>, Fault> {
        let (header, value) = Header::decode(raw)?;
        if !header.is_spread {
            return Ok(None);
        }
        let header = SpreadHeader::decode(&Bytes::copy_from_slice(value))?;
        Ok(Some(header.incarnation))
    }
}

impl Txn<'_> {
    /// Begins a spread collection under a key of the command's table: its incarnation has no
    /// elements yet.
    pub(crate) fn begin_collection(&mut self, key: &Bytes) -> Collection {
        self.begin_collection_in(self.table, key)
    }

    /// The same, in any table.
    pub(crate) fn begin_collection_in(&mut self, table: TableId, key: &Bytes) -> Collection {
        Collection {
            table,
            key: key.clone(),
            incarnation: self.state.take_version(),
        }
    }

    /// Copies the elements of all families. Errors: `COLLECTION_TOO_LARGE`.
    pub(crate) fn copy_elements(
        &mut self,
        from: &Collection,
        to: &Collection,
    ) -> Result<(), EvalError> {
        let mut room = COPY_BYTES_MAX;
        for family in 0..FAMILIES {
            let (mut copies, mut is_too_large) = (Vec::new(), false);
            self.scan_elements(from, family, Walk::ALL, &mut |element, value| {
                match room.checked_sub(element.len() + value.len() + to.key.len()) {
                    Some(left) => room = left,
                    None => is_too_large = true,
                }
                let copied = (
                    Bytes::copy_from_slice(element),
                    Bytes::copy_from_slice(value),
                );
                copies.push(copied);
                !is_too_large
            })?;
            if is_too_large {
                return Err(COLLECTION_TOO_LARGE.into());
            }
            for (element, value) in copies {
                self.put_element(to, family, element, value);
            }
        }
        Ok(())
    }

    /// The value of an element.
    pub(crate) fn element(
        &self,
        of: &Collection,
        family: u8,
        element: &[u8],
    ) -> Result<Option<Bytes>, Fault> {
        self.state.element(of, family, element)
    }

    /// Sets an element.
    pub(crate) fn put_element(
        &mut self,
        of: &Collection,
        family: u8,
        element: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) {
        let place = place(of, family, element.into());
        self.state.change_element(place, Some(value.into()));
    }

    /// Takes an element in as it is: it was there before, in another group. For the group: no
    /// scope.
    pub fn import_element(&mut self, place: ElementPlace, value: Bytes) {
        self.state.change_element(place, Some(value));
    }

    /// Removes an element.
    pub(crate) fn remove_element(
        &mut self,
        of: &Collection,
        family: u8,
        element: impl Into<Bytes>,
    ) {
        self.state
            .change_element(place(of, family, element.into()), None);
    }

    /// Visits elements of a family in the order of the walk, until `visit` returns false.
    pub(crate) fn scan_elements(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Fault> {
        self.state.scan_elements(of, family, walk, visit)
    }

    /// The first element of a walk: its key and value.
    pub(crate) fn first_element(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
    ) -> Result<Option<(Bytes, Bytes)>, Fault> {
        Ok(self.some_elements(of, family, walk, 1)?.pop())
    }

    /// The first elements of a walk, at most `max`: their keys and values.
    pub(crate) fn some_elements(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, Fault> {
        let mut found = Vec::new();
        if max > 0 {
            self.scan_elements(of, family, walk, &mut |element, value| {
                let copied = (
                    Bytes::copy_from_slice(element),
                    Bytes::copy_from_slice(value),
                );
                found.push(copied);
                found.len() < max
            })?;
        }
        Ok(found)
    }
}

fn place(of: &Collection, family: u8, element: Bytes) -> ElementPlace {
    ElementPlace {
        of: of.clone(),
        family,
        element,
    }
}

impl State<'_> {
    pub(super) fn element(
        &self,
        of: &Collection,
        family: u8,
        element: &[u8],
    ) -> Result<Option<Bytes>, Fault> {
        if !self.elements.is_empty() {
            let of = self
                .last_changed
                .as_ref()
                .filter(|last| *last == of)
                .unwrap_or(of);
            let place: &dyn AsPlace = &(of, family, element);
            if let Some(changed) = self.elements.get(place) {
                return Ok(changed.clone());
            }
        }
        self.view.element(of, family, element)
    }

    pub(super) fn set_element(
        &mut self,
        of: &Collection,
        family: u8,
        element: Bytes,
        value: Option<Bytes>,
    ) {
        self.change_element(place(of, family, element), value);
    }

    /// Puts a change into the overlay of elements: every change of an element goes through here.
    fn change_element(&mut self, mut place: ElementPlace, value: Option<Bytes>) {
        // Places that share their collection are compared faster.
        match &self.last_changed {
            Some(last) if *last == place.of => place.of = last.clone(),
            _ => self.last_changed = Some(place.of.clone()),
        }
        let added = change_bytes(&place, value.as_ref());
        self.written_bytes = self.written_bytes.saturating_add(added);
        self.changed_bytes += added;
        let Some(savepoint) = self.savepoints.last_mut() else {
            let removed = change_bytes(&place, None);
            if let Some(before) = self.elements.insert(place, value) {
                self.changed_bytes -= removed + before.map_or(0, |value| value.len());
            }
            return;
        };
        let before = self.elements.insert(place.clone(), value);
        if let Some(before) = &before {
            self.changed_bytes -= change_bytes(&place, before.as_ref());
        }
        savepoint.elements_before.note(place, before);
    }

    /// Drops the changed elements of the keys of an interval: no header names them any more.
    pub(super) fn drop_elements(&mut self, range: &KeyRange) {
        let (mut savepoint, changed_bytes) = (self.savepoints.last_mut(), &mut self.changed_bytes);
        self.elements.retain(|place, value| {
            if !range.contains(place.of.table, &place.of.key) {
                return true;
            }
            *changed_bytes -= change_bytes(place, value.as_ref());
            if let Some(savepoint) = &mut savepoint {
                let before = Some(value.take());
                savepoint.elements_before.note(place.clone(), before);
            }
            false
        });
    }

    /// The view's elements, with the entry's changes laid over them.
    fn scan_elements(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Fault> {
        let changed = in_family(&self.elements, of, family, walk);
        let changed = changed.map(|(place, value)| (&place.element, value.as_ref()));
        match walk {
            Walk::Up(_) => {
                let is_before = |a: &[u8], b: &[u8]| a < b;
                self.merge(of, family, walk, changed, is_before, visit)
            }
            Walk::Down(_) => {
                let is_before = |a: &[u8], b: &[u8]| a > b;
                self.merge(of, family, walk, changed.rev(), is_before, visit)
            }
        }
    }

    fn merge<'s>(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        changed: impl Iterator<Item = (&'s Bytes, Option<&'s Bytes>)>,
        is_before: impl Fn(&[u8], &[u8]) -> bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Fault> {
        let mut changed = changed.peekable();
        let mut go_on = true;
        self.view
            .scan_elements(of, family, walk, &mut |element, value| {
                while go_on
                    && let Some((place, value)) = changed.next_if(|(k, _)| is_before(k, element))
                {
                    go_on = value.is_none_or(|value| visit(place, value));
                }
                if !go_on {
                    return false;
                }
                go_on = match changed.next_if(|(k, _)| **k == *element) {
                    Some((_, changed)) => changed.is_none_or(|value| visit(element, value)),
                    None => visit(element, value),
                };
                go_on
            })?;
        while go_on && let Some((element, value)) = changed.next() {
            go_on = value.is_none_or(|value| visit(element, value));
        }
        Ok(())
    }
}

fn change_bytes(place: &ElementPlace, value: Option<&Bytes>) -> usize {
    place.of.key.len() + place.element.len() + value.map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use super::super::tests::{T, b, ctx};
    use super::*;
    use crate::MemView;

    fn collection() -> Collection {
        Collection {
            table: T,
            key: b("k"),
            incarnation: Version {
                group: GroupId(1),
                change: 5,
            },
        }
    }

    fn walk(txn: &Txn<'_>, of: &Collection, family: u8, walk: Walk<'_>) -> Vec<Bytes> {
        let found = txn.some_elements(of, family, walk, 99).unwrap();
        found.into_iter().map(|(element, _)| element).collect()
    }

    #[test]
    fn the_header_on_disk_is_pinned() {
        let header = SpreadHeader {
            incarnation: collection().incarnation,
            count: 300,
            rest: b("own"),
        };
        assert_eq!(header.encode(), &b"\x01\x05\xac\x02own"[..]);
        assert_eq!(SpreadHeader::decode(&header.encode()).unwrap(), header);
        for len in 0..4 {
            assert!(SpreadHeader::decode(&header.encode().slice(..len)).is_err());
        }
    }

    #[test]
    fn walks_see_the_entrys_changes_over_the_store_in_both_directions() {
        let of = collection();
        let mut view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        for element in ["b", "d", "f"] {
            txn.put_element(&of, 1, b(element), b("old"));
        }
        txn.put_element(&of, 0, b("z"), b("another family"));
        txn.put_element(&of, 2, b("a"), b("another family"));
        let changes = txn.finish().unwrap();
        view.apply(&changes);
        let mut txn = Txn::new(&view, ctx(1));
        for element in ["a", "c", "g"] {
            txn.put_element(&of, 1, b(element), b("new"));
        }
        txn.put_element(&of, 1, b("b"), b("new"));
        txn.remove_element(&of, 1, b("d"));
        let all = ["a", "b", "c", "f", "g"];
        let down = ["g", "f", "c", "b", "a"];
        assert_eq!(walk(&txn, &of, 1, Walk::ALL), all);
        assert_eq!(walk(&txn, &of, 1, Walk::ALL_DOWN), down);
        let from = |bound| walk(&txn, &of, 1, Walk::Up(bound));
        assert_eq!(from(Bound::Included(&b"b"[..])), all[1..]);
        assert_eq!(from(Bound::Excluded(&b"b"[..])), all[2..]);
        assert_eq!(from(Bound::Included(&b"bb"[..])), all[2..]);
        let from = |bound| walk(&txn, &of, 1, Walk::Down(bound));
        assert_eq!(from(Bound::Included(&b"f"[..])), down[1..]);
        assert_eq!(from(Bound::Excluded(&b"f"[..])), down[2..]);
        assert_eq!(from(Bound::Included(&b"e"[..])), down[2..]);
        for count in 1..5 {
            let some = txn.some_elements(&of, 1, Walk::ALL, count).unwrap();
            assert_eq!(some.len(), count);
        }
        assert_eq!(txn.element(&of, 1, b"b").unwrap(), Some(b("new")));
        assert_eq!(txn.element(&of, 1, b"d").unwrap(), None);
        assert_eq!(txn.element(&of, 1, b"f").unwrap(), Some(b("old")));
    }

    #[test]
    fn changes_of_elements_are_taken_back_and_counted() {
        let of = collection();
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        txn.put_element(&of, 0, b("a"), b("1"));
        let counted = txn.changed_bytes();
        assert_eq!(counted, 3, "key, element, value");
        txn.set_savepoint();
        txn.put_element(&of, 0, b("a"), b("22"));
        txn.set_savepoint();
        txn.put_element(&of, 0, b("b"), b("1"));
        txn.remove_element(&of, 0, b("a"));
        txn.keep_changes();
        assert_eq!(walk(&txn, &of, 0, Walk::ALL), ["b"]);
        txn.roll_back();
        assert_eq!(walk(&txn, &of, 0, Walk::ALL), ["a"]);
        assert_eq!(txn.element(&of, 0, b"a").unwrap(), Some(b("1")));
        assert_eq!(txn.changed_bytes(), counted);
        txn.set_savepoint();
        txn.clear(KeyRange::all(T)).unwrap();
        assert_eq!(txn.changed_bytes(), 0);
        txn.roll_back();
        assert_eq!(txn.changed_bytes(), counted);
        assert_eq!(txn.finish().unwrap().elements.len(), 1);
    }

    #[test]
    fn copies_have_all_families_and_an_incarnation_of_their_own() {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        let from = txn.begin_collection(&b("from"));
        for family in [0, 3, FAMILIES - 1] {
            txn.put_element(&from, family, b("e"), b("v"));
        }
        let to = txn.begin_collection_in(T, &b("to"));
        txn.copy_elements(&from, &to).unwrap();
        assert_ne!(from.incarnation, to.incarnation);
        for family in [0, 3, FAMILIES - 1] {
            assert_eq!(txn.element(&to, family, b"e").unwrap(), Some(b("v")));
        }
        txn.put_element(&from, 1, b("long"), vec![0; COPY_BYTES_MAX]);
        let refused = txn.copy_elements(&from, &to);
        assert!(
            matches!(refused, Err(EvalError::Rejected(error)) if error == COLLECTION_TOO_LARGE)
        );
    }
}
