//! The user of a connection, and whether it may run a command.
//!
//! A connection follows a change of the users before it begins another command: each turn it
//! compares the generation of the users. It is closed when its user is gone. A command that waits
//! for data and is no longer allowed ends with an error.

use std::sync::Arc;
use std::time::SystemTime;

use coterie_protocol::pubsub::Kind;
use coterie_redis_compat::CommandError;
use coterie_redis_compat::acl::{Denial, User};

use super::call::Call;
use super::connection::Connection;
use super::departure::Socket;
use super::script_rights::give_rights;
use super::state::Mode;
use crate::clients::Unblock;
use crate::commands;
use crate::rights::{Context, Denied, default_name};

impl<S: Socket> Connection<S> {
    /// Makes the connection that of the default user, as each is in the beginning.
    pub(super) fn become_default(&mut self) {
        let rights = &self.shared.rights;
        self.session.rights_seen = rights.generation();
        let users = rights.users();
        self.session.authenticated = users.is_some() && !rights.need_password();
        self.session.user = users.map(|users| Arc::clone(users.default_user()));
        self.client.details().user = default_name();
    }

    /// Follows changes of the users. Returns `false` if the connection must end at once.
    pub(super) fn follow_rights(&mut self) -> bool {
        let generation = self.shared.rights.generation();
        if generation == self.session.rights_seen {
            return true;
        }
        let Some(users) = self.shared.rights.users() else {
            return true;
        };
        let Some(user) = &self.session.user else {
            self.become_default();
            return true;
        };
        self.session.rights_seen = generation;
        match users.get(user.name()) {
            Some(user) => {
                self.session.user = Some(Arc::clone(user));
                self.end_forbidden_wait();
                !self.has_forbidden_subscription()
            }
            // The client that removed its own user gets its reply first.
            None if matches!(&self.mode, Mode::Alone { call, .. } if commands::is_acl(call.row)) => {
                self.session.user = None;
                self.ends_behind_reply = true;
                true
            }
            None => false,
        }
    }

    fn end_forbidden_wait(&self) {
        if let (Mode::Alone { call, .. }, Some(user)) = (&self.mode, &self.session.user)
            && call.row.may_wait()
            && let Err(denial) = user.check(call.row, &call.args)
        {
            self.client.unblock(Unblock::Denied(denial));
        }
    }

    /// Whether the client subscribes to a channel, or is about to, that its user may no longer use.
    fn has_forbidden_subscription(&self) -> bool {
        let Some(user) = &self.session.user else {
            return false;
        };
        if user.may_use_all_channels() {
            return false;
        }
        let is_forbidden = |call: &Call| {
            commands::subscribes(call.row) && user.check(call.row, &call.args).is_err()
        };
        let is_coming = match &self.mode {
            Mode::Alone { call, .. } => is_forbidden(call),
            Mode::Finishing { queue, .. } | Mode::Transacting { queue, .. } => {
                queue.iter().any(is_forbidden)
            }
            _ => false,
        };
        let subscriptions = self.client.subscriptions.lock();
        let mut kinds = [Kind::Channel, Kind::Shard, Kind::Pattern].into_iter();
        is_coming
            || kinds.any(|kind| {
                let mut names = subscriptions.of(kind).iter();
                names.any(|name| !user.may_use_channel(name, kind == Kind::Pattern))
            })
    }

    /// Whether the user may run the command. Errors: the reply; the denial is logged.
    pub(super) fn check_rights(&mut self, call: &Call) -> Result<(), CommandError> {
        match &self.session.user {
            Some(user) if user.is_unrestricted() => Ok(()),
            Some(user) => {
                let user = Arc::clone(user);
                self.check_restricted(&user, call)
            }
            // `begin` has refused what needs a user.
            None => Ok(()),
        }
    }

    fn check_restricted(&mut self, user: &User, call: &Call) -> Result<(), CommandError> {
        user.check(call.row, &call.args).map_err(|denial| {
            let context = match self.session.multi {
                Some(_) => Context::Multi,
                None => Context::Toplevel,
            };
            self.log_denial(user, denial, call, context);
            denial.error(call.row)
        })
    }

    /// The commands of a transaction are checked again as it begins: the rights may have changed.
    pub(super) fn check_queue(&mut self) {
        let Some(user) = self.session.user.clone() else {
            return;
        };
        let Some(mut multi) = self.session.multi.take() else {
            return;
        };
        for queued in &mut multi.queue {
            if queued.row.is_script() {
                give_rights(queued, Some(&user));
            }
            if user.is_unrestricted() {
                continue;
            }
            let checked = user.check(queued.row, &queued.args);
            let refusal = match checked {
                Ok(()) => user.check_options(queued.row, &queued.args).err(),
                Err(denial) => {
                    self.log_denial(&user, denial, queued, Context::Multi);
                    Some(denial.error_at_exec())
                }
            };
            queued.denied = match refusal {
                Some(CommandError::Fixed(line)) => Some(line),
                _ => None,
            };
        }
        self.session.multi = Some(multi);
    }

    fn log_denial(&mut self, user: &User, denial: Denial, call: &Call, context: Context) {
        // The line shows the command that was denied.
        self.publish(true);
        let what = denial.reason.into();
        self.shared.count_denial(what);
        let denied = Denied {
            what,
            context,
            object: denial.object(call.row, &call.args),
            user: user.name().clone(),
            client: self.client.line().into(),
        };
        self.shared.rights.denials.add(denied, SystemTime::now());
    }
}
