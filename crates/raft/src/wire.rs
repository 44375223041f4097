//! What Raft calls look like on the wire: the group's id (LEB128), then postcard.

use bytes::{BufMut, Bytes, BytesMut};
use coterie_types::{GroupId, varint};
use serde::Serialize;

/// A request's body.
pub(crate) fn request<T: Serialize>(group: GroupId, message: &T) -> Bytes {
    let body = coterie_protocol::encode(message);
    with_group(group, &body)
}

/// A body that is already encoded, behind its group.
pub(crate) fn with_group(group: GroupId, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 10);
    varint::put(&mut out, group.0);
    out.put_slice(body);
    out.freeze()
}

/// The group a request is for, and the rest of the body.
pub(crate) fn split(mut body: Bytes) -> Option<(GroupId, Bytes)> {
    let group = GroupId(varint::take(&mut body)?);
    Some((group, body))
}
