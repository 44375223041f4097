//! Exactly once: the answers to frames whose proxies may still retry them.
//!
//! As in RAMCloud's RIFL: a frame is `(session, sequence)`, and acknowledges all answers below a
//! sequence. The other answers are kept, replicated, within a bound of bytes; a retried frame gets
//! the first answer and changes nothing. A refusal is an answer too: otherwise a late copy of a
//! frame that was refused here, and then sent elsewhere under another number, could be applied here
//! after all. A session that was silent for minutes of the group clock is dropped; a jump of that
//! clock, as a new leader may cause, counts as a few seconds only.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_protocol::Refusal;
use coterie_types::{FrameSeq, SessionId, UnixMillis};
use serde::{Deserialize, Serialize};

/// Bytes of answers kept per session at most; beyond it frames are refused.
pub const SESSION_BYTES_MAX: usize = 64 << 20;
/// A session silent for this long, by the group clock, is dropped. Proxies give up on a frame after
/// seconds.
const SILENCE_MS_MAX: u64 = 10 * 60 * 1000;
/// How often sessions are checked for silence, by the group clock.
const SILENCE_CHECK_MS: u64 = 10 * 1000;
/// The most that a step of the group clock between two entries counts for.
const STEP_MS_MAX: u64 = 10 * 1000;
/// Bytes of an answer's overhead.
const ANSWER_BYTES: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Session {
    /// The value of `Sessions::age` when its last frame was admitted, milliseconds.
    last_seen: u64,
    acknowledged_below: FrameSeq,
    answers: BTreeMap<FrameSeq, Bytes>,
    bytes: usize,
}

/// All sessions of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
    /// Milliseconds of the group clock, each step between entries counted up to `STEP_MS_MAX`.
    age: u64,
    /// The clock of the last entry.
    clock: UnixMillis,
    checked_at: u64,
}

/// The decision about a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is new: apply it, then [`Sessions::answered`].
    Apply,
    /// It was applied before, with this answer.
    Answered(Bytes),
    /// It must not be applied; the refusal is not remembered.
    Refused(Refusal),
}

impl Sessions {
    /// Decides about a frame, and drops the answers it acknowledges.
    pub(crate) fn admit(
        &mut self,
        id: SessionId,
        seq: FrameSeq,
        acknowledged_below: FrameSeq,
    ) -> Admission {
        let first = FrameSeq(1);
        let session = match self.sessions.entry(id) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                if acknowledged_below > first {
                    // The session had frames applied here, and was dropped: this frame may be among
                    // them.
                    return Admission::Refused(Refusal::SessionExpired);
                }
                entry.insert(Session {
                    acknowledged_below: first,
                    ..Session::default()
                })
            }
        };
        session.last_seen = self.age;
        session.acknowledge(acknowledged_below);
        if seq < session.acknowledged_below {
            // A late copy: its proxy has the answer and does not wait for this frame.
            return Admission::Refused(Refusal::FateUnknown);
        }
        if let Some(answer) = session.answers.get(&seq) {
            return Admission::Answered(answer.clone());
        }
        // The lowest unanswered frame is always admitted: only its answer releases the others.
        if session.bytes > SESSION_BYTES_MAX && seq > session.acknowledged_below {
            return Admission::Refused(Refusal::Overloaded);
        }
        Admission::Apply
    }

    /// Stores the answer of an applied frame.
    pub(crate) fn answered(&mut self, id: SessionId, seq: FrameSeq, answer: Bytes) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.bytes += answer.len() + ANSWER_BYTES;
            let before = session.answers.insert(seq, answer);
            debug_assert!(before.is_none(), "frame {seq} was applied twice");
        }
    }

    /// Ages all sessions by an entry's clock, and drops sessions that were silent too long.
    pub(crate) fn expire(&mut self, clock: UnixMillis) {
        self.age += clock.since(self.clock).min(STEP_MS_MAX);
        self.clock = clock;
        if self.age - self.checked_at >= SILENCE_CHECK_MS {
            self.checked_at = self.age;
            let age = self.age;
            debug_assert!(
                self.sessions.values().all(Session::is_counted),
                "bytes of answers miscounted"
            );
            self.sessions
                .retain(|_, session| age - session.last_seen < SILENCE_MS_MAX);
        }
    }
}

impl Session {
    /// Whether `bytes` are those of the answers.
    fn is_counted(&self) -> bool {
        let bytes = self
            .answers
            .values()
            .map(|answer| answer.len() + ANSWER_BYTES);
        self.bytes == bytes.sum::<usize>()
    }

