//! Commands about proxies, run on several of them: `COTERIE ALL` asks every proxy of the roster,
//! and answers when it is asked itself.
//!
//! Proxies ask one another over a port of their own, with the handshake of the cluster's token. A
//! peer runs only commands about itself ([`FOR_ALL`]): none that reads or writes keys, and none
//! that changes the connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use coterie_protocol::proxies::{PeerAnswer, PeerRequest, ProxyReport};
use coterie_protocol::{decode, encode, method};
use coterie_redis_compat::{Command, CommandError, Reply, Resp, resolve};
use coterie_rpc::{Handler as Answers, Request, Responder};
use coterie_types::TableId;
use tokio::task::{AbortHandle, JoinSet};

use crate::clients::Client;
use crate::commands::{Answer, Handler, Local, Remote, handler};
use crate::conn::{Call, Session};
use crate::pushes::{Forms, Turn};
use crate::router::random;
use crate::shared::Shared;

/// How long a peer has to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest reply of a peer.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// The commands that may be run on all proxies, by their full names.
const FOR_ALL: &[&str] = &[
    "client|kill",
    "client|list",
    "client|pause",
    "client|unblock",
    "client|unpause",
    "config|get",
    "config|resetstat",
    "config|set",
    "debug",
    "info",
    "latency|doctor",
    "latency|histogram",
    "latency|history",
    "latency|latest",
    "latency|reset",
    "memory|doctor",
    "memory|purge",
    "memory|stats",
    "ping",
    "role",
    "slowlog|get",
    "slowlog|len",
    "slowlog|reset",
    "time",
];

/// Whether a command may be run on all proxies.
pub(crate) fn is_for_all(row: &Command) -> bool {
    FOR_ALL.binary_search(&row.name).is_ok()
}

/// A command for several proxies.
#[derive(Debug, Clone)]
pub(crate) struct ForAll {
    pub(crate) args: Vec<Bytes>,
    pub(crate) table: TableId,
    pub(crate) resp: Resp,
}

impl ForAll {
    /// Runs it on this proxy, as a command of `client`. Returns the encoded reply.
    pub(crate) async fn run(self, shared: &Arc<Shared>, client: &Arc<Client>) -> Bytes {
        let resp = self.resp;
        let reply = self.reply(shared, client).await.unwrap_or_else(Reply::from);
        let mut out = BytesMut::new();
        reply.encode(resp, &mut out);
        out.freeze()
    }

    async fn reply(
        self,
        shared: &Arc<Shared>,
        client: &Arc<Client>,
    ) -> Result<Reply, CommandError> {
        let row = resolve(&self.args)?;
        let handler = handler(row).filter(|_| is_for_all(row));
        let mut session = Session::new(true);
        session.table = self.table;
        session.resp = self.resp;
        match handler {
            Some(Handler::Now(run) | Handler::OfClients(run)) => {
                let mut local = Local {
                    shared,
                    client,
                    session: &mut session,
                };
                match run(&mut local, &self.args)? {
                    Answer::Reply(reply) | Answer::Always(reply) => Ok(reply),
                    Answer::Nothing => Ok(Reply::OK),
                    Answer::After(reply, over) => {
                        over.await;
                        Ok(reply)
                    }
                    Answer::Close(reply) => {
                        client.kill();
                        Ok(reply)
                    }
                }
            }
            Some(Handler::Alone(run) | Handler::AlsoQueued(run)) => {
                let now = Instant::now();
                let call = Call {
                    row,
                    args: self.args,
                    table: self.table,
                    resp: self.resp,
                    follower_reads: false,
                    silent: false,
                    shown: true,
                    tracker: None,
                    denied: None,
                    began: now,
                    deadline: now + shared.router.request_timeout,
                };
                let remote = Remote {
                    call: Arc::new(call),
                    shared: Arc::clone(shared),
                    client: Arc::clone(client),
                    wrote: Vec::new(),
                    user: None,
                };
                run(remote).await
            }
            _ => Err(not_for_all(&self.args)),
        }
    }

