//! The effects of an applied entry.

use bytes::Bytes;
use coterie_redis_compat::Changes;

use crate::entry::{ChangeAnswer, Expired};
use crate::store::StoreChange;

/// The work for the caller after an entry, in this order.
#[derive(Debug, Default)]
pub struct Effects {
    /// Persist, in one atomic batch with the applied index.
    pub changes: Changes,
    /// Persist in the same batch: discards before everything else, the rest after it.
    pub store: Vec<StoreChange>,
    /// Remove these entries of the index of expiries, in the same batch.
    pub swept: Vec<Expired>,
    /// Count the records in their state after this entry, under this name.
    pub digest: Option<u64>,
    /// Send, per frame of the entry, bytes of [`coterie_protocol::FrameReply`], unless the frame
    /// [is put off](is_put_off); for a change of ranges, its answer. Only the proposer has clients
    /// to send them to.
    pub replies: Vec<Bytes>,
}

impl Effects {
    pub(crate) fn answer(&mut self, answer: ChangeAnswer) {
        self.replies.push(coterie_protocol::encode(&answer));
    }
}

/// Whether a frame with this answer was put off: its proposer is to propose it again.
#[must_use]
pub fn is_put_off(answer: &[u8]) -> bool {
    answer.is_empty()
}

/// The answer of a frame that was put off: no answer of a frame that was executed is empty.
pub(crate) const PUT_OFF: Bytes = Bytes::new();
