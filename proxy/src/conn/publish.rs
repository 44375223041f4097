//! What others see of a connection: copied into its [`Client`](crate::clients::Client) whenever it has
//! nothing to do, and before it shows itself.

use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use coterie_redis_compat::{Flags, Resp};

use super::connection::Connection;
use super::departure::Socket;
use crate::client_peaks::Peak;
use crate::clients::{Blocked, Memory};
use crate::commands::{self, Handler};

impl<S: Socket> Connection<S> {
    /// Shows others how this connection is; `is_active` if something went on since it was last shown.
    pub(super) fn publish(&mut self, is_active: bool) {
        let memory = self.memory();
        let replies = &self.pipeline.replies;
        let soft = &self.shared.settings.output_limit_soft;
        let soft = soft.load(Ordering::Relaxed);
        let mut details = self.client.details();
        details.command = self.last_command;
        if is_active {
            details.active_at = Instant::now();
        }
        details.authenticated = self.session.authenticated;
        details.table = self.session.table.0;
        details.resp = match self.session.resp {
            Resp::V2 => 2,
            Resp::V3 => 3,
        };
        let multi = self.session.multi.as_ref();
        details.queued = multi.map(|multi| multi.queue.len());
        details.watches = self.session.watches.len();
        details.read_only = self.session.follower_reads;
        details.writes = replies.out.len() > 0;
        details.closes = self.input_ended && !self.departure.left;
        details.blocked = self.blocked();
        let waits = self.alone.is_some() || self.parked.is_some();
        // Frames that are not sent, as it does not read, wait for nobody else.
        let by_itself = !self.pipeline.is_sent() && replies.out.len() > 0;
        details.waits = waits || !(replies.is_settled() || by_itself);
        let over = soft > 0 && replies.bytes() as u64 > soft;
        details.over_soft_since = match (over, details.over_soft_since) {
            (false, _) => None,
            (true, None) => Some(Instant::now()),
            (true, since) => since,
        };
        let held = Peak {
            input_bytes: memory.input(),
            ..Peak::default()
        };
        let peak = std::mem::take(&mut self.peak);
        details.peak = details.peak.or(peak).or(held);
        details.memory = memory;
    }

    /// Bytes that the connection holds.
    fn memory(&self) -> Memory {
        let length = |args: &[Bytes]| args.iter().map(Bytes::len).sum();
        let parked = self.parked.as_ref().map(|parked| &parked.args);
        let waiting = parked.or(self.alone.as_ref().map(|alone| &alone.args));
        let multi = self.session.multi.as_ref();
        let replies = &self.pipeline.replies;
        Memory {
            own_bytes: size_of::<Self>(),
            input_bytes: self.input.len(),
            input_free_bytes: self.input.capacity() - self.input.len(),
            argument_bytes: waiting.map_or(0, |args| length(args)),
            queued_bytes: multi.map_or(0, |multi| multi.bytes),
            watched_bytes: self.session.watched_bytes(),
            frame_bytes: self.pipeline.waiting_bytes() + self.pipeline.sent_bytes(),
            buffer: replies.out.buffer(),
            listed_bytes: replies.bytes() - replies.out.buffer().0,
            listed: replies.out.segments() + replies.held(),
        }
    }

    /// What holds its next command back, as Redis understands it: others, and not its own work.
    fn blocked(&self) -> Option<Blocked> {
        let blocks = |row: &coterie_redis_compat::Command| {
            // Redis 7.2 does not flag WAIT.
            let waits = matches!(commands::handler(row), Some(Handler::Waits(_)));
            waits || row.flags.contains(Flags::BLOCKING)
        };
        match &self.alone {
            _ if self.is_paused() => Some(Blocked::Paused),
            Some(alone) if blocks(alone.command) => Some(Blocked::Timed),
            _ => None,
        }
    }
}
