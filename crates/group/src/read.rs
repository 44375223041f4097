//! Reads outside the log, over a part of the state that is published after each entry.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use coterie_protocol::{FrameReply, Refusal};
use coterie_redis_compat::{Context, Fault, Txn, View};
use coterie_types::{GroupId, RangeId, UnixMillis};

use crate::frame::ResolvedFrame;
use crate::import::{Import, Pieces};
use crate::ownership::Ownership;
use crate::run::{NoScripts, Runner, run_reads};
use crate::state::GroupState;

/// The state for readers after an applied entry. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReadState {
    pub(crate) group_id: GroupId,
    pub(crate) clock: UnixMillis,
    pub(crate) next_change: u64,
    pub(crate) ownership: Arc<Ownership>,
    pub(crate) imports: Arc<BTreeMap<RangeId, Import>>,
    pieces: Arc<BTreeMap<RangeId, Pieces>>,
}

/// The outcome of a read.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// Bytes of [`FrameReply`].
    Reply(Bytes),
    /// A record is expired by the leader's clock and not yet by the log's: commit a tick, then
    /// retry (see `clock`).
    NeedsTick,
}

impl GroupState {
    /// The present state for readers. `before` is the last published state; unchanged parts are
    /// shared with it.
    #[must_use]
    pub fn read_state(&self, before: Option<&ReadState>) -> ReadState {
        let ownership = match before {
            Some(before) if *before.ownership == self.ownership => Arc::clone(&before.ownership),
            _ => Arc::new(self.ownership.clone()),
        };
        let imports = match before {
            Some(before) if *before.imports == self.imports => Arc::clone(&before.imports),
            _ => Arc::new(self.imports.clone()),
        };
        let pieces = match before {
            Some(before) if *before.pieces == self.pieces => Arc::clone(&before.pieces),
            _ => Arc::new(self.pieces.clone()),
        };
        let (group_id, clock, next_change) = (self.group_id, self.clock, self.next_change);
        ReadState {
            group_id,
            clock,
            next_change,
            ownership,
            imports,
            pieces,
        }
    }
}

impl ReadState {
    /// The group's ownership.
    #[must_use]
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// The progress of a range's import.
    #[must_use]
    pub fn import(&self, range_id: RangeId) -> Option<&Import> {
        self.imports.get(&range_id)
    }

    /// The spread collections of a range that are arriving.
    #[must_use]
    pub fn pieces(&self, range_id: RangeId) -> Option<&Pieces> {
        self.pieces.get(&range_id)
    }

    /// The clock of the last entry applied.
    #[must_use]
    pub fn clock(&self) -> UnixMillis {
        self.clock
    }

    /// Whether both states have the very same ownership, arriving ranges included.
    #[must_use]
    pub fn same_ownership(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.ownership, &other.ownership)
    }

    /// Whether the frame names keys that may not have arrived yet; if so, `view` must ask their
    /// source.
    #[must_use]
    pub fn needs_source(&self, frame: &ResolvedFrame) -> bool {
        let mut commands = frame.commands.iter();
        self.ownership.has_arrivals()
            && commands.any(|command| self.ownership.names_import(command))
    }

    /// Executes a frame of reads over `view`, which must not be older than this state. `now` is the
    /// leader's clock; `seed` is the source of chance for the commands.
    pub fn read(
        &self,
        frame: &ResolvedFrame,
        view: &dyn View,
        now: UnixMillis,
        seed: u64,
    ) -> Result<ReadOutcome, Fault> {
        self.read_by(frame, view, now, seed, &mut NoScripts)
    }

    pub(crate) fn read_by(
        &self,
        frame: &ResolvedFrame,
        view: &dyn View,
        now: UnixMillis,
        seed: u64,
        runner: &mut dyn Runner,
    ) -> Result<ReadOutcome, Fault> {
        for command in &frame.commands {
            if command.is_write() {
                // The proxy must not send a write this way: nothing may change outside the log.
                let reason = "a write in a frame of reads".to_owned();
                return Ok(refused(Refusal::Malformed { reason }));
            }
            if let Err(refusal) = self.ownership.check(command) {
                return Ok(refused(refusal));
            }
        }
        let context = Context {
            group: self.group_id,
            now: self.clock,
            read_now: Some(now.max(self.clock)),
            seed,
            next_change: self.next_change,
        };
        let mut txn = Txn::new(view, context);
        self.ownership.open_to(&frame.commands, &mut txn);
        let answer = run_reads(&mut txn, frame, runner)?;
        Ok(if txn.needs_tick() {
            ReadOutcome::NeedsTick
        } else {
            ReadOutcome::Reply(answer)
        })
    }
}

fn refused(refusal: Refusal) -> ReadOutcome {
    ReadOutcome::Reply(FrameReply::Refused(refusal).encode())
}
