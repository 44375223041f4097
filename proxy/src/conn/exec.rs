//! `EXEC`: the commands queued by MULTI become a frame for a single group, all or nothing, together
//! with the watches that must hold. The proxy runs its own commands of the transaction after the
//! group has run the group's part, and not at all if the group has not. No other command of the
//! client begins meanwhile.

use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use coterie_protocol::FrameFlags;
use coterie_redis_compat::errors::{EXEC_ABORT, EXEC_WITHOUT_MULTI, NOT_IN_MULTI, NOT_OFFERED};
use coterie_redis_compat::{CommandError, Reply, lookup};

use super::call::Call;
use super::connection::Connection;
use super::departure::Socket;
use super::finishing::Asked;
use super::lane::Batch;
use super::resp::array_items;
use super::route::Unroutable;
use super::session::Multi;
use super::state::{Mode, Until};
use crate::commands::{self, Answer, Handler};
use crate::slowlog::PROBE;

/// Bytes of the proxy's own replies to a transaction; beyond this it runs no further command of it.
const REPLY_BYTES_MAX: usize = 64 << 20;

impl<S: Socket> Connection<S> {
    pub(super) fn exec(&mut self, call: Call) {
        match &self.session.multi {
            None => return self.fail_at_once(call, EXEC_WITHOUT_MULTI),
            Some(multi) if multi.aborted => {
                self.session.multi = None;
                self.session.unwatch();
                return self.fail_at_once(call, EXEC_ABORT);
            }
            Some(_) => {}
        }
        // The tokens of all watches must have come.
        if self.session.watching && !self.is_settled() {
            return self.park(call, Until::Settled);
        }
        self.check_queue();
        let Some(multi) = self.session.multi.take() else {
            return;
        };
        match self.transact(&call, multi) {
            // The transaction waits until the map knows the owners of its keys.
            Err((_, Unroutable::NoRange)) if Instant::now() >= call.deadline => {
                let error = self.no_owner();
                self.refuse_exec(&error, call.silent);
            }
            Err((multi, Unroutable::NoRange)) => {
                self.session.multi = Some(multi);
                return self.park(call, Until::Map { newer: None });
            }
            Err((_, Unroutable::Refused(error))) => {
                self.count_rejected(call.row);
                self.push_error(error, call.silent);
            }
            Ok(()) => {}
        }
        self.session.unwatch();
        self.reuse(call.args);
    }

    /// Refuses an EXEC that does not even begin; this discards the transaction and the watches
    /// (Redis `multi.c`, `execCommandAbort`).
    pub(super) fn refuse_exec(&mut self, error: &CommandError, silent: bool) {
        self.session.multi = None;
        self.session.unwatch();
        if let Some(exec) = lookup(b"exec") {
            self.count_rejected(exec);
        }
        let line = error.to_string();
        let reason = line.strip_prefix("ERR ").unwrap_or(&line);
        let refusal = format!("EXECABORT Transaction discarded because of: {reason}");
        self.push_error(CommandError::Other(refusal), silent);
    }

    fn transact(&mut self, call: &Call, mut multi: Multi) -> Result<(), (Multi, Unroutable)> {
        self.choose_tables(&mut multi);
        let watches = &self.session.watches;
        let grouped = multi.queue.iter().filter(|queued| is_grouped(queued));
        let routed = grouped.map(|queued| (queued.row, queued.table, queued.args.as_slice()));
        let watched = watches.iter().map(|watch| (watch.table, &watch.key));
        let group = match self.pipeline.transaction_group(routed, watched) {
            Ok(group) => group,
            Err(unroutable) => return Err((multi, unroutable)),
        };

        let flags = call.frame_flags().with(FrameFlags::TRANSACTION);
        let flags = FrameFlags(flags.0 & !FrameFlags::FOLLOWER_READ.0);
        let mut batch = Batch::new(flags, call.deadline);
        batch.watches.clone_from(watches);
        for queued in multi.queue.iter().filter(|queued| is_grouped(queued)) {
            batch.put(queued.table, &queued.args, false);
            batch.note_script(queued.row);
        }
        let is_part = batch.count < multi.queue.len() || batch.count == 0;
        if batch.count == 0
            && let Some(watch) = batch.watches.first()
        {
            // The group has nothing to run, but the watches must hold all the same: the probe
            // checks them, and its reply is dropped.
            let words = [Bytes::from_static(PROBE), watch.key.clone()];
            batch.put(watch.table, &words, false);
        }
        match group {
            Some(group) if batch.count > 0 => {
                let slot = self
                    .pipeline
                    .submit_transaction(call, batch, &group, is_part);
                self.count_when_answered(call, &multi.queue);
                if is_part {
                    let queue = multi.queue;
                    self.mode = Mode::Transacting { slot, queue };
                }
            }
            _ if Self::asks_servers(&multi.queue) => {
                let slot = self.pipeline.replies.open(call.silent);
                self.count_when_answered(call, &multi.queue);
                self.finish(slot, multi.queue, Vec::new());
            }
            _ => {
                let reply = self.put_together(&multi.queue, Vec::new(), Vec::new());
                self.count_transaction(call, &multi.queue, &reply);
                self.push(&Reply::Raw(reply), call.silent);
            }
        }
        Ok(())
    }

