//! A command on its way into the counts of INFO, where it counts when its reply is complete.
//!
//! `tally` makes an [`Unanswered`], `replies` keeps it in the slot of the reply and makes it
//! [`Answered`] as the slot is filled.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_redis_compat::{Command, Nulls};

use super::call::Call;
use super::resp::{array_items, is_null, nulls};
use crate::stats::{Calls, Lookups, RowNumber, Stats};

/// A command that will be counted when it is answered.
#[derive(Debug)]
pub(crate) struct Unanswered {
    row: RowNumber,
    began: Instant,
    nulls: Nulls,
    /// EXEC: the queued commands, whose replies are the elements of its own.
    queued: Option<Box<[(RowNumber, Nulls)]>>,
}

/// A command that was answered.
#[derive(Debug)]
pub(crate) struct Answered {
    call: Unanswered,
    lookups: Lookups,
    /// The reply, if it is an error or that of EXEC.
    reply: Option<Bytes>,
}

impl Unanswered {
    /// A call, with the commands that it runs if it is EXEC; `None` if its row has no counts.
    pub(super) fn new(calls: &Calls, call: &Call, queued: &[Call]) -> Option<Self> {
        let numbered = |queued: &Call| {
            let number = calls.number(queued.row)?;
            Some((number, queued.row.nulls))
        };
        Some(Self {
            row: calls.number(call.row)?,
            began: call.began,
            nulls: call.row.nulls,
            queued: if queued.is_empty() {
                None
            } else {
                queued.iter().map(numbered).collect()
            },
        })
    }
}

impl Answered {
    /// The call, answered with this reply.
    pub(super) fn by(call: Unanswered, reply: &Bytes) -> Self {
        let looked_into = is_error(reply) || call.queued.is_some();
        Self {
            lookups: told_by(call.nulls, reply),
            reply: looked_into.then(|| reply.clone()),
            call,
        }
    }

    /// The row of the command.
    pub(super) fn row(&self) -> &'static Command {
        self.call.row.row()
    }

    /// How long it took, if it is answered now.
    pub(super) fn took(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.call.began)
    }

    /// Counts the call, and the commands that it ran if it is EXEC.
    pub(super) fn count(self, stats: &Stats, now: Instant) {
        let took = self.took(now);
        let Self { call, lookups, .. } = self;
        let reply = self.reply.unwrap_or_default();
        let failed = is_error(&reply);
        stats.calls.called(call.row, took, failed, lookups);
        if failed {
            stats.errors.count(&reply);
        }
        let Some(queued) = &call.queued else {
            return;
        };
        // Without elements, nothing of the transaction was run.
        let elements = array_items(&reply).unwrap_or_default();
        for ((row, nulls), element) in queued.iter().zip(&elements) {
            let failed = is_error(element);
            let lookups = told_by(*nulls, element);
            stats.calls.called(*row, took, failed, lookups);
            if failed {
                stats.errors.count(element);
            }
        }
    }
}

/// The numbers of keys found and missed, if the reply tells them.
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

fn is_error(reply: &[u8]) -> bool {
    reply.first() == Some(&b'-')
}
