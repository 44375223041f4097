//! `EXEC`: the commands queued by MULTI become a frame for a single group, all or nothing, together
//! with the watches that must hold. The proxy runs its own commands of the transaction after the
//! group has run the group's part, and not at all if the group has not. No other command of the
//! client begins meanwhile.

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use coterie_protocol::FrameFlags;
use coterie_redis_compat::{Command, CommandError, Reply, Run, lookup};
use coterie_types::TableId;

use super::connection::Connection;
use super::departure::Socket;
use super::lane::Batch;
use super::resp::array_items;
use super::route::Unroutable;
use super::session::{Multi, Queued};
use super::state::{Mode, Transacting, Until};
use crate::commands::{self, Answer, Handler};

/// Bytes of the proxy's own replies to a transaction; beyond this it runs no further command of it.
const REPLY_BYTES_MAX: usize = 64 << 20;

impl<S: Socket> Connection<S> {
    pub(super) fn exec(&mut self, row: &'static Command, args: &mut Vec<Bytes>, silent: bool) {
        match &self.session.multi {
            None => {
                self.count_call(row, Duration::ZERO, true);
                return self.push_error(CommandError::ExecWithoutMulti, silent);
            }
            Some(multi) if multi.aborted => {
                self.count_call(row, Duration::ZERO, true);
                self.session.multi = None;
                self.session.unwatch();
                return self.push_error(CommandError::ExecAbort, silent);
            }
            Some(_) => {}
        }
        // The tokens of all watches must have come.
        let settled = self.pipeline.is_idle() && self.pipeline.replies.is_settled();
        if self.session.watching && !settled {
            return self.park(row, args, silent, Until::Settled);
        }
        let Some(multi) = self.session.multi.take() else {
            return;
        };
        match self.transact(row, multi, silent) {
            // The transaction waits until the map knows the owners of its keys.
            Err((_, Unroutable::NoRange)) if Instant::now() >= self.deadline => {
                let error = self.no_owner();
                return self.refuse_exec(&error, silent);
            }
            Err((multi, Unroutable::NoRange)) => {
                self.session.multi = Some(multi);
                let (deadline, newer) = (self.deadline, None);
                return self.park(row, args, silent, Until::Map { deadline, newer });
            }
            Err((_, Unroutable::Refused(error))) => {
                self.count_rejected(row);
                self.push_error(error, silent);
            }
            Ok(()) => {}
        }
        self.session.unwatch();
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

    fn transact(
        &mut self,
        row: &'static Command,
        multi: Multi,
        silent: bool,
    ) -> Result<(), (Multi, Unroutable)> {
        let tables = self.tables(&multi);
        let watches = &self.session.watches;
        let routed = multi
            .queue
            .iter()
            .zip(&tables)
            .filter_map(|(queued, table)| {
                let command = is_grouped(queued).then_some(queued.command)?;
                Some((command, *table, queued.args.as_slice()))
            });
        let watched = watches.iter().map(|watch| (watch.table, &watch.key));
        let group = match self.pipeline.transaction_group(routed, watched) {
            Ok(group) => group,
            Err(unroutable) => return Err((multi, unroutable)),
        };

        let flags = self.session.frame_flags().with(FrameFlags::TRANSACTION);
        let flags = FrameFlags(flags.0 & !FrameFlags::FOLLOWER_READ.0);
        let mut batch = Batch::new(flags, self.deadline);
        batch.watches.clone_from(watches);
        for (queued, table) in multi.queue.iter().zip(&tables) {
            if is_grouped(queued) {
                batch.put(*table, &queued.args, false);
            }
        }
        let is_part = batch.count < multi.queue.len() || batch.count == 0;
        if batch.count == 0
            && let Some(watch) = batch.watches.first()
            && let Some(exists) = lookup(b"exists")
        {
            // The group has nothing to run, but the watches must hold all the same: EXISTS checks
            // them, and its reply is dropped.
            let words = [
                Bytes::from_static(exists.name.as_bytes()),
                watch.key.clone(),
            ];
            batch.put(watch.table, &words, false);
        }
        match group {
            Some(group) if batch.count > 0 => {
                let slot = self
                    .pipeline
                    .submit_transaction(batch, &group, is_part, silent);
                self.count_when_answered(row, &multi.queue);
                if is_part {
                    let queue = multi.queue;
                    self.mode = Mode::Transacting(Transacting { slot, queue });
                }
            }
            _ => {
                let reply = self.put_together(&multi.queue, Vec::new());
                self.count_transaction(row, &multi.queue, &reply);
                self.push(&Reply::Raw(reply), silent);
            }
        }
        Ok(())
    }

    /// Handles the group's reply to its part of a transaction. If the group ran it, the proxy runs
    /// its own part.
    pub(super) fn transacted(&mut self, slot: u64, reply: Bytes) {
        let queue = match std::mem::take(&mut self.mode) {
            Mode::Transacting(part) if part.slot == slot => part.queue,
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
        let reply = self.put_together(&queue, theirs);
        self.pipeline.replies.fill(slot, reply);
    }

    /// Runs the commands that the proxy answers, and inserts their replies between the group's.
    fn put_together(&mut self, queue: &[Queued], theirs: Vec<Bytes>) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(format!("*{}\r\n", queue.len()).as_bytes());
        let mut theirs = theirs.into_iter();
        let (mut ours, mut closes) = (0, false);
        for queued in queue {
            if is_grouped(queued) {
                out.put_slice(&theirs.next().unwrap_or_default());
                continue;
            }
            let reply = match ours < REPLY_BYTES_MAX {
                true => self.answer_queued(queued, &mut closes),
                false => CommandError::ReplyTooLong(REPLY_BYTES_MAX).into(),
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

    /// The table of each queued command, after the SELECTs queued before it.
    fn tables(&self, multi: &Multi) -> Vec<TableId> {
        let mut table = self.session.table;
        let catalog = self.shared.catalog();
        let of = |queued: &Queued| {
            if queued.command.name == "select" {
                table = commands::table_named(&catalog, &queued.args[1]).unwrap_or(table);
            }
            table
        };
        multi.queue.iter().map(of).collect()
    }

    /// Runs a queued command that the proxy answers.
    fn answer_queued(&mut self, queued: &Queued, closes: &mut bool) -> Reply {
        let answer = match commands::handler(queued.command.name) {
            Some(Handler::Now(run)) => self.run_now(queued.command, run, &queued.args),
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
            Err(error) => error.into(),
        }
    }
}

fn is_grouped(queued: &Queued) -> bool {
    matches!(queued.command.run, Run::Group(_))
}
