//! The sorted index of a layer, built by its ordered reads.
//!
//! The first ordered read of a layer sorts the keys that begin with the same byte as the interval;
//! later reads add the keys that were written since. Writers never wait for the sorting: the layer
//! is locked for a few keys at a time. A layer that is not read in order has no index, and pays
//! nothing for it. A full index takes about half the memory of its layer.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use super::Pin;
use super::layer::Layer;
use crate::cursor::rest;

/// Keys taken from a layer at once for sorting.
const TAKEN_AT_ONCE: usize = 1024;
/// Entries of a cursor's first fetch, and of any fetch at most.
const FETCHED_FIRST: usize = 16;
const FETCHED_MAX: usize = 256;

/// See the module's head.
#[derive(Default)]
pub(super) struct Ordered {
    /// The layer, once it is frozen; until then it is the active layer of its buffer.
    pub(super) frozen: OnceLock<Arc<Layer>>,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    /// Places in the layer.
    places: BTreeMap<Arc<[u8]>, usize>,
    /// By first byte of the keys: the number of the layer's places that are indexed.
    done: BTreeMap<u8, usize>,
}

/// Runs a function with the layer, which is locked meanwhile unless it is frozen.
type Look<'a> = dyn Fn(&mut dyn FnMut(&Layer)) + 'a;

/// Keys in order, with their places in the layer.
type Keys<'a> = Vec<(&'a Arc<[u8]>, usize)>;

impl Ordered {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock()
    }
}

impl Index {
    /// Adds the keys of a space that are at the layer's first `len` places.
    fn catch_up(&mut self, layer: &Look<'_>, space: u8, len: usize) {
        let done = self.done.entry(space).or_insert(0);
        let mut new = Vec::new();
        while *done < len {
            let until = len.min(*done + TAKEN_AT_ONCE);
            layer(&mut |layer| {
                let keys = (*done..until).filter_map(|place| Some((layer.key(place)?, place)));
                let keys = keys.filter(|(key, _)| key.first().copied().unwrap_or(0) == space);
                new.extend(keys.map(|(key, place)| (Arc::<[u8]>::from(key), place)));
            });
            *done = until;
        }
        // Many keys are merged, few are inserted.
        if new.len() > self.places.len() / 8 {
            self.places.append(&mut new.into_iter().collect());
        } else {
            self.places.extend(new);
        }
    }
}

/// A cursor over an interval of a layer as a view sees it. It shows deletions as well as values.
pub(crate) struct LayerCursor {
    pin: Arc<Pin>,
    ordered: Arc<Ordered>,
    /// Keys that the layer had when the view was opened.
    len: usize,
    start: Vec<u8>,
    end: Vec<u8>,
    /// Entries that were fetched, in the direction of the walk.
    fetched: Vec<(Arc<[u8]>, Option<Bytes>)>,
    at: usize,
    is_back: bool,
    fetch: usize,
}

impl LayerCursor {
    /// `start` must be before `end`.
    pub(super) fn new(
        pin: &Arc<Pin>,
        ordered: &Arc<Ordered>,
        len: usize,
        (start, end): (&[u8], &[u8]),
    ) -> Self {
        Self {
            pin: Arc::clone(pin),
            ordered: Arc::clone(ordered),
            len,
            start: start.to_vec(),
            end: end.to_vec(),
            fetched: Vec::new(),
            at: 0,
            is_back: false,
            fetch: FETCHED_FIRST,
        }
    }

    /// Key and value of the entry; no value if the key is deleted here.
    pub(crate) fn entry(&self) -> Option<(&[u8], Option<&[u8]>)> {
        let (key, value) = self.fetched.get(self.at)?;
        Some((key, value.as_deref()))
    }

    /// See [`crate::Cursor`].
    pub(crate) fn seek(&mut self, key: &[u8]) {
        self.is_back = false;
        self.fetch = FETCHED_FIRST;
        self.fetch(Bound::Included(key));
    }

    /// See [`crate::Cursor`].
    pub(crate) fn seek_before(&mut self, key: &[u8]) {
        self.is_back = true;
        self.fetch = FETCHED_FIRST;
        self.fetch(Bound::Excluded(key));
    }

    /// See [`crate::Cursor`].
    pub(crate) fn next(&mut self) {
        self.step(false);
    }

    /// See [`crate::Cursor`].
    pub(crate) fn prev(&mut self) {
        self.step(true);
    }

    fn step(&mut self, back: bool) {
        if back == self.is_back && self.at + 1 < self.fetched.len() {
            self.at += 1;
            return;
        }
        let Some((here, _)) = self.fetched.get(self.at).cloned() else {
            return;
        };
        self.fetch = if back == self.is_back {
            FETCHED_MAX.min(2 * self.fetch)
        } else {
            FETCHED_FIRST
        };
        self.is_back = back;
        self.fetch(Bound::Excluded(&here));
    }

    /// Fetches the entries that come from `bound` on, in the direction of the walk.
    fn fetch(&mut self, bound: Bound<&[u8]>) {
        self.fetched.clear();
        self.at = 0;
        let mut index = self.ordered.index();
        let with_layer = |look: &mut dyn FnMut(&Layer)| self.pin.look(&self.ordered, look);
        for space in spaces(&self.start, &self.end) {
            if index.done.get(&space).is_none_or(|done| *done < self.len) {
                index.catch_up(&with_layer, space, self.len);
            }
        }
        let mut from = bound.map(<[u8]>::to_vec);
        while let Some(keys) = self.keys(&index, &from)
            && let Some((last, _)) = keys.last()
        {
            from = Bound::Excluded(last.to_vec());
            let fetched = &mut self.fetched;
            with_layer(&mut |layer| {
                let seen = keys.iter().filter_map(|(key, place)| {
                    let value = layer.at(*place, self.pin.view)?;
                    Some((Arc::clone(key), value.clone()))
                });
                fetched.extend(seen);
            });
            // All of these keys may be newer than the view.
            if !self.fetched.is_empty() {
                break;
            }
        }
    }

    /// The next keys from `bound` on; `None` behind the last.
    fn keys<'i>(&self, index: &'i Index, bound: &Bound<Vec<u8>>) -> Option<Keys<'i>> {
        let bound = bound.as_ref().map(Vec::as_slice);
        let rest = rest(&self.start, &self.end, bound, self.is_back)?;
        let places = index.places.range::<[u8], _>(rest);
        let places = places.map(|(key, place)| (key, *place));
        Some(if self.is_back {
            places.rev().take(self.fetch).collect()
        } else {
            places.take(self.fetch).collect()
        })
    }
}

/// The first bytes of the keys of an interval that is not empty.
pub(super) fn spaces(start: &[u8], end: &[u8]) -> std::ops::RangeInclusive<u8> {
    let first = start.first().copied().unwrap_or(0);
    let last = match end {
        [] => u8::MAX,
        // Its keys end before this byte.
        [byte] => byte.saturating_sub(1),
        [byte, ..] => *byte,
    };
    first..=last
}
