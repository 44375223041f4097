//! Runs the commands of a frame one after another.
//!
//! Replies may be a thousand times as long as the commands that ask for them. What goes through the
//! log is executed on every replica, again after a crash, and its replies are kept for a retry; so
//! there is an end to them, the same on every replica. Beyond it the rest of a frame is left alone,
//! and its proxy sends it again as another frame. A transaction cannot be cut: its further commands
//! are refused, each with an error in its place.

use bytes::{BufMut, Bytes};
use coterie_protocol::{DoneReplies, Frame, FrameFlags, FrameReply, Refusal};
use coterie_redis_compat::{CommandError, Fault, Reply, Resp, Txn, execute};

/// Bytes of replies from which on no further command of a frame is executed.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// The longest reply of a read that has a frame of its own.
const READ_BYTES_MAX: usize = 512 << 20;
/// How much more room is asked for when a read did not see the end of its reply.
const ROOM_FACTOR: usize = 8;

/// What became of a frame of reads.
pub(crate) enum Reads {
    /// The bytes of `FrameReply::Done`, as of [`run_commands`].
    Done(Bytes),
    /// The first reply is longer than there is room for: so many bytes would be enough, perhaps.
    NeedsRoom(usize),
}

impl Reads {
    /// The answer: bytes of [`FrameReply`].
    pub(crate) fn encode(self) -> Bytes {
        match self {
            Self::Done(reply) => reply,
            Self::NeedsRoom(bytes) => {
                let bytes = bytes as u64;
                FrameReply::Refused(Refusal::NeedsRoom { bytes }).encode()
            }
        }
    }
}

/// Executes the commands of a frame that goes through the log; the bytes of `FrameReply::Done`, with
/// fewer replies than the frame has commands when those behind were not executed.
pub(crate) fn run_commands(txn: &mut Txn<'_>, frame: &Frame) -> Result<Bytes, Fault> {
    let mut replies = DoneReplies::new(frame.commands.len());
    if frame.flags.has(FrameFlags::TRANSACTION) {
        transact(txn, frame, FRAME_BYTES_MAX, &mut replies)?;
        return Ok(replies.finish());
    }
    let room = frame.reply_room.unwrap_or(FRAME_BYTES_MAX);
    for command in &frame.commands {
        let is_first = replies.count() == 0;
        let left = match is_first {
            true => FRAME_BYTES_MAX,
            false => room.min(FRAME_BYTES_MAX).saturating_sub(replies.bytes()),
        };
        if left == 0 {
            break;
        }
        txn.set_reply_room(left);
        let out = replies.out();
        execute(txn, command.table, &command.args, resp(frame), out)?;
        if txn.reply_was_too_long() && frame.commands.len() > 1 {
            // Nothing but a read is refused so: in a frame of its own it may be longer.
            replies.take_back();
            break;
        }
        replies.end_reply();
    }
    Ok(replies.finish())
}

/// Executes a frame of reads, as long as their replies have room.
pub(crate) fn run_reads(txn: &mut Txn<'_>, frame: &Frame) -> Result<Reads, Fault> {
    let is_transaction = frame.flags.has(FrameFlags::TRANSACTION);
    let is_alone = frame.commands.len() == 1 && !is_transaction;
    let max = match is_alone {
        true => READ_BYTES_MAX,
        false => FRAME_BYTES_MAX,
    };
    let room = frame.reply_room.unwrap_or(max).min(max);
    let mut replies = DoneReplies::new(frame.commands.len());
    if is_transaction {
        let is_whole = transact(txn, frame, room, &mut replies)?;
        return Ok(match is_whole && replies.bytes() <= room || room == max {
            true => Reads::Done(replies.finish()),
            false => Reads::NeedsRoom(more(room, replies.bytes()).min(FRAME_BYTES_MAX)),
        });
    }
    for command in &frame.commands {
        let left = room - replies.bytes();
        txn.set_reply_room(left);
        let before = replies.bytes();
        let out = replies.out();
        execute(txn, command.table, &command.args, resp(frame), out)?;
        let unseen = txn.reply_was_too_long();
        let bytes = replies.bytes() - before;
        if (unseen || bytes > left) && !(is_alone && room == max) {
            if replies.count() > 0 {
                replies.take_back();
                break;
            }
            let needed = match unseen {
                true => more(room, 0),
                false => bytes,
            };
            return Ok(Reads::NeedsRoom(needed.min(READ_BYTES_MAX)));
        }
        replies.end_reply();
    }
    Ok(Reads::Done(replies.finish()))
}

