//! A frame on its way to becoming the body of an RPC call.
//!
//! Commands are written once, into a buffer with room for the head before them. The head is known
//! only when the frame is sent, because it holds the frame's number; it is then put in front
//! without moving the commands. The layout is that of `coterie_protocol::Frame`, behind the group's
//! id; a test checks that they agree.

use std::time::Instant;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use coterie_protocol::{Frame, FrameFlags, Tracker, Watch, put_tracker};
use coterie_types::{FrameSeq, GroupId, SessionId, TableId, varint};

/// Room before the commands: a head without watches takes at most 1 + 8 + 5 × 10 bytes, and 19 for
/// a tracker.
const HEAD_ROOM: usize = 80;
/// Initial capacity of a new frame's buffer.
const BYTES_FIRST: usize = 512;

/// Encoded commands for a group, and the other fields of their frame.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) flags: FrameFlags,
    /// Bytes of room for the replies; see `Frame::reply_room`.
    pub(crate) reply_room: usize,
    pub(crate) tracker: Option<Tracker>,
    /// Only with [`FrameFlags::TRANSACTION`].
    pub(crate) watches: Vec<Watch>,
    /// The number of commands.
    pub(crate) count: usize,
    /// [`HEAD_ROOM`] bytes, then the commands.
    pub(crate) commands: BytesMut,
    /// When the frame times out.
    pub(crate) deadline: Instant,
}

/// The fields of the head besides the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Numbers {
    pub(crate) session: SessionId,
    pub(crate) seq: FrameSeq,
    pub(crate) acknowledged_below: FrameSeq,
}

impl Prepared {
    /// A frame with a single command.
    pub(crate) fn single(
        table: TableId,
        args: &[Bytes],
        flags: FrameFlags,
        reply_room: usize,
        deadline: Instant,
    ) -> Self {
        let mut commands = new_commands();
        put_command(&mut commands, table, args);
        Self {
            flags,
            reply_room,
            tracker: None,
            watches: Vec::new(),
            count: 1,
            commands,
            deadline,
        }
    }

    /// Whether the frame bypasses the log.
    pub(crate) fn is_read(&self) -> bool {
        self.flags.has(FrameFlags::READ_ONLY)
    }

    /// The body of the call.
    pub(crate) fn into_body(self, group: GroupId, numbers: Numbers) -> Bytes {
        if self.watches.is_empty() {
            let mut head = [0; HEAD_ROOM];
            let mut rest = head.as_mut_slice();
            self.put_head(&mut rest, group, numbers);
            let len = HEAD_ROOM - rest.len();
            put_in_room(self.commands, &head[..len])
        } else {
            let mut body = BytesMut::with_capacity(self.commands.len() + 64 * self.watches.len());
            self.put_head(&mut body, group, numbers);
            body.put_slice(&self.commands[HEAD_ROOM..]);
            body.freeze()
        }
    }

    fn put_head(&self, head: &mut impl BufMut, group: GroupId, numbers: Numbers) {
        let mut flags = self.flags.with(FrameFlags::ROOM);
        if self.tracker.is_some() {
            flags = flags.with(FrameFlags::TRACKED);
        }
        put_numbers(head, group, flags, numbers);
        varint::put(head, self.reply_room as u64);
        if let Some(tracker) = &self.tracker {
            put_tracker(head, tracker);
        }
        if self.flags.has(FrameFlags::TRANSACTION) {
            varint::put(head, self.watches.len() as u64);
            for watch in &self.watches {
                varint::put(head, u64::from(watch.table.0));
                varint::put_bytes(head, &watch.key);
                varint::put_bytes(head, &watch.token);
            }
        }
        varint::put(head, self.count as u64);
    }
}

/// The body of another attempt: the same frame with these numbers.
///
/// Copies the body if the numbers differ; sending it over the wire again costs more.
pub(crate) fn renumbered(body: Bytes, numbers: Numbers) -> Bytes {
    let mut rest = body.clone();
    // Cannot fail: this proxy encoded it.
    let Some((group, flags, before)) = take_numbers(&mut rest) else {
        return body;
    };
    if numbers == before {
        return body;
    }
    let mut out = BytesMut::with_capacity(HEAD_ROOM + rest.len());
    put_numbers(&mut out, group, flags, numbers);
    out.put_slice(&rest);
    out.freeze()
}

/// The numbers in the head of a body.
pub(crate) fn numbers_of(body: &Bytes) -> Option<Numbers> {
    take_numbers(&mut body.clone()).map(|(_, _, numbers)| numbers)
}

