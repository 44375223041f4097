//! A frame: the ordered commands of a client connection for a group, the unit that is sent,
//! proposed, applied and deduplicated.
//!
//! Layout, all numbers LEB128 unless said otherwise:
//!
//! ```text
//! flags: u8
//! session: u64 little endian    sequence    acknowledged_below
//! if ROOM: bytes of replies that the client has room for
//! if WAITS: stage: u8    link: u64 little endian    milliseconds waited so far
//! if TRACKED: link: u64 little endian    client    wishes: u8
//! if TRANSACTION: watch count, then per watch: table, key length, key, token length, token
//! command count, then per command: table, argument count, then per argument: length, bytes
//! ```
//!
//! Decoding shares the input's memory: arguments are slices of the bytes from the socket. The same
//! bytes go into the group's log entry unchanged (`coterie-group`).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use coterie_types::{FrameSeq, SessionId, TableId, varint};

use crate::DecodeError;

/// Options of a frame besides its commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameFlags(pub u8);

impl FrameFlags {
    /// Replies in RESP3, otherwise RESP2.
    pub const RESP3: Self = Self(1);
    /// Every command is a read: served without the log. Carries no sequence.
    pub const READ_ONLY: Self = Self(2);
    /// `EXEC`: all or nothing, with an array as the only reply; the watches must hold.
    pub const TRANSACTION: Self = Self(4);
    /// A read that a follower may serve, after a read index from the leader.
    pub const FOLLOWER_READ: Self = Self(8);
    /// The frame carries the room for replies. Only in a frame's bytes; in memory
    /// [`Frame::reply_room`] holds it.
    pub const ROOM: Self = Self(16);
    /// The frame's only command may wait for data. Only in a frame's bytes; in memory
    /// [`Frame::wait`] holds the rest.
    pub const WAITS: Self = Self(32);
    /// The frame carries the client that keeps the values it reads. Only in a frame's bytes; in
    /// memory [`Frame::tracker`] holds it.
    pub const TRACKED: Self = Self(64);
    /// A command runs a script: the leader runs the whole frame once, and its effects go through
    /// the log.
    pub const SCRIPTS: Self = Self(128);

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of flags.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// How a frame waits for data (`waits`): its only command is a blocking command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// How far the wait has come.
    pub stage: Stage,
    /// The proxy's link, over which it asks for the answers of frames that wait.
    pub link: u64,
    /// How long the client has waited: a leader orders the frames that wait for a key by the time
    /// at which their waits began.
    pub waited_ms: u64,
}

/// A client that keeps the values it reads (CLIENT TRACKING), or that is not to be told of its own
/// changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracker {
    /// The proxy's link, over which the proxy is told of changes (`tracking`).
    pub link: u64,
    /// The client's number at its proxy.
    pub client: u64,
    /// The proxy is to be told when a key changes that the frame reads.
    pub reads: bool,
    /// The client is not to be told of the frame's changes (NOLOOP): the receiver of a change
    /// learns that this client made it.
    pub writes: bool,
}

impl Tracker {
    fn wishes(self) -> u8 {
        u8::from(self.reads) | u8::from(self.writes) << 1
    }
}

/// How far a wait has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The command is new: a key of another type is an error.
    First,
    /// The command has waited: it passes over keys of another type, as a client that is blocked.
    Waited,
    /// The client waits no more. The frame's number is answered, by the first answer if there is
    /// one, else by no reply at all; nothing is executed.
    Withdrawn,
    /// Only in the log: a copy that the leader put before the frames of an entry. It is executed
    /// when one of them has touched a key of it.
    Listening,
}

impl Stage {
    fn byte(self) -> u8 {
        match self {
            Stage::First => 0,
            Stage::Waited => 1,
            Stage::Withdrawn => 2,
            Stage::Listening => 3,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Stage::First),
            1 => Some(Stage::Waited),
            2 => Some(Stage::Withdrawn),
            3 => Some(Stage::Listening),
            _ => None,
        }
    }
}

/// The head of a frame that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitHead {
    /// The frame's session.
    pub session: SessionId,
    /// The frame's number.
    pub seq: FrameSeq,
    /// How it waits.
    pub wait: Wait,
    /// Where the byte of the stage stands.
    stage_at: usize,
}

