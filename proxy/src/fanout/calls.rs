//! Sends the proxy's own commands to the owners of an interval of keys.
//!
//! A group refuses an interval that it does not own completely. So an interval is walked piece by
//! piece: each piece is the part of the rest that a single group owns by the map. When that group
//! refuses, the map has become newer, and the piece is chosen again. Every key is in exactly one of
//! the answered pieces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::FrameFlags;
use coterie_redis_compat::{CommandError, Resp};
use coterie_types::TableId;

use crate::router::{Failure, GroupRoute, Outcome, Prepared, Router};

/// Most intervals asked at the same time.
pub(super) const CONCURRENT: usize = 8;
/// Initial room for the reply to a command.
const REPLY_BYTES_FIRST: usize = 1 << 20;
/// How long to wait for a newer map before looking again.
const MAP_PAUSE: Duration = Duration::from_millis(50);

/// The keys `start <= key < end` of a table; without an end, up to the end of the table.
pub(crate) type Interval = (Bytes, Option<Bytes>);

/// Sends the proxy's own commands.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    pub(crate) router: Arc<Router>,
    pub(crate) resp: Resp,
    pub(crate) deadline: Instant,
    /// Whether a group has applied a write.
    applied: Arc<AtomicBool>,
}

/// Makes the words of a command for an interval: `start`, and `end` (empty for the table's end).
pub(crate) type Words<'a> = &'a (dyn Fn(Bytes, Bytes) -> Vec<Bytes> + Sync);

impl Calls {
    pub(crate) fn new(router: Arc<Router>, resp: Resp, deadline: Instant) -> Self {
        Self {
            router,
            resp,
            deadline,
            applied: Arc::default(),
        }
    }

    /// The same, with the full time of a command from now on.
    pub(super) fn anew(&self) -> Self {
        Self {
            deadline: Instant::now() + self.router.request_timeout,
            ..self.clone()
        }
    }

    /// The error for the client when writes of several groups have failed. It must not say that
    /// nothing was done, if something was.
    pub(crate) fn in_part(&self, error: CommandError) -> CommandError {
        if !self.applied.load(Ordering::Relaxed) || matches!(error, CommandError::Unknown(_)) {
            return error;
        }
        CommandError::Unknown(format!("only some groups did their part: {error}"))
    }

    /// The intervals of a table by the newest map, each with a single owner.
    pub(super) fn intervals(&self, table: TableId) -> Vec<Interval> {
        let map = self.router.cache.load();
        let entries = map.entries(table).iter();
        let intervals: Vec<Interval> = entries
            .map(|entry| (entry.start.clone(), entry.end.clone()))
            .collect();
        if intervals.is_empty() {
            // Before the first map: a call to an owner waits for a map.
            vec![(Bytes::new(), None)]
        } else {
            intervals
        }
    }

    /// Asks the owners of an interval in turn.
    pub(crate) async fn walk(
        &self,
        table: TableId,
        (mut start, end): Interval,
        is_read: bool,
        words: Words<'_>,
    ) -> Result<Vec<(Interval, Bytes)>, CommandError> {
        let mut answers = Vec::new();
        loop {
            let (piece, reply) = self
                .first(table, (start, end.clone()), is_read, words)
                .await?;
            let piece_end = piece.1.clone();
            answers.push((piece, reply));
            match piece_end {
                Some(at) if end.as_ref().is_none_or(|end| at < *end) => start = at,
                _ => return Ok(answers),
            }
        }
    }

    /// Asks the first owner of an interval about the part that it owns.
    pub(crate) async fn first(
        &self,
        table: TableId,
        (start, end): Interval,
        is_read: bool,
        words: Words<'_>,
    ) -> Result<(Interval, Bytes), CommandError> {
        loop {
            let map = self.router.cache.load();
            let Some(entry) = map.locate(table, &start) else {
                self.wait_for_map(map.generation, map.is_empty()).await?;
                continue;
            };
            let piece_end = match (&entry.end, &end) {
                (Some(a), Some(b)) => Some(a.min(b).clone()),
                (a, b) => a.clone().or_else(|| b.clone()),
            };
            let args = words(start.clone(), piece_end.clone().unwrap_or_default());
            let owner = (entry.group.as_ref(), map.generation);
            if let Some(reply) = self.call(owner, table, &args, is_read).await? {
                return Ok(((start, piece_end), reply));
            }
        }
    }

