//! The lane from a connection to a group: at most one frame is in flight; commands that the client
//! pipelines meanwhile form the next frame (design §5). So a retry can never overtake a later
//! command, and batching comes free.
//!
//! Commands are encoded when they enter the lane. Each carries the place of its reply.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use coterie_protocol::{FrameFlags, Watch};
use coterie_redis_compat::Command;
use coterie_types::TableId;

use super::call::Call;
use crate::router::{GroupRoute, Prepared, encoded_len, new_commands, put_command};

/// Most commands of a frame.
const COMMANDS_MAX: usize = 1024;
/// Most commands of a lane's first frame, before the length of its replies is known.
const COMMANDS_FIRST: usize = 128;
/// Most bytes of a frame, except that a single command always fits.
const BYTES_MAX: usize = 1 << 20;

/// Where a reply belongs, and the row of its command.
#[derive(Debug, Clone)]
pub(crate) struct Return {
    /// The number of the reply among the connection's replies.
    pub(crate) slot: u64,
    /// `None`: it is the whole reply. Else it is the part of the reply for these keys of the
    /// command.
    pub(crate) piece: Option<Box<[u32]>>,
    pub(crate) row: &'static Command,
}

/// Commands that will go into the same frame.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) flags: FrameFlags,
    pub(crate) watches: Vec<Watch>,
    pub(crate) commands: BytesMut,
    pub(crate) count: usize,
    /// A place per command; a transaction has a single place.
    pub(crate) returns: Vec<Return>,
    pub(crate) deadline: Instant,
}

impl Batch {
    /// A batch of commands that share `flags`. [`Batch::put`] clears [`FrameFlags::READ_ONLY`] when
    /// it appends a write.
    pub(crate) fn new(flags: FrameFlags, deadline: Instant) -> Self {
        Self {
            flags,
            watches: Vec::new(),
            commands: new_commands(),
            count: 0,
            returns: Vec::new(),
            deadline,
        }
    }

    /// Appends a command; the caller appends the place of its reply to `returns`.
    pub(crate) fn put(&mut self, table: TableId, args: &[Bytes], is_read: bool) {
        if !is_read {
            self.flags = FrameFlags(self.flags.0 & !FrameFlags::READ_ONLY.0);
        }
        put_command(&mut self.commands, table, args);
        self.count += 1;
    }

    /// Notes the row of a command that was put.
    pub(crate) fn note_script(&mut self, row: &Command) {
        if row.is_script() {
            self.flags = self.flags.with(FrameFlags::SCRIPTS);
        }
    }

    fn takes(&self, base: FrameFlags, args: &[Bytes], commands_max: usize) -> bool {
        let of_commands = FrameFlags::READ_ONLY.with(FrameFlags::SCRIPTS);
        let ignoring = |flags: FrameFlags| flags.0 & !of_commands.0;
        ignoring(self.flags) == ignoring(base)
            && !self.flags.has(FrameFlags::TRANSACTION)
            && self.count < commands_max
            && self.commands.len() + encoded_len(args) <= BYTES_MAX
    }

    /// Whether the frame bypasses the log.
    pub(crate) fn is_read(&self) -> bool {
        self.flags.has(FrameFlags::READ_ONLY)
    }

    /// The frame, with `reply_room` bytes of room for its replies, and the places of the replies.
    pub(crate) fn into_parts(self, reply_room: usize) -> (Prepared, Vec<Return>) {
        let mut flags = self.flags;
        // A follower serves only reads.
        if !flags.has(FrameFlags::READ_ONLY) {
            flags = FrameFlags(flags.0 & !FrameFlags::FOLLOWER_READ.0);
        }
        let prepared = Prepared {
            flags,
            reply_room,
            watches: self.watches,
            count: self.count,
            commands: self.commands,
            deadline: self.deadline,
        };
        (prepared, self.returns)
    }
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) group: Arc<GroupRoute>,
    pub(crate) waiting: VecDeque<Batch>,
    /// The places of the replies to the frame in flight.
    pub(crate) under_way: Option<Vec<Return>>,
    /// Bytes of memory taken for the replies to the frame in flight.
    pub(crate) granted: usize,
    /// The next frame gets the full request timeout, because its predecessor was answered or
    /// because it waited for the client to read. Otherwise it keeps the deadline of its first
    /// command.
    pub(crate) is_timed_anew: bool,
    /// The observed lengths of this lane's replies.
    pub(crate) sizes: ReplySizes,
}

