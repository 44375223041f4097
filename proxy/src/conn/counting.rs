//! Counts commands for INFO when they are answered: at once if the proxy answers, else when the
//! slot of the reply is filled.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_redis_compat::{Command, lookup, lookup_subcommand, resolve};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Connection;
use super::resp::{array_items, is_null, nulls};
use super::session::Queued;
use crate::stats::{Lookups, RowNumber};

/// A command that will be counted when it is answered.
#[derive(Debug)]
pub(crate) struct Call {
    row: RowNumber,
    began: Instant,
    finds: Finds,
    /// EXEC: the queued commands, whose replies are the elements of its own.
    queued: Option<Box<[(RowNumber, Finds)]>>,
}

/// Whether a reply tells if the keys existed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finds {
    /// It does not.
    Untold,
    /// A null is an absent key.
    One,
    /// Each null element is an absent key.
    Each,
}

/// A command that was answered.
#[derive(Debug)]
pub(crate) struct Answered {
    call: Call,
    lookups: Lookups,
    /// The reply, if it is an error or that of EXEC.
    reply: Option<Bytes>,
}

impl Answered {
    pub(super) fn by(call: Call, reply: &Bytes) -> Self {
        let looked_into = is_error(reply) || call.queued.is_some();
        Self {
            lookups: call.finds.lookups(reply),
            reply: looked_into.then(|| reply.clone()),
            call,
        }
    }
}

impl Finds {
    fn of(command: &Command) -> Self {
        match command.name {
            "get" | "getdel" | "getex" => Finds::One,
            "mget" => Finds::Each,
            _ => Finds::Untold,
        }
    }

    fn lookups(self, reply: &[u8]) -> Lookups {
        let (all, misses) = match self {
            Finds::One if !is_error(reply) => (1, u64::from(is_null(reply))),
            Finds::Each => nulls(reply).unwrap_or_default(),
            Finds::One | Finds::Untold => (0, 0),
        };
        Lookups {
            hits: all - misses,
            misses,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// When the current command began. Time that it was parked for a newer map counts; time that it
    /// was parked for a pause or for earlier commands does not.
    fn began(&self) -> Instant {
        let timeout = self.shared.router.request_timeout;
        let began = self.deadline.checked_sub(timeout);
        began.unwrap_or_else(Instant::now)
    }

    /// Counts the command of the slot opened last, when it is answered.
    pub(super) fn count_when_answered(&mut self, row: &'static Command, queued: &[Queued]) {
        if let Some(call) = self.call(row, queued) {
            self.pipeline.replies.count_last(call);
        }
    }

    /// Counts a transaction that only the proxy answered.
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
            Some((number, Finds::of(queued.command)))
        };
        Some(Call {
            row: calls.number(row)?,
            began: self.began(),
            finds: Finds::of(row),
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

    /// As [`Self::count_call`], with the command's words.
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

    /// Counts a command with too few or too many words.
    pub(super) fn count_wrong_arity(&self, args: &[Bytes]) {
        let row = args.first().and_then(|name| lookup(name));
        let subcommand = row.zip(args.get(1));
        let subcommand = subcommand.and_then(|(row, word)| lookup_subcommand(row, word));
        if let Some(row) = subcommand.or(row) {
            self.count_rejected(row);
        }
    }

    /// Counts the commands that were answered since the last call.
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
            // Without elements, nothing of the transaction was run.
            let elements = array_items(&reply).unwrap_or_default();
            for ((row, finds), element) in queued.iter().zip(&elements) {
                let failed = is_error(element);
                stats
                    .calls
                    .called(*row, took, failed, finds.lookups(element));
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