    /// Asks a group, the owner by the map of generation `routed_by`; `None` if it does not own the
    /// keys (any more).
    async fn call(
        &self,
        (group, routed_by): (&GroupRoute, u64),
        table: TableId,
        args: &[Bytes],
        is_read: bool,
    ) -> Result<Option<Bytes>, CommandError> {
        let flags = self.flags(is_read);
        let mut room = REPLY_BYTES_FIRST;
        loop {
            let frame = Prepared::single(table, args, flags, room, self.deadline);
            match self.router.execute(group, routed_by, frame).await.0 {
                Outcome::NeedsRoom(bytes) => room = bytes,
                outcome => {
                    let replies = self.replies(group, is_read, outcome)?;
                    return replies.map(only_reply).transpose();
                }
            }
        }
    }

    /// Sends a frame to the owner of its keys by the map of generation `routed_by`. Returns its
    /// replies, or `None` if the group does not own the keys (any more), or if the first reply has
    /// no room.
    pub(super) async fn send(
        &self,
        group: &GroupRoute,
        routed_by: u64,
        frame: Prepared,
    ) -> Result<Option<Bytes>, CommandError> {
        let is_read = frame.flags.has(FrameFlags::READ_ONLY);
        match self.router.execute(group, routed_by, frame).await.0 {
            Outcome::NeedsRoom(_) => Ok(None),
            outcome => self.replies(group, is_read, outcome),
        }
    }

    fn replies(
        &self,
        group: &GroupRoute,
        is_read: bool,
        outcome: Outcome,
    ) -> Result<Option<Bytes>, CommandError> {
        match outcome {
            Outcome::Done(replies) => {
                self.applied.fetch_or(!is_read, Ordering::Relaxed);
                Ok(Some(replies))
            }
            Outcome::Moved if Instant::now() < self.deadline => Ok(None),
            Outcome::Moved => Err(Failure::moved_too_late(group.id).error()),
            Outcome::Failed(failure) => Err(failure.error()),
            // Only reads ask for room.
            Outcome::NeedsRoom(_) | Outcome::Waits(_) | Outcome::Resolved(_) => Err(unreadable()),
        }
    }

    /// The flags of a frame.
    pub(super) fn flags(&self, is_read: bool) -> FrameFlags {
        let mut flags = FrameFlags::default();
        if is_read {
            flags = flags.with(FrameFlags::READ_ONLY);
        }
        if self.resp == Resp::V3 {
            flags = flags.with(FrameFlags::RESP3);
        }
        flags
    }

    /// Waits for a map newer than `generation`: the map that does not know an owner.
    pub(super) async fn wait_for_map(
        &self,
        generation: u64,
        is_empty: bool,
    ) -> Result<(), CommandError> {
        if Instant::now() >= self.deadline {
            return Err(Failure::no_owner(is_empty));
        }
        self.router.cache.newer_than(generation, MAP_PAUSE).await;
        Ok(())
    }
}

/// The reply to a frame with a single command.
pub(crate) fn only_reply(replies: Bytes) -> Result<Bytes, CommandError> {
    let mut rest = replies;
    let count = coterie_types::varint::take(&mut rest);
    let reply = coterie_types::varint::take_bytes(&mut rest).filter(|_| count == Some(1));
    refused(reply.ok_or_else(unreadable)?)
}

/// Turns a reply that is an error into an `Err`.
pub(super) fn refused(reply: Bytes) -> Result<Bytes, CommandError> {
    match reply.strip_prefix(b"-") {
        None => Ok(reply),
        Some(line) => {
            let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            Err(CommandError::Other(line))
        }
    }
}

/// The error for the client when a group's reply cannot be decoded.
pub(crate) fn unreadable() -> CommandError {
    CommandError::Unknown("a group's answer cannot be read".to_owned())
}
