//! Elements in a row, in bytes: the body of a packed list, and each leaf of a spread list.
//!
//! ```text
//! each        varint and bytes of the element
//! ```
//!
//! Their number stands elsewhere. The layout is on disk: pinned by the tests of `value.rs` and
//! `nodes.rs`, described in `docs/disk-format.md`.

use std::ops::Range;

use bytes::Bytes;
use coterie_types::varint;

use super::place::End;
use crate::Fault;

/// The most elements of a leaf.
pub(super) const LEAF_ELEMENTS_MAX: usize = if cfg!(test) { 16 } else { 128 };
/// The most bytes of a leaf with several elements. A push writes one leaf: longer leaves cost more
/// than they save.
pub(super) const LEAF_BYTES_MAX: usize = if cfg!(test) { 256 } else { 2 << 10 };

/// Elements in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Run {
    count: usize,
    body: Bytes,
}

/// Bytes that an element takes in a run.
pub(super) fn size(element: &[u8]) -> usize {
    varint::len(element.len() as u64) + element.len()
}

impl Run {
    /// So many elements in these bytes.
    pub(super) fn of(count: u64, body: Bytes) -> Result<Self, Fault> {
        // Each takes a byte at least.
        let count = usize::try_from(count).ok();
        let count = count.filter(|count| *count <= body.len());
        let count = count.ok_or_else(corrupt)?;
        Ok(Self { count, body })
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    /// The element at a place; shares memory with the run.
    pub(super) fn get(&self, at: usize) -> Result<Option<Bytes>, Fault> {
        self.iter_from(at)?.next().transpose()
    }

    /// All elements; they share memory with the run.
    pub(super) fn to_vec(&self) -> Result<Vec<Bytes>, Fault> {
        self.iter_from(0)?.collect()
    }

    /// The elements from a place on.
    pub(super) fn iter_from(&self, at: usize) -> Result<Iter, Fault> {
        let at = at.min(self.count);
        Ok(Iter {
            left: self.count - at,
            body: self.body.slice(self.offset(at)?..),
        })
    }

    /// Puts elements into the place of those in `range`.
    pub(super) fn splice<'e>(
        &mut self,
        range: Range<usize>,
        added: impl Iterator<Item = &'e Bytes>,
    ) -> Result<(), Fault> {
        let (start, end) = (self.offset(range.start)?, self.offset(range.end)?);
        let mut out = Vec::with_capacity(self.body.len() + 64);
        out.extend_from_slice(&self.body[..start]);
        let mut count = self.count - range.len();
        for element in added {
            varint::put_bytes(&mut out, element);
            count += 1;
        }
        out.extend_from_slice(&self.body[end..]);
        (self.count, self.body) = (count, Bytes::from(out));
        Ok(())
    }

    /// Pushes elements to an end, in turn.
    pub(super) fn push(&mut self, end: End, elements: &[Bytes]) -> Result<(), Fault> {
        match end {
            End::Left => self.splice(0..0, elements.iter().rev()),
            End::Right => self.splice(self.count..self.count, elements.iter()),
        }
    }

    /// Takes `count` elements off an end, in the order of pops. There are as many.
    pub(super) fn take(&mut self, end: End, count: usize) -> Result<Vec<Bytes>, Fault> {
        let cut = self.offset(end.pick(count, self.count.saturating_sub(count)))?;
        let (before, after) = (self.body.slice(..cut), self.body.slice(cut..));
        let (taken, rest) = end.pick((&before, &after), (&after, &before));
        self.count -= count;
        self.body = rest.clone();
        let body = taken.clone();
        let mut elements = Self { count, body }.to_vec()?;
        if end == End::Right {
            elements.reverse();
        }
        Ok(elements)
    }

