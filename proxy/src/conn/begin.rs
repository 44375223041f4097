//! How a command begins: checked in Redis' order (`server.c`, `processCommand`), then parked,
//! queued by MULTI, or run (`run`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_redis_compat::acl::USERS_UNKNOWN;
use coterie_redis_compat::errors::{NO_AUTH, NOT_IN_MULTI};
use coterie_redis_compat::{Command, CommandError, Flags, Reply, Resp, lookup, resolve};

use super::call::Call;
use super::codec::Cut;
use super::connection::Connection;
use super::departure::Socket;
use super::script_rights::give_rights;
use super::state::{Mode, Until};
use super::{cross_protocol, sizes};
use crate::commands::{self, Handler};

impl<S: Socket> Connection<S> {
    /// Begins the command with these words, read at `now`. A command that was cut short for its
    /// length is refused.
    pub(super) fn begin(&mut self, args: Vec<Bytes>, cut: Option<Cut>, now: Instant) {
        let silent = self.session.next_is_silent();
        match resolve(&args) {
            Ok(_) | Err(CommandError::WrongArity(_))
                if lookup(&args[0]).is_some_and(Command::is_internal) =>
            {
                let unknown = CommandError::UnknownCommand(args[0].clone(), args[1..].to_vec());
                self.refuse(unknown, silent);
            }
            Ok(row) => {
                let deadline = now + self.shared.router.request_timeout;
                let call = self.session.call(row, args, silent, now, deadline);
                return match cut {
                    None => self.begin_call(call),
                    Some(cut) => self.refuse_cut(call, cut),
                };
            }
            Err(CommandError::UnknownCommand(name, _)) if cross_protocol::is_http(&name) => {
                cross_protocol::warn(&self.client);
                self.abort();
            }
            Err(error @ CommandError::WrongArity(_))
                if lookup(&args[0]).is_some_and(commands::is_exec) =>
            {
                self.refuse_exec(&error, silent);
            }
            Err(error) => {
                if matches!(error, CommandError::WrongArity(_)) {
                    self.count_wrong_arity(&args);
                }
                self.refuse(error, silent);
            }
        }
        self.reuse(args);
    }

    fn begin_call(&mut self, call: Call) {
        self.begin_known(call, false);
    }

    /// Begins a call. `has_asked`: meta was asked for its script, if that is not known here.
    fn begin_known(&mut self, call: Call, has_asked: bool) {
        let row = call.row;
        self.try_begin(call, has_asked);
        // CLIENT CACHING holds for a command, or for a transaction.
        if self.session.multi.is_none() && !row.name.starts_with("client|") {
            self.session.wishes.end_caching();
        }
    }

    fn try_begin(&mut self, mut call: Call, has_asked: bool) {
        let row = call.row;
        self.last_command = row.name;
        if let Err(error) = self.check_user(&call) {
            return if commands::is_exec(row) {
                self.refuse_exec(&error, call.silent);
            } else {
                self.reject(call, error);
            };
        }
        let is_limited = self.session.resp == Resp::V2 && self.client.is_subscriber();
        if is_limited && !commands::may_be_called_by_subscribers(row) {
            let error = commands::not_by_subscribers(row);
            return if commands::is_exec(row) {
                self.refuse_exec(&error, call.silent);
            } else {
                self.reject(call, error);
            };
        }
        if self.shared.pause.holds(self.may_write(row)) {
            let shared = Arc::clone(&self.shared);
            let over = Box::pin(async move { shared.pause.over().await });
            return self.park(call, Until::Unpaused(over));
        }
        if row.is_script()
            && let Err(missing) = self.shared.scripts.add_code(&mut call)
        {
            if !has_asked {
                let news = self.shared.scripts.news();
                return self.park(call, Until::News(news));
            }
            // Within MULTI the group reports it, at EXEC.
            if self.session.multi.is_none() {
                return self.fail_at_once(call, missing);
            }
        }
        if row.is_script() {
            give_rights(&mut call, self.session.user.as_deref());
        }
        let handler = commands::handler(row);
        if self.session.multi.is_some() && !matches!(handler, Some(Handler::Session(_))) {
            return self.queue(call, handler);
        }
        self.run_call(call, handler);
    }

