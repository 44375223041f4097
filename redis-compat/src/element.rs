//! Elements of spread collections: where they are in the store.
//!
//! A small collection is packed into the record of its key. A large collection is *spread*: the
//! record of its key is a header, and each element is a record of its own. The header names the
//! *incarnation* of its elements, the version at which they began; elements that no header names
//! are not visible, and a job of each replica reclaims them.
//!
//! The elements of a collection form families. Each family has an order of its own, by bytes.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use coterie_types::{TableId, Version};

/// A spread collection: its key, and the incarnation of its elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// The table of the key.
    pub table: TableId,
    /// The key.
    pub key: Bytes,
    /// The version at which the elements began.
    pub incarnation: Version,
}

impl Collection {
    /// Whether both are the same value in memory. Most places of an entry are of one collection,
    /// and share its key.
    fn is_shared(&self, other: &Self) -> bool {
        let of = |key: &Bytes| (key.as_ptr(), key.len());
        of(&self.key) == of(&other.key) && self.incarnation == other.incarnation
    }
}

impl Ord for Collection {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_table = self.table.cmp(&other.table);
        by_table.then_with(|| {
            if self.is_shared(other) {
                return Ordering::Equal;
            }
            let by_key = self.key.cmp(&other.key);
            by_key.then_with(|| self.incarnation.cmp(&other.incarnation))
        })
    }
}

impl PartialOrd for Collection {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The place of an element. Places order as the store does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ElementPlace {
    /// The collection.
    pub of: Collection,
    /// The family of the element.
    pub family: u8,
    /// Its key in the family.
    pub element: Bytes,
}

/// A place that is looked for, without memory of its own.
pub(crate) trait AsPlace {
    fn place(&self) -> (&Collection, u8, &[u8]);
}

impl AsPlace for ElementPlace {
    fn place(&self) -> (&Collection, u8, &[u8]) {
        (&self.of, self.family, &self.element)
    }
}

impl AsPlace for (&Collection, u8, &[u8]) {
    fn place(&self) -> (&Collection, u8, &[u8]) {
        *self
    }
}

impl<'p> Borrow<dyn AsPlace + 'p> for ElementPlace {
    fn borrow(&self) -> &(dyn AsPlace + 'p) {
        self
    }
}

impl Ord for dyn AsPlace + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for dyn AsPlace + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn AsPlace + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for dyn AsPlace + '_ {}

/// The start of a walk over the elements of a family, and its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk<'a> {
    /// Upwards from this bound.
    Up(Bound<&'a [u8]>),
    /// Downwards from this bound: [`Bound::Excluded`] begins before it.
    Down(Bound<&'a [u8]>),
}

impl Walk<'_> {
    /// Upwards over all elements.
    pub const ALL: Self = Self::Up(Bound::Unbounded);
    /// Downwards over all elements.
    pub const ALL_DOWN: Self = Self::Down(Bound::Unbounded);
}

/// The elements of a family on a walk, in upward order.
pub(crate) fn in_family<'m, V>(
    map: &'m BTreeMap<ElementPlace, V>,
    of: &'m Collection,
    family: u8,
    walk: Walk<'_>,
) -> impl DoubleEndedIterator<Item = (&'m ElementPlace, &'m V)> {
    let place = |family: u8, element: &[u8]| ElementPlace {
        of: of.clone(),
        family,
        element: Bytes::copy_from_slice(element),
    };
    let from = |bound: Bound<&[u8]>| bound.map(|element| place(family, element));
    let first = Bound::Included(place(family, &[]));
    // No family has the greatest number.
    let last = Bound::Excluded(place(family + 1, &[]));
    let bounds = match walk {
        Walk::Up(Bound::Unbounded) | Walk::Down(Bound::Unbounded) => (first, last),
        Walk::Up(bound) => (from(bound), last),
        Walk::Down(bound) => (first, from(bound)),
    };
    map.range(bounds)
}