    /// Handles the group's reply to its part of a transaction. If the group ran it, the proxy runs
    /// its own part.
    pub(super) fn transacted(&mut self, slot: u64, reply: Bytes) {
        let queue = match std::mem::take(&mut self.mode) {
            Mode::Transacting { slot: at, queue } if at == slot => queue,
            mode => {
                self.mode = mode;
                return;
            }
        };
        let Some(theirs) = array_items(&reply) else {
            // A watched key was touched, or the transaction failed.
            return self.pipeline.replies.fill(slot, reply);
        };
        if theirs.len() < queue.iter().filter(|queued| is_grouped(queued)).count() {
            let reason = "a group's answer cannot be read".to_owned();
            return self
                .pipeline
                .replies
                .fail(slot, CommandError::Unknown(reason));
        }
        self.finish(slot, queue, theirs);
    }

    /// Runs the commands that the proxy answers at once, and inserts their replies, and those of
    /// commands that asked servers, between the group's.
    pub(super) fn put_together(
        &mut self,
        queue: &[Call],
        theirs: Vec<Bytes>,
        asked: Asked,
    ) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(format!("*{}\r\n", queue.len()).as_bytes());
        let (mut theirs, mut asked) = (theirs.into_iter(), asked.into_iter());
        let (mut ours, mut closes) = (0, false);
        for queued in queue {
            if is_grouped(queued) {
                out.put_slice(&theirs.next().unwrap_or_default());
                continue;
            }
            let reply = if let Some(line) = queued.denied {
                CommandError::Fixed(line).into()
            } else if matches!(commands::handler(queued.row), Some(Handler::AlsoQueued(_))) {
                let asked = asked.next().unwrap_or(Err(NOT_OFFERED));
                asked.unwrap_or_else(Reply::from)
            } else if ours < REPLY_BYTES_MAX {
                self.answer_queued(queued, &mut closes)
            } else {
                CommandError::reply_too_long(REPLY_BYTES_MAX).into()
            };
            let before = out.len();
            reply.encode(self.session.resp, &mut out);
            ours += out.len() - before;
        }
        if closes {
            self.end_input();
        }
        out.freeze()
    }

    /// Gives each queued command the table that the SELECTs queued before it choose.
    fn choose_tables(&self, multi: &mut Multi) {
        let mut table = self.session.table;
        let catalog = self.shared.catalog();
        for queued in &mut multi.queue {
            let chooses = matches!(
                commands::handler(queued.row),
                Some(Handler::ChoosesTable(_))
            );
            if chooses && queued.denied.is_none() {
                table = commands::table_named(&catalog, &queued.args[1]).unwrap_or(table);
            }
            queued.table = table;
        }
    }

    /// Runs a queued command that the proxy answers.
    fn answer_queued(&mut self, queued: &Call, closes: &mut bool) -> Reply {
        let answer = match commands::handler(queued.row).and_then(Handler::now) {
            Some(run) => self.run_now(queued, run),
            // UNWATCH: nothing to do, as EXEC drops the watches anyway.
            _ => Ok(Answer::Reply(Reply::OK)),
        };
        match answer {
            Ok(Answer::Reply(reply) | Answer::Always(reply)) => reply,
            Ok(Answer::Close(reply)) => {
                *closes = true;
                reply
            }
            Ok(Answer::Nothing) => Reply::OK,
            Ok(Answer::RunsAlone(_)) => NOT_IN_MULTI.into(),
            Err(error) => error.into(),
        }
    }
}

fn is_grouped(queued: &Call) -> bool {
    queued.row.is_of_group() && queued.denied.is_none()
}