    fn acknowledge(&mut self, below: FrameSeq) {
        if below <= self.acknowledged_below {
            return;
        }
        self.acknowledged_below = below;
        while let Some(entry) = self.answers.first_entry() {
            if *entry.key() >= below {
                break;
            }
            self.bytes -= entry.remove().len() + ANSWER_BYTES;
        }
        debug_assert!(
            self.bytes == 0 || !self.answers.is_empty(),
            "bytes of answers miscounted"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: SessionId = SessionId(1);
    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn admit(sessions: &mut Sessions, seq: u64, below: u64) -> Admission {
        sessions.admit(S, FrameSeq(seq), FrameSeq(below))
    }

    #[test]
    fn a_frame_is_applied_once_and_answered_alike() {
        let mut sessions = Sessions::default();
        assert_eq!(admit(&mut sessions, 1, 1), Admission::Apply);
        sessions.answered(S, FrameSeq(1), Bytes::from_static(b"one"));
        assert_eq!(
            admit(&mut sessions, 1, 1),
            Admission::Answered(Bytes::from_static(b"one"))
        );
    }

    #[test]
    fn acknowledged_answers_go_and_their_frames_do_not_come_back() {
        let mut sessions = Sessions::default();
        for seq in 1..=3 {
            assert_eq!(admit(&mut sessions, seq, 1), Admission::Apply);
            sessions.answered(S, FrameSeq(seq), Bytes::from_static(b"x"));
        }
        assert_eq!(admit(&mut sessions, 4, 3), Admission::Apply);
        assert_eq!(sessions.sessions[&S].answers.len(), 1);
        assert_eq!(sessions.sessions[&S].bytes, 1 + ANSWER_BYTES);
        assert_eq!(
            admit(&mut sessions, 2, 1),
            Admission::Refused(Refusal::FateUnknown)
        );
    }

    #[test]
    fn a_dropped_session_is_not_mistaken_for_a_new_one() {
        let mut sessions = Sessions::default();
        assert_eq!(admit(&mut sessions, 1, 1), Admission::Apply);
        for step in 0..=SILENCE_MS_MAX / 1000 {
            sessions.expire(NOW.plus(step * 1000));
        }
        assert_eq!(
            admit(&mut sessions, 2, 2),
            Admission::Refused(Refusal::SessionExpired)
        );
    }

    #[test]
    fn a_clock_that_jumps_ahead_drops_nobody() {
        let mut sessions = Sessions::default();
        sessions.expire(NOW);
        assert_eq!(admit(&mut sessions, 1, 1), Admission::Apply);
        sessions.answered(S, FrameSeq(1), Bytes::from_static(b"one"));
        sessions.expire(NOW.plus(2 * SILENCE_MS_MAX));
        assert_eq!(
            admit(&mut sessions, 1, 1),
            Admission::Answered(Bytes::from_static(b"one"))
        );
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "miscounted")]
    fn bytes_that_are_not_those_of_the_answers_are_noticed() {
        let mut sessions = Sessions::default();
        assert_eq!(admit(&mut sessions, 1, 1), Admission::Apply);
        sessions.answered(S, FrameSeq(1), Bytes::from_static(b"one"));
        sessions.expire(NOW);
        if let Some(session) = sessions.sessions.get_mut(&S) {
            session.bytes += 1;
        }
        sessions.expire(NOW.plus(SILENCE_CHECK_MS));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "applied twice")]
    fn a_second_answer_to_a_frame_is_noticed() {
        let mut sessions = Sessions::default();
        assert_eq!(admit(&mut sessions, 1, 1), Admission::Apply);
        sessions.answered(S, FrameSeq(1), Bytes::from_static(b"one"));
        sessions.answered(S, FrameSeq(1), Bytes::from_static(b"two"));
    }

    #[test]
    fn answers_are_bounded() {
        let mut sessions = Sessions::default();
        assert_eq!(admit(&mut sessions, 1, 1), Admission::Apply);
        sessions.answered(S, FrameSeq(1), Bytes::from(vec![0; SESSION_BYTES_MAX]));
        assert_eq!(
            admit(&mut sessions, 2, 1),
            Admission::Refused(Refusal::Overloaded)
        );
        assert_eq!(admit(&mut sessions, 2, 2), Admission::Apply);
    }
}
