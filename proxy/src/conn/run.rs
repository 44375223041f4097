//! Runs a command that may begin: sends it to its groups, answers it here, or lets it run alone.
//!
//! Caller: `begin`, which has checked it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_redis_compat::errors::{
    DISCARD_WITHOUT_MULTI, NESTED_MULTI, NOT_OFFERED, WATCH_INSIDE_MULTI,
};
use coterie_redis_compat::{CommandError, Reply};
use futures_util::future::BoxFuture;

use super::call::Call;
use super::connection::Connection;
use super::departure::Socket;
use super::route::Unroutable;
use super::session::{Multi, ReplyMode, Session};
use super::state::{Mode, Until};
use crate::blocking;
use crate::commands::{self, Answer, Handler, Local, Remote, SessionCommand};
use crate::router::Failure;

impl<S: Socket> Connection<S> {
    /// Runs a command. `handler` carries it out if no group does.
    pub(super) fn run_call(&mut self, mut call: Call, handler: Option<Handler>) {
        if self.shared.monitors.any() {
            if matches!(handler, Some(Handler::Session(SessionCommand::Reset))) {
                // As in Redis, the client does not see the end of its own MONITOR.
                self.shared.monitors.remove(self.client.id);
            }
            self.show(&mut call);
        }
        match handler {
            None if call.row.is_of_group() => match blocking::limit(&call) {
                Some(_) if !self.is_settled() => self.park(call, Until::Settled),
                Some(limit) => self.run_waiting(call, limit),
                None => self.submit(call),
            },
            None => self.reject(call, NOT_OFFERED),
            Some(Handler::Now(run) | Handler::OfClients(run) | Handler::ChoosesTable(run)) => {
                let began = Instant::now();
                let answer = match self.run_now(&call, run) {
                    Ok(Answer::After(reply, over)) => return self.reply_after(call, reply, over),
                    answer => answer,
                };
                self.count_call(call.row, began.elapsed(), answer.is_err());
                self.take_answer(call, answer);
            }
            Some(Handler::Alone(_) | Handler::AlsoQueued(_) | Handler::Waits(_))
                if !self.is_settled() =>
            {
                self.park(call, Until::Settled);
            }
            Some(Handler::Alone(run) | Handler::AlsoQueued(run) | Handler::Waits(run)) => {
                self.run_alone(call, run);
            }
            Some(Handler::Session(word)) => self.run_session(call, word),
        }
    }

    fn submit(&mut self, call: Call) {
        if let Err(error) = self.check_sizes(&call) {
            return self.reject(call, error);
        }
        if let Some(user) = &self.session.user
            && let Err(error) = user.check_options(call.row, &call.args)
        {
            return self.fail_at_once(call, error);
        }
        let result = self
            .pipeline
            .submit(&call)
            .map(|slot| self.note_reads(&call, slot));
        self.routed(call, result);
    }

    /// Before a command is sent: notes the keys that it reads for the reply with this number, if
    /// the client keeps them.
    pub(super) fn note_reads(&self, call: &Call, slot: u64) {
        if call.reads_tracked() {
            let mut keys = Vec::new();
            let mut visit = |table, key: &Bytes| keys.push((table, key.clone()));
            // A command whose keys cannot be found reads none.
            let _ = call.row.visit_keys(call.table, &call.args, &mut visit);
            let keys = keys.iter().map(|(table, key)| (*table, key));
            self.shared.tracking.note(self.client.id, slot, keys);
        }
    }

    /// Handles the result of routing a command.
    fn routed(&mut self, call: Call, result: Result<(), Unroutable>) {
        match result {
            Ok(()) => {
                self.count_when_answered(&call, &[]);
                self.reuse(call.args);
            }
            // Redis, too, refuses keys in different slots before it runs a command, and finds
            // errors in the arguments only while it runs it.
            Err(Unroutable::Refused(error @ CommandError::CrossGroup)) => self.reject(call, error),
            Err(Unroutable::Refused(error)) => self.fail_at_once(call, error),
            Err(Unroutable::NoRange) if Instant::now() >= call.deadline => {
                let error = self.no_owner();
                self.reject(call, error);
            }
            Err(Unroutable::NoRange) => self.park(call, Until::Map { newer: None }),
        }
    }

    /// The error of a command that times out while the newest map does not know the owner of a key.
    pub(super) fn no_owner(&self) -> CommandError {
        Failure::no_owner(self.pipeline.map().is_empty())
    }