    /// Begins a command that had to wait.
    pub(super) fn resume(&mut self, mut call: Call, until: &Until) {
        if !matches!(until, Until::Map { .. } | Until::News(_)) {
            call.restart(Instant::now(), self.shared.router.request_timeout);
        }
        self.begin_known(call, matches!(until, Until::News(_)));
    }

    /// Whether the client has authenticated, if it must, and its user may run the command.
    fn check_user(&mut self, call: &Call) -> Result<(), CommandError> {
        let needs_user = !call.row.flags.contains(Flags::NO_AUTH);
        if needs_user && self.session.user.is_none() {
            Err(USERS_UNKNOWN)
        } else if needs_user && self.must_authenticate() {
            Err(NO_AUTH)
        } else {
            self.check_rights(call)
        }
    }

    /// A client that connected while there was a password need not authenticate once there is none.
    fn must_authenticate(&mut self) -> bool {
        if !self.session.authenticated {
            let rights = &self.shared.rights;
            self.session.authenticated = !rights.need_password();
        }
        !self.session.authenticated
    }

    fn may_write(&self, row: &Command) -> bool {
        let queue = || self.session.multi.iter().flat_map(|multi| &multi.queue);
        row.is_write()
            || row.flags.contains(Flags::MAY_REPLICATE)
            || (commands::is_exec(row) && queue().any(|queued| queued.row.is_write()))
    }

    pub(super) fn park(&mut self, call: Call, until: Until) {
        self.mode = Mode::Parked { call, until };
    }

    /// Replies with an error, which also aborts an open transaction.
    fn refuse(&mut self, error: CommandError, silent: bool) {
        if let Some(multi) = &mut self.session.multi {
            multi.aborted = true;
        }
        self.push_error(error, silent);
    }

    /// As [`Self::refuse`], and counts the command as rejected.
    pub(super) fn reject(&mut self, call: Call, error: CommandError) {
        self.count_rejected(call.row);
        self.refuse(error, call.silent);
        self.reuse(call.args);
    }

    /// Fails a command that counts as run, with no time taken.
    pub(super) fn fail_at_once(&mut self, call: Call, error: CommandError) {
        self.count_call(call.row, Duration::ZERO, true);
        self.push_error(error, call.silent);
        self.reuse(call.args);
    }

    /// Refuses a command that a group would refuse for its size, before it costs anything.
    pub(super) fn check_sizes(&self, call: &Call) -> Result<(), CommandError> {
        // A transaction and its watches are sent as one frame.
        let queued = self.session.multi.as_ref().map_or(0, |multi| multi.bytes);
        let held = queued + self.session.watched_bytes();
        sizes::check(call.row, &call.args, held, self.shared.value_bytes_max())
    }

    /// Refuses a command that is too long, of which only the first bytes were kept.
    fn refuse_cut(&mut self, call: Call, cut: Cut) {
        let row = call.row;
        self.last_command = row.name;
        let value_max = self.shared.value_bytes_max();
        let error = match (sizes::check_total(cut.total, value_max), cut.at) {
            _ if self.must_authenticate() && !row.flags.contains(Flags::NO_AUTH) => NO_AUTH,
            (Err(error), _) => error,
            (Ok(()), Some(at)) => sizes::too_long(row, &call.args, at, value_max),
            // Only its total was too long.
            (Ok(()), None) => CommandError::request_too_long(sizes::request_max(value_max)),
        };
        if commands::is_exec(row) {
            self.refuse_exec(&error, call.silent);
        } else {
            self.reject(call, error);
        }
    }

    fn queue(&mut self, call: Call, handler: Option<Handler>) {
        let row = call.row;
        let refusal = match handler {
            // It would need groups of its own within a transaction, which is a single log entry.
            Some(Handler::Alone(_) | Handler::Waits(_)) => Some(NOT_IN_MULTI),
            _ if row.flags.contains(Flags::NO_MULTI) => Some(NOT_IN_MULTI),
            _ => self.check_sizes(&call).err(),
        };
        if let Some(error) = refusal {
            return self.reject(call, error);
        }
        if let Some(multi) = &mut self.session.multi {
            multi.push(&call);
        }
        self.reply(call, &Reply::simple("QUEUED"));
    }
}
