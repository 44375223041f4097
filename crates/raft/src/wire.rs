//! The wire format of Raft calls: the group's id and the id of the target node (both LEB128), then
//! postcard.
//!
//! The message names its target because an address may pass to another node: a node with a wiped
//! disk comes back under a new id, and must not vote or acknowledge for its predecessor.

use bytes::{BufMut, Bytes, BytesMut};
use coterie_types::{GroupId, NodeId, varint};

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
