//! How a command begins: checked in Redis' order (`server.c`, `processCommand`), then queued by
//! MULTI, sent to its groups, or answered here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_redis_compat::errors::{
    DISCARD_WITHOUT_MULTI, NESTED_MULTI, NO_AUTH, NOT_IN_MULTI, NOT_OFFERED, STARTING,
    WATCH_INSIDE_MULTI,
};
use coterie_redis_compat::{Command, CommandError, Flags, Reply, Run, lookup, resolve};

use super::codec::Cut;
use super::connection::{Alone, Connection, Parked, Until};
use super::departure::Socket;
use super::pipeline::Request;
use super::route::Unroutable;
use super::session::{Multi, Queued, ReplyMode, Session};
use super::{cross_protocol, sizes};
use crate::commands::{self, Answer, Call, Handler, Local, OfSession};
use crate::router::Failure;

impl<S: Socket> Connection<S> {
    /// Begins the command with these words. They are taken only if the command has to wait. One that
    /// was cut short, as it is too long, is refused.
    pub(super) fn begin(&mut self, args: &mut Vec<Bytes>, cut: Option<Cut>) {
        let silent = self.session.next_is_silent();
        match resolve(args) {
            Ok(_) | Err(CommandError::WrongArity(_))
                if lookup(&args[0]).is_some_and(Command::is_internal) =>
            {
                let unknown = CommandError::UnknownCommand(args[0].clone(), args[1..].to_vec());
                self.refuse(unknown, silent);
            }
            Ok(row) => match cut {
                None => self.begin_row(row, args, silent),
                Some(cut) => self.refuse_cut(row, cut, args, silent),
            },
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
                    self.count_wrong_arity(args);
                }
                self.refuse(error, silent);
            }
        }
    }

    fn begin_row(&mut self, row: &'static Command, args: &mut Vec<Bytes>, silent: bool) {
        self.last_command = row.name;
        if self.must_authenticate() && !row.flags.contains(Flags::NO_AUTH) {
            return if commands::is_exec(row) {
                self.refuse_exec(&NO_AUTH, silent);
            } else {
                self.reject(row, NO_AUTH, silent);
            };
        }
        if self.shared.pause.holds(self.may_write(row)) {
            let shared = Arc::clone(&self.shared);
            let over = Box::pin(async move { shared.pause.over().await });
            return self.park(row, args, silent, Until::Unpaused(over));
        }
        let handler = commands::handler(row);
        if self.session.multi.is_some() && !matches!(handler, Some(Handler::OfSession(_))) {
            return self.queue(row, handler, args, silent);
        }
        match handler {
            None if matches!(row.run, Run::Group(_)) => self.submit(row, args, silent),
            None => {
                let error = NOT_OFFERED;
                self.reject(row, error, silent);
            }
            Some(Handler::Now(run) | Handler::OfClients(run) | Handler::ChoosesTable(run)) => {
                let began = Instant::now();
                let answer = self.run_now(row, run, args);
                self.count_call(row, began.elapsed(), answer.is_err());
                self.take_answer(answer, silent);
            }
            Some(Handler::Alone(_) | Handler::Waits(_)) if !self.is_settled() => {
                self.park(row, args, silent, Until::Settled);
            }
            Some(Handler::Alone(run) | Handler::Waits(run)) => {
                self.run_alone(row, run, args, silent)
            }
            Some(Handler::OfSession(word)) => self.of_session(word, row, args, silent),
        }
    }

    /// Begins again a command that had to wait.
    pub(super) fn resume(&mut self, mut parked: Parked) {
        let deadline = match parked.until {
            Until::Map { deadline, .. } => deadline,
            _ => Instant::now() + self.shared.router.request_timeout,
        };
        self.deadline = deadline;
        self.begin_row(parked.command, &mut parked.args, parked.silent);
    }

    /// A client that came while there was a password is free when there is none any more.
    fn must_authenticate(&mut self) -> bool {
        if !self.session.authenticated {
            self.session.authenticated = !self.shared.settings.has_password();
        }
        !self.session.authenticated
    }

    fn may_write(&self, row: &Command) -> bool {
        let queue = || self.session.multi.iter().flat_map(|multi| &multi.queue);
        row.is_write()
            || row.flags.contains(Flags::MAY_REPLICATE)
            || (commands::is_exec(row) && queue().any(|queued| queued.command.is_write()))
    }

    pub(super) fn park(
        &mut self,
        command: &'static Command,
        args: &mut Vec<Bytes>,
        silent: bool,
        until: Until,
    ) {
        self.parked = Some(Parked {
            command,
            args: std::mem::take(args),
            silent,
            until,
        });
    }

    /// An error that also spoils a transaction.
    fn refuse(&mut self, error: CommandError, silent: bool) {
        if let Some(multi) = &mut self.session.multi {
            multi.aborted = true;
        }
        self.push_error(error, silent);
    }

    /// As [`Self::refuse`], for a command that is not run.
    fn reject(&mut self, row: &'static Command, error: CommandError, silent: bool) {
        self.count_rejected(row);
        self.refuse(error, silent);
    }

    /// A command that was run fails, and took no time.
    fn fail_at_once(&mut self, row: &'static Command, error: CommandError, silent: bool) {
        self.count_call(row, Duration::ZERO, true);
        self.push_error(error, silent);
    }

    /// Why a command goes nowhere when the newest map does not know its keys and its time is over.
    pub(super) fn no_owner(&self) -> CommandError {
        if self.pipeline.map().is_empty() {
            STARTING
        } else {
            Failure::no_range().error()
        }
    }

    /// What a group would refuse is refused here, before it costs anybody anything.
    fn check_sizes(&self, row: &Command, args: &[Bytes]) -> Result<(), CommandError> {
        // A transaction and its watches are one frame.
        let queued = self.session.multi.as_ref().map_or(0, |multi| multi.bytes);
        let held = queued + self.session.watched_bytes();
        sizes::check(row, args, held, self.shared.value_bytes_max())
    }

    /// A command that is too long, of which only the first bytes are here.
    fn refuse_cut(&mut self, row: &'static Command, cut: Cut, args: &[Bytes], silent: bool) {
        self.last_command = row.name;
        let value_max = self.shared.value_bytes_max();
        let error = match (sizes::check_total(cut.total, value_max), cut.at) {
            _ if self.must_authenticate() && !row.flags.contains(Flags::NO_AUTH) => NO_AUTH,
            (Err(error), _) => error,
            (Ok(()), Some(at)) => sizes::too_long(row, args, at, value_max),
            // The sum alone cut it.
            (Ok(()), None) => CommandError::request_too_long(sizes::request_max(value_max)),
        };
        if commands::is_exec(row) {
            self.refuse_exec(&error, silent);
        } else {
            self.refuse(error, silent);
        }
    }

    fn submit(&mut self, row: &'static Command, args: &mut Vec<Bytes>, silent: bool) {
        if let Err(error) = self.check_sizes(row, args) {
            return self.reject(row, error, silent);
        }
        let request = self.request(row, args);
        let result = self.pipeline.submit(request, silent);
        self.routed(result, row, args, silent);
    }

    fn request<'a>(&self, command: &'static Command, args: &'a [Bytes]) -> Request<'a> {
        Request {
            command,
            args,
            table: self.session.table,
            flags: self.session.frame_flags(),
            deadline: self.deadline,
        }
    }

    /// Deals with a command that may not have found its groups.
    fn routed(
        &mut self,
        result: Result<(), Unroutable>,
        row: &'static Command,
        args: &mut Vec<Bytes>,
        silent: bool,
    ) {
        match result {
            Ok(()) => self.count_when_answered(row, &[]),
            // Redis, too, refuses keys that are apart before it runs a command, and finds what is
            // wrong with its words as it runs it.
            Err(Unroutable::Refused(error @ CommandError::CrossGroup)) => {
                self.reject(row, error, silent);
            }
            Err(Unroutable::Refused(error)) => self.fail_at_once(row, error, silent),
            Err(Unroutable::NoRange) if Instant::now() >= self.deadline => {
                let error = self.no_owner();
                self.reject(row, error, silent);
            }
            Err(Unroutable::NoRange) => {
                let (deadline, newer) = (self.deadline, None);
                self.park(row, args, silent, Until::Map { deadline, newer });
            }
        }
    }

    pub(super) fn run_now(
        &mut self,
        row: &Command,
        run: commands::Now,
        args: &[Bytes],
    ) -> Result<Answer, CommandError> {
        if matches!(commands::handler(row), Some(Handler::OfClients(_))) {
            self.publish(true);
            self.client.details().memory.argument_bytes = args.iter().map(Bytes::len).sum();
        }
        let mut local = Local {
            shared: &self.shared,
            client: &self.client,
            session: &mut self.session,
        };
        run(&mut local, args)
    }

    fn take_answer(&mut self, answer: Result<Answer, CommandError>, silent: bool) {
        match answer {
            Ok(Answer::Reply(reply)) => self.push(&reply, silent),
            Ok(Answer::Always(reply)) => self.push(&reply, false),
            Ok(Answer::Nothing) => {}
            Ok(Answer::Close(reply)) => {
                self.push(&reply, silent);
                self.end_input();
            }
            Err(error) => self.push_error(error, silent),
        }
    }

    fn run_alone(
        &mut self,
        row: &'static Command,
        run: commands::Alone,
        args: &mut Vec<Bytes>,
        silent: bool,
    ) {
        self.pipeline.refresh_map();
        self.publish(true);
        let args = std::mem::take(args);
        let work = run(Call {
            client: Arc::clone(&self.client),
            shared: Arc::clone(&self.shared),
            args: args.clone(),
            table: self.session.table,
            resp: self.session.resp,
            wrote: self.pipeline.wrote.clone(),
            deadline: self.deadline,
        });
        self.alone = Some(Alone {
            command: row,
            work,
            silent,
            args,
            started: Instant::now(),
        });
    }

    fn queue(
        &mut self,
        row: &'static Command,
        handler: Option<Handler>,
        args: &[Bytes],
        silent: bool,
    ) {
        let refusal = match handler {
            // It would need groups of its own, in the midst of what is to be one entry of a log.
            Some(Handler::Alone(_) | Handler::Waits(_)) => Some(NOT_IN_MULTI),
            _ if row.flags.contains(Flags::NO_MULTI) => Some(NOT_IN_MULTI),
            _ => self.check_sizes(row, args).err(),
        };
        if let Some(error) = refusal {
            return self.reject(row, error, silent);
        }
        let Some(multi) = &mut self.session.multi else {
            return;
        };
        let bytes = args.iter().map(|arg| arg.len() + size_of::<Bytes>());
        multi.bytes += bytes.sum::<usize>();
        multi.queue.push(Queued {
            command: row,
            args: args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect(),
        });
        self.push(&Reply::simple("QUEUED"), silent);
    }

    fn of_session(
        &mut self,
        word: OfSession,
        row: &'static Command,
        args: &mut Vec<Bytes>,
        silent: bool,
    ) {
        match word {
            OfSession::Multi if self.session.multi.is_some() => {
                self.fail_at_once(row, NESTED_MULTI, silent);
            }
            OfSession::Multi => {
                self.count_call(row, Duration::ZERO, false);
                self.session.multi = Some(Multi::default());
                self.push(&Reply::OK, silent);
            }
            OfSession::Discard => match self.session.multi.take() {
                None => self.fail_at_once(row, DISCARD_WITHOUT_MULTI, silent),
                Some(_) => {
                    self.count_call(row, Duration::ZERO, false);
                    self.session.unwatch();
                    self.push(&Reply::OK, silent);
                }
            },
            OfSession::Exec => self.exec(row, args, silent),
            OfSession::Watch if self.session.multi.is_some() => {
                self.fail_at_once(row, WATCH_INSIDE_MULTI, silent);
            }
            OfSession::Watch => {
                if let Err(error) = self.check_sizes(row, args) {
                    return self.reject(row, error, silent);
                }
                let request = self.request(row, args);
                let generation = self.session.watch_generation;
                let result = self.pipeline.submit_watch(request, generation, silent);
                if result.is_ok() {
                    self.session.will_watch(&args[1..]);
                }
                self.routed(result, row, args, silent);
            }
            OfSession::Reset => {
                self.count_call(row, Duration::ZERO, false);
                let authenticated = !self.shared.settings.has_password();
                // The only answer that REPLY OFF does not hold back.
                let silent = silent && self.session.reply_mode != ReplyMode::Off;
                let generation = self.session.watch_generation + 1;
                self.session = Session::new(authenticated);
                self.session.watch_generation = generation;
                self.client.details().reset();
                self.push(&Reply::simple("RESET"), silent);
            }
            OfSession::Quit => {
                self.count_call(row, Duration::ZERO, false);
                self.push(&Reply::OK, silent);
                self.end_input();
            }
        }
    }
}
