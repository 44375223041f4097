//! The state that a connection keeps between commands.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use coterie_protocol::Watch;
use coterie_redis_compat::acl::User;
use coterie_redis_compat::{Command, Resp};
use coterie_types::TableId;

use super::call::Call;
use crate::tracking::Wishes;

/// Bytes that a watch takes besides its key.
const WATCH_BYTES: usize = 128;

/// Whether the client wants replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ReplyMode {
    #[default]
    On,
    Off,
    /// No reply to the next command.
    SkipNext,
}

/// A transaction that has begun.
#[derive(Debug, Default)]
pub(crate) struct Multi {
    pub(crate) queue: Vec<Call>,
    /// Bytes of the queued words.
    pub(crate) bytes: usize,
    /// A command could not be queued, so EXEC will refuse.
    pub(crate) aborted: bool,
}

impl Multi {
    /// Queues a copy of a call. Its words are copied, as slices would keep read buffers in memory.
    pub(super) fn push(&mut self, call: &Call) {
        let bytes = call.args.iter().map(|arg| arg.len() + size_of::<Bytes>());
        self.bytes += bytes.sum::<usize>();
        let copied = call.args.iter().map(|arg| Bytes::copy_from_slice(arg));
        self.queue.push(Call {
            args: copied.collect(),
            ..*call
        });
    }
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) table: TableId,
    pub(crate) resp: Resp,
    pub(crate) authenticated: bool,
    /// Its user; none while no user is known.
    pub(crate) user: Option<Arc<User>>,
    /// The generation of the users when it was looked up.
    pub(crate) rights_seen: u64,
    pub(crate) reply_mode: ReplyMode,
    pub(crate) multi: Option<Multi>,
    pub(crate) watches: Vec<Watch>,
    /// The keys of `watches`.
    watched: HashSet<(TableId, Bytes)>,
    /// Bytes of all watches, including those whose tokens are in flight.
    watched_bytes: usize,
    /// Raised when the watches are dropped, which invalidates tokens that are still in flight.
    pub(crate) watch_generation: u64,
    /// A WATCH is in flight or was answered.
    pub(crate) watching: bool,
    /// READONLY: followers may serve the reads.
    pub(crate) follower_reads: bool,
    /// Client-side caching.
    pub(crate) wishes: Wishes,
}

impl Session {
    pub(crate) fn new(authenticated: bool) -> Self {
        Self {
            table: TableId(0),
            resp: Resp::V2,
            authenticated,
            user: None,
            rights_seen: 0,
            reply_mode: ReplyMode::On,
            multi: None,
            watches: Vec::new(),
            watched: HashSet::new(),
            watched_bytes: 0,
            watch_generation: 0,
            watching: false,
            follower_reads: false,
            wishes: Wishes::default(),
        }
    }

    /// Forgets the watched keys.
    pub(crate) fn unwatch(&mut self) {
        self.watches = Vec::new();
        self.watched = HashSet::new();
        self.watched_bytes = 0;
        self.watch_generation += 1;
        self.watching = false;
    }

    /// Notes that the tokens of these keys are in flight.
    pub(crate) fn will_watch(&mut self, keys: &[Bytes]) {
        self.watching = true;
        let bytes = keys.iter().map(|key| key.len() + WATCH_BYTES);
        self.watched_bytes += bytes.sum::<usize>();
    }

    /// Bytes of all watches.
    pub(crate) fn watched_bytes(&self) -> usize {
        self.watched_bytes
    }

    /// Adds watches whose tokens have come, unless the watches were dropped meanwhile.
    pub(crate) fn watched(&mut self, generation: u64, watches: Vec<Watch>) {
        if generation != self.watch_generation {
            return;
        }
        for watch in watches {
            // The first token stands: changes since then must not be forgotten.
            if self.watched.insert((watch.table, watch.key.clone())) {
                self.watches.push(watch);
            }
        }
    }

    /// The call of a command that begins in this session.
    pub(super) fn call(
        &self,
        row: &'static Command,
        args: Vec<Bytes>,
        silent: bool,
        began: Instant,
        deadline: Instant,
    ) -> Call {
        Call {
            row,
            args,
            table: self.table,
            resp: self.resp,
            follower_reads: self.follower_reads,
            tracker: self.wishes.tracker(row, false),
            silent,
            shown: false,
            began,
            deadline,
            denied: None,
        }
    }

    /// Whether the reply to the command that begins now is suppressed.
    pub(crate) fn next_is_silent(&mut self) -> bool {
        match self.reply_mode {
            ReplyMode::On => false,
            ReplyMode::Off => true,
            ReplyMode::SkipNext => {
                self.reply_mode = ReplyMode::On;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(token: &'static str) -> Watch {
        Watch {
            table: TableId(0),
            key: Bytes::from_static(b"k"),
            token: Bytes::from_static(token.as_bytes()),
        }
    }

    #[test]
    fn tokens_of_forgotten_watches_do_not_count() {
        let mut session = Session::new(true);
        session.watched(0, vec![watch("first")]);
        session.watched(0, vec![watch("second")]);
        assert_eq!(session.watches, [watch("first")]);
        session.unwatch();
        session.watched(0, vec![watch("late")]);
        assert!(session.watches.is_empty());
    }

    #[test]
    fn a_queued_command_keeps_no_read_buffer() {
        let buffer = Bytes::from(vec![b'x'; 1 << 20]);
        let session = Session::new(true);
        let now = Instant::now();
        let row = coterie_redis_compat::lookup(b"echo").expect("a row");
        let args = vec![Bytes::from_static(b"echo"), buffer.slice(7..9)];
        let call = session.call(row, args, false, now, now);
        let mut multi = Multi::default();
        multi.push(&call);
        drop(call);
        assert!(buffer.is_unique(), "the queue shares no memory with it");
        assert_eq!(multi.queue[0].args, ["echo", "xx"]);
        assert_eq!(multi.bytes, "echoxx".len() + 2 * size_of::<Bytes>());
    }
}
