//! The sorted index of a layer, built by its ordered reads.
//!
//! The first ordered read of a layer sorts the keys that begin with the same byte as the interval;
//! later reads add the keys that were written since. Writers never wait for the sorting: the layer
//! is locked for a few keys at a time. A layer that is not read in order has no index, and pays
//! nothing for it. A full index takes about half the memory of its layer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};

use super::layer::Layer;

/// Keys taken from a layer at once for sorting.
const TAKEN_AT_ONCE: usize = 1024;
/// See the module's head.
#[derive(Default)]
pub(super) struct Ordered {
    /// The layer, once it is frozen; until then it is the active layer of its buffer.
    pub(super) frozen: OnceLock<Arc<Layer>>,
    index: Mutex<Index>,
}

#[derive(Default)]
pub(super) struct Index {
    pub(super) keys: BTreeSet<Arc<[u8]>>,
    /// By first byte of the keys: the number of the layer's keys that are indexed.
    pub(super) done: BTreeMap<u8, usize>,
}

/// Runs a function with the layer, which is locked meanwhile unless it is frozen.
pub(super) type Look<'a> = dyn Fn(&mut dyn FnMut(&Layer)) + 'a;

impl Ordered {
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock()
    }
}

impl Index {
    /// Adds the keys of a space that are among the layer's first `len` keys.
    pub(super) fn catch_up(&mut self, layer: &Look<'_>, space: u8, len: usize) {
        let done = self.done.entry(space).or_insert(0);
        let mut new = Vec::new();
        while *done < len {
            let until = len.min(*done + TAKEN_AT_ONCE);
            layer(&mut |layer| {
                let keys = layer.keys(*done..until).iter();
                let keys = keys.filter(|key| key.first().copied().unwrap_or(0) == space);
                new.extend(keys.cloned());
            });
            *done = until;
        }
        // Many keys are merged, few are inserted.
        if new.len() > self.keys.len() / 8 {
            self.keys.append(&mut new.into_iter().collect());
        } else {
            self.keys.extend(new);
        }
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
