//! The listener's handler while the member starts: its address must be known before its group.

use std::sync::{Arc, OnceLock};

use coterie_protocol::meta::MetaAnswer;
use coterie_protocol::{encode, method};
use coterie_rpc::{Handler, Request, Responder};

/// Answers that nothing was done; passes every request on once [`Door::open`] was called.
#[derive(Default)]
pub(crate) struct Door(OnceLock<Arc<dyn Handler>>);

impl Door {
    pub(crate) fn open(&self, front: Arc<dyn Handler>) {
        // Opened once.
        let _ = self.0.set(front);
    }
}

impl Handler for Door {
    fn handle(&self, request: Request, responder: Responder) {
        match self.0.get() {
            Some(front) => front.handle(request, responder),
            None if request.method == method::META => {
                let (leader, addr) = (None, None);
                responder.send(encode(&MetaAnswer::NotLeader { leader, addr }));
            }
            None => responder.fail("the member is starting"),
        }
    }
}
