//! How the proxy carries out a command, and the surroundings of its function.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use coterie_redis_compat::acl::User;
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::GroupId;
use futures_util::future::BoxFuture;

use super::words::is;
use crate::clients::Client;
use crate::conn::{Call, Session};
use crate::fanout::Calls;
use crate::shared::Shared;

/// The state that a command that answers at once works on.
pub(crate) struct Local<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) client: &'a Arc<Client>,
    pub(crate) session: &'a mut Session,
}

/// How a command is answered.
pub(crate) enum Answer {
    /// By this, unless the client asked not to be answered.
    Reply(Reply),
    /// By this in any case.
    Always(Reply),
    /// Not at all.
    Nothing,
    /// By this, and then the connection is closed.
    Close(Reply),
    /// By this, when the other is over. In a transaction nobody waits for it.
    After(Reply, BoxFuture<'static, ()>),
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Answer::Reply(reply)
    }
}

/// The surroundings of a command that runs alone. It reads as its [`Call`].
pub(crate) struct Remote {
    pub(crate) call: Arc<Call>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) client: Arc<Client>,
    /// The connection's user.
    pub(crate) user: Option<Arc<User>>,
    /// The groups this connection has written to.
    pub(crate) wrote: Vec<GroupId>,
}

impl Deref for Remote {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.call
    }
}

impl Remote {
    /// Asks groups.
    pub(crate) fn calls(&self) -> Calls {
        Calls::new(Arc::clone(&self.shared.router), self.resp, self.deadline)
    }

    /// Word `at` is `word`, in any case.
    pub(crate) fn is(&self, at: usize, word: &str) -> bool {
        is(&self.args, at, word)
    }
}

/// A command that answers at once.
pub(crate) type Now = fn(&mut Local<'_>, &[Bytes]) -> Result<Answer, CommandError>;
/// A command that runs alone.
pub(crate) type Alone = fn(Remote) -> BoxFuture<'static, Result<Reply, CommandError>>;

/// How a command is carried out.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// It answers at once.
    Now(Now),
    /// It answers at once, and is about clients: others see this client as it is now.
    OfClients(Now),
    /// It answers at once, and chooses the table of the commands behind it.
    ChoosesTable(Now),
    /// It runs alone.
    Alone(Alone),
    /// It runs alone, also among the proxy's commands of a transaction.
    AlsoQueued(Alone),
    /// It runs alone and waits for others: the client counts as blocked.
    Waits(Alone),
    /// The connection carries it out.
    Session(SessionCommand),
}

/// The full name of a row, and its handler.
pub(crate) type Named = (&'static str, Handler);

impl Handler {
    /// The function of a command that answers at once.
    pub(crate) fn now(self) -> Option<Now> {
        match self {
            Handler::Now(run) | Handler::OfClients(run) | Handler::ChoosesTable(run) => Some(run),
            Handler::Alone(_)
            | Handler::AlsoQueued(_)
            | Handler::Waits(_)
            | Handler::Session(_) => None,
        }
    }
}

/// Commands that steer the connection; MULTI does not queue them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionCommand {
    Multi,
    Exec,
    Discard,
    Watch,
    Reset,
    Quit,
    Monitor,
}
