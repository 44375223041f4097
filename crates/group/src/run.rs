//! Runs the commands of a frame in order.
//!
//! Replies may be a thousand times as long as their commands. So a frame carries the number of
//! bytes its client has room for, and execution stops at that limit. The changes of an entry are
//! bounded as well ([`Limits`]). Beyond a limit the rest of a pipeline is left unexecuted, and its
//! proxy sends it again as another frame. A transaction is executed whole or not at all: it waits
//! for another entry if this entry has too little room, and is refused if no entry could hold it.
//!
//! A frame that goes through the log is executed on every replica, and again after a crash, and its
//! replies are kept for a retry. It must progress however little room it has, so its first command
//! is always executed. A frame of reads is executed by a single replica, and never returns more
//! than it has room for: it asks for more room instead.

use bytes::{BufMut, Bytes, BytesMut};
use coterie_protocol::{DoneReplies, FrameFlags, FrameReply, Refusal, Stage};
use coterie_redis_compat::{
    CommandError, EvalError, Fault, Reply, Resolved, Resp, Txn, execute, resolve_words,
};

use crate::frame::ResolvedFrame;
use crate::limits::Limits;

/// Bytes of replies at which no further command of a frame is executed.
pub(crate) const FRAME_BYTES_MAX: usize = 64 << 20;
/// The longest reply of a read that has a frame of its own.
const READ_BYTES_MAX: usize = 512 << 20;
/// Factor by which the requested room grows when a reply was cut off before its end.
const ROOM_FACTOR: usize = 8;

/// Runs the commands of a frame.
pub(crate) trait Runner {
    /// Runs a command and appends its reply, as [`execute`] does.
    fn run(
        &mut self,
        txn: &mut Txn<'_>,
        command: &Resolved,
        resp: Resp,
        out: &mut BytesMut,
    ) -> Result<(), Fault>;

