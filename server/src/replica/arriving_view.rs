//! The store including records that have not arrived yet: keys of ranges that are being imported
//! are read from their source's frozen copy (design §9: both groups are asked).
//!
//! Records, and the marks that say which keys are known, come from the same view of the store, so a
//! frame reads a single state. If the source is needed and cannot be asked,
//! [`ArrivingView::missed`] reports that, and the replies are void. Asking blocks, so use it only
//! on threads of its own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;
use coterie_group::{Arriving, Known, Ownership, Store};
use coterie_protocol::frozen::{FrozenAnswer, FrozenRead, Spread, WalkFrom};
use coterie_redis_compat::{Collection, Fault, Header, Record, View, Walk};
use coterie_storage::Reader;
use coterie_types::{KeyRange, RangeId, TableId};
use tokio::runtime::Handle;

use super::view::StoreView;
use crate::peers::{FrozenRange, Peers};

/// Headers fetched at once for reads of intervals, and elements at most.
const PAGE_RECORDS: u64 = 4096;
/// Elements fetched first: many walks stop after a few.
const PAGE_ELEMENTS_FIRST: u64 = 16;

/// The means to ask the source.
pub(super) struct Source<'a> {
    pub(super) peers: &'a Peers,
    pub(super) runtime: Handle,
}

/// See the module's head.
pub(super) struct ArrivingView<'a> {
    reader: &'a dyn Reader,
    ownership: &'a Ownership,
    source: Option<Source<'a>>,
    known: RefCell<BTreeMap<RangeId, Known>>,
    /// The source was needed and not asked, or did not answer.
    missed: Cell<bool>,
}

impl<'a> ArrivingView<'a> {
    pub(super) fn new(
        reader: &'a dyn Reader,
        ownership: &'a Ownership,
        source: Option<Source<'a>>,
    ) -> Self {
        Self {
            reader,
            ownership,
            source,
            known: RefCell::default(),
            missed: Cell::new(false),
        }
    }

    /// Whether the replies are void: the source was needed and not asked, or did not answer.
    pub(super) fn missed(&self) -> bool {
        self.missed.get()
    }

    fn local(&self) -> StoreView<'a> {
        StoreView(self.reader)
    }

    /// Whether this group can tell the key's state. The caller has already found no record here.
    fn is_known(&self, range_id: RangeId, table: TableId, key: &[u8]) -> Result<bool, Fault> {
        let mut all = self.known.borrow_mut();
        let known = match all.entry(range_id) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                // The import is over: everything is here.
                let Some(known) = self.local().known(range_id)? else {
                    return Ok(true);
                };
                entry.insert(known)
            }
        };
        Ok(known.holds(table, key) || self.local().is_marked(range_id, table, key)?)
    }

    /// Asks the source. `None`, and the replies are void, if it cannot be asked or does not answer.
    fn ask(&self, arriving: &Arriving, read: FrozenRead) -> Option<FrozenAnswer> {
        let Some(source) = &self.source else {
            self.missed.set(true);
            return None;
        };
        let range = FrozenRange::of(arriving);
        let asked = source.peers.read_frozen(range, read);
        match source.runtime.block_on(asked) {
            Ok(answer) => Some(answer),
            Err(reason) => {
                tracing::debug!(range_id = %range.range_id, reason, "the source was not read");
                self.missed.set(true);
                None
            }
        }
    }
}

impl View for ArrivingView<'_> {
    fn record(&self, table: TableId, key: &[u8]) -> Result<Option<Record>, Fault> {
        let here = self.local().record(table, key)?;
        let Some(arriving) = self.ownership.import_of(table, key) else {
            return Ok(here);
        };
        if here.is_some() || self.is_known(arriving.range.range_id, table, key)? {
            return Ok(here);
        }
        let keys = FrozenRead::Keys(vec![Bytes::copy_from_slice(key)]);
        match self.ask(arriving, keys) {
            Some(FrozenAnswer::Keys(mut records)) => {
                records.pop().flatten().map(Record::decode).transpose()
            }
            _ => Ok(None),
        }
    }

    fn scan_keys(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(&[u8], Header) -> bool,
    ) -> Result<(), Fault> {
        let mut importing = self.ownership.importing().iter();
        // The interval of a command lies in a single range.
        let Some(arriving) = importing.find(|a| a.range.bounds.overlaps(bounds)) else {
            return self.local().scan_keys(bounds, visit);
        };
        let mut there = There::new(self, arriving, bounds);
        let (mut go_on, mut fault) = (true, None);
        self.local().scan_keys(bounds, &mut |key, header| {
            let before = there.visit_before(Some(key), visit);
            go_on = before.unwrap_or_else(|error| {
                fault = Some(error);
                false
            });
            if go_on {
                there.skip(key);
                go_on = visit(key, header);
            }
            go_on
        })?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        if go_on {
            there.visit_before(None, visit)?;
        }
        Ok(())
    }

    fn element(&self, of: &Collection, family: u8, element: &[u8]) -> Result<Option<Bytes>, Fault> {
        let Some(arriving) = self.source_of(of)? else {
            return self.local().element(of, family, element);
        };
        let read = FrozenRead::Element {
            of: spread(of),
            family,
            element: Bytes::copy_from_slice(element),
        };
        match self.ask(arriving, read) {
            Some(FrozenAnswer::Element(value)) => Ok(value),
            _ => Ok(None),
        }
    }

    fn scan_elements(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Fault> {
        match self.source_of(of)? {
            Some(arriving) => {
                self.walk_there(arriving, of, family, walk, visit);
                Ok(())
            }
            None => self.local().scan_elements(of, family, walk, visit),
        }
    }
}

