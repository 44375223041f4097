//! The handler of a listener whose role is still starting: the address is bound, and known, before
//! the role can take calls.

use std::sync::{Arc, OnceLock};

use crate::{Handler, Request, Responder};

/// Passes every call to the handler given to [`Door::open`]; before that, to `closed`.
pub struct Door<F> {
    closed: F,
    opened: OnceLock<Arc<dyn Handler>>,
}

impl<F: Fn(Request, Responder) + Send + Sync + 'static> Door<F> {
    /// A closed door; `closed` refuses a call.
    pub fn new(closed: F) -> Arc<Self> {
        let opened = OnceLock::new();
        Arc::new(Self { closed, opened })
    }

    /// Opens the door. A door that is open stays as it is.
    pub fn open(&self, handler: Arc<dyn Handler>) {
        let _ = self.opened.set(handler);
    }
}

impl<F: Fn(Request, Responder) + Send + Sync + 'static> Handler for Door<F> {
    fn handle(&self, request: Request, responder: Responder) {
        match self.opened.get() {
            Some(handler) => handler.handle(request, responder),
            None => (self.closed)(request, responder),
        }
    }
}