impl Lane {
    pub(crate) fn new(group: Arc<GroupRoute>) -> Self {
        Self {
            group,
            waiting: VecDeque::new(),
            under_way: None,
            granted: 0,
            is_timed_anew: false,
            sizes: ReplySizes::default(),
        }
    }

    /// Whether the lane has no frame in flight and no command waiting.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.waiting.is_empty()
    }

    /// Appends a command to the last batch, or to a new batch. Returns the bytes it takes.
    pub(crate) fn push(&mut self, call: &Call, back: Return) -> usize {
        let base = call.frame_flags().with(FrameFlags::READ_ONLY);
        if !self
            .waiting
            .back()
            .is_some_and(|batch| batch.takes(base, &call.args, self.sizes.commands_max()))
        {
            self.waiting.push_back(Batch::new(base, call.deadline));
        }
        let Some(batch) = self.waiting.back_mut() else {
            return 0;
        };
        let before = batch.commands.len();
        batch.put(call.table, &call.args, call.is_read());
        batch.note_script(call.row);
        batch.returns.push(back);
        batch.commands.len() - before
    }
}

/// Estimates how long a lane's replies are, from those received: it sets how many commands the next
/// frame should have, and how much room for their replies.
#[derive(Debug)]
pub(crate) struct ReplySizes {
    /// Estimated bytes of a reply; rather too high than too low.
    each: usize,
    /// Room that the next frame needs, because a frame was refused for lack of it.
    needed: usize,
    commands_max: usize,
}

impl Default for ReplySizes {
    fn default() -> Self {
        Self {
            each: 0,
            needed: 0,
            commands_max: COMMANDS_FIRST,
        }
    }
}

impl ReplySizes {
    /// Most commands of the next frame: as many as have room for their replies.
    pub(crate) fn commands_max(&self) -> usize {
        self.commands_max
    }

    /// Room for the replies to `commands`, if the client may have `client_bytes` in all.
    pub(crate) fn room(&self, commands: usize, client_bytes: usize) -> usize {
        let expected = self.each.saturating_mul(commands);
        let with_slack = expected.saturating_add(expected / 4);
        // The first reply always has room.
        let most = client_bytes.max(self.each + self.each / 4);
        with_slack.min(most).max(self.needed)
    }

    /// Learns from a frame: `commands` were executed, with `bytes` of replies.
    pub(crate) fn answered(&mut self, commands: usize, bytes: usize, client_bytes: usize) {
        self.needed = 0;
        let each = bytes / commands.max(1);
        // A longer reply counts at once, shorter replies only gradually.
        self.each = each.max(self.each - self.each / 4);
        self.set_commands_max(client_bytes);
    }

    /// Learns from a refusal: a reply of `bytes` had no room.
    pub(crate) fn refused(&mut self, bytes: usize, client_bytes: usize) {
        self.needed = bytes;
        self.each = self.each.max(bytes);
        self.set_commands_max(client_bytes);
    }

    fn set_commands_max(&mut self, client_bytes: usize) {
        let have_room = client_bytes / self.each.max(1);
        let most = COMMANDS_MAX.min(self.commands_max.saturating_mul(2));
        self.commands_max = have_room.clamp(1, most.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: usize = 1 << 20;

    #[test]
    fn frames_of_short_replies_grow_and_of_long_ones_shrink() {
        let mut sizes = ReplySizes::default();
        assert_eq!(sizes.room(1000, CLIENT), 0, "nothing is known");
        for _ in 0..10 {
            let commands = sizes.commands_max();
            sizes.answered(commands, 5 * commands, CLIENT);
        }
        assert_eq!(sizes.commands_max(), COMMANDS_MAX);
        sizes.refused(CLIENT + 100, CLIENT);
        assert_eq!(sizes.commands_max(), 1);
        assert!(sizes.room(1, CLIENT) >= CLIENT + 100);
        sizes.answered(1, 300_000, CLIENT);
        assert_eq!(sizes.commands_max(), 1, "one of them was longer");
        for _ in 0..40 {
            sizes.answered(1, 100, CLIENT);
        }
        assert_eq!(sizes.commands_max(), COMMANDS_MAX);
        assert!(sizes.room(COMMANDS_MAX, CLIENT) <= CLIENT);
    }

    #[test]
    fn a_long_reply_has_room_beyond_what_a_client_has() {
        let mut sizes = ReplySizes::default();
        sizes.refused(50 << 20, CLIENT);
        assert_eq!(sizes.room(1, CLIENT), (50 << 20) / 4 * 5);
        sizes.answered(1, 50 << 20, CLIENT);
        assert!(sizes.room(1, CLIENT) >= 50 << 20);
    }
}