impl WaitHead {
    /// Reads the head of a frame; `None` for every frame that does not wait.
    #[must_use]
    pub fn of(frame: &Bytes) -> Option<Self> {
        let flags = FrameFlags(*frame.first()?);
        if !flags.has(FrameFlags::WAITS) || frame.len() < 9 {
            return None;
        }
        let mut rest = frame.slice(1..);
        let session = SessionId(rest.get_u64_le());
        let seq = FrameSeq(varint::take(&mut rest)?);
        varint::take(&mut rest)?;
        if flags.has(FrameFlags::ROOM) {
            varint::take(&mut rest)?;
        }
        let stage_at = frame.len() - rest.len();
        let wait = take_wait(&mut rest)?;
        Some(Self {
            session,
            seq,
            wait,
            stage_at,
        })
    }

    /// A copy of the frame with this head, at another stage.
    #[must_use]
    pub fn staged(&self, frame: &Bytes, stage: Stage) -> Bytes {
        let mut copy = BytesMut::from(&frame[..]);
        if let Some(byte) = copy.get_mut(self.stage_at) {
            *byte = stage.byte();
        }
        copy.freeze()
    }
}

/// A key that must not have changed since it was watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The key's table.
    pub table: TableId,
    /// The key.
    pub key: Bytes,
    /// The answer of `_WATCH`: opaque to the proxy.
    pub token: Bytes,
}

/// A command: its table and its arguments, the name first, as the client wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameCommand {
    /// The table the connection had selected.
    pub table: TableId,
    /// Name and arguments, at least one.
    pub args: Vec<Bytes>,
}

/// The commands of a client connection for a group; see the module's head.
///
/// `C` is a command in memory: its words, or what the receiver makes of them at once
/// ([`Frame::decode_with`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<C = FrameCommand> {
    /// Its options.
    pub flags: FrameFlags,
    /// The proxy process' session.
    pub session: SessionId,
    /// This frame's number in the session and group; 0 in a read.
    pub seq: FrameSeq,
    /// Every frame of the session with a lower number has been answered: its replies may be
    /// dropped.
    pub acknowledged_below: FrameSeq,
    /// Bytes of replies that there is room for. No further command is executed once the replies
    /// have reached this size; a frame of reads is refused as [`crate::Refusal::NeedsRoom`] if its
    /// first reply is larger. `None`: the group's own maximum.
    pub reply_room: Option<usize>,
    /// Set if the frame's only command may wait for data.
    pub wait: Option<Wait>,
    /// Set if the client keeps the values it reads.
    pub tracker: Option<Tracker>,
    /// Keys that must be unchanged; only with [`FrameFlags::TRANSACTION`].
    pub watches: Vec<Watch>,
    /// At least one command.
    pub commands: Vec<C>,
}

impl Frame {
    /// Appends the frame's bytes.
    pub fn encode(&self, out: &mut BytesMut) {
        out.reserve(self.encoded_len_hint());
        let mut flags = self.flags;
        if self.reply_room.is_some() {
            flags = flags.with(FrameFlags::ROOM);
        }
        if self.wait.is_some() {
            flags = flags.with(FrameFlags::WAITS);
        }
        if self.tracker.is_some() {
            flags = flags.with(FrameFlags::TRACKED);
        }
        out.put_u8(flags.0);
        out.put_u64_le(self.session.0);
        varint::put(out, self.seq.0);
        varint::put(out, self.acknowledged_below.0);
        if let Some(room) = self.reply_room {
            varint::put(out, room as u64);
        }
        if let Some(wait) = &self.wait {
            out.put_u8(wait.stage.byte());
            out.put_u64_le(wait.link);
            varint::put(out, wait.waited_ms);
        }
        if let Some(tracker) = &self.tracker {
            put_tracker(out, tracker);
        }
        if self.flags.has(FrameFlags::TRANSACTION) {
            varint::put(out, self.watches.len() as u64);
            for watch in &self.watches {
                varint::put(out, u64::from(watch.table.0));
                varint::put_bytes(out, &watch.key);
                varint::put_bytes(out, &watch.token);
            }
        }
        varint::put(out, self.commands.len() as u64);
        for command in &self.commands {
            varint::put(out, u64::from(command.table.0));
            varint::put(out, command.args.len() as u64);
            for arg in &command.args {
                varint::put_bytes(out, arg);
            }
        }
    }

    /// Approximate number of bytes that [`Frame::encode`] appends, never less than half of it.
    #[must_use]
    pub fn encoded_len_hint(&self) -> usize {
        let args = |c: &FrameCommand| c.args.iter().map(|arg| arg.len() + 3).sum::<usize>() + 4;
        let watches = |w: &Watch| w.key.len() + w.token.len() + 8;
        48 + self.commands.iter().map(args).sum::<usize>()
            + self.watches.iter().map(watches).sum::<usize>()
    }

