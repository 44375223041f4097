//! The wire format of Raft calls: the group's id and the id of the target node (both LEB128), then
//! postcard.
//!
//! The message names its target because an address may pass to another node: a node with a wiped
//! disk comes back under a new id, and must not vote or acknowledge for its predecessor.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use coterie_types::{GroupId, LogIndex, NodeId, varint};
use openraft::raft::AppendEntriesResponse;
use serde::{Deserialize, Serialize};

use crate::type_config::TypeConfig;

/// A message to `target`'s replica of `group`.
pub(crate) fn request(group: GroupId, target: NodeId, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 20);
    varint::put(&mut out, group.0);
    varint::put(&mut out, target.0);
    out.put_slice(body);
    out.freeze()
}

/// The target of a request, and the rest of the body.
pub(crate) fn split(mut body: Bytes) -> Option<(GroupId, NodeId, Bytes)> {
    let group = GroupId(varint::take(&mut body)?);
    let target = NodeId(varint::take(&mut body)?);
    Some((group, target, body))
}

/// A leader's answer to a follower that wants to serve a read: the index to apply first.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ReadIndex(pub(crate) Option<LogIndex>);

/// A follower's answer to an append.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Appended {
    /// The follower's disk has little room left.
    pub(crate) is_scarce: bool,
    /// The follower's wall clock, since the Unix epoch.
    pub(crate) wall: Duration,
    /// Time on the follower, including the log write: the rest of the round trip is the network's.
    pub(crate) took_micros: u64,
    pub(crate) response: AppendEntriesResponse<TypeConfig>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_pinned() {
        let bytes = request(GroupId(300), NodeId(4), b"body");
        assert_eq!(bytes, b"\xac\x02\x04body".as_slice());
        let (group, target, body) = split(bytes).unwrap();
        assert_eq!((group, target), (GroupId(300), NodeId(4)));
        assert_eq!(body, b"body".as_slice());
        assert_eq!(split(Bytes::from_static(b"\x07")), None);
    }
}
