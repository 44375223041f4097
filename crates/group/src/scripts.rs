//! Runs frames with scripts over the state that the leader has applied, and gathers their effects
//! for a single entry (design §17). Only a leader runs scripts; its results are applied by all
//! replicas alike, or refused by all (`apply/computed.rs`).
//!
//! The frames run in order, each over the changes of those before it. A script calls commands
//! through `script_state`. A script that fails keeps its writes, as in Redis. A script that is
//! ended from outside leaves nothing.
//!
//! The engine that knows the language is the caller's.

use std::collections::BTreeSet;

use bytes::Bytes;
use coterie_protocol::{FrameFlags, FrameReply, Refusal};
use coterie_redis_compat::{Context, Fault, Txn, View};
use coterie_types::{FrameSeq, SessionId, UnixMillis};

use crate::frame::{ResolvedFrame, resolve_frame};
use crate::land::Land;
use crate::limits::Limits;
use crate::named_keys::named_keys;
use crate::read::{ReadOutcome, ReadState};
use crate::run::{Ran, is_full, run_commands};
use crate::script_effects::{RunFrame, ScriptEffects, Standing};
use crate::script_state::{Ground, ScriptEngine, Stop, WithScripts};
use crate::store::Store;

/// The head of an entry that is to be: what its scripts run with.
#[derive(Debug, Clone, Copy)]
pub struct ScriptSeat {
    /// The clock of the entry.
    pub clock: UnixMillis,
    /// Its chance.
    pub seed: u64,
    /// Bytes of the longest value.
    pub value_bytes_max: u64,
    /// There is room on disk.
    pub has_room: bool,
}

/// The place of a frame after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// The next of the entry's frames.
    InEntry,
    /// It is answered without the log: nothing of it is remembered.
    Answered(Bytes),
    /// It has not run, and belongs into another entry.
    PutOff,
}

/// The outcome of a run.
#[derive(Debug)]
pub struct ScriptRun {
    /// The place of each frame.
    pub slots: Vec<Slot>,
    /// The effects; `None` if no frame goes into the log.
    pub effects: Option<ScriptEffects>,
}

impl ReadState {
    /// Runs frames with scripts over `store`, which must not be older than this state. `is_last`
    /// is asked after each frame, with the changes so far, whether the others must wait.
    pub fn run_scripts(
        &self,
        frames: Vec<Bytes>,
        store: &dyn Store,
        seat: ScriptSeat,
        engine: &mut dyn ScriptEngine,
        is_last: &mut dyn FnMut(&Txn<'_>) -> bool,
    ) -> Result<ScriptRun, Fault> {
        let limits = Limits::default();
        let limits = Limits {
            transaction_bytes: limits.script_bytes,
            ..limits
        };
        let land = self.land();
        let mut txn = Txn::new(store, self.context(seat));
        txn.set_value_bytes_max(usize::try_from(seat.value_bytes_max).unwrap_or(usize::MAX));
        let mut runner = WithScripts {
            engine,
            ground: Ground {
                land,
                store: Some(store),
                has_room: seat.has_room,
            },
            script_bytes: limits.script_bytes,
            stop: None,
        };
        let mut batch = Batch::default();
        for (place, frame) in frames.into_iter().enumerate() {
            runner.engine.begin_frame(place);
            let slot = match resolve_frame(frame) {
                Ok(frame) => batch.run(&frame, &mut txn, (store, land), &mut runner, &limits)?,
                Err(error) => Slot::Answered(malformed(&error.to_string())),
            };
            batch.is_over |= txn.changed_bytes() > limits.scripts_bytes
                || batch.answer_bytes > limits.scripts_bytes
                || is_last(&txn);
            batch.slots.push(slot);
        }
        let changes = txn.finish();
        let standing = Standing {
            next_change: self.next_change,
            owned: self.ownership.digest(),
        };
        let frames = batch.frames;
        Ok(ScriptRun {
            slots: batch.slots,
            effects: (!frames.is_empty()).then_some(ScriptEffects {
                standing,
                frames,
                changes,
            }),
        })
    }

    /// Executes a frame of reads like [`ReadState::read`], and its scripts by an engine. `view`
    /// asks the source of a range for records that have not arrived.
    pub fn read_scripts(
        &self,
        frame: &ResolvedFrame,
        view: &dyn View,
        (now, seed): (UnixMillis, u64),
        engine: &mut dyn ScriptEngine,
    ) -> Result<ReadOutcome, Fault> {
        let mut runner = WithScripts {
            engine,
            ground: Ground {
                land: self.land(),
                store: None,
                has_room: true,
            },
            script_bytes: 0,
            stop: None,
        };
        let outcome = self.read_by(frame, view, now, seed, &mut runner)?;
        match runner.stop {
            None => Ok(outcome),
            Some(Stop::Refused(refusal)) => {
                Ok(ReadOutcome::Reply(FrameReply::Refused(refusal).encode()))
            }
            Some(Stop::Fault(fault)) => Err(fault),
        }
    }

    fn land(&self) -> Land<'_> {
        Land {
            ownership: &self.ownership,
            imports: &self.imports,
        }
    }

