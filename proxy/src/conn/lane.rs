//! The lane of one connection to one group: at most one frame is under way, and what the client
//! pipelines meanwhile is the next one (design §5). So a retry can never overtake, and batching
//! comes free.
//!
//! Commands are encoded when they enter the lane. Each carries where its reply belongs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use coterie_protocol::{FrameFlags, Watch};
use coterie_types::TableId;

use crate::router::{Group, Prepared, encoded_len, new_commands, put_command};

/// Commands of one frame.
const COMMANDS_MAX: usize = 1024;
/// The same for the first one.
const COMMANDS_FIRST: usize = 128;
/// Bytes of one frame, except that one command always fits.
const BYTES_MAX: usize = 1 << 20;

/// Where a reply belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Return {
    /// The number of the reply among the connection's replies.
    pub(crate) slot: u64,
    /// `None`: it is the whole reply. Else it answers for these of the command's keys.
    pub(crate) piece: Option<Box<[u32]>>,
}

/// Commands that will go in one frame.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) flags: FrameFlags,
    pub(crate) watches: Vec<Watch>,
    pub(crate) commands: BytesMut,
    pub(crate) count: usize,
    /// One per command; one in all for a transaction.
    pub(crate) returns: Vec<Return>,
    pub(crate) deadline: Instant,
}

impl Batch {
    /// A batch of commands that share `flags`; [`FrameFlags::READ_ONLY`] is kept by [`Batch::put`].
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

    /// Appends a command without saying where its reply belongs.
    pub(crate) fn put(&mut self, table: TableId, args: &[Bytes], is_read: bool) {
        if !is_read {
            self.flags = FrameFlags(self.flags.0 & !FrameFlags::READ_ONLY.0);
        }
        put_command(&mut self.commands, table, args);
        self.count += 1;
    }

    fn takes(&self, base: FrameFlags, args: &[Bytes], commands_max: usize) -> bool {
        let ignoring = |flags: FrameFlags| flags.0 & !FrameFlags::READ_ONLY.0;
        ignoring(self.flags) == ignoring(base)
            && !self.flags.has(FrameFlags::TRANSACTION)
            && self.count < commands_max
            && self.commands.len() + encoded_len(args) <= BYTES_MAX
    }

    /// Whether it goes around the log.
    pub(crate) fn is_read(&self) -> bool {
        self.flags.has(FrameFlags::READ_ONLY)
    }

    /// The frame, with room for so many bytes of replies, and where these belong.
    pub(crate) fn into_parts(self, reply_room: usize) -> (Prepared, Vec<Return>) {
        let mut flags = self.flags;
        // A follower serves reads only.
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
    pub(crate) group: Arc<Group>,
    pub(crate) waiting: VecDeque<Batch>,
    /// What the frame under way will answer.
    pub(crate) under_way: Option<Vec<Return>>,
    /// Bytes of memory that were taken for the replies of the frame under way.
    pub(crate) granted: usize,
    /// The next frame has all its time: the one before it was answered, or it waited for the client to
    /// read. Else it has what is left of the time since it came.
    pub(crate) is_timed_anew: bool,
    /// What replies of this lane are like.
    pub(crate) sizes: ReplySizes,
}

impl Lane {
    pub(crate) fn new(group: Arc<Group>) -> Self {
        Self {
            group,
            waiting: VecDeque::new(),
            under_way: None,
            granted: 0,
            is_timed_anew: false,
            sizes: ReplySizes::default(),
        }
    }

    /// Whether nothing of it is under way or waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.waiting.is_empty()
    }

    /// Appends a command to the last batch, or begins one. The bytes it takes.
    pub(crate) fn push(&mut self, flags: FrameFlags, command: Encode<'_>, back: Return) -> usize {
        let base = flags.with(FrameFlags::READ_ONLY);
        if !self
            .waiting
            .back()
            .is_some_and(|batch| batch.takes(base, command.args, self.sizes.commands_max()))
        {
            self.waiting.push_back(Batch::new(base, command.deadline));
        }
        let Some(batch) = self.waiting.back_mut() else {
            return 0;
        };
        let before = batch.commands.len();
        batch.put(command.table, command.args, command.is_read);
        batch.returns.push(back);
        batch.commands.len() - before
    }
}

/// How long the replies of a lane are, from those that came: how many commands a frame should have,
/// and how much room.
#[derive(Debug)]
pub(crate) struct ReplySizes {
    /// Bytes of one reply, about; rather too many than too few.
    each: usize,
    /// What the next frame needs, when one was refused for it.
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
    /// Commands of the next frame at most: as many as have room for their replies.
    pub(crate) fn commands_max(&self) -> usize {
        self.commands_max
    }

    /// Room that the replies to so many commands should have, of `client_bytes` in all.
    pub(crate) fn room(&self, commands: usize, client_bytes: usize) -> usize {
        let expected = self.each.saturating_mul(commands);
        let with_slack = expected.saturating_add(expected / 4);
        // The first reply has room in any case.
        let most = client_bytes.max(self.each + self.each / 4);
        with_slack.min(most).max(self.needed)
    }

    /// So many commands were answered by so many bytes.
    pub(crate) fn answered(&mut self, commands: usize, bytes: usize, client_bytes: usize) {
        self.needed = 0;
        let each = bytes / commands.max(1);
        // Longer ones count at once, shorter ones little by little.
        self.each = each.max(self.each - self.each / 4);
        self.set_commands_max(client_bytes);
    }

    /// A reply of so many bytes had no room.
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

/// A command about to be encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encode<'a> {
    pub(crate) table: TableId,
    pub(crate) args: &'a [Bytes],
    pub(crate) is_read: bool,
    pub(crate) deadline: Instant,
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
