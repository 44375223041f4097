//! Runs the commands of a frame one after another.
//!
//! Replies may be a thousand times as long as the commands that ask for them. What goes through the
//! log is executed on every replica, again after a crash, and its replies are kept for a retry; so
//! there is an end to them, the same on every replica. Beyond it the rest of a frame is left alone,
//! and its proxy sends it again as another frame. A transaction cannot be cut: its further commands
//! are refused, each with an error in its place.

use bytes::{BufMut, Bytes, BytesMut};
use coterie_protocol::{Frame, FrameFlags, FrameReply};
use coterie_redis_compat::{CommandError, Fault, Reply, Resp, Txn, execute};

/// Bytes of replies from which on no further command of a frame is executed.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// The longest reply of a read that has a frame of its own.
const READ_BYTES_MAX: usize = 512 << 20;

/// Executes a frame's commands; the reply is the bytes of [`FrameReply::Done`], with fewer replies
/// than the frame has commands when those behind were not executed.
pub(crate) fn run_commands(txn: &mut Txn<'_>, frame: &Frame) -> Result<Bytes, Fault> {
    let mut out = BytesMut::new();
    let mut ends = Vec::with_capacity(frame.commands.len());
    let is_alone = frame.commands.len() == 1;
    let is_transaction = frame.flags.has(FrameFlags::TRANSACTION);
    let max = match is_alone && frame.flags.has(FrameFlags::READ_ONLY) {
        true => READ_BYTES_MAX,
        false => FRAME_BYTES_MAX,
    };
    if is_transaction {
        out.put_slice(format!("*{}\r\n", frame.commands.len()).as_bytes());
    }
    for command in &frame.commands {
        let before = out.len();
        let room = max.saturating_sub(before);
        if room == 0 && is_transaction {
            Reply::from(CommandError::ReplyTooLong(max)).encode(resp(frame), &mut out);
            continue;
        }
        if room == 0 {
            break;
        }
        txn.set_reply_room(room);
        execute(txn, command.table, &command.args, resp(frame), &mut out)?;
        if txn.reply_was_too_long() && !is_alone && !is_transaction {
            // Nothing but a read is refused so: in a frame of its own it may be longer.
            out.truncate(before);
            break;
        }
        ends.push(out.len());
    }
    if is_transaction {
        ends = vec![out.len()];
    }
    Ok(FrameReply::encode_done(&ends, &out))
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

    fn run(lines: &[&str], flags: FrameFlags) -> (Vec<Bytes>, bool) {
        let words = |line: &&str| FrameCommand {
            table: TableId(0),
            args: line
                .split(' ')
                .map(|word| Bytes::copy_from_slice(word.as_bytes()))
                .collect(),
        };
        let frame = Frame {
            flags,
            session: SessionId(1),
            seq: FrameSeq(1),
            acknowledged_below: FrameSeq(1),
            watches: vec![],
            commands: lines.iter().map(words).collect(),
        };
        let view = view();
        let mut txn = Txn::new(&view, ctx());
        let reply = FrameReply::decode(run_commands(&mut txn, &frame).unwrap()).unwrap();
        let FrameReply::Done(replies) = reply else {
            panic!("refused")
        };
        (replies, !txn.finish().records.is_empty())
    }

    #[test]
    fn what_does_not_fit_is_left_for_another_frame() {
        let mut lines = vec!["get big"; 20];
        lines.push("set k v");
        for flags in [FrameFlags::default(), FrameFlags::READ_ONLY] {
            let (replies, changed) = run(&lines, flags);
            // The one that passes the limit is the last.
            assert_eq!(replies.len(), FRAME_BYTES_MAX / VALUE_BYTES);
            assert!(replies.iter().all(|reply| reply.len() > VALUE_BYTES));
            assert!(!changed, "what was not answered was not done");
        }
    }

    #[test]
    fn one_long_reply_is_left_for_a_frame_of_its_own() {
        let long = format!("mget{}", " big".repeat(10));
        let (replies, _) = run(&["set k v", &long, "get k"], FrameFlags::default());
        assert_eq!(replies, ["+OK\r\n"]);
        let (replies, _) = run(&[&long, "get k"], FrameFlags::default());
        assert!(replies.is_empty());
        let (replies, _) = run(&[&long], FrameFlags::READ_ONLY);
        assert!(replies[0].len() > 10 * VALUE_BYTES);
        let (replies, _) = run(&[&long], FrameFlags::default());
        assert!(replies[0].starts_with(b"-ERR reply exceeds"));
        let longer = format!("mget{}", " big".repeat(READ_BYTES_MAX / VALUE_BYTES));
        let (replies, _) = run(&[&longer], FrameFlags::READ_ONLY);
        assert!(replies[0].starts_with(b"-ERR reply exceeds"));
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