    /// The places of elements that are equal to `element`: at most `max`, searched from an end. In
    /// ascending order.
    pub(super) fn places_of(
        &self,
        element: &[u8],
        max: usize,
        from: End,
    ) -> Result<Vec<usize>, Fault> {
        let mut places = Vec::new();
        for (at, found) in self.iter_from(0)?.enumerate() {
            if found? == element {
                places.push(at);
            }
        }
        match from {
            End::Left => places.truncate(max),
            End::Right => drop(places.drain(..places.len().saturating_sub(max))),
        }
        Ok(places)
    }

    /// Removes the elements at these places, which ascend.
    pub(super) fn remove(&mut self, places: &[usize]) -> Result<(), Fault> {
        let mut places = places.iter().peekable();
        let mut kept = Vec::with_capacity(self.count);
        for (at, element) in self.iter_from(0)?.enumerate() {
            if places.next_if(|place| **place == at).is_none() {
                kept.push(element?);
            }
        }
        self.splice(0..self.count, kept.iter())
    }

    /// How many of `elements` may be pushed, in turn, before a leaf is full.
    pub(super) fn fitting(&self, elements: &[Bytes]) -> usize {
        let (mut count, mut bytes) = (self.count, self.body.len());
        let fits = |element: &&Bytes| {
            (count, bytes) = (count + 1, bytes + size(element));
            fits_leaf(count, bytes)
        };
        elements.iter().take_while(fits).count()
    }

    /// Whether it may be made one leaf with a neighbour, and leave room for more.
    pub(super) fn joins(&self, other: &Self) -> bool {
        let (count, bytes) = (self.count + other.count, self.body.len() + other.body.len());
        count <= LEAF_ELEMENTS_MAX * 3 / 4 && bytes <= LEAF_BYTES_MAX * 3 / 4
    }

    /// Whether a leaf is so small that it should be joined with a neighbour.
    pub(super) fn is_small(&self) -> bool {
        self.count < LEAF_ELEMENTS_MAX / 4 && self.body.len() < LEAF_BYTES_MAX / 4
    }

    /// Both, this before the other.
    pub(super) fn joined(&self, other: &Self) -> Self {
        Self {
            count: self.count + other.count,
            body: [&self.body[..], &other.body].concat().into(),
        }
    }

    /// The run in parts that each fit into a leaf, of about the same length.
    pub(super) fn parts(self) -> Result<Vec<Self>, Fault> {
        if self.is_empty() || fits_leaf(self.count, self.body.len()) {
            return Ok(vec![self]);
        }
        let of_count = self.count.div_ceil(LEAF_ELEMENTS_MAX);
        let of_bytes = self.body.len().div_ceil(LEAF_BYTES_MAX);
        let leaves = of_count.max(of_bytes);
        let (count_aim, bytes_aim) = (self.count / leaves, self.body.len() / leaves);
        let (mut parts, mut start, mut end, mut count) = (Vec::new(), 0, 0, 0);
        let part = |range: Range<usize>, count| Self {
            count,
            body: self.body.slice(range),
        };
        for element in self.iter_from(0)? {
            let bytes = size(&element?);
            let reached = count >= count_aim || end - start >= bytes_aim;
            if count > 0 && (reached || !fits_leaf(count + 1, end - start + bytes)) {
                parts.push(part(start..end, count));
                (start, count) = (end, 0);
            }
            (end, count) = (end + bytes, count + 1);
        }
        parts.push(part(start..end, count));
        Ok(parts)
    }

    /// Where the element at a place begins; for their number, the end.
    fn offset(&self, at: usize) -> Result<usize, Fault> {
        if at == self.count {
            return Ok(self.body.len());
        }
        let mut rest = &self.body[..];
        for _ in 0..at {
            let len = varint::take(&mut rest).and_then(|len| usize::try_from(len).ok());
            rest = len.and_then(|len| rest.get(len..)).ok_or_else(corrupt)?;
        }
        Ok(self.body.len() - rest.len())
    }
}

/// Whether so many elements of so many bytes may be a leaf. A single element may always.
fn fits_leaf(count: usize, bytes: usize) -> bool {
    count == 1 || (count <= LEAF_ELEMENTS_MAX && bytes <= LEAF_BYTES_MAX)
}

