//! Applies a committed entry: its frames in order, each admitted by its session, checked against
//! the group's ownership, executed over the store plus the entry's changes so far.
//!
//! A frame that the entry has no room for is *put off*: no replica executes it or remembers
//! anything of it, and its proposer puts it into its next entry. All frames behind it are put off
//! as well, which keeps them in order and bounds an entry's work.

use bytes::{Bytes, BytesMut};
use coterie_protocol::{FrameFlags, FrameReply, Refusal, Stage};
use coterie_redis_compat::{
    Changes, Context, Fault, Resolved, Resp, Txn, execute, watch_token_holds,
};
use coterie_types::FrameSeq;

use crate::effects::{Effects, PUT_OFF};
use crate::entry::{Body, Entry, Expired};
use crate::frame::{ResolvedFrame, resolve_frame};
use crate::land::Land;
use crate::limits::Limits;
use crate::run::{NoScripts, Ran, is_full, resp, run_commands, run_reads, run_waiting};
use crate::sessions::Admission;
use crate::state::{GroupState, removal_slot};
use crate::store::{Store, StoreChange};
use crate::waiters::touched;
use arrivals::Absent;
use listening::Listening;

mod arrivals;
mod computed;
mod elements;
mod listening;
mod ranges;

impl GroupState {
    /// Applies a committed entry over `store`. `Err` means this node alone failed: no change
    /// counts, and the replica stops.
    pub fn apply(&mut self, entry: Entry, store: &dyn Store) -> Result<Effects, Fault> {
        self.apply_within(entry, store, &Limits::default())
    }

    /// Like [`GroupState::apply`] with other limits: for tests.
    pub fn apply_within(
        &mut self,
        entry: Entry,
        store: &dyn Store,
        limits: &Limits,
    ) -> Result<Effects, Fault> {
        // A new leader's first entries may carry an older clock than the last entry of the old
        // leader.
        self.clock = self.clock.max(entry.clock);
        self.sessions.expire(self.clock);
        let mut effects = Effects::default();
        match entry.body {
            Body::Tick => {}
            Body::Init(ranges) => {
                // Late copies of this entry must not bring back ranges that were given away.
                if self.ownership == crate::Ownership::default() {
                    self.ownership = crate::Ownership::of(ranges);
                }
            }
            Body::AddRanges(ranges) => {
                let added = self.ownership.add(self.group_id, ranges);
                effects.answer(added.map(|()| self.clock));
            }
            Body::DropRanges(ranges) => {
                effects.changes.clears = self.ownership.remove(&ranges);
                effects.changes.cleared = self.next_change;
                for range_id in ranges {
                    self.pieces.remove(&range_id);
                    if self.imports.remove(&range_id).is_some() {
                        effects.store.push(StoreChange::Forget(range_id));
                    }
                }
                effects.answer(Ok(self.clock));
            }
            Body::Change(change) => {
                let mut txn = self.txn(store, entry.seed, entry.value_bytes_max);
                let answer = self.change_range(change, &mut txn, store, &mut effects)?;
                effects.answer(answer);
                effects.changes = txn.finish();
            }
            Body::Frames(frames) => {
                let txn = self.txn(store, entry.seed, entry.value_bytes_max);
                self.apply_frames(frames, &Absent::default(), txn, store, limits, &mut effects)?;
            }
            Body::Fetched { arrivals, frames } => {
                let mut txn = self.txn(store, entry.seed, entry.value_bytes_max);
                let absent = self.take_arrivals(arrivals, &mut txn, store, &mut effects)?;
                self.apply_frames(frames, &absent, txn, store, limits, &mut effects)?;
            }
            Body::Effects(computed) => {
                let txn = self.txn(store, entry.seed, entry.value_bytes_max);
                self.apply_effects(*computed, entry.clock, txn, &mut effects)?;
            }
            Body::Sweep(expired) => {
                let mut txn = self.txn(store, entry.seed, entry.value_bytes_max);
                self.sweep(&mut txn, &expired)?;
                effects.changes = txn.finish();
                effects.swept = expired;
            }
            Body::Digest { nonce } => {
                effects.digest = Some(nonce);
                effects.answer(Ok(self.clock));
            }
        }
        self.note_arrivals(&effects.changes, &mut effects.store);
        self.next_change = self.next_change.max(effects.changes.next_change);
        self.note_removals(&effects.changes);
        self.debug_check();
        Ok(effects)
    }

    fn apply_frames(
        &mut self,
        frames: Vec<Bytes>,
        absent: &Absent,
        mut txn: Txn<'_>,
        store: &dyn Store,
        limits: &Limits,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        let (mut bytes, mut is_over) = (0, false);
        let count = frames.len();
        let mut listening = Listening::default();
        for (slot, frame) in frames.into_iter().enumerate() {
            is_over |= bytes > limits.answer_bytes || is_full(&txn, limits);
            let frame = match resolve_frame(frame) {
                Ok(frame) => frame,
                Err(error) => {
                    let reason = error.to_string();
                    let refusal = Refusal::Malformed { reason };
                    effects.replies.push(FrameReply::Refused(refusal).encode());
                    continue;
                }
            };
            let ran = if is_over {
                Ran::PutOff
            } else {
                self.apply_frame(&mut txn, store, absent, &frame, limits)?
            };
            match ran {
                Ran::Answered(answer) => {
                    bytes += answer.len();
                    effects.replies.push(answer);
                    if !listening.is_empty() {
                        let touched = frame.commands.iter().flat_map(touched).collect();
                        let (state, fixed) = ((&mut txn, store), (absent, limits));
                        self.serve(touched, &mut listening, state, fixed, &mut effects.replies)?;
                    }
                }
                Ran::Unremembered(answer) => {
                    if FrameReply::is_waits(&answer) {
                        listening.add(frame, slot);
                    }
                    effects.replies.push(answer);
                }
                Ran::PutOff => {
                    is_over = true;
                    effects.replies.push(PUT_OFF);
                }
            }
        }
        debug_assert_eq!(effects.replies.len(), count, "an answer for each frame");
        effects.changes = txn.finish();
        Ok(())
    }

