//! `EXEC`: what MULTI queued becomes one frame for one group, all or nothing, with the watches that
//! must hold. What the proxy answers itself is run when the group has done its part, and not if it
//! has not; nothing of the client's begins meanwhile.

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use coterie_protocol::FrameFlags;
use coterie_redis_compat::errors::{EXEC_ABORT, EXEC_WITHOUT_MULTI};
use coterie_redis_compat::{Command, CommandError, Reply, Run, lookup};
use coterie_types::TableId;

use super::connection::{Connection, Until};
use super::departure::Socket;
use super::lane::Batch;
use super::resp::array_items;
use super::route::Unroutable;
use super::session::{Multi, Queued};
use crate::commands::{self, Answer, Handler};

/// Bytes of the proxy's own replies to one transaction, beyond which no further command of it is run.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// The command by which a transaction asks whether its watches hold, if it has no other.
pub(crate) const PROBE: &[u8] = b"exists";

/// A transaction that waits for the group's part.
pub(super) struct Transacting {
    slot: u64,
    queue: Vec<Queued>,
}

impl<S: Socket> Connection<S> {
    pub(super) fn exec(&mut self, row: &'static Command, args: &mut Vec<Bytes>, silent: bool) {
        match &self.session.multi {
            None => {
                self.count_call(row, Duration::ZERO, true);
                return self.push_error(EXEC_WITHOUT_MULTI, silent);
            }
            Some(multi) if multi.aborted => {
                self.count_call(row, Duration::ZERO, true);
                self.session.multi = None;
                self.session.unwatch();
                return self.push_error(EXEC_ABORT, silent);
            }
            Some(_) => {}
        }
        // The tokens of the watches must be there.
        let settled = self.pipeline.is_idle() && self.pipeline.replies.is_settled();
        if self.session.watching && !settled {
            return self.park(row, args, silent, Until::Settled);
        }
        let Some(multi) = self.session.multi.take() else {
            return;
        };
        match self.transact(row, multi, silent) {
            // Kept until the map knows the keys.
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

    /// An EXEC that does not even begin takes its transaction along, and the watches, too (Redis
    /// `multi.c`, `execCommandAbort`).
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
        {
            // Nothing to run, but the watches must hold for that, too. Its reply is dropped.
            let words = [Bytes::from_static(PROBE), watch.key.clone()];
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
                    self.transacting = Some(Transacting { slot, queue });
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

    /// The group has answered its part of a transaction: if it was run, so is the proxy's.
    pub(super) fn transacted(&mut self, slot: u64, reply: Bytes) {
        let Some(Transacting { queue, .. }) = self.transacting.take_if(|part| part.slot == slot)
        else {
            return;
        };
        let Some(theirs) = array_items(&reply) else {
            // A watched key was touched, or it failed.
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

    /// Runs the commands that the proxy answers, and puts their replies between the group's.
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
            let reply = if ours < REPLY_BYTES_MAX {
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

    /// The table each queued command works on: SELECT counts from where it stands.
    fn tables(&self, multi: &Multi) -> Vec<TableId> {
        let mut table = self.session.table;
        let catalog = self.shared.catalog();
        let of = |queued: &Queued| {
            if matches!(
                commands::handler(queued.command),
                Some(Handler::ChoosesTable(_))
            ) {
                table = commands::table_named(&catalog, &queued.args[1]).unwrap_or(table);
            }
            table
        };
        multi.queue.iter().map(of).collect()
    }

    /// Runs a queued command that the proxy answers.
    fn answer_queued(&mut self, queued: &Queued, closes: &mut bool) -> Reply {
        let answer = match commands::handler(queued.command).and_then(Handler::now) {
            Some(run) => self.run_now(queued.command, run, &queued.args),
            // UNWATCH: EXEC forgets the watches anyway.
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
