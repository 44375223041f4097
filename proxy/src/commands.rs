//! Commands that the proxy answers: one function each, found by the row's name.
//!
//! Three kinds. Most answer at once from what the proxy has ([`Handler::Now`]). Those that ask
//! groups or meta, or wait, run alone on their connection: after everything before them, before
//! everything behind them ([`Handler::Alone`]). A few steer the connection itself
//! ([`Handler::OfSession`]) and are carried out by it (`conn::begin`).
//!
//! A test holds the table here and the rows of `redis-compat` together.

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

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_redis_compat::{CommandError, Reply, Resp, number, parse_table};
use coterie_types::{GroupId, TableId};
use futures_util::future::BoxFuture;

use crate::clients::Client;
use crate::conn::Session;
use crate::fanout::Calls;
use crate::shared::Shared;

/// What a command that answers at once works on.
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

/// What a command that runs alone works on.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) client: Arc<Client>,
    pub(crate) args: Vec<Bytes>,
    pub(crate) table: TableId,
    pub(crate) resp: Resp,
    /// The groups this connection has written to.
    pub(crate) wrote: Vec<GroupId>,
    pub(crate) deadline: Instant,
}

impl Call {
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
pub(crate) type Alone = fn(Call) -> BoxFuture<'static, Result<Reply, CommandError>>;

/// Who carries a command out.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    Now(Now),
    Alone(Alone),
    OfSession(OfSession),
}

/// Commands that steer the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfSession {
    Multi,
    Exec,
    Discard,
    Watch,
    Reset,
    Quit,
}

impl OfSession {
    /// Whether MULTI does not queue it: none of them.
    pub(crate) fn is_run_in_multi(self) -> bool {
        true
    }
}

/// Who carries out the command of this name.
pub(crate) fn handler(name: &str) -> Option<Handler> {
    let at = HANDLERS
        .binary_search_by(|(known, _)| (*known).cmp(name))
        .ok()?;
    Some(HANDLERS[at].1)
}

/// A table by its number, or one of its own by its name.
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

/// What Redis says where a container checks the words of its subcommands itself.
fn subcommand_syntax(word: &[u8], container: &str) -> CommandError {
    CommandError::quoting(
        "unknown subcommand or wrong number of arguments for '",
        &word[..word.len().min(128)],
        &format!("'. Try {container} HELP."),
    )
}

