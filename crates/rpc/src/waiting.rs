//! The calls of one connection that wait for their answers.
//!
//! A slab: a slot is used again, under another id, when its call is over. So an answer that comes
//! after its deadline finds nobody, and looking one up costs an index.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::CallError;

/// A call that was queued.
pub(crate) struct Waiting {
    pub(crate) answer: oneshot::Sender<Result<Bytes, CallError>>,
    pub(crate) deadline: Instant,
    /// The number its frame has in the outbox.
    pub(crate) frame: u64,
}

#[derive(Default)]
struct Slot {
    /// Raised at each use; the upper half of the id.
    generation: u32,
    call: Option<Waiting>,
}

/// See the module's head.
#[derive(Default)]
pub(crate) struct WaitingCalls {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl WaitingCalls {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The id that [`WaitingCalls::insert`] will use next.
    pub(crate) fn next_id(&self) -> u64 {
        let slot = self.free.last().copied();
        let generation = slot.map_or(0, |slot| self.slots[slot as usize].generation);
        id(generation, slot.unwrap_or(self.slots.len() as u32))
    }

    /// Adds a call, under the id that [`WaitingCalls::next_id`] gave.
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

    /// Removes the call with this id, if it still waits.
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

    /// Removes the calls whose deadline is past or that nobody waits for any more.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Vec<Waiting> {
        let mut expired = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let over = |call: &mut Waiting| call.deadline <= now || call.answer.is_closed();
            if let Some(call) = slot.call.take_if(over) {
                slot.generation = slot.generation.wrapping_add(1);
                self.free.push(index as u32);
                expired.push(call);
            }
        }
        expired
    }

    /// Removes all.
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
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::time::Duration;

    use super::*;

    type Answer = oneshot::Receiver<Result<Bytes, CallError>>;

    fn add(calls: &mut WaitingCalls, deadline: Instant, frame: u64) -> (u64, Answer) {
        let (answer, receiver) = oneshot::channel();
        let id = calls.next_id();
        calls.insert(Waiting {
            answer,
            deadline,
            frame,
        });
        (id, receiver)
    }

    #[test]
    fn an_id_is_not_used_twice_though_its_slot_is() {
        let mut calls = WaitingCalls::default();
        let later = Instant::now() + Duration::from_secs(60);
        let (first, _a) = add(&mut calls, later, 1);
        let (second, _b) = add(&mut calls, later, 2);
        assert_eq!(calls.take(first).unwrap().frame, 1);
        assert!(calls.take(first).is_none());
        let (third, _c) = add(&mut calls, later, 3);
        assert_ne!(third, first);
        assert_eq!((calls.len(), calls.slots.len()), (2, 2));
        assert!(calls.take(first).is_none(), "an answer that came too late");
        assert_eq!(calls.take(second).unwrap().frame, 2);
        assert_eq!(calls.take(third).unwrap().frame, 3);
        assert!(calls.take(77).is_none());
    }

    #[test]
    fn calls_expire_at_their_deadline_or_when_nobody_waits() {
        let mut calls = WaitingCalls::default();
        let now = Instant::now();
        let (_, _a) = add(&mut calls, now, 1);
        let (kept, _b) = add(&mut calls, now + Duration::from_secs(60), 2);
        let (_, dropped) = add(&mut calls, now + Duration::from_secs(60), 3);
        drop(dropped);
        let frames: Vec<u64> = calls.take_expired(now).iter().map(|c| c.frame).collect();
        assert_eq!(frames, [1, 3]);
        assert_eq!(calls.take(kept).unwrap().frame, 2);
    }
}
