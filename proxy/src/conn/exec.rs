//! `EXEC`: what MULTI queued becomes one frame for one group, all or nothing, with the watches that
//! must hold. Commands that the proxy answers itself are answered in their places.

use bytes::{Bytes, BytesMut};
use coterie_protocol::FrameFlags;
use coterie_redis_compat::{Command, CommandError, Reply, Run, lookup};
use coterie_types::TableId;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, Until};
use super::lane::Batch;
use super::route::Unroutable;
use super::session::Multi;
use crate::commands::{self, Answer, Handler, Local};

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn exec(&mut self, row: &'static Command, args: &mut Vec<Bytes>, silent: bool) {
        match &self.session.multi {
            None => return self.push_error(CommandError::ExecWithoutMulti, silent),
            Some(multi) if multi.aborted => {
                self.session.multi = None;
                self.session.unwatch();
                return self.push_error(CommandError::ExecAbort, silent);
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
        match self.transact(&multi, silent) {
            // Kept until the map knows the keys.
            Err(Unroutable::NoRange) => {
                self.session.multi = Some(multi);
                let (deadline, newer) = (self.deadline, None);
                return self.park(row, args, silent, Until::Map { deadline, newer });
            }
            Err(Unroutable::Refused(error)) => self.push_error(error, silent),
            Ok(()) => {}
        }
        self.session.unwatch();
    }

    /// An EXEC that does not even begin takes its transaction along, and the watches, too (Redis
    /// `multi.c`, `execCommandAbort`).
    pub(super) fn refuse_exec(&mut self, error: &CommandError, silent: bool) {
        self.session.multi = None;
        self.session.unwatch();
        let line = error.to_string();
        let reason = line.strip_prefix("ERR ").unwrap_or(&line);
        let refusal = format!("EXECABORT Transaction discarded because of: {reason}");
        self.push_error(CommandError::Other(refusal), silent);
    }

    fn transact(&mut self, multi: &Multi, silent: bool) -> Result<(), Unroutable> {
        let tables = self.tables(multi);
        let watches = &self.session.watches;
        let is_grouped = |row: &Command| matches!(row.run, Run::Group(_));
        let routed = multi
            .queue
            .iter()
            .zip(&tables)
            .filter_map(|(queued, table)| {
                let command = is_grouped(queued.command).then_some(queued.command)?;
                Some((command, *table, queued.args.as_slice()))
            });
        let watched = watches.iter().map(|watch| (watch.table, &watch.key));
        let group = self.pipeline.transaction_group(routed, watched)?;

        let flags = self.session.frame_flags().with(FrameFlags::TRANSACTION);
        let flags = FrameFlags(flags.0 & !FrameFlags::FOLLOWER_READ.0);
        let mut batch = Batch::new(flags, self.deadline);
        batch.watches.clone_from(watches);
        for (queued, table) in multi.queue.iter().zip(&tables) {
            if is_grouped(queued.command) {
                batch.put(*table, &queued.args, false);
            }
        }
        let table_before = self.session.table;
        let ours: Vec<_> = multi
            .queue
            .iter()
            .map(|queued| (!is_grouped(queued.command)).then(|| self.answer_queued(queued)))
            .collect();
        if self.session.table != table_before {
            self.table_before = Some(table_before);
        }
        if batch.count == 0
            && let Some(watch) = batch.watches.first()
            && let Some(exists) = lookup(b"exists")
        {
            // Nothing to run, but the watches must hold for that, too. Its reply is dropped.
            let words = [
                Bytes::from_static(exists.name.as_bytes()),
                watch.key.clone(),
            ];
            batch.put(watch.table, &words, false);
        }
        match group {
            Some(group) if batch.count > 0 => {
                self.pipeline
                    .submit_transaction(batch, &group, ours, silent);
            }
            _ => {
                let replies = ours.into_iter().flatten().map(Reply::Raw).collect();
                self.push(&Reply::Array(replies), silent);
            }
        }
        Ok(())
    }

    /// The table each queued command works on: SELECT counts from where it stands.
    fn tables(&self, multi: &Multi) -> Vec<TableId> {
        let mut table = self.session.table;
        let catalog = self.shared.catalog();
        let of = |queued: &super::session::Queued| {
            if queued.command.name == "select" {
                table = commands::table_named(&catalog, &queued.args[1]).unwrap_or(table);
            }
            table
        };
        multi.queue.iter().map(of).collect()
    }

    /// Runs a queued command that the proxy answers.
    fn answer_queued(&mut self, queued: &super::session::Queued) -> Bytes {
        let answer = match commands::handler(queued.command.name) {
            Some(Handler::Now(run)) => run(
                &mut Local {
                    shared: &self.shared,
                    client: &self.client,
                    session: &mut self.session,
                },
                &queued.args,
            ),
            // UNWATCH: EXEC forgets the watches anyway.
            _ => Ok(Answer::Reply(Reply::OK)),
        };
        let reply = match answer {
            Ok(Answer::Reply(reply) | Answer::Always(reply) | Answer::Close(reply)) => reply,
            Ok(Answer::Nothing) => Reply::OK,
            Err(error) => error.into(),
        };
        let mut bytes = BytesMut::new();
        reply.encode(self.session.resp, &mut bytes);
        bytes.freeze()
    }
}
