//! The calls of a connection that wait for their answers.
//!
//! A slab: when its call is over a slot is reused under another id. So an answer after the deadline
//! matches no call, and a lookup is an array access.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use crate::{CallError, Patience};

/// A call that was queued.
pub(crate) struct Waiting {
    pub(crate) answer: oneshot::Sender<Result<Bytes, CallError>>,
    pub(crate) patience: Patience,
    /// The last sign of it.
    pub(crate) heard: Instant,
    /// The number of its frame in the outbox.
    pub(crate) frame: u64,
    /// The received part of an answer in pieces.
    pub(crate) pieces: BytesMut,
}

#[derive(Default)]
struct Slot {
    /// Raised at each use; the upper half of the id.
    generation: u32,
    call: Option<Waiting>,
}

/// The waiting calls of a connection; see the module's head.
#[derive(Default)]
pub(crate) struct WaitingCalls {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl WaitingCalls {
    /// Number of waiting calls.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The id that [`WaitingCalls::insert`] will use next.
    pub(crate) fn next_id(&self) -> u64 {
        let slot = self.free.last().copied();
        let generation = slot.map_or(0, |slot| self.slots[slot as usize].generation);
        id(generation, slot.unwrap_or(self.slots.len() as u32))
    }

    /// Adds a call, under the id from [`WaitingCalls::next_id`].
    pub(crate) fn insert(&mut self, call: Waiting) {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize].call = Some(call);
        } else {
            self.slots.push(Slot {
                generation: 0,
                call: Some(call),
            });
        }
    }

    /// Removes the call with this id, if it is still waiting.
    pub(crate) fn take(&mut self, call_id: u64) -> Option<Waiting> {
        let index = call_id as u32;
        let slot = self.slots.get_mut(index as usize)?;
        if id(slot.generation, index) != call_id {
            return None;
        }
        let call = slot.call.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        Some(call)
    }

    /// The call with this id, if it is still waiting.
    fn get_mut(&mut self, call_id: u64) -> Option<&mut Waiting> {
        let index = call_id as u32;
        let slot = self.slots.get_mut(index as usize)?;
        let found = id(slot.generation, index) == call_id;
        slot.call.as_mut().filter(|_| found)
    }

    /// Notes a sign of the call.
    pub(crate) fn hear(&mut self, call_id: u64, now: Instant) {
        if let Some(call) = self.get_mut(call_id) {
            call.heard = now;
        }
    }

    /// Adds a piece of an answer of `total` bytes. When the answer is whole, returns the call and
    /// the answer.
    pub(crate) fn add_piece(
        &mut self,
        call_id: u64,
        total: u32,
        piece: &[u8],
        now: Instant,
    ) -> Option<(Waiting, Bytes)> {
        let total = total as usize;
        let call = self.get_mut(call_id)?;
        call.heard = now;
        if call.pieces.is_empty() {
            call.pieces.reserve(total);
        }
        call.pieces.extend_from_slice(piece);
        if call.pieces.len() < total {
            return None;
        }
        let mut call = self.take(call_id)?;
        let answer = std::mem::take(&mut call.pieces).freeze();
        Some((call, answer))
    }

    /// Removes the calls that have waited long enough, each with its id.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<(u64, Waiting)> {
        let mut expired = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let over = |call: &mut Waiting| call.patience.end(call.heard) <= now;
            if let Some(call) = slot.call.take_if(over) {
                expired.push((id(slot.generation, index as u32), call));
                slot.generation = slot.generation.wrapping_add(1);
                self.free.push(index as u32);
            }
        }
        expired
    }

    /// Removes all calls.
    pub(crate) fn take_all(&mut self) -> Vec<Waiting> {
        self.free.clear();
        self.slots.drain(..).filter_map(|slot| slot.call).collect()
    }
}

fn id(generation: u32, index: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    type Answer = oneshot::Receiver<Result<Bytes, CallError>>;

    fn add(calls: &mut WaitingCalls, patience: Patience, frame: u64) -> (u64, Answer) {
        let (answer, receiver) = oneshot::channel();
        let id = calls.next_id();
        calls.insert(Waiting {
            answer,
            patience,
            heard: Instant::now(),
            frame,
            pieces: BytesMut::new(),
        });
        (id, receiver)
    }

    fn until(deadline: Instant) -> Patience {
        Patience::until(deadline)
    }

    #[test]
    fn an_id_is_not_used_twice_though_its_slot_is() {
        let mut calls = WaitingCalls::default();
        let later = Instant::now() + Duration::from_secs(60);
        let (first, _a) = add(&mut calls, until(later), 1);
        let (second, _b) = add(&mut calls, until(later), 2);
        assert_eq!(calls.take(first).unwrap().frame, 1);
        assert!(calls.take(first).is_none());
        let (third, _c) = add(&mut calls, until(later), 3);
        assert_ne!(third, first);
        assert_eq!((calls.len(), calls.slots.len()), (2, 2));
        assert!(calls.take(first).is_none(), "an answer that came too late");
        assert_eq!(calls.take(second).unwrap().frame, 2);
        assert_eq!(calls.take(third).unwrap().frame, 3);
        assert!(calls.take(77).is_none());
    }

    #[test]
    fn calls_expire_at_their_deadline_or_after_silence() {
        let mut calls = WaitingCalls::default();
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        let (first, _a) = add(&mut calls, until(now), 1);
        let (kept, _b) = add(&mut calls, until(now + minute), 2);
        let patience = Patience {
            silence: Duration::from_secs(1),
            ..until(now + minute)
        };
        let (quiet, _c) = add(&mut calls, patience.clone(), 3);
        let (heard, _d) = add(&mut calls, patience, 4);
        let later = now + Duration::from_secs(5);
        calls.hear(heard, later);
        let expired = calls.take_expired(later);
        let expired: Vec<_> = expired.iter().map(|(id, call)| (*id, call.frame)).collect();
        assert_eq!(expired, [(first, 1), (quiet, 3)]);
        assert_eq!(calls.take(kept).unwrap().frame, 2);
        assert_eq!(calls.take(heard).unwrap().frame, 4);
    }

    #[test]
    fn an_answer_in_pieces_is_whole_at_its_length() {
        let mut calls = WaitingCalls::default();
        let now = Instant::now();
        let (id, _a) = add(&mut calls, until(now), 1);
        assert!(calls.add_piece(id, 5, b"ab", now).is_none());
        assert!(calls.add_piece(id + 1, 5, b"xx", now).is_none());
        let (call, answer) = calls.add_piece(id, 5, b"cde", now).unwrap();
        assert_eq!((call.frame, answer.as_ref()), (1, b"abcde".as_ref()));
        assert!(calls.add_piece(id, 5, b"ab", now).is_none());
        assert_eq!(calls.len(), 0);
    }
}
