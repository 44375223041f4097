//! Sends frames that may wait for data, and withdraws them.
//!
//! A frame that waits keeps its number while it waits. It may be sent again under it at any time:
//! it is applied once. It ends with its answer, or by a withdrawal under the same number, which is
//! answered by the group's log: with the first answer if the frame was applied, else with none, and
//! then it never will be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use coterie_protocol::{Frame, FrameCommand, FrameFlags, Stage, Tracker, Wait};
use coterie_redis_compat::Resp;
use coterie_types::{TableId, varint};

use super::retry::{AWAKE_MAX, Attempts};
use super::window::Ticket;
use super::{Failure, GroupRoute, Outcome, Router};
use crate::client_memory::SHORT_BYTES;

/// A command that may wait.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    pub(crate) table: TableId,
    pub(crate) args: Vec<Bytes>,
    pub(crate) resp: Resp,
    /// Client-side caching.
    pub(crate) tracker: Option<Tracker>,
}

/// A frame that may wait, with its number at its group.
#[derive(Debug)]
pub(crate) struct Sent {
    group: Arc<GroupRoute>,
    /// The generation of the map that chose the group.
    routed_by: u64,
    /// Never `None` between calls.
    ticket: Option<Ticket>,
    /// It was sent, so only the group's log knows its fate.
    is_sent: bool,
}

impl Sent {
    /// A frame that is to be sent; `None` if too many wait at this group.
    pub(crate) fn new(group: Arc<GroupRoute>, routed_by: u64) -> Option<Self> {
        let ticket = Some(group.waits.try_ticket()?);
        Some(Self {
            group,
            routed_by,
            ticket,
            is_sent: false,
        })
    }

    /// Whether the group may have forgotten the session, so that the frame's fate cannot be known.
    pub(crate) fn may_be_forgotten(&self) -> bool {
        let silence = self.ticket.as_ref().and_then(Ticket::silence);
        self.is_sent && silence.is_none_or(|silence| silence > AWAKE_MAX)
    }

    /// Waits until the number is to be renewed: then the frame is to be withdrawn, and sent as
    /// another.
    pub(crate) async fn stale(&self) {
        match &self.ticket {
            Some(ticket) => ticket.stale().await,
            None => std::future::pending().await,
        }
    }
}

impl Router {
    /// Sends a frame that may wait; it has waited for `waited` so far.
    pub(crate) async fn send_waiting(
        &self,
        sent: &mut Sent,
        words: &Words,
        stage: Stage,
        waited: Duration,
        deadline: Instant,
    ) -> Outcome {
        let mut flags = FrameFlags::default();
        if words.resp == Resp::V3 {
            flags = flags.with(FrameFlags::RESP3);
        }
        let Some(ticket) = &mut sent.ticket else {
            return Outcome::Failed(Failure::TryAgain("it has no number".to_owned()));
        };
        let numbers = ticket.numbers();
        let wait = Wait {
            stage,
            link: self.links.number,
            waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
        };
        let frame = Frame {
            flags,
            session: numbers.session,
            seq: numbers.seq,
            acknowledged_below: numbers.acknowledged_below,
            reply_room: Some(SHORT_BYTES),
            tracker: words.tracker,
            wait: Some(wait),
            watches: Vec::new(),
            commands: vec![FrameCommand {
                table: words.table,
                args: words.args.clone(),
            }],
        };
        let mut body = BytesMut::new();
        varint::put(&mut body, sent.group.id.0);
        frame.encode(&mut body);
        let flags = match stage {
            // It does not wait: there is nothing to expect.
            Stage::Withdrawn | Stage::Listening => flags,
            Stage::First | Stage::Waited => flags.with(FrameFlags::WAITS),
        };
        let group = Arc::clone(&sent.group);
        let mut attempts = Attempts::new(self, &group, sent.routed_by, flags, deadline);
        attempts.maybe_applied = sent.is_sent;
        attempts.tracker = words.tracker.filter(|_| flags.has(FrameFlags::WAITS));
        sent.is_sent = true;
        let (outcome, _) = attempts.run(&mut sent.ticket, body.freeze()).await;
        if let (Outcome::Done(replies), Some(ticket)) = (&outcome, &mut sent.ticket) {
            ticket.note_answer(replies.len());
        }
        outcome
    }

    /// Notes an answer that came over the link.
    pub(crate) fn answered(&self, sent: &mut Sent, replies: &Bytes) {
        if let Some(ticket) = &mut sent.ticket {
            ticket.session_is_known();
            ticket.note_answer(replies.len());
        }
    }

    /// Withdraws a frame. Returns its replies if it was applied before; otherwise it never will be.
    pub(crate) async fn withdraw(
        &self,
        mut sent: Sent,
        words: &Words,
    ) -> Result<Option<Bytes>, Failure> {
        if !sent.is_sent {
            return Ok(None);
        }
        let deadline = Instant::now() + self.request_timeout;
        let stage = Stage::Withdrawn;
        let withdrawing = self.send_waiting(&mut sent, words, stage, Duration::ZERO, deadline);
        match withdrawing.await {
            // No reply: it was not applied.
            Outcome::Done(replies) if replies.first() == Some(&0) => Ok(None),
            Outcome::Done(replies) => Ok(Some(replies)),
            // Its keys had moved, so it was not applied here.
            Outcome::Moved => Ok(None),
            Outcome::Failed(failure) => Err(failure),
            Outcome::Waits(_) | Outcome::Resolved(_) | Outcome::NeedsRoom(_) => {
                Err(Failure::Unknown("a withdrawal was not answered".to_owned()))
            }
        }
    }
}
