//! Processes a frame that came back. Its replies fill their slots, refused commands are routed
//! again (`reroute`), and commands that had no room for their replies are sent again.

use std::time::Instant;

use bytes::{Buf, Bytes};
use coterie_protocol::FrameFlags;
use coterie_types::{GroupId, varint};

use super::lane::{Batch, ReplySizes, Return};
use super::mending::Cause;
use super::pipeline::{Finished, Pipeline};
use crate::router::{Failure, Outcome, frame_of};
use crate::slowlog::Slow;

impl Pipeline {
    pub(super) fn finish(&mut self, finished: Finished) {
        let elapsed = finished.started.elapsed();
        self.router
            .metrics
            .frame_seconds
            .observe(elapsed.as_secs_f64());
        if self.slower_than.is_some_and(|bound| elapsed >= bound) {
            self.slow.push(Slow {
                elapsed,
                body: finished.body.clone(),
            });
        }
        let mut lanes = self.lanes.iter_mut();
        let lane = lanes.find(|lane| lane.group.id == finished.group);
        let Some((lane, returns)) = lane.and_then(|lane| {
            let returns = lane.under_way.take()?;
            Some((lane, returns))
        }) else {
            return;
        };
        lane.granted = 0;
        lane.is_timed_anew = matches!(finished.outcome, Outcome::Done(_) | Outcome::NeedsRoom(_));
        match finished.outcome {
            Outcome::Done(replies) => {
                let (commands, bytes) = (returns.len(), replies.len());
                let left = self.deliver(returns, replies);
                let executed = commands - left.len();
                self.resize(finished.group, |sizes, client_bytes| {
                    sizes.answered(executed, bytes, client_bytes);
                });
                if !left.is_empty() {
                    self.send_rest(finished.group, &finished.body, left);
                }
            }
            Outcome::NeedsRoom(bytes) => {
                self.resize(finished.group, |sizes, client_bytes| {
                    sizes.refused(bytes, client_bytes);
                });
                self.send_rest(finished.group, &finished.body, returns);
            }
            Outcome::Moved => {
                let mending = self.mending.get_or_insert_default();
                let cause = Cause::Moved(finished.group);
                mending.add(&finished.body, (returns, cause), finished.deadline);
            }
            Outcome::Waits(_) | Outcome::Resolved(_) => {
                let reason = "the group waits with what should not wait".to_owned();
                for back in returns {
                    self.fail(back, Failure::TryAgain(reason.clone()));
                }
            }
            Outcome::Failed(failure) => {
                for back in returns {
                    self.fail(back, failure.clone());
                }
            }
        }
    }

    /// Fills slots from replies in the layout of `FrameReply` behind the tag: count, lengths,
    /// bytes. Returns the places of the last commands, if the group did not execute them because
    /// the replies before them were so long.
    fn deliver(&mut self, mut returns: Vec<Return>, mut lengths: Bytes) -> Vec<Return> {
        let count = varint::take(&mut lengths);
        let count = count.and_then(|count| usize::try_from(count).ok());
        let mut replies = lengths.clone();
        let skipped = count.is_some_and(|count| {
            count <= returns.len()
                && (count > 0 || returns.len() > 1)
                && (0..count).all(|_| varint::take(&mut replies).is_some())
        });
        let left = match count {
            Some(count) if skipped => returns.split_off(count),
            _ => Vec::new(),
        };
        for back in returns {
            let len = varint::take(&mut lengths).and_then(|len| usize::try_from(len).ok());
            match len {
                Some(len) if skipped && len <= replies.remaining() => {
                    let reply = replies.split_to(len);
                    self.answer(back, reply);
                }
                _ => {
                    let reason = "the group's answer cannot be read".to_owned();
                    self.fail(back, Failure::Unknown(reason));
                }
            }
        }
        left
    }

    /// Records the reply lengths of a group.
    fn resize(&mut self, group: GroupId, learn: impl FnOnce(&mut ReplySizes, usize)) {
        let client_bytes = self.router.replies.client_bytes;
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.group.id == group) {
            learn(&mut lane.sizes, client_bytes);
        }
    }

    /// Sends the last commands of a frame again, before everything else that waits for the group,
    /// in frames small enough that their replies have room. If none was executed, the first gets a
    /// frame of its own, where its reply may be longest. A transaction stays whole.
    fn send_rest(&mut self, group: GroupId, body: &Bytes, left: Vec<Return>) {
        let lane = self.lanes.iter_mut().find(|lane| lane.group.id == group);
        // Both exist: this proxy encoded the frame, and a lane lives until its frame is answered.
        let (Some(mut frame), Some(lane)) = (frame_of(body), lane) else {
            return;
        };
        let is_whole = frame.flags.has(FrameFlags::TRANSACTION);
        let executed = if is_whole {
            0
        } else {
            frame.commands.len().saturating_sub(left.len())
        };
        let commands = frame.commands.split_off(executed);
        let first = if is_whole {
            commands.len()
        } else if executed == 0 {
            1
        } else {
            lane.sizes.commands_max()
        };
        // New frames get the full request timeout.
        let deadline = Instant::now() + self.router.request_timeout;
        let mut batches: Vec<Batch> = Vec::new();
        let mut left = left.into_iter();
        for command in commands {
            let is_full = match batches.as_slice() {
                [] => true,
                [batch] => batch.count >= first,
                [.., batch] => batch.count >= lane.sizes.commands_max(),
            };
            if is_full {
                let flags = frame.flags.with(FrameFlags::READ_ONLY);
                let mut batch = Batch::new(flags, deadline);
                batch.tracker = frame.tracker;
                batch.watches = std::mem::take(&mut frame.watches);
                batches.push(batch);
            }
            let Some(batch) = batches.last_mut() else {
                return;
            };
            // A transaction has a single reply, and goes through the log.
            let back = left.next();
            let is_read = !is_whole && back.as_ref().is_some_and(|back| !back.row.is_write());
            batch.put(command.table, &command.args, is_read);
            batch.returns.extend(back);
        }
        for batch in batches.into_iter().rev() {
            self.waiting_bytes += batch.commands.len();
            lane.waiting.push_front(batch);
        }
    }

    fn answer(&mut self, back: Return, reply: Bytes) {
        match back.piece {
            None => self.replies.fill(back.slot, reply),
            Some(keys) => self
                .events
                .extend(self.replies.fill_piece(back.slot, &keys, Ok(reply))),
        }
    }

    pub(super) fn fail(&mut self, back: Return, failure: Failure) {
        match back.piece {
            None => self.replies.fail(back.slot, failure.error()),
            Some(keys) => {
                let event = self.replies.fill_piece(back.slot, &keys, Err(failure));
                self.events.extend(event);
            }
        }
    }
}
