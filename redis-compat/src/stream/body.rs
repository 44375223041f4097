//! Where the elements of a stream are: packed into the record of its key, or spread.
//!
//! A packed stream is the head ([`super::head`]) and behind it each element: its family (1 byte),
//! its key and its value, each behind its length (varint). In the order of families and keys. A
//! spread stream has the same elements as records of their own ([`crate::txn::spread`]).
//!
//! ```text
//! family 0    an entry: its id, 16 bytes big endian -> number of its node, its fields and values
//! family 1    a group: its name -> [`super::group`]
//! family 2    a pending entry: number of the group (4 bytes big endian), id -> number of its
//!             consumer, time of delivery, how often delivered
//! family 3    a pending entry of a consumer: number of the group, of the consumer, id -> nothing
//! family 4    the name of a consumer: number of the group, name -> its number
//! family 5    a consumer: number of the group, of the consumer -> [`super::consumer`]
//! family 6    a pending entry by time: number of the group, time of delivery (8 bytes big endian),
//!             id -> nothing
//! family 7    a message that a producer sent: its producer and its name for it -> its entry
//! ```

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{Buf, Bytes};
use coterie_types::varint;

use super::id::StreamId;
use crate::{Collection, EvalError, Fault, Txn, Walk};

pub(super) const ENTRIES: u8 = 0;
pub(super) const GROUPS: u8 = 1;
pub(super) const PENDING: u8 = 2;
pub(super) const PENDING_OF_CONSUMERS: u8 = 3;
pub(super) const CONSUMER_NAMES: u8 = 4;
pub(super) const CONSUMERS: u8 = 5;
pub(super) const PENDING_BY_TIME: u8 = 6;
const FAMILIES: usize = crate::txn::spread::FAMILIES as usize;

/// A page of elements ends when it has so many bytes.
const PAGE_BYTES: usize = 64 << 10;

/// Keys and values of elements.
pub(super) type Elements = Vec<(Bytes, Bytes)>;

/// The elements of a stream.
pub(super) enum Body {
    /// In memory.
    Packed(Packed),
    /// Records of their own.
    Spread(Collection),
}

/// The elements by their family.
#[derive(Default)]
pub(super) struct Packed([BTreeMap<Bytes, Bytes>; FAMILIES]);

impl Packed {
    /// The elements in the bytes behind the head.
    pub(super) fn decode(mut input: Bytes) -> Option<Self> {
        let mut packed = Self::default();
        while input.has_remaining() {
            let family = usize::from(input.try_get_u8().ok()?);
            let key = varint::take_bytes(&mut input)?;
            let value = varint::take_bytes(&mut input)?;
            packed.0.get_mut(family)?.insert(key, value);
        }
        Some(packed)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for (family, key, value) in self.all() {
            out.push(family);
            varint::put_bytes(out, key);
            varint::put_bytes(out, value);
        }
    }

    /// All elements, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = (u8, &Bytes, &Bytes)> {
        let families = (0u8..).zip(&self.0);
        families.flat_map(|(family, elements)| elements.iter().map(move |(k, v)| (family, k, v)))
    }

    /// Sets an element; returns whether it was there.
    pub(super) fn insert(&mut self, family: u8, key: Vec<u8>, value: Vec<u8>) -> bool {
        let elements = &mut self.0[usize::from(family)];
        elements
            .insert(Bytes::from(key), Bytes::from(value))
            .is_some()
    }

    fn of(&self, family: u8) -> &BTreeMap<Bytes, Bytes> {
        &self.0[usize::from(family)]
    }
}

impl Body {
    pub(super) fn get(
        &self,
        txn: &Txn<'_>,
        family: u8,
        key: &[u8],
    ) -> Result<Option<Bytes>, Fault> {
        match self {
            Self::Packed(packed) => Ok(packed.of(family).get(key).cloned()),
            Self::Spread(of) => txn.element(of, family, key),
        }
    }