    /// Decodes a frame. Counts are checked against the bytes present before anything is allocated,
    /// so a hostile count costs nothing.
    pub fn decode(input: Bytes) -> Result<Self, DecodeError> {
        Self::decode_with(input, |table, args| FrameCommand { table, args })
    }

    /// Decodes a frame like [`Frame::decode`], and has `command` turn the table and the words of
    /// each command into its form in memory.
    pub fn decode_with<C>(
        mut input: Bytes,
        command: impl Fn(TableId, Vec<Bytes>) -> C,
    ) -> Result<Frame<C>, DecodeError> {
        Frame::take(&mut input, command)
            .ok_or_else(|| DecodeError::new("frame", "cut short or malformed"))
    }
}

impl<C> Frame<C> {
    fn take(input: &mut Bytes, command: impl Fn(TableId, Vec<Bytes>) -> C) -> Option<Self> {
        if input.remaining() < 9 {
            return None;
        }
        let mut flags = FrameFlags(input.get_u8());
        let session = SessionId(input.get_u64_le());
        let seq = FrameSeq(varint::take(input)?);
        let acknowledged_below = FrameSeq(varint::take(input)?);
        let mut reply_room = None;
        if flags.has(FrameFlags::ROOM) {
            flags = FrameFlags(flags.0 & !FrameFlags::ROOM.0);
            reply_room = Some(usize::try_from(varint::take(input)?).ok()?);
        }
        let mut wait = None;
        if flags.has(FrameFlags::WAITS) {
            flags = FrameFlags(flags.0 & !FrameFlags::WAITS.0);
            wait = Some(take_wait(input)?);
        }
        let mut tracker = None;
        if flags.has(FrameFlags::TRACKED) {
            flags = FrameFlags(flags.0 & !FrameFlags::TRACKED.0);
            tracker = Some(take_tracker(input)?);
        }
        let mut watches = Vec::new();
        if flags.has(FrameFlags::TRANSACTION) {
            let count = take_count(input, 3)?;
            watches.reserve(count);
            for _ in 0..count {
                let table = TableId(u32::try_from(varint::take(input)?).ok()?);
                let key = varint::take_bytes(input)?;
                let token = varint::take_bytes(input)?;
                watches.push(Watch { table, key, token });
            }
        }
        let count = take_count(input, 3)?;
        let mut commands = Vec::with_capacity(count);
        for _ in 0..count {
            let (table, args) = take_command(input)?;
            commands.push(command(table, args));
        }
        let whole = input.is_empty() && !commands.is_empty();
        whole.then_some(Self {
            flags,
            session,
            seq,
            acknowledged_below,
            reply_room,
            wait,
            tracker,
            watches,
            commands,
        })
    }
}

/// Appends a frame's tracker.
pub fn put_tracker(out: &mut impl BufMut, tracker: &Tracker) {
    out.put_u64_le(tracker.link);
    varint::put(out, tracker.client);
    out.put_u8(tracker.wishes());
}

fn take_tracker(input: &mut Bytes) -> Option<Tracker> {
    let link = input.try_get_u64_le().ok()?;
    let client = varint::take(input)?;
    let wishes = input.try_get_u8().ok()?;
    let tracker = Tracker {
        link,
        client,
        reads: wishes & 1 != 0,
        writes: wishes & 2 != 0,
    };
    (tracker.wishes() == wishes).then_some(tracker)
}

fn take_wait(input: &mut Bytes) -> Option<Wait> {
    let stage = Stage::of(input.try_get_u8().ok()?)?;
    let link = input.try_get_u64_le().ok()?;
    let waited_ms = varint::take(input)?;
    Some(Wait {
        stage,
        link,
        waited_ms,
    })
}

fn take_command(input: &mut Bytes) -> Option<(TableId, Vec<Bytes>)> {
    let table = TableId(u32::try_from(varint::take(input)?).ok()?);
    let count = take_count(input, 1)?;
    if count == 0 {
        return None;
    }
    let mut args = Vec::with_capacity(count);
    for _ in 0..count {
        args.push(varint::take_bytes(input)?);
    }
    Some((table, args))
}

