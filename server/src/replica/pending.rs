//! Frames on their way into an entry, and those that are in it and wait for its answers.

use std::time::Instant;

use bytes::Bytes;
use coterie_group::{Arrival, WaitId};
use coterie_rpc::Responder;

use super::load::Timed;

/// The time of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    /// When the proxy stops waiting.
    pub(crate) deadline: Instant,
    /// Set for a sampled frame: its time is counted.
    pub(crate) timed: Option<Timed>,
}

pub(super) struct Pending {
    pub(super) frame: Bytes,
    /// Records of keys that the frame names, fetched from another group.
    pub(super) arrivals: Vec<Arrival>,
    pub(super) due: Due,
    pub(super) responder: Responder,
    /// How often its scripts have run for nothing.
    pub(super) reruns: u8,
}

impl Pending {
    pub(super) fn bytes(&self) -> usize {
        self.frame.len() + arrival_bytes(&self.arrivals)
    }

    /// Whether its proxy gave it up: the proxy sends the frame again, or has told its client.
    pub(super) fn is_given_up(&self) -> bool {
        self.due.deadline <= Instant::now() || self.responder.is_abandoned()
    }
}

/// The rest of a proposed frame: its bytes are in the entry.
pub(super) struct Sent {
    pub(super) timed: Option<Timed>,
    pub(super) to: To,
}

/// Who awaits a frame's answer.
pub(super) enum To {
    Caller {
        responder: Responder,
        due: Due,
    },
    /// The frame may wait: `waiting` knows.
    Waiter(WaitId),
}

pub(super) fn arrival_bytes(arrivals: &[Arrival]) -> usize {
    let bytes =
        |arrival: &Arrival| arrival.key.len() + arrival.record.as_ref().map_or(0, Bytes::len);
    arrivals.iter().map(bytes).sum()
}
