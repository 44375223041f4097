//! Counts a connection's commands for INFO: at once if the proxy answers, else when the slot of the
//! reply is filled (`counting`).

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_redis_compat::{Command, lookup, lookup_subcommand};

use super::call::Call;
use super::connection::Connection;
use super::counting::{Answered, Unanswered};
use super::departure::Socket;
use crate::shared::Shared;
use crate::stats::Lookups;

impl<S: Socket> Connection<S> {
    /// Counts the command of the slot opened last, when it is answered; EXEC with the commands that
    /// it runs.
    pub(super) fn count_when_answered(&mut self, call: &Call, queued: &[Call]) {
        if let Some(call) = Unanswered::new(&self.shared.stats.calls, call, queued) {
            self.pipeline.replies.count_last(call);
        }
    }

    /// Counts a transaction that only the proxy answered.
    pub(super) fn count_transaction(&mut self, call: &Call, queued: &[Call], reply: &Bytes) {
        if let Some(call) = Unanswered::new(&self.shared.stats.calls, call, queued) {
            let answered = Answered::by(call, reply);
            self.pipeline.replies.answered.push(answered);
        }
    }

    /// Counts a call that the proxy answered.
    pub(super) fn count_call(&self, row: &'static Command, took: Duration, failed: bool) {
        let calls = &self.shared.stats.calls;
        if let Some(number) = calls.number(row) {
            calls.called(number, took, failed, Lookups::default());
        }
        note_latency(&self.shared, row, took);
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
            note_latency(&self.shared, answered.row(), answered.took(now));
            answered.count(&self.shared.stats, now);
        }
    }
}

/// Notes a command for LATENCY, if it took long.
fn note_latency(shared: &Shared, row: &'static Command, took: Duration) {
    let threshold = &shared.settings.latency_monitor_threshold;
    let threshold = threshold.load(Ordering::Relaxed);
    if threshold > 0 && took >= Duration::from_millis(threshold) {
        shared.latency.note(row, took);
    }
}
