//! Frames that wait for data (BLPOP and its kind), between a proxy and a server.
//!
//! A frame that waits holds no call: its call is answered at once with
//! [`crate::FrameReply::Waits`], and the leader keeps the frame. The proxy asks each server where
//! frames of it wait, again and again over its *link*, for their answers. A link is a random number
//! that the proxy chooses.
//!
//! No answer needs to arrive. A proxy that misses an answer, or sees another epoch of its link,
//! sends its frames again under their numbers: a frame that was served is answered by the group's
//! memory, every other waits anew.

use bytes::Bytes;
use coterie_types::{FrameSeq, SessionId};
use serde::{Deserialize, Serialize};

/// Asks for the answers of the frames that waited at a server. Answered at once if there are any,
/// else after a fraction of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitPoll {
    /// The asking link.
    pub link: u64,
}

/// The answers of frames that waited at a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitNews {
    /// Names the server's memory of the link. When it differs from that of the last answer, the
    /// server has forgotten the frames that waited, for instance as it was restarted.
    pub epoch: u64,
    /// The answers.
    pub answers: Vec<WaitAnswer>,
}

/// The end of a frame's wait at a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitAnswer {
    /// The frame's session.
    pub session: SessionId,
    /// The frame's number.
    pub seq: FrameSeq,
    /// The bytes of its [`crate::FrameReply`]; `None` to send the frame again, for instance as the
    /// server no longer leads.
    pub answer: Option<Bytes>,
}
