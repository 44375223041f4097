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
/// The same for the first one, and the least it is cut to.
const COMMANDS_FIRST: usize = 128;
const COMMANDS_MIN: usize = 16;
/// Bytes of replies to one frame that are well below, and well above, what should come at once.
const REPLY_BYTES_LOW: usize = 2 << 20;
const REPLY_BYTES_HIGH: usize = 16 << 20;
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

    pub(crate) fn into_parts(self) -> (Prepared, Vec<Return>) {
        let mut flags = self.flags;
        // A follower serves reads only.
        if !flags.has(FrameFlags::READ_ONLY) {
            flags = FrameFlags(flags.0 & !FrameFlags::FOLLOWER_READ.0);
        }
        let prepared = Prepared {
            flags,
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
    /// Commands of the next frame: fewer when their replies are large, as a group answers a frame
    /// as a whole.
    commands_max: usize,
}

impl Lane {
    pub(crate) fn new(group: Arc<Group>) -> Self {
        Self {
            group,
            waiting: VecDeque::new(),
            under_way: None,
            commands_max: COMMANDS_FIRST,
        }
    }

    /// A frame was answered by so many bytes.
    pub(crate) fn answered(&mut self, bytes: usize) {
        self.commands_max = match bytes {
            ..REPLY_BYTES_LOW => (self.commands_max * 2).min(COMMANDS_MAX),
            REPLY_BYTES_HIGH.. => (self.commands_max / 2).max(COMMANDS_MIN),
            _ => self.commands_max,
        };
    }

    /// Appends a command to the last batch, or begins one. The bytes it takes.
    pub(crate) fn push(&mut self, flags: FrameFlags, command: Encode<'_>, back: Return) -> usize {
        let base = flags.with(FrameFlags::READ_ONLY);
        if !self
            .waiting
            .back()
            .is_some_and(|batch| batch.takes(base, command.args, self.commands_max))
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

/// A command about to be encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encode<'a> {
    pub(crate) table: TableId,
    pub(crate) args: &'a [Bytes],
    pub(crate) is_read: bool,
    pub(crate) deadline: Instant,
}
