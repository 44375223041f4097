//! Hands the answers of an entry to its frames. Frames that the entry had no room for come back to
//! the proposer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use coterie_group::{Body, Entry, is_put_off};
use coterie_protocol::Refusal;
use coterie_raft::{Group, PendingAnswer, ProposeError};
use coterie_types::varint;
use tokio::sync::mpsc;

use super::pending::{Pending, Sent, To};
use super::refusal::{refusal_of, refuse};
use super::shared::Shared;
use super::waiting::Waiting;

/// A proposed entry, and the frames that wait for its answers.
pub(super) struct Proposed {
    pub(super) group: Group,
    pub(super) shared: Arc<Shared>,
    pub(super) waiting_frames: Arc<Waiting>,
    pub(super) put_off: mpsc::Sender<Pending>,
    pub(super) queued_bytes: Arc<AtomicUsize>,
    pub(super) entry: Bytes,
    pub(super) sent: Vec<Sent>,
}

impl Proposed {
    /// Waits for the entry's answer and hands each frame its part.
    pub(super) async fn answer(self, proposal: Result<PendingAnswer, ProposeError>) {
        let answered = match proposal {
            Ok(pending) => pending.await.map_err(|error| self.group.with_term(error)),
            Err(error) => Err(error),
        };
        match answered {
            Ok(answers) => self.hand_out(answers),
            Err(error) => {
                let refusal = refusal_of(error);
                for sent in self.sent {
                    match sent.to {
                        To::Caller { responder, .. } => refuse(responder, refusal.clone()),
                        To::Waiter(id) => self.waiting_frames.refused(id, &refusal),
                    }
                }
                self.waiting_frames.flush();
            }
        }
    }

    fn hand_out(self, mut answers: Bytes) {
        let mut frames = None;
        let mut put_off = 0;
        let count = self.sent.len() as u64;
        let mut has_waiters = false;
        for (place, sent) in self.sent.into_iter().enumerate() {
            let answer = varint::take_bytes(&mut answers);
            let is_put_off = answer.as_ref().is_some_and(|answer| is_put_off(answer));
            if let Some(timed) = sent.timed.filter(|_| !is_put_off) {
                self.shared.loads.answered(timed);
            }
            put_off += u64::from(is_put_off);
            let (responder, due) = match sent.to {
                To::Caller { responder, due } => (responder, due),
                To::Waiter(id) => {
                    has_waiters = true;
                    match answer.filter(|_| !is_put_off) {
                        Some(answer) => self.waiting_frames.answered(id, &answer),
                        None => self.waiting_frames.put_off(id),
                    }
                    continue;
                }
            };
            let Some(answer) = answer else {
                responder.fail("the entry had fewer answers than frames");
                continue;
            };
            if !is_put_off {
                responder.send(answer);
                continue;
            }
            let frames = frames.get_or_insert_with(|| frames_of(&self.entry));
            let Some(frame) = frames.get(place).cloned() else {
                responder.fail("the entry had fewer frames than answers");
                continue;
            };
            let bytes = frame.len();
            self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
            let again = Pending {
                frame,
                // The entry has already written these to the store.
                arrivals: Vec::new(),
                due,
                responder,
                reruns: 0,
            };
            // There is room, see `RETURNING_MAX` of the proposer. If there is none, or the replica
            // was stopped, the proxy sends the frame again.
            if let Err(refused) = self.put_off.try_send(again) {
                self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                refuse(refused.into_inner().responder, Refusal::Overloaded);
            }
        }
        if has_waiters {
            self.waiting_frames.flush();
        }
        let totals = [
            (&self.shared.writes_total, count - put_off),
            (&self.shared.put_off_total, put_off),
        ];
        for (total, count) in totals {
            total.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// The frames of an entry that was made here.
fn frames_of(entry: &Bytes) -> Vec<Bytes> {
    match Entry::decode(entry.clone()).map(|entry| entry.body) {
        Ok(Body::Frames(frames) | Body::Fetched { frames, .. }) => frames,
        _ => Vec::new(),
    }
}
