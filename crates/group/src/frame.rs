//! A frame as the group works on it: its commands are looked up once, while it is decoded.

use bytes::Bytes;
use coterie_protocol::{DecodeError, Frame};
use coterie_redis_compat::Resolved;

/// A frame with the rows of its commands.
pub type ResolvedFrame = Frame<Resolved>;

/// Decodes a frame and looks its commands up. A command that does not exist is no reason to refuse
/// the frame: its reply is an error.
pub fn resolve_frame(bytes: Bytes) -> Result<ResolvedFrame, DecodeError> {
    Frame::decode_with(bytes, Resolved::new)
}
