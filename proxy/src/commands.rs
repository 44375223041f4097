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

/// The handler of an async function that runs alone, and that MULTI queues.
macro_rules! also_queued {
    ($function:path) => {
        $crate::commands::Handler::AlsoQueued(|call| Box::pin($function(call)))
    };
}

mod acl;
mod client;
mod client_kill;
mod cluster;
mod config;
mod connection;
mod coterie;
mod debug;
mod function;
mod handler;
mod hyperloglog;
mod info;
mod introspect;
mod keyspace;
mod latency;
mod memory;
mod pubsub;
mod role;
mod running;
mod script;
mod slot;
mod slowlog;
mod wait;
mod words;

use coterie_redis_compat::{Command, ROW_COUNT, ROWS, Run, row_number};

use words::{int, is, subcommand_syntax, text, timeout_millis, verbatim};

pub(crate) use acl::set_requirepass;
pub(crate) use handler::{Alone, Answer, Handler, Local, Named, Now, Remote, SessionCommand};
pub(crate) use pubsub::{may_be_called_by_subscribers, not_by_subscribers, subscribes};
pub(crate) use words::table_named;

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

/// Whether this changes users, so that the connection's own may go.
pub(crate) fn is_acl(row: &Command) -> bool {
    matches!(row.name, "acl|deluser" | "acl|load")
}

/// Handlers of all commands.
const PARTS: &[&[Named]] = &[
    SESSION,
    acl::HANDLERS,
    client::HANDLERS,
    client_kill::HANDLERS,
    cluster::HANDLERS,
    config::HANDLERS,
    connection::HANDLERS,
    coterie::HANDLERS,
    debug::HANDLERS,
    function::HANDLERS,
    hyperloglog::HANDLERS,
    info::HANDLERS,
    introspect::HANDLERS,
    keyspace::HANDLERS,
    latency::HANDLERS,
    memory::HANDLERS,
    pubsub::HANDLERS,
    role::HANDLERS,
    script::HANDLERS,
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