    pub(super) fn run_now(
        &mut self,
        call: &Call,
        run: commands::Now,
    ) -> Result<Answer, CommandError> {
        let args = &call.args;
        if matches!(commands::handler(call.row), Some(Handler::OfClients(_))) {
            // The command may print details of this client: bring them up to date.
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

    fn take_answer(&mut self, mut call: Call, answer: Result<Answer, CommandError>) {
        match answer {
            Ok(Answer::Reply(reply)) => self.reply(call, &reply),
            Ok(Answer::Always(reply)) => {
                call.silent = false;
                self.reply(call, &reply);
            }
            Ok(Answer::Nothing) => self.reuse(call.args),
            Ok(Answer::After(reply, over)) => self.reply_after(call, reply, over),
            Ok(Answer::Close(reply)) => {
                self.reply(call, &reply);
                self.end_input();
            }
            Err(error) => {
                self.push_error(error, call.silent);
                self.reuse(call.args);
            }
        }
    }

    /// Replies when `over` is over.
    fn reply_after(&mut self, mut call: Call, reply: Reply, over: BoxFuture<'static, ()>) {
        call.began = Instant::now();
        let call = Arc::new(call);
        let work = Box::pin(async move {
            over.await;
            Ok(reply)
        });
        self.mode = Mode::Alone { call, work };
    }

    fn run_alone(
        &mut self,
        mut call: Call,
        run: impl FnOnce(Remote) -> BoxFuture<'static, Result<Reply, CommandError>>,
    ) {
        self.pipeline.refresh_map();
        self.publish(true);
        call.began = Instant::now();
        let call = Arc::new(call);
        let work = run(Remote {
            call: Arc::clone(&call),
            client: Arc::clone(&self.client),
            shared: Arc::clone(&self.shared),
            user: self.session.user.clone(),
            wrote: self.pipeline.wrote.clone(),
        });
        self.mode = Mode::Alone { call, work };
    }

    /// Runs a command that may wait for data.
    fn run_waiting(&mut self, call: Call, limit: Option<Duration>) {
        if let Err(error) = self.check_sizes(&call) {
            return self.reject(call, error);
        }
        // It has no place among the replies: its read counts as under way from here on.
        self.note_reads(&call, u64::MAX);
        self.run_alone(call, |remote| blocking::run(remote, limit));
        if let Mode::Alone { call, .. } = &self.mode {
            self.pipeline.will_write(call);
        }
    }

    fn run_session(&mut self, call: Call, word: SessionCommand) {
        match word {
            SessionCommand::Multi if self.session.multi.is_some() => {
                self.fail_at_once(call, NESTED_MULTI);
            }
            SessionCommand::Multi => {
                self.session.multi = Some(Multi::default());
                self.succeed_at_once(call, &Reply::OK);
            }
            SessionCommand::Discard => match self.session.multi.take() {
                None => self.fail_at_once(call, DISCARD_WITHOUT_MULTI),
                Some(_) => {
                    self.session.unwatch();
                    self.succeed_at_once(call, &Reply::OK);
                }
            },
            SessionCommand::Exec => self.exec(call),
            SessionCommand::Watch if self.session.multi.is_some() => {
                self.fail_at_once(call, WATCH_INSIDE_MULTI);
            }
            SessionCommand::Watch => self.watch(call),
            SessionCommand::Reset => self.reset(call),
            SessionCommand::Monitor => self.monitor(call),
            SessionCommand::Quit => {
                self.succeed_at_once(call, &Reply::OK);
                self.end_input();
            }
        }
    }

    /// Replies to a command that counts as run, with no time taken.
    fn succeed_at_once(&mut self, call: Call, reply: &Reply) {
        self.count_call(call.row, Duration::ZERO, false);
        self.reply(call, reply);
    }

    fn watch(&mut self, call: Call) {
        if let Err(error) = self.check_sizes(&call) {
            return self.reject(call, error);
        }
        let generation = self.session.watch_generation;
        let result = self.pipeline.submit_watch(&call, generation);
        if result.is_ok() {
            self.session.will_watch(&call.args[1..]);
        }
        self.routed(call, result);
    }

    fn reset(&mut self, mut call: Call) {
        // REPLY OFF does not suppress this reply.
        call.silent &= self.session.reply_mode != ReplyMode::Off;
        let generation = self.session.watch_generation + 1;
        self.session = Session::new(false);
        self.session.watch_generation = generation;
        self.become_default();
        self.shared.tracking.turn_off(&self.client);
        self.client.details().reset();
        self.shared.pubsub.forget(&self.client);
        self.flush_pushes();
        self.shared.monitors.remove(self.client.id);
        self.succeed_at_once(call, &Reply::simple("RESET"));
    }
}