    /// Asks another proxy. Returns the encoded reply.
    pub(crate) async fn ask(self, shared: &Shared, peer: &ProxyReport) -> Result<Bytes, String> {
        if peer.peer.is_empty() {
            return Err("it has no address for other proxies: set --peer-listen".to_owned());
        }
        let request = PeerRequest::Run {
            args: self.args,
            table: self.table.0,
            resp3: self.resp == Resp::V3,
        };
        let rpc = &shared.router.rpc;
        let called = rpc.call(&peer.peer, method::PEER, encode(&request), TIMEOUT);
        let answer = called.await.map_err(|error| error.to_string())?;
        match decode(&answer) {
            Ok(PeerAnswer::Reply(reply)) if !reply.is_empty() => Ok(reply),
            Ok(_) => Err("it answered another question".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// How often the roster is read for proxies to watch.
const TICK: Duration = Duration::from_secs(1);
/// How long a proxy may be silent after a question for lines; it holds questions for less.
const LINES_TIMEOUT: Duration = Duration::from_secs(2);

/// Gives a client the lines of MONITOR of all other proxies, as long as it watches.
pub(crate) async fn monitor_all(shared: Arc<Shared>, client: Arc<Client>) {
    let mut followed = HashMap::<String, AbortHandle>::new();
    // Dropped, it ends its tasks.
    let mut tasks = JoinSet::new();
    while shared.monitors.has(client.id) && !client.is_killed() {
        let all = shared.roster.all();
        let own = shared.roster.own();
        followed.retain(|id, task| {
            let is_there = all.iter().any(|proxy| proxy.id == *id);
            if !is_there {
                task.abort();
            }
            is_there
        });
        for proxy in all
            .iter()
            .filter(|proxy| proxy.id != own.id && !proxy.peer.is_empty())
        {
            followed.entry(proxy.id.clone()).or_insert_with(|| {
                let (shared, client) = (Arc::clone(&shared), Arc::clone(&client));
                tasks.spawn(follow(shared, client, proxy.peer.clone()))
            });
        }
        tokio::time::sleep(TICK).await;
        while tasks.try_join_next().is_some() {}
    }
}

/// Fetches the lines of another proxy.
async fn follow(shared: Arc<Shared>, client: Arc<Client>, peer: String) {
    let request = encode(&PeerRequest::Monitor { watcher: random() });
    let rpc = &shared.router.rpc;
    loop {
        let asked = rpc.call(&peer, method::PEER, request.clone(), LINES_TIMEOUT);
        match asked.await.map(|answer| decode(&answer)) {
            Ok(Ok(PeerAnswer::Lines { lines, lost })) => {
                if lost > 0 {
                    tracing::warn!(peer, lost, "lines of MONITOR were lost");
                }
                if !lines.is_empty() {
                    let push = shared.clients.push_of(Forms::of_lines(lines), Turn::Next);
                    client.push(&push);
                }
            }
            _ => tokio::time::sleep(TICK).await,
        }
    }
}

/// The refusal of a command that is not about a proxy.
pub(crate) fn not_for_all(args: &[Bytes]) -> CommandError {
    let name = args.first().map_or(&b""[..], |name| name);
    CommandError::quoting("'", name, "' is no command about a proxy")
}

/// Answers other proxies.
pub(crate) struct Peers(pub(crate) Arc<Shared>);

impl Answers for Peers {
    fn handle(&self, request: Request, responder: Responder) {
        if request.method != method::PEER {
            let reason = format!("a proxy does not serve method {}", request.method);
            return responder.fail(&reason);
        }
        match decode(&request.body) {
            Ok(PeerRequest::Run { args, table, resp3 }) => {
                let command = ForAll {
                    args,
                    table: TableId(table),
                    resp: if resp3 { Resp::V3 } else { Resp::V2 },
                };
                let shared = Arc::clone(&self.0);
                tokio::spawn(async move {
                    let asker = shared.clients.unlisted();
                    let reply = command.run(&shared, &asker).await;
                    if reply.len() > REPLY_BYTES_MAX {
                        return responder.fail("the reply is too long");
                    }
                    responder.send(encode(&PeerAnswer::Reply(reply)));
                });
            }
            Ok(PeerRequest::Monitor { watcher }) => self.0.monitors.answer(watcher, responder),
            Err(error) => responder.fail(&error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use coterie_redis_compat::{ROWS, Route};

    use super::*;

    #[test]
    fn commands_for_all_are_sorted_and_touch_no_key() {
        assert!(FOR_ALL.is_sorted());
        for name in FOR_ALL {
            let row = ROWS.iter().find(|row| row.name == *name);
            let row = row.unwrap_or_else(|| panic!("{name} is no command"));
            assert!(row.keys.is_empty() && row.route == Route::Local, "{name}");
            assert!(
                matches!(
                    handler(row),
                    Some(
                        Handler::Now(_)
                            | Handler::OfClients(_)
                            | Handler::Alone(_)
                            | Handler::AlsoQueued(_)
                    )
                ),
                "{name}"
            );
        }
    }
}
