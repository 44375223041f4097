//! The hold of a view on the writes that it sees.

use std::sync::Arc;

use super::WriteBuffer;
use super::layer::Layer;
use super::ordered::Ordered;

/// An open view: writes that it sees are kept.
pub(super) struct Pin {
    pub(super) buffer: Arc<WriteBuffer>,
    pub(super) view: u64,
}

impl Pin {
    /// Runs a function with the layer, which is locked meanwhile unless it is frozen.
    pub(super) fn look(&self, ordered: &Ordered, look: &mut dyn FnMut(&Layer)) {
        if let Some(layer) = ordered.frozen.get() {
            return look(layer);
        }
        let layers = self.buffer.layers();
        // It may have been frozen in between.
        look(ordered.frozen.get().map_or(&layers.active, Arc::as_ref));
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let layers = self.buffer.layers();
        let mut views = layers.views.lock();
        views.close(self.view);
    }
}
