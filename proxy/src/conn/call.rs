//! A command under way: its row, its words, and the wishes of its client at the time.
//!
//! `begin` makes it, once. From then on it belongs to the holder of the command: `state` while the
//! command is parked or runs alone, `session` while MULTI queues it, `pipeline` while it enters the
//! lanes of its groups. A lane keeps only the encoded words and the row (`lane::Return`);
//! `mending` makes a call of these when keys have moved.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::{FrameCommand, FrameFlags, Tracker};
use coterie_redis_compat::{Command, Resp};
use coterie_types::TableId;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Call {
    /// The row of the command, or of its subcommand.
    pub(crate) row: &'static Command,
    /// All words, the name first.
    pub(crate) args: Vec<Bytes>,
    pub(crate) table: TableId,
    /// The protocol of the client, which groups reply in.
    pub(crate) resp: Resp,
    /// READONLY: followers may serve the command if it only reads.
    pub(crate) follower_reads: bool,
    /// Client-side caching: the client is to be told of what the command reads.
    pub(crate) tracker: Option<Tracker>,
    /// The client asked for no reply.
    pub(crate) silent: bool,
    /// MONITOR has shown it.
    pub(crate) shown: bool,
    /// From here on its time counts. Time that it was parked for a newer map counts; time that it
    /// was parked for a pause or for earlier commands does not.
    pub(crate) began: Instant,
    /// When it times out.
    pub(crate) deadline: Instant,
    /// Of a queued command that EXEC denies: its reply, an error line.
    pub(crate) denied: Option<&'static str>,
}

impl Call {
    /// The call of a command whose frame with these flags will not be answered, to be routed again.
    /// The slot of its reply knows whether the call is silent and when it began.
    pub(super) fn of_frame(
        row: &'static Command,
        command: FrameCommand,
        (flags, tracker): (FrameFlags, Option<Tracker>),
        deadline: Instant,
    ) -> Self {
        Self {
            row,
            args: command.args,
            table: command.table,
            resp: if flags.has(FrameFlags::RESP3) {
                Resp::V3
            } else {
                Resp::V2
            },
            follower_reads: flags.has(FrameFlags::FOLLOWER_READ),
            tracker: tracker.filter(|tracker| {
                let writes = tracker.writes && row.is_write();
                writes || (tracker.reads && row.is_tracked())
            }),
            silent: false,
            shown: true,
            began: Instant::now(),
            deadline,
            denied: None,
        }
    }

    /// Restarts its time, after a wait that does not count.
    pub(super) fn restart(&mut self, now: Instant, request_timeout: Duration) {
        self.began = now;
        self.deadline = now + request_timeout;
    }

    /// The flags that its frame must have.
    pub(super) fn frame_flags(&self) -> FrameFlags {
        let mut flags = FrameFlags::default();
        if self.resp == Resp::V3 {
            flags = flags.with(FrameFlags::RESP3);
        }
        // Only the leader tells of changes.
        if self.follower_reads && !self.reads_tracked() {
            flags = flags.with(FrameFlags::FOLLOWER_READ);
        }
        flags
    }

    /// Whether the client is to be told of what it reads.
    pub(super) fn reads_tracked(&self) -> bool {
        self.tracker.is_some_and(|tracker| tracker.reads)
    }

    /// Whether it only reads.
    pub(super) fn is_read(&self) -> bool {
        !self.row.is_write()
    }
}

#[cfg(test)]
mod tests {
    use coterie_redis_compat::lookup;

    use super::*;

    #[test]
    fn a_frame_carries_the_wishes_of_the_client() {
        let now = Instant::now();
        let get = lookup(b"get").expect("a row");
        for resp in [Resp::V2, Resp::V3] {
            for follower_reads in [false, true] {
                let call = Call {
                    row: get,
                    args: vec![Bytes::from_static(b"get"), Bytes::from_static(b"k")],
                    table: TableId(3),
                    resp,
                    follower_reads,
                    tracker: None,
                    silent: true,
                    shown: false,
                    began: now,
                    deadline: now,
                    denied: None,
                };
                let command = FrameCommand {
                    table: call.table,
                    args: call.args.clone(),
                };
                let again = Call::of_frame(get, command, (call.frame_flags(), None), now);
                let wishes = |call: &Call| (call.resp, call.follower_reads, call.table);
                assert_eq!(wishes(&again), wishes(&call));
                assert_eq!((again.args, again.deadline), (call.args, now));
            }
        }
    }
}