    pub(super) fn put(&mut self, txn: &mut Txn<'_>, family: u8, key: &[u8], value: Vec<u8>) {
        let key = Bytes::copy_from_slice(key);
        match self {
            Self::Packed(packed) => {
                packed.0[usize::from(family)].insert(key, Bytes::from(value));
            }
            Self::Spread(of) => txn.put_element(of, family, key, value),
        }
    }

    pub(super) fn remove(&mut self, txn: &mut Txn<'_>, family: u8, key: &[u8]) {
        match self {
            Self::Packed(packed) => {
                packed.0[usize::from(family)].remove(key);
            }
            Self::Spread(of) => {
                txn.remove_element(of, family, Bytes::copy_from_slice(key));
            }
        }
    }

    /// The first elements of a walk whose keys begin with `prefix`: at most `max`, and no more
    /// behind those that fill a page.
    pub(super) fn page(
        &self,
        txn: &Txn<'_>,
        (family, prefix): (u8, &[u8]),
        walk: Walk<'_>,
        max: usize,
    ) -> Result<Elements, Fault> {
        let (mut found, mut bytes) = (Elements::new(), 0);
        if max == 0 {
            return Ok(found);
        }
        let mut take = |key: &[u8], value: &[u8]| {
            if !key.starts_with(prefix) {
                return false;
            }
            bytes += key.len() + value.len();
            found.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            found.len() < max && bytes < PAGE_BYTES
        };
        match self {
            Self::Spread(of) => txn.scan_elements(of, family, walk, &mut take)?,
            Self::Packed(packed) => {
                let elements = packed.of(family);
                let mut take = |(key, value): (&Bytes, &Bytes)| take(key, value);
                let all = Bound::Unbounded;
                match walk {
                    Walk::Up(from) => {
                        let range = elements.range::<[u8], _>((from, all));
                        range.map(&mut take).find(|goes_on| !goes_on);
                    }
                    Walk::Down(from) => {
                        let range = elements.range::<[u8], _>((all, from)).rev();
                        range.map(&mut take).find(|goes_on| !goes_on);
                    }
                }
            }
        }
        Ok(found)
    }

    /// The id of the first element of a walk whose keys begin with `prefix` and end with an id.
    pub(super) fn first_id(
        &self,
        txn: &Txn<'_>,
        place: (u8, &[u8]),
        walk: Walk<'_>,
    ) -> Result<Option<StreamId>, Fault> {
        let first = match self {
            Self::Packed(_) => self.page(txn, place, walk, 1)?.pop(),
            Self::Spread(of) => txn.first_element(of, place.0, walk)?,
        };
        let first = first.filter(|(key, _)| key.starts_with(place.1));
        first.map(|(key, _)| id_behind(&key, place.1)).transpose()
    }

    /// Visits all elements whose keys begin with `prefix`, in order.
    pub(super) fn each(
        &self,
        txn: &mut Txn<'_>,
        (family, prefix): (u8, &[u8]),
        visit: &mut dyn FnMut(&mut Txn<'_>, &Bytes, &Bytes) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let mut from = Bound::Included(Bytes::copy_from_slice(prefix));
        loop {
            let walk = Walk::Up(from.as_ref().map(|key| &key[..]));
            let page = self.page(txn, (family, prefix), walk, usize::MAX)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            from = Bound::Excluded(last.clone());
            for (key, value) in &page {
                visit(txn, key, value)?;
            }
        }
    }
}

/// The id at the end of a key, behind `prefix`.
pub(super) fn id_behind(key: &[u8], prefix: &[u8]) -> Result<StreamId, Fault> {
    let id = key.strip_prefix(prefix).and_then(StreamId::of_bytes);
    id.ok_or_else(|| Fault::corrupt("an element of a stream has no id"))
}

/// Bytes that no version of Coterie wrote.
pub(super) fn corrupt() -> Fault {
    Fault::corrupt("an element of a stream is damaged")
}
