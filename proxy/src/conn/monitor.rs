//! `MONITOR`: this client sees the commands of others, and others see its commands (`monitors`).

use std::sync::Arc;
use std::time::Duration;

use coterie_redis_compat::Reply;
use coterie_redis_compat::errors::NOT_IN_MULTI;

use super::call::Call;
use super::connection::Connection;
use super::departure::Socket;
use crate::{commands, peers};

impl<S: Socket> Connection<S> {
    /// `MONITOR`, or `COTERIE ALL MONITOR`.
    pub(super) fn monitor(&mut self, call: Call, of_all: bool) {
        if self.session.multi.is_some() {
            return self.reject(call, NOT_IN_MULTI);
        }
        self.count_call(call.row, Duration::ZERO, false);
        self.reply(call, &Reply::OK);
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
        monitors.feed(clients, call.row, call.table.0, &self.client, &call.args);
    }
}