/// A count of items of at least `bytes_min` bytes each, checked against the remaining bytes.
fn take_count(input: &mut Bytes, bytes_min: usize) -> Option<usize> {
    let count = usize::try_from(varint::take(input)?).ok()?;
    (count.checked_mul(bytes_min)? <= input.len()).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame {
            flags: FrameFlags::RESP3.with(FrameFlags::TRANSACTION),
            session: SessionId(7),
            seq: FrameSeq(300),
            acknowledged_below: FrameSeq(299),
            reply_room: Some(70_000),
            wait: None,
            tracker: None,
            watches: vec![Watch {
                table: TableId(0),
                key: Bytes::from_static(b"w"),
                token: Bytes::from_static(b"t"),
            }],
            commands: vec![FrameCommand {
                table: TableId(3),
                args: vec![
                    Bytes::from_static(b"SET"),
                    Bytes::from_static(b"k"),
                    Bytes::new(),
                ],
            }],
        }
    }

    #[test]
    fn a_frame_survives_the_round_trip() {
        let mut out = BytesMut::new();
        frame().encode(&mut out);
        assert_eq!(Frame::decode(out.freeze()).unwrap(), frame());
        let (mut out, without) = (
            BytesMut::new(),
            Frame {
                reply_room: None,
                ..frame()
            },
        );
        without.encode(&mut out);
        assert_eq!(
            out[0], without.flags.0,
            "as frames were before there was room"
        );
        assert_eq!(Frame::decode(out.freeze()).unwrap(), without);
    }

    #[test]
    fn the_head_of_a_frame_that_waits_is_read_alone() {
        let mut out = BytesMut::new();
        frame().encode(&mut out);
        assert_eq!(WaitHead::of(&out.freeze()), None);
        for stage in [
            Stage::First,
            Stage::Waited,
            Stage::Withdrawn,
            Stage::Listening,
        ] {
            for reply_room in [None, Some(70_000)] {
                let wait = Wait {
                    stage,
                    link: u64::MAX - 1,
                    waited_ms: 300,
                };
                let waits = Frame {
                    flags: FrameFlags::RESP3,
                    reply_room,
                    wait: Some(wait),
                    watches: vec![],
                    ..frame()
                };
                let mut out = BytesMut::new();
                waits.encode(&mut out);
                let bytes = out.freeze();
                let head = WaitHead::of(&bytes).unwrap();
                assert_eq!((head.session, head.seq), (SessionId(7), FrameSeq(300)));
                assert_eq!(head.wait, wait);
                let staged = head.staged(&bytes, Stage::Withdrawn);
                let stage = Stage::Withdrawn;
                let wait = Some(Wait { stage, ..wait });
                let expected = Frame {
                    wait,
                    ..waits.clone()
                };
                assert_eq!(Frame::decode(staged).unwrap(), expected);
                for cut in 0..15 {
                    assert_eq!(WaitHead::of(&bytes.slice(..cut)), None, "cut at {cut}");
                }
                assert_eq!(Frame::decode(bytes).unwrap(), waits);
            }
        }
    }

    #[test]
    fn every_cut_is_refused() {
        let mut out = BytesMut::new();
        let wait = Wait {
            stage: Stage::Waited,
            link: 9,
            waited_ms: 1,
        };
        let wait = Some(wait);
        Frame { wait, ..frame() }.encode(&mut out);
        let whole = out.freeze();
        for cut in 0..whole.len() {
            assert!(Frame::decode(whole.slice(..cut)).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_tracker_stands_behind_the_wait() {
        let wait = Some(Wait {
            stage: Stage::First,
            link: 4,
            waited_ms: 1,
        });
        for (reads, writes) in [(false, true), (true, false), (true, true)] {
            for wait in [None, wait] {
                let tracker = Some(Tracker {
                    link: u64::MAX,
                    client: 300,
                    reads,
                    writes,
                });
                let tracked = Frame {
                    wait,
                    tracker,
                    ..frame()
                };
                let mut out = BytesMut::new();
                tracked.encode(&mut out);
                let bytes = out.freeze();
                assert_eq!(Frame::decode(bytes.clone()).unwrap(), tracked);
                assert_eq!(WaitHead::of(&bytes).map(|head| head.wait), wait);
                for cut in 0..bytes.len() {
                    assert!(Frame::decode(bytes.slice(..cut)).is_err(), "cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn a_hostile_count_allocates_nothing() {
        let mut bytes = vec![0u8; 11];
        bytes.extend([0xff, 0xff, 0xff, 0xff, 0x7f]);
        assert!(Frame::decode(Bytes::from(bytes)).is_err());
    }
}
