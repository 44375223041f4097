//! A small sorted set, packed into the record of its key.
//!
//! ```text
//! varint      how many members there are
//! each        8 bytes: the score, big endian; varint and bytes of the member
//! ```
//!
//! Members stand in their order: by score, then by bytes. The layout is on disk: pinned by the
//! tests below, described in `docs/disk-format.md`. Reading never panics; bytes that do not fit are
//! a [`Fault`].

use bytes::{Buf, BufMut, Bytes};
use coterie_types::varint;

use super::order::Item;
use crate::Fault;

/// The members of a small sorted set, in order.
#[derive(Debug, Default)]
pub(super) struct Packed {
    items: Vec<Item>,
    /// Bytes of the items when they are packed.
    bytes: usize,
}

impl Packed {
    /// The members in the value of a record.
    pub(super) fn of(value: &Bytes) -> Result<Self, Fault> {
        let mut rest = value.clone();
        let count = count_of(&mut rest)?;
        // Each takes nine bytes at least.
        let mut items = Vec::with_capacity(count.min(rest.len() / 9));
        let bytes = rest.len();
        for _ in 0..count {
            items.push(take(&mut rest).ok_or_else(corrupt)?);
        }
        if rest.has_remaining() || !items.is_sorted_by(Item::is_before) {
            return Err(corrupt());
        }
        Ok(Self { items, bytes })
    }

    /// Members that came in any order; `None` if a member is there twice.
    pub(super) fn of_items(mut items: Vec<Item>) -> Option<Self> {
        items.sort_unstable_by(|a, b| a.member.cmp(&b.member));
        if items
            .windows(2)
            .any(|pair| pair[0].member == pair[1].member)
        {
            return None;
        }
        items.sort_unstable_by(Item::order);
        let bytes = items.iter().map(packed_len).sum();
        Some(Self { items, bytes })
    }

    /// The score of a member, in the value of a record.
    pub(super) fn find(value: &Bytes, member: &[u8]) -> Result<Option<f64>, Fault> {
        let mut rest = &value[..];
        for _ in 0..count_of(&mut rest)? {
            let (score, found) = take_slice(&mut rest).ok_or_else(corrupt)?;
            if found == member {
                return Ok(Some(score));
            }
        }
        Ok(None)
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Bytes of the packed value.
    pub(super) fn packed_len(&self) -> usize {
        varint::len(self.items.len() as u64) + self.bytes
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        let found = self.items.iter().find(|item| item.member == member);
        found.map(|item| item.score)
    }

    /// Puts an item where it belongs. Its member is not there.
    pub(super) fn insert(&mut self, item: Item) {
        self.bytes += packed_len(&item);
        let at = self.items.partition_point(|other| other.is_before(&item));
        self.items.insert(at, item);
    }

    /// Removes an item that is there.
    pub(super) fn remove(&mut self, item: &Item) {
        let at = self.items.partition_point(|other| other.is_before(item));
        if self
            .items
            .get(at)
            .is_some_and(|found| found.member == item.member)
        {
            self.bytes -= packed_len(&self.items.remove(at));
        }
    }

    /// How many items there are before this one.
    pub(super) fn rank(&self, item: &Item) -> usize {
        self.items.partition_point(|other| other.is_before(item))
    }

    /// The value to store.
    pub(super) fn pack(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.packed_len());
        varint::put(&mut out, self.items.len() as u64);
        for item in &self.items {
            out.put_f64(item.score);
            varint::put_bytes(&mut out, &item.member);
        }
        Bytes::from(out)
    }
}

/// How many members the value of a record has.
pub(super) fn count_of(value: &mut impl Buf) -> Result<usize, Fault> {
    let count = varint::take(value).and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(corrupt)
}

fn take(rest: &mut Bytes) -> Option<Item> {
    let score = rest.try_get_f64().ok()?;
    let member = varint::take_bytes(rest)?;
    (!score.is_nan()).then_some(Item { score, member })
}

fn take_slice<'a>(rest: &mut &'a [u8]) -> Option<(f64, &'a [u8])> {
    let score = rest.try_get_f64().ok()?;
    let len = usize::try_from(varint::take(rest)?).ok()?;
    let (member, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some((score, member))
}

fn packed_len(item: &Item) -> usize {
    size_of::<f64>() + varint::len(item.member.len() as u64) + item.member.len()
}

fn corrupt() -> Fault {
    Fault::corrupt("packed members of a sorted set do not fit")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(score: f64, member: &str) -> Item {
        Item {
            score,
            member: Bytes::copy_from_slice(member.as_bytes()),
        }
    }

    #[test]
    fn the_layout_on_disk_is_pinned() {
        let mut packed = Packed::default();
        packed.insert(item(1.0, "b"));
        packed.insert(item(1.0, "a"));
        packed.insert(item(-0.5, ""));
        let expected: &[u8] = b"\x03\
            \xbf\xe0\0\0\0\0\0\0\0\
            \x3f\xf0\0\0\0\0\0\0\x01a\
            \x3f\xf0\0\0\0\0\0\0\x01b";
        assert_eq!(packed.pack(), expected);
        assert_eq!(packed.packed_len(), expected.len());
        let read = Packed::of(&packed.pack()).unwrap();
        assert_eq!((read.items(), read.bytes), (packed.items(), packed.bytes));
    }

    #[test]
    fn bytes_that_do_not_fit_are_a_fault() {
        let mut packed = Packed::default();
        packed.insert(item(1.0, "ab"));
        packed.insert(item(2.0, "ab"));
        let whole = packed.pack();
        let read = |bytes: &[u8]| Packed::of(&Bytes::copy_from_slice(bytes));
        assert!(read(&whole).is_ok());
        for len in 0..whole.len() {
            assert!(read(&whole[..len]).is_err(), "{len}");
        }
        assert!(read(&[&whole[..], b"\0"].concat()).is_err());
        let (head, first, second) = (&whole[..1], &whole[1..12], &whole[12..]);
        assert!(
            read(&[head, second, first].concat()).is_err(),
            "not in order"
        );
        assert!(read(&[head, first, first].concat()).is_err(), "twice");
        assert!(read(b"\x01\x7f\xff\0\0\0\0\0\0\x01a").is_err(), "no number");
        assert!(read(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").is_err());
    }

    #[test]
    fn items_in_any_order_are_sorted_and_none_is_there_twice() {
        let of = |all: &[(f64, &str)]| {
            let items = all.iter().map(|(score, member)| item(*score, member));
            Packed::of_items(items.collect())
        };
        let sorted = of(&[(2.0, "a"), (0.0, "c"), (-0.0, "d"), (-0.0, "b")]).unwrap();
        let members: Vec<_> = sorted.items().iter().map(|item| &item.member[..]).collect();
        assert_eq!(members, [b"b", b"c", b"d", b"a"]);
        assert_eq!(sorted.pack().len(), sorted.packed_len());
        assert!(of(&[(1.0, "a"), (2.0, "a")]).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_make_members_panic(raw in prop::collection::vec(any::<u8>(), 0..60)) {
            let raw = Bytes::from(raw);
            let _ = Packed::find(&raw, b"a");
            if let Ok(packed) = Packed::of(&raw) {
                let found = packed.items().iter().find(|item| item.member == "a");
                prop_assert_eq!(packed.score(b"a"), found.map(|item| item.score));
            }
        }
    }
}