    /// Whether the frame cannot be run here and now: it is left as if none of it had run.
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Runs commands, and no script.
pub(crate) struct NoScripts;

impl Runner for NoScripts {
    fn run(
        &mut self,
        txn: &mut Txn<'_>,
        command: &Resolved,
        resp: Resp,
        out: &mut BytesMut,
    ) -> Result<(), Fault> {
        execute(txn, command, resp, out)
    }
}

/// The outcome of a frame.
pub(crate) enum Ran {
    /// It was executed, or refused: the bytes of [`FrameReply`].
    Answered(Bytes),
    /// It was not executed, because the entry has too little room left for it.
    PutOff,
    /// It was not executed, and nothing is remembered of it: it waits, or needs other words.
    Unremembered(Bytes),
}

/// Executes the only command of a frame that may wait. If it finds nothing, nothing is remembered,
/// and it is executed again.
pub(crate) fn run_waiting(
    txn: &mut Txn<'_>,
    frame: &ResolvedFrame,
    stage: Stage,
) -> Result<Ran, Fault> {
    let [command] = frame.commands.as_slice() else {
        let reason = "a frame that waits has one command".to_owned();
        let refusal = FrameReply::Refused(Refusal::Malformed { reason });
        return Ok(Ran::Answered(refusal.encode()));
    };
    match resolve_words(txn, command) {
        Ok(Some(words)) => {
            return Ok(Ran::Unremembered(FrameReply::Resolved(words).encode()));
        }
        // An error of Redis' kind: the command will report it.
        Ok(None) | Err(EvalError::Rejected(_)) => {}
        Err(EvalError::Fault(fault)) => return Err(fault),
    }
    let mut replies = DoneReplies::new(1);
    txn.set_savepoint();
    txn.set_reply_room(FRAME_BYTES_MAX);
    txn.set_has_waited(stage == Stage::Waited);
    let ran = execute(txn, command, resp(frame), replies.out());
    txn.set_has_waited(false);
    ran?;
    if txn.would_wait() {
        // A new consumer of a stream is there from the moment that it reads.
        if stage == Stage::First {
            txn.keep_changes();
        } else {
            txn.roll_back();
        }
        return Ok(Ran::Unremembered(FrameReply::Waits { epoch: 0 }.encode()));
    }
    txn.keep_changes();
    replies.end_reply();
    Ok(Ran::Answered(replies.finish()))
}

/// Executes the commands of a frame that goes through the log. The answer has fewer replies than
/// the frame has commands if the rest was not executed.
pub(crate) fn run_commands(
    txn: &mut Txn<'_>,
    frame: &ResolvedFrame,
    limits: &Limits,
    runner: &mut dyn Runner,
) -> Result<Ran, Fault> {
    if frame.flags.has(FrameFlags::TRANSACTION) {
        return run_transaction(txn, frame, limits, runner);
    }
    let mut replies = DoneReplies::new(frame.commands.len());
    let room = frame.reply_room.unwrap_or(FRAME_BYTES_MAX);
    for command in &frame.commands {
        let is_first = replies.count() == 0;
        let left = if is_first {
            FRAME_BYTES_MAX
        } else {
            room.min(FRAME_BYTES_MAX).saturating_sub(replies.bytes())
        };
        if left == 0 || is_full(txn, limits) && command.is_write() {
            break;
        }
        txn.set_reply_room(left);
        let out = replies.out();
        runner.run(txn, command, resp(frame), out)?;
        if runner.is_stopped() {
            return Ok(Ran::PutOff);
        }
        if txn.reply_was_too_long() && frame.commands.len() > 1 {
            // Only a read is refused for this reason: in its own frame its reply may be longer.
            replies.take_back();
            break;
        }
        replies.end_reply();
    }
    Ok(Ran::Answered(replies.finish()))
}

/// Executes a transaction that goes through the log, as a whole or not at all.
fn run_transaction(
    txn: &mut Txn<'_>,
    frame: &ResolvedFrame,
    limits: &Limits,
    runner: &mut dyn Runner,
) -> Result<Ran, Fault> {
    let is_alone = txn.changed_bytes() == 0;
    let mut replies = begin_transaction(frame);
    txn.set_savepoint();
    let mut too_much = None;
    for command in &frame.commands {
        if txn.changed_bytes() > limits.transaction_bytes && command.is_write() {
            if !is_alone {
                txn.roll_back();
                return Ok(Ran::PutOff);
            }
            let max = limits.transaction_bytes;
            too_much = Some(CommandError::transaction_too_large(max));
            break;
        }
        let has_room = transact(txn, frame, (command, FRAME_BYTES_MAX), runner, &mut replies)?;
        if runner.is_stopped() {
            txn.roll_back();
            return Ok(Ran::PutOff);
        }
        if !has_room {
            too_much = Some(CommandError::transaction_replies_too_long(FRAME_BYTES_MAX));
            break;
        }
    }
    match too_much {
        None => txn.keep_changes(),
        Some(error) => {
            txn.roll_back();
            refuse(frame, error, &mut replies);
        }
    }
    replies.end_reply();
    Ok(Ran::Answered(replies.finish()))
}

/// Executes a frame of reads, as long as their replies have room.
pub(crate) fn run_reads(
    txn: &mut Txn<'_>,
    frame: &ResolvedFrame,
    runner: &mut dyn Runner,
) -> Result<Bytes, Fault> {
    if frame.flags.has(FrameFlags::TRANSACTION) {
        return read_transaction(txn, frame, runner);
    }
    let is_alone = frame.commands.len() == 1;
    let max = if is_alone {
        READ_BYTES_MAX
    } else {
        FRAME_BYTES_MAX
    };
    let room = frame.reply_room.unwrap_or(max).min(max);
    let mut replies = DoneReplies::new(frame.commands.len());
    for command in &frame.commands {
        let left = room - replies.bytes();
        txn.set_reply_room(left);
        let before = replies.bytes();
        let out = replies.out();
        runner.run(txn, command, resp(frame), out)?;
        let unseen = txn.reply_was_too_long();
        let bytes = replies.bytes() - before;
        if (unseen || bytes > left) && !(is_alone && room == max) {
            if replies.count() > 0 {
                replies.take_back();
                break;
            }
            let needed = if unseen { more(room, 0) } else { bytes };
            return Ok(needs_room(needed.min(READ_BYTES_MAX)));
        }
        replies.end_reply();
    }
    Ok(replies.finish())
}

/// Executes a transaction of reads, if all of its replies have room.
fn read_transaction(
    txn: &mut Txn<'_>,
    frame: &ResolvedFrame,
    runner: &mut dyn Runner,
) -> Result<Bytes, Fault> {
    let max = FRAME_BYTES_MAX;
    let room = frame.reply_room.unwrap_or(max).min(max);
    let mut replies = begin_transaction(frame);
    for command in &frame.commands {
        if transact(txn, frame, (command, room), runner, &mut replies)? {
            continue;
        }
        if room < max {
            return Ok(needs_room(more(room, replies.bytes()).min(max)));
        }
        let error = CommandError::transaction_replies_too_long(max);
        refuse(frame, error, &mut replies);
        break;
    }
    replies.end_reply();
    Ok(replies.finish())
}

/// The room to ask for when a reply has at least `seen` bytes.
fn more(room: usize, seen: usize) -> usize {
    room.saturating_mul(ROOM_FACTOR).max(seen)
}

fn needs_room(bytes: usize) -> Bytes {
    let bytes = bytes as u64;
    FrameReply::Refused(Refusal::NeedsRoom { bytes }).encode()
}

/// The head of a transaction's reply.
fn begin_transaction(frame: &ResolvedFrame) -> DoneReplies {
    let mut replies = DoneReplies::new(1);
    let head = format!("*{}\r\n", frame.commands.len());
    replies.out().put_slice(head.as_bytes());
    replies
}

/// Executes a command of a transaction; returns whether its reply has room.
fn transact(
    txn: &mut Txn<'_>,
    frame: &ResolvedFrame,
    (command, room): (&Resolved, usize),
    runner: &mut dyn Runner,
    replies: &mut DoneReplies,
) -> Result<bool, Fault> {
    let left = room.saturating_sub(replies.bytes());
    if left == 0 {
        return Ok(false);
    }
    txn.set_reply_room(left);
    runner.run(txn, command, resp(frame), replies.out())?;
    Ok(!txn.reply_was_too_long())
}

/// Replaces the whole reply of a transaction by an error.
fn refuse(frame: &ResolvedFrame, error: CommandError, replies: &mut DoneReplies) {
    replies.take_back();
    Reply::from(error).encode(resp(frame), replies.out());
}

/// Whether the entry is full: further frames and writes go into another entry.
pub(crate) fn is_full(txn: &Txn<'_>, limits: &Limits) -> bool {
    txn.changed_bytes() > limits.changed_bytes || txn.written_bytes() > limits.written_bytes
}

/// The protocol of a frame's replies.
pub(crate) fn resp(frame: &ResolvedFrame) -> Resp {
    resp_of(frame.flags)
}

/// The protocol of the replies of a frame with these flags.
pub(crate) fn resp_of(flags: FrameFlags) -> Resp {
    if flags.has(FrameFlags::RESP3) {
        Resp::V3
    } else {
        Resp::V2
    }
}

#[cfg(test)]
mod tests {
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