    fn context(&self, seat: ScriptSeat) -> Context {
        Context {
            group: self.group_id,
            now: seat.clock.max(self.clock),
            read_now: None,
            seed: seat.seed,
            next_change: self.next_change,
        }
    }
}

/// The frames of a run so far.
#[derive(Default)]
struct Batch {
    slots: Vec<Slot>,
    frames: Vec<RunFrame>,
    seen: BTreeSet<(SessionId, FrameSeq)>,
    answer_bytes: usize,
    is_over: bool,
}

impl Batch {
    fn run(
        &mut self,
        frame: &ResolvedFrame,
        txn: &mut Txn<'_>,
        (store, land): (&dyn Store, Land<'_>),
        runner: &mut WithScripts<'_>,
        limits: &Limits,
    ) -> Result<Slot, Fault> {
        if frame.seq == FrameSeq(0) || frame.wait.is_some() {
            let reason = "a frame with scripts has a number, and does not wait";
            return Ok(Slot::Answered(malformed(reason)));
        }
        let is_copy = self.seen.contains(&(frame.session, frame.seq));
        let is_alone = !frame.watches.is_empty();
        if self.is_over || is_copy || is_full(txn, limits) || (is_alone && !self.frames.is_empty())
        {
            self.is_over = true;
            return Ok(Slot::PutOff);
        }
        self.is_over |= is_alone;
        let answer = match check(frame, txn, (store, land))? {
            Err(Refusal::Moving) => {
                let refusal = FrameReply::Refused(Refusal::Moving);
                return Ok(Slot::Answered(refusal.encode()));
            }
            Err(refusal) => FrameReply::Refused(refusal).encode(),
            Ok(()) => {
                txn.set_savepoint();
                match run_commands(txn, frame, limits, runner)? {
                    Ran::Answered(answer) => {
                        txn.keep_changes();
                        answer
                    }
                    Ran::PutOff | Ran::Unremembered(_) => {
                        txn.roll_back();
                        return match runner.stop.take() {
                            None => {
                                self.is_over = true;
                                Ok(Slot::PutOff)
                            }
                            Some(Stop::Refused(refusal)) => {
                                Ok(Slot::Answered(FrameReply::Refused(refusal).encode()))
                            }
                            Some(Stop::Fault(fault)) => Err(fault),
                        };
                    }
                }
            }
        };
        self.seen.insert((frame.session, frame.seq));
        self.answer_bytes += answer.len();
        self.frames.push(RunFrame {
            session: frame.session,
            seq: frame.seq,
            acknowledged_below: frame.acknowledged_below,
            flags: frame.flags,
            watches: frame.watches.clone(),
            answer,
        });
        Ok(Slot::InEntry)
    }
}

/// Checks that the group owns all keys that the frame names, and has their records.
fn check(
    frame: &ResolvedFrame,
    txn: &Txn<'_>,
    (store, land): (&dyn Store, Land<'_>),
) -> Result<Result<(), Refusal>, Fault> {
    for watch in &frame.watches {
        if let Err(refusal) = land.ownership.check_key(watch.table, &watch.key) {
            return Ok(Err(refusal));
        }
    }
    for command in &frame.commands {
        if let Err(refusal) = land.ownership.check(command) {
            return Ok(Err(refusal));
        }
    }
    if land.imports.is_empty() {
        return Ok(Ok(()));
    }
    for named in named_keys(frame) {
        if named.is_needed && !land.knows(named.table, &named.key, txn, store)? {
            return Ok(Err(Refusal::Moving));
        }
    }
    Ok(Ok(()))
}

fn malformed(reason: &str) -> Bytes {
    let reason = reason.to_owned();
    FrameReply::Refused(Refusal::Malformed { reason }).encode()
}

/// Whether a frame says that it has scripts.
#[must_use]
pub fn has_scripts(frame: &[u8]) -> bool {
    let flags = frame.first().map_or(0, |flags| *flags);
    FrameFlags(flags).has(FrameFlags::SCRIPTS)
}