/// Room for a reply of which so many bytes were seen, or more.
fn more(room: usize, seen: usize) -> usize {
    room.saturating_mul(ROOM_FACTOR).max(seen)
}

/// Executes a transaction. A command whose reply does not fit has an error in its place; whether
/// there is none.
fn transact(
    txn: &mut Txn<'_>,
    frame: &Frame,
    room: usize,
    replies: &mut DoneReplies,
) -> Result<bool, Fault> {
    let mut is_whole = true;
    let head = format!("*{}\r\n", frame.commands.len());
    replies.out().put_slice(head.as_bytes());
    for command in &frame.commands {
        let left = room.saturating_sub(replies.bytes());
        if left == 0 {
            let error = Reply::from(CommandError::ReplyTooLong(room));
            error.encode(resp(frame), replies.out());
            is_whole = false;
            continue;
        }
        txn.set_reply_room(left);
        let out = replies.out();
        execute(txn, command.table, &command.args, resp(frame), out)?;
        is_whole &= !txn.reply_was_too_long();
    }
    replies.end_reply();
    Ok(is_whole)
}

/// The protocol of a frame's replies.
pub(crate) fn resp(frame: &Frame) -> Resp {
    if frame.flags.has(FrameFlags::RESP3) {
        Resp::V3
    } else {
        Resp::V2
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use coterie_protocol::FrameCommand;
    use coterie_redis_compat::{Context, MemView};
    use coterie_types::{FrameSeq, GroupId, SessionId, TableId, UnixMillis};

    use super::*;

    const VALUE_BYTES: usize = 8 << 20;

    fn ctx() -> Context {
        Context {
            group: GroupId(1),
            now: UnixMillis(1),
            read_now: None,
            seed: 0,
            next_change: 1,
        }
    }

    /// `big` is of 8 MiB.
    fn view() -> MemView {
        let mut view = MemView::new();
        let mut txn = Txn::new(&view, ctx());
        let value = Bytes::from(vec![b'x'; VALUE_BYTES]);
        txn.put_string(Bytes::from_static(b"big"), value, None);
        let changes = txn.finish();
        view.apply(&changes);
        view
    }

    fn frame(lines: &[&str], flags: FrameFlags, room: Option<usize>) -> Frame {
        let words = |line: &&str| FrameCommand {
            table: TableId(0),
            args: line
                .split(' ')
                .map(|word| Bytes::copy_from_slice(word.as_bytes()))
                .collect(),
        };
        Frame {
            flags,
            session: SessionId(1),
            seq: FrameSeq(1),
            acknowledged_below: FrameSeq(1),
            reply_room: room,
            watches: vec![],
            commands: lines.iter().map(words).collect(),
        }
    }

    fn decoded(reply: Bytes) -> Vec<Bytes> {
        match FrameReply::decode(reply).unwrap() {
            FrameReply::Done(replies) => replies,
            FrameReply::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    fn run_in(lines: &[&str], flags: FrameFlags, room: Option<usize>) -> (Vec<Bytes>, bool) {
        let view = view();
        let mut txn = Txn::new(&view, ctx());
        let reply = run_commands(&mut txn, &frame(lines, flags, room)).unwrap();
        (decoded(reply), !txn.finish().records.is_empty())
    }

    fn run(lines: &[&str], flags: FrameFlags) -> (Vec<Bytes>, bool) {
        run_in(lines, flags, None)
    }

    /// The replies, or the room that is asked for.
    fn read(lines: &[&str], flags: FrameFlags, room: usize) -> Result<Vec<Bytes>, usize> {
        let view = view();
        let mut txn = Txn::new(&view, ctx());
        let flags = flags.with(FrameFlags::READ_ONLY);
        match run_reads(&mut txn, &frame(lines, flags, Some(room))).unwrap() {
            Reads::Done(reply) => Ok(decoded(reply)),
            Reads::NeedsRoom(bytes) => Err(bytes),
        }
    }

    const NONE: FrameFlags = FrameFlags(0);
    /// A reply of `get big`.
    const BIG: usize = VALUE_BYTES + 12;

    #[test]
    fn what_does_not_fit_is_left_for_another_frame() {
        let mut lines = vec!["get big"; 20];
        lines.push("set k v");
        let (replies, changed) = run(&lines, NONE);
        // The one that passes the limit is the last.
        assert_eq!(replies.len(), FRAME_BYTES_MAX / VALUE_BYTES);
        assert!(replies.iter().all(|reply| reply.len() > VALUE_BYTES));
        assert!(!changed, "what was not answered was not done");
    }

    #[test]
    fn one_long_reply_is_left_for_a_frame_of_its_own() {
        let long = format!("mget{}", " big".repeat(10));
        let (replies, _) = run(&["set k v", &long, "get k"], NONE);
        assert_eq!(replies, ["+OK\r\n"]);
        let (replies, _) = run(&[&long, "get k"], NONE);
        assert!(replies.is_empty());
        let (replies, _) = run(&[&long], NONE);
        assert!(replies[0].starts_with(b"-ERR reply exceeds"));
    }

    #[test]
    fn a_frame_of_the_log_gets_on_whatever_room_it_has() {
        let lines = ["get big", "set k v", "get k"];
        for room in [0, 1, VALUE_BYTES] {
            let (replies, changed) = run_in(&lines, NONE, Some(room));
            assert_eq!((replies.len(), changed), (1, false), "{room}");
        }
        let (replies, changed) = run_in(&lines, NONE, Some(BIG + 1));
        assert_eq!(
            (replies.len(), changed),
            (2, true),
            "the one that passes it is the last"
        );
        let (replies, _) = run_in(&lines, FrameFlags::TRANSACTION, Some(1));
        assert_eq!(replies[0].len(), BIG + "*3\r\n+OK\r\n$1\r\nv\r\n".len());
    }

    #[test]
    fn reads_answer_no_more_than_there_is_room_for() {
        let lines = ["get big", "get none", "get big"];
        assert_eq!(read(&lines, NONE, 1000), Err(BIG));
        for (room, replies) in [(BIG, 1), (BIG + 5, 2), (2 * BIG + 4, 2), (2 * BIG + 5, 3)] {
            let read = read(&lines, NONE, room).unwrap();
            assert_eq!(read.len(), replies, "{room}");
            assert!(read.iter().map(Bytes::len).sum::<usize>() <= room);
        }
    }

    #[test]
    fn a_read_asks_for_room_until_it_has_all_there_is() {
        let long = format!("mget{}", " big".repeat(10));
        let mut room = 1000;
        while let Err(more) = read(&[&long], NONE, room) {
            assert!(more >= 8 * room);
            room = more;
        }
        assert!(read(&[&long], NONE, room).unwrap()[0].len() > 10 * VALUE_BYTES);
        // Beside others it cannot have as much.
        assert_eq!(
            read(&[&long, "get k"], NONE, FRAME_BYTES_MAX),
            Err(READ_BYTES_MAX)
        );
        let longer = format!("mget{}", " big".repeat(READ_BYTES_MAX / VALUE_BYTES));
        let replies = read(&[&longer], NONE, READ_BYTES_MAX).unwrap();
        assert!(replies[0].starts_with(b"-ERR reply exceeds"));
    }

    #[test]
    fn a_transaction_of_reads_has_room_for_all_of_it_or_all_there_is() {
        let lines = ["get big", "get none", "get big"];
        let room = read(&lines, FrameFlags::TRANSACTION, 1000).unwrap_err();
        assert!(room >= 8000);
        let whole = read(&lines, FrameFlags::TRANSACTION, FRAME_BYTES_MAX).unwrap();
        assert_eq!(whole[0].len(), 2 * BIG + "*3\r\n$-1\r\n".len());
        let lines = ["get big"; 20];
        let cut = read(&lines, FrameFlags::TRANSACTION, FRAME_BYTES_MAX).unwrap();
        assert!(cut[0].ends_with(b"bytes)\r\n"));
    }

    #[test]
    fn a_transaction_has_an_error_in_place_of_what_does_not_fit() {
        let long = format!("mget{}", " big".repeat(10));
        let mut lines = vec![long.as_str()];
        lines.extend(["get big"; 10]);
        lines.push("set k v");
        let (replies, changed) = run(&lines, FrameFlags::TRANSACTION);
        let [reply] = replies.as_slice() else {
            panic!("{} replies", replies.len())
        };
        assert!(reply.starts_with(b"*12\r\n-ERR reply exceeds"));
        assert!(
            reply.ends_with(b"bytes)\r\n") && reply.len() < FRAME_BYTES_MAX + VALUE_BYTES + 999
        );
        assert!(!changed);
    }
}
