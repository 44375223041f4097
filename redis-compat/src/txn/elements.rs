//! The elements of a collection, packed into the record of its key.
//!
//! ```text
//! varint      how many elements there are
//! each        varint and bytes of its key, varint and bytes of its value
//! ```
//!
//! Elements keep the order in which they came; a new value stays in the place of the old. A look-up
//! or a change walks over the packed bytes. A command with many of them unpacks the elements once.
//!
//! The layout is on disk: pinned by the tests below, described in `docs/disk-format.md`. Reading
//! never panics; bytes that do not fit are a [`Fault`].

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use coterie_types::varint;

use crate::Fault;

/// Walks over packed elements, before they are unpacked: else a command with many keys would walk
/// over all elements for each.
const WALKS_MAX: usize = 4;

/// The elements of a collection.
#[derive(Default)]
pub(crate) struct Elements {
    count: usize,
    form: Form,
    /// Look-ups and changes so far.
    walks: usize,
}

enum Form {
    /// As stored, without the count.
    Packed(Bytes),
    Unpacked(Unpacked),
}

impl Default for Form {
    fn default() -> Self {
        Self::Packed(Bytes::new())
    }
}

#[derive(Default)]
struct Unpacked {
    /// `None` where an element was removed.
    elements: Vec<Option<(Bytes, Bytes)>>,
    /// The places of the elements by key.
    places: BTreeMap<Bytes, usize>,
}