/// The frame in a body made by [`Prepared::into_body`].
pub(crate) fn frame_of(body: &Bytes) -> Option<Frame> {
    let mut rest = body.clone();
    varint::take(&mut rest)?;
    Frame::decode(rest).ok()
}

fn put_numbers(head: &mut impl BufMut, group: GroupId, flags: FrameFlags, numbers: Numbers) {
    varint::put(head, group.0);
    head.put_u8(flags.0);
    head.put_u64_le(numbers.session.0);
    varint::put(head, numbers.seq.0);
    varint::put(head, numbers.acknowledged_below.0);
}

fn take_numbers(head: &mut Bytes) -> Option<(GroupId, FrameFlags, Numbers)> {
    let group = GroupId(varint::take(head)?);
    let flags = FrameFlags(head.try_get_u8().ok()?);
    let numbers = Numbers {
        session: SessionId(head.try_get_u64_le().ok()?),
        seq: FrameSeq(varint::take(head)?),
        acknowledged_below: FrameSeq(varint::take(head)?),
    };
    Some((group, flags, numbers))
}

/// An empty list of commands, with room for the head before it.
pub(crate) fn new_commands() -> BytesMut {
    let mut commands = BytesMut::with_capacity(BYTES_FIRST);
    commands.put_bytes(0, HEAD_ROOM);
    commands
}

/// Appends a command in the encoding of a frame.
pub(crate) fn put_command(out: &mut BytesMut, table: TableId, args: &[Bytes]) {
    out.reserve(encoded_len(args));
    varint::put(out, u64::from(table.0));
    varint::put(out, args.len() as u64);
    for arg in args {
        varint::put_bytes(out, arg);
    }
}

/// Upper bound of the bytes that [`put_command`] appends.
pub(crate) fn encoded_len(args: &[Bytes]) -> usize {
    16 + args.iter().map(|arg| arg.len() + 5).sum::<usize>()
}

fn put_in_room(mut commands: BytesMut, head: &[u8]) -> Bytes {
    let start = HEAD_ROOM - head.len();
    commands[start..HEAD_ROOM].copy_from_slice(head);
    commands.freeze().slice(start..)
}

#[cfg(test)]
mod tests {
    use coterie_protocol::FrameCommand;

    use super::*;

    fn body(flags: FrameFlags, watches: Vec<Watch>) -> (Frame, Bytes) {
        let args = vec![
            Bytes::from_static(b"SET"),
            Bytes::from_static(b"k"),
            Bytes::new(),
        ];
        let mut commands = BytesMut::zeroed(HEAD_ROOM);
        put_command(&mut commands, TableId(3), &args);
        put_command(&mut commands, TableId(0), &args);
        let numbers = Numbers {
            session: SessionId(u64::MAX),
            seq: FrameSeq(300),
            acknowledged_below: FrameSeq(u64::MAX),
        };
        let prepared = Prepared {
            flags,
            reply_room: usize::MAX,
            tracker: None,
            watches: watches.clone(),
            count: 2,
            commands,
            deadline: Instant::now(),
        };
        let frame = Frame {
            flags,
            session: numbers.session,
            seq: numbers.seq,
            acknowledged_below: numbers.acknowledged_below,
            reply_room: Some(usize::MAX),
            tracker: None,
            wait: None,
            watches,
            commands: [3, 0]
                .map(|table| FrameCommand {
                    table: TableId(table),
                    args: args.clone(),
                })
                .to_vec(),
        };
        (frame, prepared.into_body(GroupId(u64::MAX), numbers))
    }

    #[test]
    fn the_body_is_the_group_and_a_frame() {
        let long = Watch {
            table: TableId(1),
            key: Bytes::from(vec![b'k'; 100]),
            token: Bytes::from_static(b"t"),
        };
        for (flags, watches) in [
            (FrameFlags::RESP3, vec![]),
            (FrameFlags::TRANSACTION, vec![]),
            (FrameFlags::TRANSACTION, vec![long]),
        ] {
            let (mut frame, sent) = body(flags, watches);
            assert_eq!(decoded(sent.clone()), frame);
            let numbers = Numbers {
                session: frame.session,
                seq: frame.seq,
                acknowledged_below: FrameSeq(299),
            };
            frame.acknowledged_below = numbers.acknowledged_below;
            let again = renumbered(sent, numbers);
            assert_eq!(decoded(again.clone()), frame);
            assert_eq!(renumbered(again.clone(), numbers).as_ptr(), again.as_ptr());
        }
    }

    fn decoded(body: Bytes) -> Frame {
        assert_eq!(varint::take(&mut body.clone()), Some(u64::MAX));
        frame_of(&body).unwrap()
    }
}
