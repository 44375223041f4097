//! Runs frames with scripts over the state that the leader has applied, and gathers their effects
//! for a single entry (design §17). Only a leader runs scripts; what it computed is applied by all
//! replicas alike, or refused by all (`apply/computed.rs`).
//!
//! The frames run in order, each over the changes of those before it. A script calls commands
//! through [`ScriptState::call`]: they run as in an entry, over the same kind of transaction, and
//! touch only keys that the group owns and has the records of. A script that fails keeps what it
//! has written, as in Redis. A script that is ended from outside leaves nothing.
//!
//! The engine that knows the language is the caller's.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use coterie_protocol::{FrameFlags, FrameReply, Refusal};
use coterie_redis_compat::errors::{
    DISK_FULL, NOT_FROM_SCRIPT, SCRIPT_NON_LOCAL, SCRIPT_READ_ONLY, SCRIPT_UNKNOWN_COMMAND,
    SCRIPT_WRONG_ARITY,
};
use coterie_redis_compat::{
    CommandError, Context, Fault, Flags, Reply, Resolved, Resp, Run, ScriptCall, Txn, execute,
    parse_table,
};
use coterie_types::{FrameSeq, SessionId, TableId, UnixMillis};

use crate::frame::{ResolvedFrame, resolve_frame};
use crate::land::Land;
use crate::limits::Limits;
use crate::named_keys::named_keys;
use crate::read::{ReadOutcome, ReadState};
use crate::run::{FRAME_BYTES_MAX, Ran, Runner, is_full, run_commands};
use crate::script_effects::{RunFrame, ScriptEffects, Standing};
use crate::store::Store;

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself: its changes stay, even if it failed.
    ByItself,
    /// From outside: its changes are taken back, and the reply says why.
    FromOutside,
}

/// Runs a script.
pub trait ScriptEngine {
    /// The scripts that follow are of this frame of the run.
    fn begin_frame(&mut self, _frame: usize) {}

    /// Runs a script and appends its reply. If `state` is stopped, the reply does not count.
    fn run(
        &mut self,
        call: &ScriptCall<'_>,
        state: &mut ScriptState<'_, '_>,
        resp: Resp,
        out: &mut BytesMut,
    ) -> Ended;
}

/// The rights of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// It may write.
    pub may_write: bool,
    /// It may make the data grow while there is no room.
    pub may_grow: bool,
}

/// The state as a script sees it: through commands.
pub struct ScriptState<'s, 'v> {
    txn: &'s mut Txn<'v>,
    ground: &'s Ground<'s>,
    table: TableId,
    rights: Rights,
    script_bytes: usize,
    has_written: bool,
    stop: Option<Stop>,
}

/// Why a frame cannot be run here and now.
enum Stop {
    Refused(Refusal),
    Fault(Fault),
}

/// What the commands of scripts stand on.
struct Ground<'a> {
    land: Land<'a>,
    /// The records of the keys; `None` where the view itself asks for those that have not arrived.
    store: Option<&'a dyn Store>,
    /// There is room on disk.
    has_room: bool,
}

impl ScriptState<'_, '_> {
    /// Sets the rights that the script declares; a command may allow less.
    pub fn restrict(&mut self, rights: Rights) {
        self.rights.may_write &= rights.may_write;
        self.rights.may_grow = rights.may_grow;
    }