impl Elements {
    /// The elements in the value of a record.
    pub(crate) fn of(value: &Bytes) -> Result<Self, Fault> {
        let mut body = value.clone();
        let count = varint::take(&mut body).and_then(|count| usize::try_from(count).ok());
        Ok(Self {
            count: count.ok_or_else(corrupt)?,
            form: Form::Packed(body),
            walks: 0,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The value of an element; shares memory with the record.
    pub(crate) fn get(&mut self, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        self.count_walk()?;
        Ok(match &self.form {
            Form::Packed(body) => {
                let place = find(body, self.count, key)?;
                place.map(|place| body.slice(place.value))
            }
            Form::Unpacked(unpacked) => {
                let at = unpacked.places.get(key);
                let element = at.and_then(|at| unpacked.elements[*at].as_ref());
                element.map(|(_, value)| value.clone())
            }
        })
    }

    /// Sets an element; returns whether it is new.
    pub(crate) fn put(&mut self, key: &Bytes, value: &Bytes) -> Result<bool, Fault> {
        self.count_walk()?;
        let is_new = match &mut self.form {
            Form::Packed(body) => {
                let place = find(body, self.count, key)?;
                let (before, after) = match &place {
                    Some(place) => (&body[..place.start], &body[place.value.end..]),
                    None => (&body[..], &[][..]),
                };
                let mut out = Vec::with_capacity(body.len() + key.len() + value.len() + 20);
                out.extend_from_slice(before);
                put_element(&mut out, key, value);
                out.extend_from_slice(after);
                *body = Bytes::from(out);
                place.is_none()
            }
            Form::Unpacked(unpacked) => unpacked.put(key, value),
        };
        self.count += usize::from(is_new);
        Ok(is_new)
    }

    /// Removes an element; returns whether it was there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Result<bool, Fault> {
        self.count_walk()?;
        let was_there = match &mut self.form {
            Form::Packed(body) => match find(body, self.count, key)? {
                Some(place) => {
                    *body = [&body[..place.start], &body[place.value.end..]]
                        .concat()
                        .into();
                    true
                }
                None => false,
            },
            Form::Unpacked(unpacked) => match unpacked.places.remove(key) {
                Some(at) => unpacked.elements[at].take().is_some(),
                None => false,
            },
        };
        self.count -= usize::from(was_there);
        Ok(was_there)
    }

    /// Each key and value, in order; they share memory with the record.
    pub(crate) fn to_vec(&self) -> Result<Vec<(Bytes, Bytes)>, Fault> {
        match &self.form {
            Form::Packed(body) => slices(body, self.count).collect(),
            Form::Unpacked(unpacked) => Ok(unpacked.elements.iter().flatten().cloned().collect()),
        }
    }

    /// The elements as they are to be stored.
    pub(crate) fn pack(&self) -> Bytes {
        let mut out = Vec::new();
        match &self.form {
            Form::Packed(body) => {
                out.reserve(body.len() + varint::len(self.count as u64));
                varint::put(&mut out, self.count as u64);
                out.extend_from_slice(body);
            }
            Form::Unpacked(unpacked) => {
                varint::put(&mut out, self.count as u64);
                for (key, value) in unpacked.elements.iter().flatten() {
                    put_element(&mut out, key, value);
                }
            }
        }
        Bytes::from(out)
    }

    /// Counts a look-up or a change, and unpacks the elements when there were several.
    fn count_walk(&mut self) -> Result<(), Fault> {
        self.walks += 1;
        if self.walks > WALKS_MAX
            && let Form::Packed(body) = &self.form
        {
            let mut unpacked = Unpacked::default();
            for element in slices(body, self.count) {
                let (key, value) = element?;
                unpacked.put(&key, &value);
            }
            if unpacked.places.len() != self.count {
                return Err(corrupt());
            }
            self.form = Form::Unpacked(unpacked);
        }
        Ok(())
    }
}

impl Unpacked {
    fn put(&mut self, key: &Bytes, value: &Bytes) -> bool {
        if let Some(at) = self.places.get(key)
            && let Some((_, old)) = &mut self.elements[*at]
        {
            *old = value.clone();
            return false;
        }
        self.places.insert(key.clone(), self.elements.len());
        self.elements.push(Some((key.clone(), value.clone())));
        true
    }
}

fn put_element(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    varint::put_bytes(out, key);
    varint::put_bytes(out, value);
}

/// Where an element lies in the packed bytes; it ends with its value.
struct Place {
    start: usize,
    key: Range<usize>,
    value: Range<usize>,
}

/// Walks over the places of packed elements.
struct Walk<'a> {
    body: &'a [u8],
    at: usize,
    left: usize,
}

fn find(body: &[u8], count: usize, key: &[u8]) -> Result<Option<Place>, Fault> {
    let (at, left) = (0, count);
    for place in (Walk { body, at, left }) {
        let place = place?;
        if &body[place.key.clone()] == key {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

fn slices(body: &Bytes, count: usize) -> impl Iterator<Item = Result<(Bytes, Bytes), Fault>> {
    let (at, left) = (0, count);
    let slice = |place: Place| (body.slice(place.key), body.slice(place.value));
    Walk { body, at, left }.map(move |place| place.map(slice))
}

impl Iterator for Walk<'_> {
    type Item = Result<Place, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(left) = self.left.checked_sub(1) else {
            // Nothing may follow the last element.
            let more = self.at < self.body.len();
            self.at = self.body.len();
            return more.then(|| Err(corrupt()));
        };
        self.left = left;
        let start = self.at;
        let (key, value) = (self.take(), self.take());
        let Some((key, value)) = key.zip(value) else {
            (self.at, self.left) = (self.body.len(), 0);
            return Some(Err(corrupt()));
        };
        Some(Ok(Place { start, key, value }))
    }
}

impl Walk<'_> {
    /// Takes bytes behind their length.
    fn take(&mut self) -> Option<Range<usize>> {
        let mut rest = self.body.get(self.at..)?;
        let len = usize::try_from(varint::take(&mut rest)?).ok()?;
        let start = self.body.len() - rest.len();
        let end = start
            .checked_add(len)
            .filter(|end| *end <= self.body.len())?;
        self.at = end;
        Some(start..end)
    }
}

fn corrupt() -> Fault {
    Fault::corrupt("packed elements do not fit")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn b(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[test]
    fn the_layout_on_disk_is_pinned() {
        let mut elements = Elements::default();
        assert!(elements.put(&b("field"), &b("v")).unwrap());
        assert!(elements.put(&b(""), &b(&"x".repeat(300))).unwrap());
        let mut expected = b"\x02\x05field\x01v\x00\xac\x02".to_vec();
        expected.extend([b'x'; 300]);
        assert_eq!(elements.pack(), expected);
    }

    #[test]
    fn bytes_that_do_not_fit_are_a_fault() {
        let mut elements = Elements::default();
        elements.put(&b("ab"), &b("c")).unwrap();
        let whole = elements.pack();
        let walk = |bytes: &[u8]| Elements::of(&Bytes::copy_from_slice(bytes))?.get(b"");
        let unpack = |bytes: &[u8]| {
            let mut elements = Elements::of(&Bytes::copy_from_slice(bytes))?;
            elements.walks = WALKS_MAX;
            elements.get(b"")
        };
        assert_eq!(
            (walk(&whole).unwrap(), unpack(&whole).unwrap()),
            (None, None)
        );
        let longer = [&whole[..], b"\0"].concat();
        let endless = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec();
        let mut bad = vec![longer, endless];
        bad.extend((0..whole.len()).map(|len| whole[..len].to_vec()));
        for bytes in bad {
            assert!(
                walk(&bytes).is_err() && unpack(&bytes).is_err(),
                "{bytes:x?}"
            );
        }
        let twice = b"\x02\x01a\0\x01a\0";
        assert!(unpack(twice).is_err(), "a key that is there twice");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put(String, String),
        Remove(String),
        Get(String),
        /// Packs, and reads again.
        Store,
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = || "[a-f]{0,1}";
        prop_oneof![
            4 => (key(), "[x-z]{0,3}").prop_map(|(key, value)| Step::Put(key, value)),
            2 => key().prop_map(Step::Remove),
            1 => key().prop_map(Step::Get),
            1 => Just(Step::Store),
        ]
    }

    proptest! {
        #[test]
        fn elements_are_a_map_that_keeps_its_order(steps in prop::collection::vec(step(), 0..40)) {
            let mut elements = Elements::default();
            let mut model: Vec<(String, String)> = Vec::new();
            for step in steps {
                let place = |model: &[(String, String)], key: &str| {
                    model.iter().position(|(found, _)| found == key)
                };
                match step {
                    Step::Put(key, value) => {
                        let at = place(&model, &key);
                        let is_new = elements.put(&b(&key), &b(&value)).unwrap();
                        prop_assert_eq!(is_new, at.is_none());
                        match at {
                            Some(at) => model[at].1 = value,
                            None => model.push((key, value)),
                        }
                    }
                    Step::Remove(key) => {
                        let at = place(&model, &key);
                        prop_assert_eq!(elements.remove(key.as_bytes()).unwrap(), at.is_some());
                        at.map(|at| model.remove(at));
                    }
                    Step::Get(key) => {
                        let value = place(&model, &key).map(|at| Bytes::from(model[at].1.clone()));
                        prop_assert_eq!(elements.get(key.as_bytes()).unwrap(), value);
                    }
                    Step::Store => {
                        elements = Elements::of(&elements.pack()).unwrap();
                    }
                }
                prop_assert_eq!(elements.count(), model.len());
            }
            let model: Vec<_> = model.iter().map(|(key, value)| (b(key), b(value))).collect();
            prop_assert_eq!(&elements.to_vec().unwrap(), &model);
            let stored = Elements::of(&elements.pack()).unwrap();
            prop_assert_eq!(stored.to_vec().unwrap(), model);
        }

        #[test]
        fn no_bytes_make_elements_panic(raw in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(mut elements) = Elements::of(&Bytes::from(raw)) {
                let _ = elements.to_vec();
                for _ in 0..=WALKS_MAX {
                    let _ = elements.get(b"a");
                }
                let _ = elements.put(&b("a"), &b("b"));
            }
        }
    }
}
