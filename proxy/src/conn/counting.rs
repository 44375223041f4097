//! Counts commands for INFO as they are answered: at once where the proxy answers, else when the
//! slot of the reply is filled.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_redis_compat::{Command, Nulls, lookup, lookup_subcommand, resolve};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Connection;
use super::resp::{array_items, is_null, nulls};
use super::session::Queued;
use crate::stats::{Lookups, RowNumber};

/// A command whose answer is under way.
#[derive(Debug)]
pub(crate) struct Call {
    row: RowNumber,
    began: Instant,
    nulls: Nulls,
    /// EXEC: the commands whose answers are the elements of its own.
    queued: Option<Box<[(RowNumber, Nulls)]>>,
}

/// A command that was answered.
#[derive(Debug)]
pub(crate) struct Answered {
    call: Call,
    lookups: Lookups,
    /// The answer, where it is an error or that of EXEC.
    reply: Option<Bytes>,
}

impl Answered {
    pub(super) fn by(call: Call, reply: &Bytes) -> Self {
        let looked_into = is_error(reply) || call.queued.is_some();
        Self {
            lookups: told_by(call.nulls, reply),
            reply: looked_into.then(|| reply.clone()),
            call,
        }
    }
}

/// How many keys were found and missed, as the reply tells.
fn told_by(nulls_tell: Nulls, reply: &[u8]) -> Lookups {
    let (all, misses) = match nulls_tell {
        Nulls::Key if !is_error(reply) => (1, u64::from(is_null(reply))),
        Nulls::EachKey => nulls(reply).unwrap_or_default(),
        Nulls::Key | Nulls::Nothing => (0, 0),
    };
    Lookups {
        hits: all - misses,
        misses,
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// When the command that begins now began: also if it was parked meanwhile, unless for a pause.
    fn began(&self) -> Instant {
        let timeout = self.shared.router.request_timeout;
        let began = self.deadline.checked_sub(timeout);
        began.unwrap_or_else(Instant::now)
    }

    /// Has the command counted that opened the last slot, when it is answered.
    pub(super) fn count_when_answered(&mut self, row: &'static Command, queued: &[Queued]) {
        if let Some(call) = self.call(row, queued) {
            self.pipeline.replies.count_last(call);
        }
    }

    /// Counts a transaction that the proxy answered.
    pub(super) fn count_transaction(
        &mut self,
        row: &'static Command,
        queued: &[Queued],
        reply: &Bytes,
    ) {
        if let Some(call) = self.call(row, queued) {
            let answered = Answered::by(call, reply);
            self.pipeline.replies.answered.push(answered);
        }
    }

    fn call(&self, row: &'static Command, queued: &[Queued]) -> Option<Call> {
        let calls = &self.shared.stats.calls;
        let numbered = |queued: &Queued| {
            let number = calls.number(queued.command)?;
            Some((number, queued.command.nulls))
        };
        Some(Call {
            row: calls.number(row)?,
            began: self.began(),
            nulls: row.nulls,
            queued: match queued {
                [] => None,
                _ => queued.iter().map(numbered).collect(),
            },
        })
    }

    /// Counts a call that the proxy answered.
    pub(super) fn count_call(&self, row: &'static Command, took: Duration, failed: bool) {
        let calls = &self.shared.stats.calls;
        if let Some(number) = calls.number(row) {
            calls.called(number, took, failed, Lookups::default());
        }
    }

    /// Counts a call that the proxy answered, by its words.
    pub(super) fn count_call_of(&self, args: &[Bytes], took: Duration, failed: bool) {
        if let Ok(row) = resolve(args) {
            self.count_call(row, took, failed);
        }
    }

    /// Counts a command that was refused before it was run.
    pub(super) fn count_rejected(&self, row: &'static Command) {
        let calls = &self.shared.stats.calls;
        if let Some(number) = calls.number(row) {
            calls.rejected(number);
        }
    }

    /// Counts a command that has too few or too many words.
    pub(super) fn count_wrong_arity(&self, args: &[Bytes]) {
        let row = args.first().and_then(|name| lookup(name));
        let subcommand = row.zip(args.get(1));
        let subcommand = subcommand.and_then(|(row, word)| lookup_subcommand(row, word));
        if let Some(row) = subcommand.or(row) {
            self.count_rejected(row);
        }
    }

    /// Counts the commands that were answered since.
    pub(super) fn count_answered(&mut self) {
        if self.pipeline.replies.answered.is_empty() {
            return;
        }
        let now = Instant::now();
        for answered in self.pipeline.replies.answered.drain(..) {
            let stats = &self.shared.stats;
            let Answered { call, lookups, .. } = answered;
            let took = now.saturating_duration_since(call.began);
            let reply = answered.reply.unwrap_or_default();
            let failed = is_error(&reply);
            stats.calls.called(call.row, took, failed, lookups);
            if failed {
                stats.errors.count(&reply);
            }
            let Some(queued) = &call.queued else {
                continue;
            };
            // Without elements nothing of the transaction was run.
            let elements = array_items(&reply).unwrap_or_default();
            for ((row, nulls), element) in queued.iter().zip(&elements) {
                let failed = is_error(element);
                stats
                    .calls
                    .called(*row, took, failed, told_by(*nulls, element));
                if failed {
                    stats.errors.count(element);
                }
            }
        }
    }
}

fn is_error(reply: &[u8]) -> bool {
    reply.first() == Some(&b'-')
}
