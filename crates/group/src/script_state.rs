//! The state of a group as a script sees it: through commands. Each runs as in an entry, and
//! touches only keys that the group owns and has the records of.

use bytes::{Bytes, BytesMut};
use coterie_protocol::Refusal;
use coterie_redis_compat::acl::User;
use coterie_redis_compat::errors::{
    DB_OUT_OF_RANGE, DISK_FULL, NOT_FROM_SCRIPT, SCRIPT_NON_LOCAL, SCRIPT_READ_ONLY,
    SCRIPT_UNKNOWN_COMMAND, SCRIPT_WRONG_ARITY,
};
use coterie_redis_compat::{
    Command, CommandError, Fault, Flags, ROWS, Reply, Resolved, Resp, Run, ScriptCall, Txn,
    execute, parse_table, row_number,
};
use coterie_types::{TableId, UnixMillis};

use crate::land::Land;
use crate::run::{FRAME_BYTES_MAX, Runner};
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
    /// Its user; `None` for a user who may do everything.
    user: Option<User>,
    rights: Rights,
    script_bytes: usize,
    has_written: bool,
    stop: Option<Stop>,
}

/// Why a frame cannot be run here and now.
pub(crate) enum Stop {
    Refused(Refusal),
    Fault(Fault),
}

/// What the commands of scripts stand on.
pub(crate) struct Ground<'a> {
    pub(crate) land: Land<'a>,
    /// The records of the keys; `None` where the view itself asks for those that have not arrived.
    pub(crate) store: Option<&'a dyn Store>,
    /// There is room on disk.
    pub(crate) has_room: bool,
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
        self.check_user(row, command.args())?;
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

    /// Errors: the user of the script may not run the command.
    fn check_user(&self, row: &Command, args: &[Bytes]) -> Result<(), CommandError> {
        let Some(user) = &self.user else {
            return Ok(());
        };
        let checked = user.check(row, args);
        checked.map_err(|denial| denial.in_script())?;
        user.check_options(row, args)
    }

    /// Whether the user of the script may run a command; `None` if there is no such command.
    #[must_use]
    pub fn may_call(&self, args: &[Bytes]) -> Option<bool> {
        let command = Resolved::new(self.table, args.to_vec());
        let row = match command.row() {
            Ok(row) => row,
            // Redis does not count the words.
            Err(CommandError::WrongArity(name)) => &ROWS[row_number(name)?],
            Err(_) => return None,
        };
        let user = self.user.as_ref();
        (!row.is_internal()).then(|| user.is_none_or(|user| user.check(row, args).is_ok()))
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
                self.table = table.ok_or(DB_OUT_OF_RANGE)?;
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
pub(crate) struct WithScripts<'a> {
    pub(crate) engine: &'a mut dyn ScriptEngine,
    pub(crate) ground: Ground<'a>,
    /// Bytes of keys and values that the entry may change.
    pub(crate) script_bytes: usize,
    pub(crate) stop: Option<Stop>,
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
        let user = match call.rules.map(|rules| User::of_rules(Bytes::new(), rules)) {
            None => None,
            Some(Ok(user)) => Some(user),
            Some(Err(error)) => {
                let line = format!("ERR the rights of the user cannot be read: {error}");
                Reply::Error(line.into()).encode(resp, out);
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
            user,
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
