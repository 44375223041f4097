//! Writes through the log: the one door for frames that are not only reads. A frame passes, in this
//! order:
//!
//! 1. Leadership: another leader is named in the refusal.
//! 2. Scripts: while one runs for long, frames are refused as busy.
//! 3. Room: without any, frames that may make the data grow are refused.
//! 4. The sample of the load (`load`).
//! 5. While a range comes from another group, the records that the frame lacks (`arrivals`).
//! 6. The queue of the next entry (`propose`).
//!
//! Few frames are looked into here, so a frame is decoded when a step first asks for its commands,
//! and then once. A frame that cannot be decoded is refused when its entry is applied.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use coterie_group::{ResolvedFrame, resolve_frame};
use coterie_protocol::{Refusal, Stage, WaitHead};
use coterie_raft::Group;
use coterie_redis_compat::Resolved;
use coterie_rpc::Responder;

use super::arrivals::Arrivals;
use super::load::{Kind, Timed};
use super::pending::Due;
use super::propose::Proposer;
use super::refusal::refuse;
use super::shared::Shared;
use crate::disk::Disk;
use crate::peers::Peers;
use crate::scripts::Scripts;

/// Accepts frames that go through the log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Writes {
    group: Group,
    shared: Arc<Shared>,
    disk: Arc<Disk>,
    arrivals: Arrivals,
    proposer: Proposer,
    scripts: Arc<Scripts>,
}

impl Writes {
    pub(super) fn new(
        group: Group,
        shared: Arc<Shared>,
        proposer: Proposer,
        peers: Peers,
        disk: Arc<Disk>,
        scripts: Arc<Scripts>,
    ) -> Self {
        let arrivals = Arrivals::new(
            group.clone(),
            Arc::clone(&shared),
            proposer.clone(),
            peers,
            Arc::clone(&disk),
        );
        Self {
            group,
            shared,
            disk,
            arrivals,
            proposer,
            scripts,
        }
    }

    /// Takes a frame, which its proxy awaits until `deadline`. The answer goes to `responder`.
    pub(crate) fn submit(&self, frame: Bytes, deadline: Instant, responder: Responder) {
        let mut frame = Received::new(frame);
        if frame.is_withdrawal() {
            // It executes nothing, wherever its keys are and however full the disk is.
            return match self.check_leads() {
                Ok(()) => {
                    let due = Due {
                        deadline,
                        timed: None,
                    };
                    let arrivals = Vec::new();
                    self.proposer.submit(frame.bytes, arrivals, due, responder)
                }
                Err(refusal) => refuse(responder, refusal),
            };
        }
        let checked = self.check_leads().and_then(|()| self.check_busy());
        if let Err(refusal) = checked.and_then(|()| self.check_room(&frame)) {
            return refuse(responder, refusal);
        }
        let timed = self.sample(&frame);
        let due = Due { deadline, timed };
        let is_arriving = self.shared.published().read.ownership().has_arrivals();
        match is_arriving.then(|| frame.take_decoded()).flatten() {
            Some(decoded) => self.arrivals.submit(frame.bytes, decoded, due, responder),
            None => self
                .proposer
                .submit(frame.bytes, Vec::new(), due, responder),
        }
    }

    fn check_leads(&self) -> Result<(), Refusal> {
        let (leader, term) = self.group.leader();
        if leader == Some(self.group.node_id()) {
            Ok(())
        } else {
            Err(Refusal::NotLeader { leader, term })
        }
    }

    /// While a script runs for long, no other frame waits for its end.
    fn check_busy(&self) -> Result<(), Refusal> {
        let busy = self.shared.busy.is_over(|| self.scripts.busy_threshold());
        busy.map_or(Ok(()), |function| Err(Refusal::Busy { function }))
    }

    fn check_room(&self, frame: &Received) -> Result<(), Refusal> {
        if self.disk.has_room_for(&self.group) || !frame.needs_room() {
            return Ok(());
        }
        if self.disk.may_find_room(&self.group) {
            Err(Refusal::Overloaded)
        } else {
            Err(Refusal::DiskFull)
        }
    }

    /// Counts the frame if it belongs to the sample.
    fn sample(&self, frame: &Received) -> Option<Timed> {
        let loads = &self.shared.loads;
        let decoded = loads.is_turn().then(|| frame.decoded())??;
        let published = self.shared.published();
        let ownership = published.read.ownership();
        loads.add(ownership, decoded, Kind::Write, frame.bytes.len())
    }
}

/// The bytes of a frame, decoded when first asked for.
struct Received {
    bytes: Bytes,
    /// `None` inside for a frame that cannot be decoded.
    decoded: OnceCell<Option<ResolvedFrame>>,
}

impl Received {
    fn new(bytes: Bytes) -> Self {
        Self {
            bytes,
            decoded: OnceCell::new(),
        }
    }

    /// Whether it only ends the wait of an earlier frame.
    fn is_withdrawal(&self) -> bool {
        let head = WaitHead::of(&self.bytes);
        head.is_some_and(|head| head.wait.stage == Stage::Withdrawn)
    }

    fn decoded(&self) -> Option<&ResolvedFrame> {
        let decode = || resolve_frame(self.bytes.clone()).ok();
        self.decoded.get_or_init(decode).as_ref()
    }

    fn take_decoded(&mut self) -> Option<ResolvedFrame> {
        self.decoded();
        self.decoded.take().flatten()
    }

    /// Whether a command may make the data grow.
    fn needs_room(&self) -> bool {
        let commands = self.decoded().into_iter().flat_map(|frame| &frame.commands);
        commands.into_iter().any(Resolved::needs_room)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use coterie_protocol::{Frame, FrameCommand, FrameFlags};
    use coterie_types::{FrameSeq, SessionId, TableId};

    use super::*;

    fn received(lines: &[&str]) -> Received {
        let words = |line: &str| -> Vec<Bytes> {
            let words = line.split(' ');
            words
                .map(|word| Bytes::copy_from_slice(word.as_bytes()))
                .collect()
        };
        let commands = lines.iter().map(|line| FrameCommand {
            table: TableId(0),
            args: words(line),
        });
        let frame = Frame {
            flags: FrameFlags::default(),
            session: SessionId(1),
            seq: FrameSeq(1),
            acknowledged_below: FrameSeq(1),
            reply_room: None,
            wait: None,
            watches: Vec::new(),
            commands: commands.collect(),
        };
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        Received::new(out.freeze())
    }

    #[test]
    fn a_frame_needs_room_if_any_of_its_commands_does() {
        assert!(received(&["del k", "set k v"]).needs_room());
        assert!(!received(&["del k", "get k", "nonsense"]).needs_room());
    }

    #[test]
    fn a_frame_is_decoded_once_and_a_damaged_one_is_left_to_its_entry() {
        let mut frame = received(&["set k v"]);
        assert!(frame.decoded.get().is_none(), "nothing has asked yet");
        let first = frame.decoded().map(std::ptr::from_ref);
        assert!(first.is_some() && first == frame.decoded().map(std::ptr::from_ref));
        assert_eq!(
            frame.take_decoded().map(|frame| frame.commands.len()),
            Some(1)
        );
        let mut damaged = Received::new(Bytes::from_static(b"\x00damaged"));
        assert!(!damaged.needs_room() && damaged.take_decoded().is_none());
    }
}
