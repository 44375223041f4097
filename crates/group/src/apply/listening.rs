//! Frames that wait for data while an entry is applied.
//!
//! They are the copies at the beginning of the entry, and its own frames that found nothing. When a
//! frame has touched a key, the frames that wait for the key are executed in their order, before
//! the next frame of the entry. Of the frames that compete for the same data none is executed
//! behind the first that finds nothing. A frame that is served may touch another key (BLMOVE): the
//! frames that wait for that key follow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use coterie_protocol::Stage;
use coterie_redis_compat::{Fault, Resolved, Touch, Txn, WaitQueue};

use super::{Absent, PUT_OFF};
use crate::frame::ResolvedFrame;
use crate::limits::Limits;
use crate::run::{Ran, is_full};
use crate::state::GroupState;
use crate::store::Store;
use crate::waiters::{Place, is_woken, touched};

/// See the module's head.
#[derive(Default)]
pub(super) struct Listening {
    /// `None` once it is answered.
    frames: Vec<Option<Listener>>,
    keys: BTreeMap<Place, Vec<usize>>,
}

struct Listener {
    frame: ResolvedFrame,
    queue: WaitQueue,
    /// The place of its answer in the entry.
    slot: usize,
}

impl Listening {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that a frame may have changed: those it names, and those waited for in an interval
    /// that it writes.
    pub(super) fn touched_by(&self, frame: &ResolvedFrame) -> Vec<(Place, Touch)> {
        let mut found: Vec<_> = frame.commands.iter().flat_map(touched).collect();
        let writes = frame.commands.iter().filter(|command| command.is_write());
        for interval in writes.filter_map(Resolved::interval) {
            let places = self.keys.keys();
            let places = places.filter(|(table, key)| interval.contains(*table, key));
            found.extend(places.cloned().map(|place| (place, Touch::Removes)));
        }
        found
    }

    /// Adds a frame that waits.
    pub(super) fn add(&mut self, mut frame: ResolvedFrame, slot: usize) {
        if let Some(wait) = &mut frame.wait {
            wait.stage = Stage::Waited;
        }
        let [command] = frame.commands.as_slice() else {
            return;
        };
        let Some(queue) = command.wait_queue() else {
            return;
        };
        let at = self.frames.len();
        command.visit_keys(&mut |table, key| {
            self.keys.entry((table, key.clone())).or_default().push(at);
        });
        self.frames.push(Some(Listener { frame, queue, slot }));
    }
}

impl GroupState {
    /// Executes the frames that wait for keys that a frame has touched.
    pub(super) fn serve(
        &mut self,
        touched_keys: Vec<(Place, Touch)>,
        listening: &mut Listening,
        (txn, store): (&mut Txn<'_>, &dyn Store),
        (absent, limits): (&Absent, &Limits),
        replies: &mut [Bytes],
    ) -> Result<(), Fault> {
        let mut round = VecDeque::from(touched_keys);
        while let Some((place, touch)) = round.pop_front() {
            // Of these queues the first found nothing.
            let mut empty: BTreeSet<WaitQueue> = BTreeSet::new();
            let listeners = listening.keys.get(&place).cloned().unwrap_or_default();
            for at in listeners {
                let Some(listener) = listening.frames[at].take() else {
                    continue;
                };
                let Listener { frame, queue, slot } = &listener;
                if empty.contains(queue) || !is_woken(queue, touch) {
                    listening.frames[at] = Some(listener);
                    continue;
                }
                if is_full(txn, limits) {
                    replies[*slot] = PUT_OFF;
                    continue;
                }
                match self.apply_frame(txn, store, absent, frame, limits)? {
                    Ran::Answered(answer) => {
                        replies[*slot] = answer;
                        round.extend(frame.commands.iter().flat_map(touched));
                    }
                    Ran::PutOff => replies[*slot] = PUT_OFF,
                    Ran::Unremembered(_) => {
                        if queue.takes {
                            empty.insert(queue.clone());
                        }
                        listening.frames[at] = Some(listener);
                    }
                }
            }
        }
        Ok(())
    }
}
