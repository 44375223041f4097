//! Both layers of the buffer as they were at a moment, together with the store below.

use std::sync::Arc;

use bytes::Bytes;

use super::cursor::LayerCursor;
use super::layer::Layer;
use super::ordered::{Ordered, spaces};
use super::pin::Pin;
use super::{Layers, WriteBuffer};

/// Attempts to open a view without the lock; after these, spills wait until it is open.
const TRIES: usize = 3;

/// Both layers at a fixed moment.
pub(crate) struct BufferView {
    /// `None` if no layer has a write of the interval.
    pin: Option<Arc<Pin>>,
    /// From the top, each with its number of keys at the moment of the view.
    layers: Vec<(Arc<Ordered>, usize)>,
}

impl BufferView {
    /// Whether no layer has a write of the interval.
    pub(crate) fn is_empty(&self) -> bool {
        self.pin.is_none()
    }

    /// The newest write of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let pin = self.pin.as_ref()?;
        let mut found = None;
        for (ordered, _) in &self.layers {
            pin.look(ordered, &mut |layer| {
                found = layer.find_as_of(key, pin.view).cloned();
            });
            if found.is_some() {
                break;
            }
        }
        found
    }

    /// A cursor over each layer that may have writes of the interval, from the top.
    pub(crate) fn cursors(&self, start: &[u8], end: &[u8]) -> Vec<LayerCursor> {
        let spaces = spaces(start, end);
        let mut cursors = Vec::new();
        if let Some(pin) = &self.pin {
            for (ordered, len) in &self.layers {
                let mut has = false;
                pin.look(ordered, &mut |layer| {
                    has = layer.has_any(*spaces.start(), *spaces.end());
                });
                if has {
                    cursors.push(LayerCursor::new(pin, ordered, *len, (start, end)));
                }
            }
        }
        cursors
    }
}

impl WriteBuffer {
    /// The current writes of `start..end`, or of all keys if `end` is empty, and the result of
    /// `look`, which reads the store below, at the same moment. `look` may run several times, and
    /// must not use the buffer.
    pub(crate) fn view<T>(
        self: &Arc<Self>,
        start: &[u8],
        end: &[u8],
        look: impl Fn() -> T,
    ) -> (BufferView, T) {
        for _ in 0..TRIES {
            let layers = self.layers();
            let (view, turns) = (self.open(&layers, start, end), layers.turns);
            drop(layers);
            let seen = look();
            // Otherwise the store below may have got writes that the view does not see.
            if self.layers().turns == turns {
                return (view, seen);
            }
        }
        let layers = self.layers();
        (self.open(&layers, start, end), look())
    }

    fn open(self: &Arc<Self>, layers: &Layers, start: &[u8], end: &[u8]) -> BufferView {
        let spaces = spaces(start, end);
        let has = |layer: &Layer| layer.has_any(*spaces.start(), *spaces.end());
        let mut seen = Vec::new();
        if has(&layers.active) {
            seen.push((Arc::clone(&layers.ordered), layers.active.len()));
        }
        if let Some(frozen) = layers.frozen.as_ref().filter(|frozen| has(&frozen.layer)) {
            seen.push((Arc::clone(&frozen.ordered), frozen.layer.len()));
        }
        let pin = (!seen.is_empty()).then(|| {
            let mut views = layers.views.lock();
            Arc::new(Pin {
                buffer: Arc::clone(self),
                view: views.open(),
            })
        });
        BufferView { pin, layers: seen }
    }
}