    fn txn<'a>(&self, view: &'a dyn Store, seed: u64, value_bytes_max: u64) -> Txn<'a> {
        let context = Context {
            group: self.group_id,
            now: self.clock,
            read_now: None,
            seed,
            next_change: self.next_change,
        };
        let mut txn = Txn::new(view, context);
        txn.set_value_bytes_max(usize::try_from(value_bytes_max).unwrap_or(usize::MAX));
        txn
    }

    fn apply_frame(
        &mut self,
        txn: &mut Txn<'_>,
        store: &dyn Store,
        absent: &Absent,
        frame: &ResolvedFrame,
        limits: &Limits,
    ) -> Result<Ran, Fault> {
        let refused = |refusal| Ok(Ran::Answered(FrameReply::Refused(refusal).encode()));
        // A frame of reads that came through the log (its leader had no lease) has no number.
        let numbered = frame.seq > FrameSeq(0);
        if numbered {
            let below = frame.acknowledged_below;
            match self.sessions.admit(frame.session, frame.seq, below) {
                Admission::Apply => {}
                Admission::Answered(answer) => return Ok(Ran::Answered(answer)),
                Admission::Refused(refusal) => return refused(refusal),
            }
        }
        let stage = frame.wait.map(|wait| wait.stage);
        if stage.is_some() && !numbered {
            let reason = "a frame that waits has a number".to_owned();
            return refused(Refusal::Malformed { reason });
        }
        if stage == Some(Stage::Listening) {
            return Ok(Ran::Unremembered(FrameReply::Waits { epoch: 0 }.encode()));
        }
        if stage == Some(Stage::Withdrawn) {
            // From here on the number is answered: no copy of the frame is applied any more.
            let answer = FrameReply::Done(Vec::new()).encode();
            self.sessions
                .answered(frame.session, frame.seq, answer.clone());
            return Ok(Ran::Answered(answer));
        }
        let checked = match self.check(frame) {
            Ok(()) => self.check_arrived(frame, txn, store, absent)?,
            Err(refusal) => Err(refusal),
        };
        let answer = match checked {
            Ok(()) => match self.run(txn, frame, limits)? {
                Ran::Answered(answer) => answer,
                ran @ (Ran::PutOff | Ran::Unremembered(_)) => return Ok(ran),
            },
            // The frame is sent again under the same number, and must be applied then.
            Err(Refusal::Moving) => return refused(Refusal::Moving),
            Err(refusal) => FrameReply::Refused(refusal).encode(),
        };
        if numbered {
            self.sessions
                .answered(frame.session, frame.seq, answer.clone());
        }
        Ok(Ran::Answered(answer))
    }

    /// Checks that the group owns all keys of the frame; otherwise none of it is executed.
    fn check(&self, frame: &ResolvedFrame) -> Result<(), Refusal> {
        for watch in &frame.watches {
            self.ownership.check_key(watch.table, &watch.key)?;
        }
        for command in &frame.commands {
            self.ownership.check(command)?;
        }
        Ok(())
    }

    fn run(&self, txn: &mut Txn<'_>, frame: &ResolvedFrame, limits: &Limits) -> Result<Ran, Fault> {
        for watch in &frame.watches {
            let last_removed = self.last_removed(watch.table, &watch.key);
            if !watch_token_holds(txn, watch.table, &watch.key, &watch.token, last_removed)? {
                return Ok(Ran::Answered(watch_failed(resp(frame))));
            }
        }
        self.ownership.open_to(&frame.commands, txn);
        if let Some(wait) = frame.wait {
            return run_waiting(txn, frame, wait.stage);
        }
        if !frame.flags.has(FrameFlags::READ_ONLY) {
            return run_commands(txn, frame, limits, &mut NoScripts);
        }
        run_reads(txn, frame, &mut NoScripts).map(Ran::Answered)
    }

    /// The keys that a command may touch.
    fn land(&self) -> Land<'_> {
        Land {
            ownership: &self.ownership,
            imports: &self.imports,
        }
    }

    fn sweep(&self, txn: &mut Txn<'_>, expired: &[Expired]) -> Result<(), Fault> {
        let mut out = BytesMut::new();
        for one in expired
            .iter()
            .filter(|one| self.ownership.owns(one.table, &one.key))
        {
            let args = vec![Bytes::from_static(b"_EXPIRED"), one.key.clone()];
            let command = Resolved::new(one.table, args);
            execute(txn, &command, Resp::V2, &mut out)?;
            out.clear();
        }
        Ok(())
    }

    /// A removal counts from its own moment, not from the end of the entry: a frame later in the
    /// same entry may watch the key after it.
    fn note_removals(&mut self, changes: &Changes) {
        for removal in &changes.removals {
            let slot = &mut self.removals[removal_slot(removal.table, &removal.key)];
            *slot = removal.touched.max(*slot);
        }
        self.cleared = self.cleared.max(changes.cleared);
    }
}

/// The answer of a transaction whose watches do not hold.
fn watch_failed(resp: Resp) -> Bytes {
    let null: &[u8] = match resp {
        Resp::V2 => b"*-1\r\n",
        Resp::V3 => b"_\r\n",
    };
    FrameReply::encode_done(&[null.len()], null)
}