impl ArrivingView<'_> {
    /// The import whose source has the elements of a collection; `None` if they are here. A key is
    /// known when all of it is here: some elements of a key that is not known may be here already.
    fn source_of(&self, of: &Collection) -> Result<Option<&Arriving>, Fault> {
        let Some(arriving) = self.ownership.import_of(of.table, &of.key) else {
            return Ok(None);
        };
        let is_here = self.local().record(of.table, &of.key)?.is_some()
            || self.is_known(arriving.range.range_id, of.table, &of.key)?;
        Ok((!is_here).then_some(arriving))
    }

    /// Walks over elements at the source, in pages that grow.
    fn walk_there(
        &self,
        arriving: &Arriving,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) {
        let (bound, is_down) = match walk {
            Walk::Up(bound) => (bound, false),
            Walk::Down(bound) => (bound, true),
        };
        let mut from = match bound {
            Bound::Unbounded => None,
            Bound::Included(element) => Some((Bytes::copy_from_slice(element), true)),
            Bound::Excluded(element) => Some((Bytes::copy_from_slice(element), false)),
        };
        let mut count_max = PAGE_ELEMENTS_FIRST;
        loop {
            let read = FrozenRead::Walk {
                of: spread(of),
                family,
                from: from.take().map(|(element, is_included)| WalkFrom {
                    element,
                    is_included,
                }),
                is_down,
                count_max,
            };
            let Some(FrozenAnswer::Walked { elements, is_end }) = self.ask(arriving, read) else {
                return;
            };
            for (element, value) in &elements {
                if !visit(element, value) {
                    return;
                }
            }
            match elements.into_iter().next_back() {
                Some((last, _)) if !is_end => from = Some((last, false)),
                _ => return,
            }
            count_max = (count_max * 4).min(PAGE_RECORDS);
        }
    }
}

fn spread(of: &Collection) -> Spread {
    Spread {
        key: of.key.clone(),
        incarnation: of.incarnation,
    }
}

/// The records of the source in an interval, in key order, page by page, without their values.
struct There<'v, 'a> {
    view: &'v ArrivingView<'a>,
    arriving: &'v Arriving,
    bounds: &'v KeyRange,
    page: VecDeque<(Bytes, Bytes)>,
    /// Where the next page begins; `None` after the last page.
    next: Option<Bytes>,
}

impl<'v, 'a> There<'v, 'a> {
    fn new(view: &'v ArrivingView<'a>, arriving: &'v Arriving, bounds: &'v KeyRange) -> Self {
        Self {
            view,
            arriving,
            bounds,
            page: VecDeque::new(),
            next: Some(bounds.start.clone()),
        }
    }

    /// Visits records before `end` that are not known here. Returns whether to go on.
    fn visit_before(
        &mut self,
        end: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], Header) -> bool,
    ) -> Result<bool, Fault> {
        let range_id = self.arriving.range.range_id;
        while self.fill() {
            if end.is_some_and(|end| self.page.front().is_some_and(|(key, _)| **key >= *end)) {
                break;
            }
            let Some((key, raw)) = self.page.pop_front() else {
                break;
            };
            if self.view.is_known(range_id, self.bounds.table, &key)? {
                continue;
            }
            if !visit(&key, Header::decode(&raw)?.0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Drops the source's record of a key that has a record here.
    fn skip(&mut self, key: &[u8]) {
        if self.page.front().is_some_and(|(there, _)| there == key) {
            self.page.pop_front();
        }
    }

    /// Fetches the next page if this page is empty. Returns whether a record is left.
    fn fill(&mut self) -> bool {
        while self.page.is_empty() {
            let Some(from) = self.next.take() else {
                return false;
            };
            let headers = FrozenRead::Headers {
                from,
                end: self.bounds.end.clone(),
                count_max: PAGE_RECORDS,
            };
            if let Some(FrozenAnswer::Records { records, next }) =
                self.view.ask(self.arriving, headers)
            {
                self.page.extend(records);
                self.next = next;
            }
        }
        true
    }
}
