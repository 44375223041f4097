//! Commands that the proxy runs: a function each, found by the number of the row.
//!
//! Three kinds. Most answer at once from the proxy's own state ([`Handler::Now`]). Those that ask
//! groups or meta, or wait, run alone on their connection: after everything before them, before
//! everything behind them ([`Handler::Alone`]). A few steer the connection itself
//! ([`Handler::Session`]) and are carried out by it (`conn::run`).
//!
//! The rows stand in `redis-compat` (`table/`), which knows no proxy. Each file here lists its
//! handlers under the names of their rows (`HANDLERS`). The compiler joins both, and refuses a
//! handler without a row and a row without a handler.

/// The handler of an async function that runs alone.
macro_rules! alone {
    ($function:path) => {
        $crate::commands::Handler::Alone(|call| Box::pin($function(call)))
    };
}

/// Likewise, for a function that waits for others.
macro_rules! waits {
    ($function:path) => {
        $crate::commands::Handler::Waits(|call| Box::pin($function(call)))
    };
}

mod client;
mod client_kill;
mod cluster;
mod config;
mod connection;
mod coterie;
mod debug;
mod info;
mod introspect;
mod keyspace;
mod latency;
mod memory;
mod role;
mod slot;
mod slowlog;
mod wait;

use std::ops::Deref;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_redis_compat::errors::{
    TIMEOUT_NEGATIVE, TIMEOUT_NOT_AN_INTEGER, TIMEOUT_OUT_OF_RANGE,
};
use coterie_redis_compat::{
    Command, CommandError, ROW_COUNT, ROWS, Reply, Run, number, parse_table, row_number,
};
use coterie_types::{GroupId, TableId};
use futures_util::future::BoxFuture;

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
#[derive(Debug)]
pub(crate) enum Answer {
    /// By this, unless the client asked not to be answered.
    Reply(Reply),
    /// By this in any case.
    Always(Reply),
    /// Not at all.
    Nothing,
    /// By this, and then the connection is closed.
    Close(Reply),
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
    fn calls(&self) -> Calls {
        Calls::new(Arc::clone(&self.shared.router), self.resp, self.deadline)
    }

    /// Word `at` is `word`, in any case.
    fn is(&self, at: usize, word: &str) -> bool {
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
            Handler::Alone(_) | Handler::Waits(_) | Handler::Session(_) => None,
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
}

const SESSION: &[Named] = &[
    ("discard", Handler::Session(SessionCommand::Discard)),
    ("exec", Handler::Session(SessionCommand::Exec)),
    ("multi", Handler::Session(SessionCommand::Multi)),
    ("quit", Handler::Session(SessionCommand::Quit)),
    ("reset", Handler::Session(SessionCommand::Reset)),
    ("watch", Handler::Session(SessionCommand::Watch)),
];

/// The handler of a row; none for commands that groups run.
pub(crate) fn handler(row: &Command) -> Option<Handler> {
    HANDLERS.get(row.number()).copied().flatten()
}

/// Whether this is `EXEC`, which ends a transaction even if it is refused.
pub(crate) fn is_exec(row: &Command) -> bool {
    matches!(handler(row), Some(Handler::Session(SessionCommand::Exec)))
}

/// A table by its number, or a named table.
pub(crate) fn table_named(catalog: &Catalog, word: &[u8]) -> Option<TableId> {
    parse_table(word).or_else(|| {
        let mut tables = catalog.tables.values();
        let named = tables.find(|table| table.name.as_bytes() == word)?;
        Some(named.table_id)
    })
}

/// Word `at` is `word`, in any case.
fn is(args: &[Bytes], at: usize, word: &str) -> bool {
    args.get(at)
        .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
}

/// The error of Redis where a container checks the words of its subcommands itself.
fn subcommand_syntax(word: &[u8], container: &str) -> CommandError {
    CommandError::quoting(
        "unknown subcommand or wrong number of arguments for '",
        &word[..word.len().min(128)],
        &format!("'. Try {container} HELP."),
    )
}

/// A timeout in milliseconds; 0 is none. It must end before milliseconds no longer fit an i64
/// (Redis `timeout.c`, `getTimeoutFromObjectOrReply`).
fn timeout_millis(word: &[u8]) -> Result<u64, CommandError> {
    let millis = number::parse_int(word).ok_or(TIMEOUT_NOT_AN_INTEGER)?;
    let millis = u64::try_from(millis).map_err(|_| TIMEOUT_NEGATIVE)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let room = u128::from(i64::MAX.unsigned_abs()).saturating_sub(now.as_millis());
    if u128::from(millis) > room {
        return Err(TIMEOUT_OUT_OF_RANGE);
    }
    Ok(millis)
}

fn text(text: impl Into<String>) -> Reply {
    Reply::Bulk(Bytes::from(text.into()))
}

/// Text for people: of a type of its own in RESP3.
fn verbatim(text: impl Into<Bytes>) -> Reply {
    Reply::Verbatim {
        format: *b"txt",
        text: text.into(),
    }
}

fn int(value: u64) -> Reply {
    Reply::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Handlers of all commands.
const PARTS: &[&[Named]] = &[
    SESSION,
    client::HANDLERS,
    client_kill::HANDLERS,
    cluster::HANDLERS,
    config::HANDLERS,
    connection::HANDLERS,
    coterie::HANDLERS,
    debug::HANDLERS,
    info::HANDLERS,
    introspect::HANDLERS,
    keyspace::HANDLERS,
    latency::HANDLERS,
    memory::HANDLERS,
    role::HANDLERS,
    slowlog::HANDLERS,
    wait::HANDLERS,
];

/// The handler of each row, by its number. It is made when the proxy is compiled, which fails where
/// a handler has no row, or a row of the proxy no handler.
static HANDLERS: [Option<Handler>; ROW_COUNT] = by_row();

const fn by_row() -> [Option<Handler>; ROW_COUNT] {
    let mut handlers = [None; ROW_COUNT];
    let mut part = 0;
    while part < PARTS.len() {
        let mut at = 0;
        while at < PARTS[part].len() {
            let (name, handler) = PARTS[part][at];
            let Some(row) = row_number(name) else {
                panic!("a handler has the name of a row");
            };
            assert!(handlers[row].is_none(), "a row has one handler");
            assert!(
                matches!(ROWS[row].run, Run::Proxy),
                "the proxy runs what it handles"
            );
            handlers[row] = Some(handler);
            at += 1;
        }
        part += 1;
    }
    let mut row = 0;
    while row < ROW_COUNT {
        let is_ours = matches!(ROWS[row].run, Run::Proxy) && !ROWS[row].is_container();
        assert!(
            !is_ours || handlers[row].is_some(),
            "each row of the proxy has a handler"
        );
        row += 1;
    }
    handlers
}

#[cfg(test)]
mod tests {
    use coterie_redis_compat::lookup;

    use super::*;

    #[test]
    fn a_handler_is_found_by_its_row() {
        let of = |name: &str| lookup(name.as_bytes()).and_then(handler);
        assert!(matches!(
            of("exec"),
            Some(Handler::Session(SessionCommand::Exec))
        ));
        assert!(matches!(of("select"), Some(Handler::ChoosesTable(_))));
        assert!(matches!(of("wait"), Some(Handler::Waits(_))));
        assert!(of("get").is_none() && of("client").is_none());
        let client = lookup(b"client")
            .map(|row| row.subcommands())
            .unwrap_or_default();
        assert!(!client.is_empty());
        for row in client {
            assert!(
                matches!(handler(row), Some(Handler::OfClients(_))),
                "{}",
                row.name
            );
        }
    }
}
