//! `MONITOR`: this client sees the commands of others, and others see its commands (`monitors`).

use std::sync::Arc;
use std::time::Duration;

use coterie_redis_compat::Reply;
use coterie_redis_compat::errors::{NOT_IN_MULTI, SYNTAX};

use super::call::Call;
use super::connection::Connection;
use super::departure::Socket;
use crate::commands::Handler;
use crate::{commands, peers};

impl<S: Socket> Connection<S> {
    /// `MONITOR [ALL]`.
    pub(super) fn monitor(&mut self, call: Call) {
        if self.session.multi.is_some() {
            return self.reject(call, NOT_IN_MULTI);
        }
        let of_all = match call.args.as_slice() {
            [_] => false,
            [_, word] if word.eq_ignore_ascii_case(b"all") => true,
            _ => return self.fail_at_once(call, SYNTAX),
        };
        self.count_call(call.row, Duration::ZERO, false);
        self.reply(call, &Reply::OK);
        self.client.details().watches_all = true;
        if self.shared.monitors.add(&self.client) && of_all {
            let watching = peers::monitor_all(Arc::clone(&self.shared), Arc::clone(&self.client));
            tokio::spawn(watching);
        }
    }

    /// Shows a command that is about to run to the clients that watch; behind the commands that it
    /// runs if it is EXEC, as Redis does.
    pub(super) fn show(&mut self, call: &mut Call) {
        if std::mem::replace(&mut call.shown, true) {
            return;
        }
        let (monitors, clients) = (&self.shared.monitors, &self.shared.clients);
        if commands::is_exec(call.row) {
            let multi = self.session.multi.iter().filter(|multi| !multi.aborted);
            for queued in multi.flat_map(|multi| &multi.queue) {
                monitors.feed(
                    clients,
                    queued.row,
                    queued.table.0,
                    &self.client,
                    &queued.args,
                );
            }
        }
        // Redis shows a command after it ran: SELECT with the database that it chose.
        let chosen = match commands::handler(call.row) {
            Some(Handler::ChoosesTable(_)) => {
                commands::table_named(&self.shared.catalog(), &call.args[1])
            }
            _ => None,
        };
        let table = chosen.unwrap_or(call.table).0;
        monitors.feed(clients, call.row, table, &self.client, &call.args);
    }
}
