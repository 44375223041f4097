//! An ordered walk over the writes of a layer.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::layer::Layer;
use super::ordered::{Index, Ordered, spaces};
use super::pin::Pin;
use crate::cursor::rest;

/// Entries of a cursor's first fetch, and of any fetch at most.
const FETCHED_FIRST: usize = 16;
const FETCHED_MAX: usize = 256;

/// Keys in order.
type Keys<'a> = Vec<&'a Arc<[u8]>>;

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
            && let Some(last) = keys.last()
        {
            from = Bound::Excluded(last.to_vec());
            let fetched = &mut self.fetched;
            with_layer(&mut |layer| {
                let seen = keys.iter().filter_map(|key| {
                    let value = layer.find_as_of(key, self.pin.view)?;
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
        let keys = index.keys.range::<[u8], _>(rest);
        Some(if self.is_back {
            keys.rev().take(self.fetch).collect()
        } else {
            keys.take(self.fetch).collect()
        })
    }
}
