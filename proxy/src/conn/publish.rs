//! Publishes a connection's state to others: it is copied into the
//! [`Client`](crate::clients::Client) whenever the connection has nothing to do, and before its own
//! commands list it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use coterie_redis_compat::{Flags, Resp};

use super::connection::Connection;
use super::departure::Socket;
use super::state::Mode;
use crate::client_peaks::Peak;
use crate::clients::{Blocked, Memory};
use crate::commands::{self, Handler};

impl<S: Socket> Connection<S> {
    /// Publishes the connection's state; `is_active` if it has made progress since the last time.
    pub(super) fn publish(&mut self, is_active: bool) {
        let memory = self.memory();
        self.client
            .set_answered_below(self.pipeline.replies.oldest());
        let replies = &self.pipeline.replies;
        let soft = &self.shared.settings.output_limits.normal.soft;
        let soft = soft.load(Ordering::Relaxed);
        let mut details = self.client.details();
        details.command = self.last_command;
        if is_active {
            details.active_at = Instant::now();
        }
        details.authenticated = self.session.authenticated;
        if let Some(user) = &self.session.user
            && details.user != user.name()
        {
            details.user = user.name().clone();
        }
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
        details.closes = self.input.ended && !self.departure.left;
        details.blocked = self.blocked();
        let waits = self.mode.is_waiting();
        // Frames that are held back because this client does not read wait for nobody else.
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
        let multi = self.session.multi.as_ref();
        let replies = &self.pipeline.replies;
        Memory {
            own_bytes: size_of::<Self>(),
            input_bytes: self.input.bytes.len(),
            input_free_bytes: self.input.bytes.capacity() - self.input.bytes.len(),
            argument_bytes: self.mode.args().iter().map(Bytes::len).sum(),
            queued_bytes: multi.map_or(0, |multi| multi.bytes),
            watched_bytes: self.session.watched_bytes(),
            frame_bytes: self.pipeline.waiting_bytes() + self.pipeline.sent_bytes(),
            buffer: replies.out.buffer(),
            listed_bytes: replies.bytes() - replies.out.buffer().0,
            listed: replies.out.segments() + replies.held(),
        }
    }

    /// Why the connection counts as blocked, in Redis' sense: it waits for others, not for its own
    /// work.
    fn blocked(&self) -> Option<Blocked> {
        let blocks = |row: &coterie_redis_compat::Command| {
            // Redis 7.2 does not flag WAIT.
            let waits = matches!(commands::handler(row), Some(Handler::Waits(_)));
            waits || row.flags.contains(Flags::BLOCKING)
        };
        match &self.mode {
            mode if mode.is_paused() => Some(Blocked::Paused),
            Mode::Alone { call, .. } if blocks(call.row) => Some(Blocked::Timed),
            _ => None,
        }
    }
}