/// A timeout in milliseconds; 0 is none. It must end before milliseconds no longer fit an i64 (Redis
/// `timeout.c`, `getTimeoutFromObjectOrReply`).
fn timeout_millis(word: &[u8]) -> Result<u64, CommandError> {
    let millis = number::parse_int(word).ok_or(CommandError::TimeoutNotAnInteger)?;
    let millis = u64::try_from(millis).map_err(|_| CommandError::TimeoutNegative)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let room = u128::from(i64::MAX.unsigned_abs()).saturating_sub(now.as_millis());
    if u128::from(millis) > room {
        return Err(CommandError::TimeoutOutOfRange);
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

macro_rules! alone {
    ($function:path) => {
        Handler::Alone(|call| Box::pin($function(call)))
    };
}

/// Sorted by name.
static HANDLERS: &[(&str, Handler)] = &[
    ("auth", Handler::Now(connection::auth)),
    ("client|caching", Handler::Now(client::caching)),
    ("client|getname", Handler::Now(client::getname)),
    ("client|getredir", Handler::Now(client::getredir)),
    ("client|help", Handler::Now(client::help)),
    ("client|id", Handler::Now(client::id)),
    ("client|info", Handler::Now(client::info)),
    ("client|kill", Handler::Now(client_kill::kill)),
    ("client|list", Handler::Now(client::list)),
    ("client|no-evict", Handler::Now(client::no_evict)),
    ("client|no-touch", Handler::Now(client::no_touch)),
    ("client|pause", Handler::Now(client::pause)),
    ("client|reply", Handler::Now(client::reply)),
    ("client|setinfo", Handler::Now(client::setinfo)),
    ("client|setname", Handler::Now(client::setname)),
    ("client|tracking", Handler::Now(client::tracking)),
    ("client|trackinginfo", Handler::Now(client::trackinginfo)),
    ("client|unblock", Handler::Now(client::unblock)),
    ("client|unpause", Handler::Now(client::unpause)),
    (
        "cluster|countkeysinslot",
        Handler::Now(cluster::keys_in_slot),
    ),
    ("cluster|getkeysinslot", Handler::Now(cluster::keys_in_slot)),
    ("cluster|help", Handler::Now(cluster::help)),
    ("cluster|info", Handler::Now(cluster::info)),
    ("cluster|keyslot", Handler::Now(cluster::keyslot)),
    ("cluster|links", Handler::Now(cluster::links)),
    ("cluster|myid", Handler::Now(cluster::myid)),
    ("cluster|myshardid", Handler::Now(cluster::myid)),
    ("cluster|nodes", Handler::Now(cluster::nodes)),
    ("cluster|replicas", Handler::Now(cluster::replicas)),
    ("cluster|shards", Handler::Now(cluster::shards)),
    ("cluster|slots", Handler::Now(cluster::slots)),
    ("command", Handler::Now(introspect::introspect)),
    ("command|count", Handler::Now(introspect::introspect)),
    ("command|docs", Handler::Now(introspect::introspect)),
    ("command|getkeys", Handler::Now(introspect::introspect)),
    (
        "command|getkeysandflags",
        Handler::Now(introspect::introspect),
    ),
    ("command|help", Handler::Now(introspect::introspect)),
    ("command|info", Handler::Now(introspect::introspect)),
    ("command|list", Handler::Now(introspect::introspect)),
    ("config|get", Handler::Now(config::get)),
    ("config|help", Handler::Now(config::help)),
    ("config|resetstat", Handler::Now(config::resetstat)),
    ("config|rewrite", Handler::Now(config::rewrite)),
    ("config|set", Handler::Now(config::set)),
    ("coterie", alone!(coterie::coterie)),
    ("dbsize", alone!(keyspace::dbsize)),
    ("debug", alone!(debug::debug)),
    ("discard", Handler::OfSession(OfSession::Discard)),
    ("echo", Handler::Now(connection::echo)),
    ("exec", Handler::OfSession(OfSession::Exec)),
    ("flushall", alone!(keyspace::flushall)),
    ("flushdb", alone!(keyspace::flushdb)),
    ("hello", Handler::Now(connection::hello)),
    ("info", alone!(info::info)),
    ("keys", alone!(keyspace::keys)),
    ("lastsave", Handler::Now(role::lastsave)),
    ("latency|doctor", Handler::Now(latency::doctor)),
    ("latency|graph", Handler::Now(latency::graph)),
    ("latency|help", Handler::Now(latency::help)),
    ("latency|histogram", Handler::Now(latency::histogram)),
    ("latency|history", Handler::Now(latency::history)),
    ("latency|latest", Handler::Now(latency::latest)),
    ("latency|reset", Handler::Now(latency::reset)),
    ("memory|doctor", Handler::Now(memory::doctor)),
    ("memory|help", Handler::Now(memory::help)),
    ("memory|malloc-stats", Handler::Now(memory::malloc_stats)),
    ("memory|purge", Handler::Now(memory::purge)),
    ("memory|stats", Handler::Now(memory::stats)),
    ("multi", Handler::OfSession(OfSession::Multi)),
    ("ping", Handler::Now(connection::ping)),
    ("quit", Handler::OfSession(OfSession::Quit)),
    ("randomkey", alone!(keyspace::randomkey)),
    ("readonly", Handler::Now(connection::readonly)),
    ("readwrite", Handler::Now(connection::readwrite)),
    ("reset", Handler::OfSession(OfSession::Reset)),
    ("role", Handler::Now(role::role)),
    ("scan", alone!(keyspace::scan)),
    ("select", Handler::Now(connection::select)),
    ("slowlog|get", Handler::Now(slowlog::get)),
    ("slowlog|help", Handler::Now(slowlog::help)),
    ("slowlog|len", Handler::Now(slowlog::len)),
    ("slowlog|reset", Handler::Now(slowlog::reset)),
    ("time", Handler::Now(role::time)),
    ("unwatch", Handler::Now(connection::unwatch)),
    ("wait", alone!(wait::wait)),
    ("watch", Handler::OfSession(OfSession::Watch)),
];

#[cfg(test)]
mod tests {
    use coterie_redis_compat::{ROWS, Run};

    use super::*;

    #[test]
    fn handlers_are_sorted() {
        assert!(HANDLERS.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn every_row_of_the_proxy_has_a_handler() {
        for row in ROWS
            .iter()
            .filter(|row| !row.is_container() && matches!(row.run, Run::Proxy))
        {
            assert!(handler(row.name).is_some(), "no handler for {}", row.name);
        }
        for (name, _) in HANDLERS {
            let words: Vec<_> = name
                .split('|')
                .map(|w| Bytes::copy_from_slice(w.as_bytes()))
                .collect();
            let row = coterie_redis_compat::lookup(&words[0]);
            let sub = row.zip(words.get(1));
            let known = match sub {
                Some((row, word)) => coterie_redis_compat::lookup_subcommand(row, word).is_some(),
                None => row.is_some(),
            };
            assert!(known, "no row for {name}");
        }
    }
}