    /// Whether the script may write.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.rights.may_write
    }

    /// Whether there is room on disk.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.ground.has_room
    }

    /// Whether the script has written.
    #[must_use]
    pub fn has_written(&self) -> bool {
        self.has_written
    }

    /// Whether the frame cannot be run here and now: the script is to end at once.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// Ends the frame: nothing of it counts, and it is refused.
    pub fn stop(&mut self, refusal: Refusal) {
        self.stop.get_or_insert(Stop::Refused(refusal));
    }

    /// The time of the entry.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.txn.read_now()
    }

    /// The next number of the entry's chance.
    pub fn random(&mut self) -> u64 {
        self.txn.random()
    }

    /// Runs a command and appends its reply.
    pub fn call(&mut self, words: Vec<Bytes>, resp: Resp, out: &mut BytesMut) {
        let command = Resolved::new(self.table, words);
        match self.run(&command, resp, out) {
            Ok(None) => {}
            Ok(Some(reply)) => reply.encode(resp, out),
            Err(error) => Reply::from(error).encode(resp, out),
        }
    }

    /// The reply, unless it is appended already.
    fn run(
        &mut self,
        command: &Resolved,
        resp: Resp,
        out: &mut BytesMut,
    ) -> Result<Option<Reply>, CommandError> {
        let row = command.row().map_err(|error| match error {
            CommandError::WrongArity(_) => SCRIPT_WRONG_ARITY,
            CommandError::UnknownCommand(..) => SCRIPT_UNKNOWN_COMMAND,
            other => other.clone(),
        })?;
        if row.is_internal() {
            return Err(SCRIPT_UNKNOWN_COMMAND);
        }
        if row.flags.contains(Flags::NOSCRIPT) {
            return Err(NOT_FROM_SCRIPT);
        }
        if row.is_write() && !self.rights.may_write {
            return Err(SCRIPT_READ_ONLY);
        }
        if !matches!(row.run, Run::Group(_)) {
            return self.answer(command, row.name).map(Some);
        }
        let grows = row.flags.contains(Flags::DENYOOM);
        if grows && !self.ground.has_room && !self.rights.may_grow && !self.has_written {
            return Err(DISK_FULL);
        }
        if row.is_write() && self.txn.changed_bytes() > self.script_bytes {
            return Err(CommandError::script_too_large(self.script_bytes));
        }
        self.check_keys(command)?;
        self.has_written |= row.is_write();
        self.txn.set_reply_room(FRAME_BYTES_MAX);
        if let Err(fault) = execute(self.txn, command, resp, out) {
            self.stop = Some(Stop::Fault(fault));
        }
        Ok(None)
    }

    /// Answers the few commands of the proxy that scripts may call.
    fn answer(&mut self, command: &Resolved, name: &str) -> Result<Reply, CommandError> {
        let words = command.args();
        match name {
            "ping" => Ok(match words.get(1) {
                Some(word) => Reply::Bulk(word.clone()),
                None => Reply::simple("PONG"),
            }),
            "echo" => Ok(Reply::Bulk(words[1].clone())),
            "time" => {
                let now = self.now().0;
                let numbers = [now / 1000, now % 1000 * 1000];
                let numbers = numbers.map(|number| Reply::Bulk(number.to_string().into()));
                Ok(Reply::Array(numbers.into()))
            }
            "select" => {
                let table = parse_table(&words[1]);
                self.table = table.ok_or(coterie_redis_compat::errors::DB_OUT_OF_RANGE)?;
                Ok(Reply::OK)
            }
            _ => Err(NOT_FROM_SCRIPT),
        }
    }

    /// Errors: the group does not own a key. If the key is about to be here, the frame is stopped.
    fn check_keys(&mut self, command: &Resolved) -> Result<(), CommandError> {
        match self.ground.land.ownership.check(command) {
            Ok(()) => {}
            Err(Refusal::Moving) => self.stop(Refusal::Moving),
            Err(_) => return Err(SCRIPT_NON_LOCAL),
        }
        let Some(store) = self.ground.store else {
            return Ok(());
        };
        if self.ground.land.imports.is_empty() {
            return Ok(());
        }
        let (land, txn) = (&self.ground.land, &*self.txn);
        let mut known = Ok(true);
        command.visit_keys(&mut |table, key| {
            if matches!(known, Ok(true)) {
                known = land.knows(table, key, txn, store);
            }
        });
        match known {
            Ok(true) => {}
            Ok(false) => self.stop(Refusal::Moving),
            Err(fault) => self.stop = Some(Stop::Fault(fault)),
        }
        if self.is_stopped() {
            return Err(SCRIPT_NON_LOCAL);
        }
        Ok(())
    }
}

/// Runs commands, and scripts by an engine.
struct WithScripts<'a> {
    engine: &'a mut dyn ScriptEngine,
    ground: Ground<'a>,
    script_bytes: usize,
    stop: Option<Stop>,
}

impl Runner for WithScripts<'_> {
    fn run(
        &mut self,
        txn: &mut Txn<'_>,
        command: &Resolved,
        resp: Resp,
        out: &mut BytesMut,
    ) -> Result<(), Fault> {
        if !command.is_script() {
            return execute(txn, command, resp, out);
        }
        let call = match ScriptCall::of(command) {
            Ok(call) => call,
            Err(error) => {
                Reply::from(error).encode(resp, out);
                return Ok(());
            }
        };
        txn.set_whole_ranges(self.ground.land.ownership.whole_ranges());
        txn.set_savepoint();
        let before = out.len();
        let mut state = ScriptState {
            txn,
            ground: &self.ground,
            table: command.table(),
            rights: Rights {
                may_write: !call.is_read_only,
                may_grow: false,
            },
            script_bytes: self.script_bytes,
            has_written: false,
            stop: None,
        };
        let mut ended = self.engine.run(&call, &mut state, resp, out);
        if let Some(stop) = state.stop.take() {
            self.stop.get_or_insert(stop);
            txn.roll_back();
            return Ok(());
        }
        let too_much = if txn.changed_bytes() > self.script_bytes {
            Some(CommandError::script_too_large(self.script_bytes))
        } else if out.len() - before > FRAME_BYTES_MAX {
            Some(CommandError::reply_too_long(FRAME_BYTES_MAX))
        } else {
            None
        };
        if let Some(error) = too_much {
            out.truncate(before);
            Reply::from(error).encode(resp, out);
            ended = Ended::FromOutside;
        }
        match ended {
            Ended::ByItself => txn.keep_changes(),
            Ended::FromOutside => txn.roll_back(),
        }
        // The commands of the script had replies of their own.
        txn.set_reply_room(usize::MAX);
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_some()
    }
}

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

    /// Executes a frame of reads like [`ReadState::read`], and its scripts by an engine. `view` asks
    /// the source of a range for records that have not arrived.
    pub fn read_scripts(
        &self,
        frame: &ResolvedFrame,
        view: &dyn coterie_redis_compat::View,
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