    /// A view in which `big` is 8 MiB long.
    fn view() -> MemView {
        let mut view = MemView::new();
        let mut txn = Txn::new(&view, ctx());
        let value = Bytes::from(vec![b'x'; VALUE_BYTES]);
        let put = txn.put_string(Bytes::from_static(b"big"), value, None);
        put.unwrap();
        let changes = txn.finish();
        view.apply(&changes);
        view
    }

    fn frame(lines: &[&str], flags: FrameFlags, room: Option<usize>) -> ResolvedFrame {
        let command = |line: &&str| {
            let words = line.split(' ');
            let words = words.map(|word| Bytes::copy_from_slice(word.as_bytes()));
            Resolved::new(TableId(0), words.collect())
        };
        ResolvedFrame {
            flags,
            session: SessionId(1),
            seq: FrameSeq(1),
            acknowledged_below: FrameSeq(1),
            reply_room: room,
            wait: None,
            watches: vec![],
            commands: lines.iter().map(command).collect(),
        }
    }

    fn decoded(reply: Bytes) -> Vec<Bytes> {
        match FrameReply::decode(reply).unwrap() {
            FrameReply::Done(replies) => replies,
            other => panic!("{other:?}"),
        }
    }

    fn run_in(lines: &[&str], flags: FrameFlags, room: Option<usize>) -> (Vec<Bytes>, bool) {
        let view = view();
        let mut txn = Txn::new(&view, ctx());
        let frame = frame(lines, flags, room);
        let Ran::Answered(reply) =
            run_commands(&mut txn, &frame, &Limits::default(), &mut NoScripts).unwrap()
        else {
            panic!("put off")
        };
        (decoded(reply), !txn.finish().records.is_empty())
    }

    fn run(lines: &[&str], flags: FrameFlags) -> (Vec<Bytes>, bool) {
        run_in(lines, flags, None)
    }

    /// The replies, or the room that the frame asks for.
    fn read(lines: &[&str], flags: FrameFlags, room: usize) -> Result<Vec<Bytes>, usize> {
        let view = view();
        let mut txn = Txn::new(&view, ctx());
        let flags = flags.with(FrameFlags::READ_ONLY);
        let answer = run_reads(&mut txn, &frame(lines, flags, Some(room)), &mut NoScripts).unwrap();
        match FrameReply::decode(answer).unwrap() {
            FrameReply::Done(replies) => Ok(replies),
            FrameReply::Refused(Refusal::NeedsRoom { bytes }) => Err(bytes as usize),
            other => panic!("{other:?}"),
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
        // The reply that passes the limit is the last.
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
        // Beside other commands it cannot have as much.
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
        assert!(
            cut[0].starts_with(b"-EXECABORT "),
            "{:?}",
            cut[0].slice(..40)
        );
    }

    #[test]
    fn a_transaction_whose_replies_do_not_fit_is_refused_whole() {
        let long = format!("mget{}", " big".repeat(10));
        let refused = "-EXECABORT Transaction discarded because of: replies exceed maximum allowed \
                       size (67108864 bytes)\r\n";
        let mut lines = vec!["set k v"];
        lines.extend(["get big"; 8]);
        let (replies, changed) = run(&lines, FrameFlags::TRANSACTION);
        assert!(changed && replies[0].starts_with(b"*9\r\n+OK\r\n"));
        for behind in ["set k v", "get big", "get k"] {
            let lines = [&lines[..], &[behind]].concat();
            let (replies, changed) = run(&lines, FrameFlags::TRANSACTION);
            assert_eq!(replies, [refused]);
            assert!(!changed, "all or nothing");
        }
        let (replies, changed) = run(&["set k v", &long], FrameFlags::TRANSACTION);
        assert_eq!(replies, [refused]);
        assert!(!changed, "all or nothing");
    }
}