/// The elements of a run.
pub(super) struct Iter {
    left: usize,
    body: Bytes,
}

impl Iterator for Iter {
    type Item = Result<Bytes, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            // No byte is left over, unless the run is damaged.
            let rest = std::mem::take(&mut self.body);
            return (!rest.is_empty()).then(|| Err(corrupt()));
        }
        self.left -= 1;
        let element = varint::take_bytes(&mut self.body);
        if element.is_none() {
            (self.left, self.body) = (0, Bytes::new());
        }
        Some(element.ok_or_else(corrupt))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, None)
    }
}

fn corrupt() -> Fault {
    Fault::corrupt("elements of a list do not fit their bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(elements: &[&'static str]) -> Run {
        let elements: Vec<_> = elements.iter().map(|text| Bytes::from(*text)).collect();
        let mut run = Run::default();
        run.push(End::Right, &elements).unwrap();
        run
    }

    fn elements(run: &Run) -> Vec<Bytes> {
        run.to_vec().unwrap()
    }

    #[test]
    fn elements_are_pushed_taken_and_spliced() {
        let mut it = run(&["a", "b", "c"]);
        assert_eq!(it.body(), &b"\x01a\x01b\x01c"[..]);
        it.push(End::Left, &["x".into(), "y".into()]).unwrap();
        assert_eq!(elements(&it), ["y", "x", "a", "b", "c"]);
        assert_eq!(it.take(End::Right, 2).unwrap(), ["c", "b"]);
        assert_eq!(it.take(End::Left, 1).unwrap(), ["y"]);
        assert_eq!(elements(&it), ["x", "a"]);
        it.splice(1..1, [Bytes::from("")].iter()).unwrap();
        assert_eq!(elements(&it), ["x", "", "a"]);
        assert_eq!(it.get(1).unwrap(), Some(Bytes::new()));
        assert_eq!(it.get(3).unwrap(), None);
        let mut it = run(&["a", "b", "a", "a"]);
        assert_eq!(it.places_of(b"a", 2, End::Left).unwrap(), [0, 2]);
        assert_eq!(it.places_of(b"a", 2, End::Right).unwrap(), [2, 3]);
        it.remove(&[0, 3]).unwrap();
        assert_eq!(elements(&it), ["b", "a"]);
    }

    #[test]
    fn a_run_is_parted_into_leaves_about_as_long_as_one_another() {
        let long = "x".repeat(LEAF_BYTES_MAX);
        for (count, element, least) in [
            (LEAF_ELEMENTS_MAX, "a", LEAF_ELEMENTS_MAX),
            (LEAF_ELEMENTS_MAX + 1, "a", LEAF_ELEMENTS_MAX / 2),
            (3 * LEAF_ELEMENTS_MAX, "a", LEAF_ELEMENTS_MAX / 2),
            (3, long.as_str(), 1),
            (1, long.as_str(), 1),
        ] {
            let all = vec![Bytes::from(element.to_owned()); count];
            let mut run = Run::default();
            run.push(End::Right, &all).unwrap();
            let parts = run.parts().unwrap();
            let found: Vec<_> = parts.iter().flat_map(elements).collect();
            assert_eq!(found, all);
            for part in &parts {
                assert!(fits_leaf(part.len(), part.body().len()));
            }
            let small = parts.iter().filter(|part| part.len() < least).count();
            assert!(small <= 1, "{count} of {}: {small} small", element.len());
        }
    }

    #[test]
    fn bytes_that_do_not_fit_are_a_fault() {
        let good = run(&["abc", "d"]);
        for (count, len) in [(1, 6), (3, 6), (2, 5), (9, 6)] {
            let body = good.body().slice(..len);
            let found = Run::of(count, body).and_then(|run| run.to_vec());
            assert!(found.is_err(), "{count} in {len}");
        }
        let cut = Run::of(2, good.body().slice(..3)).unwrap();
        assert!(cut.get(1).is_err());
    }
}
